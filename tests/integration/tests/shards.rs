//! What a start without further words does with the machine's cores.

use crate::setup;
use integration::records::{create, patient};
use integration::{Scratch, eventually, host, raw};
use kafka_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_wire::messages::produce_response::ProduceResponse;
use kafka_wire::{ApiKey, BatchBuilder, Records};
use std::time::Duration;

const VERSION: i16 = 9;
const PARTITIONS: i32 = 8;

#[test]
fn every_core_has_a_shard_and_one_request_reaches_them_all() {
    let scratch = Scratch::new("shards");
    let cores = host::cores().len();
    let flumen = setup(&scratch).start();
    let line = flumen.until_logged("flumen is ready");
    let told = if cores == 1 { ", 1 core".to_owned() } else { format!(", {cores} cores") };
    assert!(line.ends_with(&told), "{line}");
    create(&mut patient(flumen.address), "spread", PARTITIONS, &[]);
    let each = eventually("the partitions are counted", Duration::from_secs(10), || {
        let each = flumen.samples("flumen_partitions");
        (each.iter().sum::<f64>() == f64::from(PARTITIONS)).then_some(each)
    });
    let (fewest, most) = (PARTITIONS as usize / cores, (PARTITIONS as usize).div_ceil(cores));
    assert_eq!(each.len(), cores, "{each:?}");
    assert!(each.iter().all(|count| (fewest..=most).contains(&(*count as usize))), "{each:?}");

    let mut builder = BatchBuilder::new();
    builder.append(1, None, Some(b"value"), &[]).expect("a record");
    let batch = builder.build().expect("a batch");
    let data = |index| PartitionProduceData { index, records: Records::Bytes(&batch) };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: "spread".into(),
            partition_data: (0..PARTITIONS).map(data).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = raw::ask(flumen.address, ApiKey::Produce, VERSION, &request);
    let response: ProduceResponse<'_> = raw::read(&answer, ApiKey::Produce, VERSION);
    let found: Vec<(i32, i16, i64)> = response.responses[0]
        .partition_responses
        .iter()
        .map(|done| (done.index, done.error_code, done.base_offset))
        .collect();
    assert_eq!(found, (0..PARTITIONS).map(|index| (index, 0, 0)).collect::<Vec<_>>());
    flumen.stop();
}
