//! Record batches against the crate kafka-protocol: each side reads what the other has built.
//!
//! Header keys are distinct here, for the oracle keeps only one of several that are equal.

use base::Random;
use bytes::BytesMut;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchDecoder, RecordBatchEncoder};
use kafka_protocol::records::{RecordEncodeOptions, TimestampType};
use kafka_wire::{BatchBuilder, RecordBatch};

const BASE_OFFSET: i64 = 1_000_000_007;
const BASE_SEQUENCE: i32 = 55;

fn bytes(random: &mut Random) -> Option<Vec<u8>> {
    if random.one_in(4) {
        return None;
    }
    let mut bytes = vec![0; random.below(300) as usize];
    random.fill(&mut bytes);
    Some(bytes)
}

/// Records as the oracle has them: consecutive offsets and sequence numbers of one producer.
fn records(random: &mut Random) -> Vec<Record> {
    let count = random.between(1, 20) as i64;
    let producer = random.next_u64() as i64 & i64::MAX;
    let record = |i: i64, random: &mut Random| Record {
        transactional: producer % 2 == 0,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 9,
        producer_id: producer,
        producer_epoch: 3,
        timestamp_type: TimestampType::Creation,
        offset: BASE_OFFSET + i,
        sequence: BASE_SEQUENCE + i as i32,
        timestamp: 1_700_000_000_000 + random.below(1 << 40) as i64 - (1 << 39),
        key: bytes(random).map(Into::into),
        value: bytes(random).map(Into::into),
        headers: (0..random.below(4))
            .map(|i| (StrBytes::from_string(format!("h{i}")), bytes(random).map(Into::into)))
            .collect::<IndexMap<_, _>>(),
    };
    (0..count).map(|i| record(i, random)).collect()
}

fn build(records: &[Record]) -> Vec<u8> {
    let first = &records[0];
    let mut builder =
        BatchBuilder::new().base_offset(first.offset).leader_epoch(first.partition_leader_epoch);
    builder = builder.producer(first.producer_id, first.producer_epoch, first.sequence);
    if first.transactional {
        builder = builder.transactional();
    }
    for record in records {
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        builder.append(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn the_oracle_reads_what_we_build() {
    for seed in 0..300 {
        let records = records(&mut Random::new(seed));
        let ours = build(&records);
        // It checks the checksum, too.
        let decoded = RecordBatchDecoder::decode(&mut bytes::Bytes::from(ours)).unwrap();
        assert_eq!(decoded.records, records, "seed {seed}");
    }
}

#[test]
fn we_read_what_the_oracle_builds() {
    for seed in 0..300 {
        let records = records(&mut Random::new(seed));
        let mut theirs = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut theirs, &records, &options).unwrap();
        let (batch, rest) = RecordBatch::split_first(&theirs).unwrap();
        assert!(rest.is_empty());
        assert_eq!(batch.crc(), batch.compute_crc());
        assert_eq!((batch.base_offset(), batch.leader_epoch()), (BASE_OFFSET, 9));
        assert_eq!((batch.producer_id(), batch.producer_epoch()), (records[0].producer_id, 3));
        assert_eq!((batch.base_sequence(), batch.record_count()), (BASE_SEQUENCE, records.len() as i32));
        assert_eq!(batch.last_offset_delta(), records.len() as i32 - 1);
        assert_eq!(batch.is_transactional(), records[0].transactional);
        assert_eq!(Some(batch.max_timestamp()), records.iter().map(|record| record.timestamp).max());
        let mut found = 0;
        for (ours, expected) in batch.records().unwrap().zip(&records) {
            let ours = ours.unwrap();
            assert_eq!(batch.base_offset() + i64::from(ours.offset_delta), expected.offset);
            assert_eq!(batch.base_timestamp() + ours.timestamp_delta, expected.timestamp);
            assert_eq!((ours.key, ours.value), (expected.key.as_deref(), expected.value.as_deref()));
            let headers: Vec<_> = ours.headers.map(|header| (header.key, header.value)).collect();
            let theirs: Vec<_> =
                expected.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
            assert_eq!(headers, theirs, "seed {seed}");
            found += 1;
        }
        assert_eq!(found, records.len());
    }
}
