//! Where leaderships ended (OffsetForLeaderEpoch), asked of partitions on several cores.

use crate::setup;
use integration::records::{create, patient, plain_producer, write};
use integration::{Flumen, Scratch, files_below, raw};
use kafka_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_wire::messages::offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::fs;
use std::path::Path;

const VERSION: i16 = 4;
/// Two partitions in a row are on two cores, where there are two.
const TOPIC: &str = "led";
const NONE: (i16, i32, i64) = (0, -1, -1);

/// Asks both partitions of a topic where an epoch ended, as one who believes in an epoch of the leader (-1: in any).
/// Error, epoch and end of each.
fn ask(flumen: &Flumen, topic: &str, believed: i32, wanted: i32) -> [(i16, i32, i64); 2] {
    let partitions = [1, 0].map(|partition| OffsetForLeaderPartition {
        partition,
        current_leader_epoch: believed,
        leader_epoch: wanted,
    });
    let topics = vec![OffsetForLeaderTopic { topic: topic.into(), partitions: partitions.to_vec() }];
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics };
    let answer = raw::ask(flumen.address, ApiKey::OffsetForLeaderEpoch, VERSION, &request);
    let response: OffsetForLeaderEpochResponse<'_> =
        raw::read(&answer, ApiKey::OffsetForLeaderEpoch, VERSION);
    let [topic] = &response.topics[..] else { panic!("{response:?}") };
    let [one, zero] = &topic.partitions[..] else { panic!("{response:?}") };
    assert_eq!((one.partition, zero.partition), (1, 0), "in the order in which they were asked for");
    [zero, one].map(|found| (found.error_code, found.leader_epoch, found.end_offset))
}

fn refused(code: ErrorCode) -> [(i16, i32, i64); 2] {
    [(code as i16, -1, -1); 2]
}

fn append(flumen: &Flumen, counts: [usize; 2]) {
    let mut client = patient(flumen.address);
    let mut producer = plain_producer(&mut client, TOPIC);
    for (count, partition) in counts.into_iter().zip(0..) {
        for _ in 0..count {
            write(&mut client, &mut producer, partition, b"value").expect("acknowledged");
        }
    }
}

#[test]
fn where_epochs_ended_is_told_and_who_believes_in_another_leader_is_refused() {
    let scratch = Scratch::new("epochs");
    let flumen = setup(&scratch).start();
    create(&mut patient(flumen.address), TOPIC, 2, &[]);
    create(&mut patient(flumen.address), "empty", 2, &[]);
    assert_eq!(ask(&flumen, TOPIC, 0, 0), [(0, 0, 0); 2], "nothing is there yet");
    append(&flumen, [3, 5]);
    for believed in [-1, 0] {
        assert_eq!(ask(&flumen, TOPIC, believed, 0), [(0, 0, 3), (0, 0, 5)]);
        assert_eq!(ask(&flumen, TOPIC, believed, 7), [NONE; 2], "one that is yet to come");
        assert_eq!(ask(&flumen, TOPIC, believed, -1), [NONE; 2], "none");
    }
    assert_eq!(ask(&flumen, TOPIC, 1, 0), refused(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(ask(&flumen, "unknown", -1, 0), refused(ErrorCode::UnknownTopicOrPartition));
    flumen.stop();

    // In epoch 1 nobody has led who could have appended.
    begin_epoch(&scratch.join("data"), 2);
    let flumen = setup(&scratch).start();
    assert_eq!(ask(&flumen, TOPIC, -1, 2), [(0, 2, 3), (0, 2, 5)], "nothing was appended in it");
    assert_eq!(ask(&flumen, TOPIC, -1, 1), [(0, 0, 3), (0, 0, 5)], "nor in the one before");
    assert_eq!(ask(&flumen, "empty", -1, 1), [(0, 1, 0); 2], "nor in any");
    assert_eq!(ask(&flumen, TOPIC, -1, 0), [(0, 0, 3), (0, 0, 5)]);
    append(&flumen, [2, 2]);
    assert_eq!(ask(&flumen, TOPIC, 2, 2), [(0, 2, 5), (0, 2, 7)], "the current one");
    for earlier in [0, 1] {
        assert_eq!(ask(&flumen, TOPIC, 2, earlier), [(0, 0, 3), (0, 0, 5)], "the one before");
    }
    assert_eq!(ask(&flumen, TOPIC, 2, 3), [NONE; 2], "one that is yet to come");
    assert_eq!(ask(&flumen, TOPIC, 0, 0), refused(ErrorCode::FencedLeaderEpoch));
    assert_eq!(ask(&flumen, TOPIC, 3, 0), refused(ErrorCode::UnknownLeaderEpoch));
    flumen.kill();
    let flumen = setup(&scratch).start();
    assert_eq!(ask(&flumen, TOPIC, 2, 0), [(0, 0, 3), (0, 0, 5)], "also after kill -9");
    assert_eq!(ask(&flumen, TOPIC, 2, 2), [(0, 2, 5), (0, 2, 7)]);
    flumen.stop();
}

/// What is told by the metadata log (docs/formats/metadata.md): file and frame have headers of this size.
const HEADER_BYTES: usize = 32;
const PARTITION: u8 = 4;
/// In the record of a partition, its length included: leader epoch and partition epoch.
const EPOCHS_AT: usize = 6 + 16 + 4 + 4;

/// Adds a commit to the metadata log of a broker that is stopped: every partition has a leader of this epoch. No
/// broker of one node does so by itself.
fn begin_epoch(data: &Path, epoch: i32) {
    let logs = files_below(&data.join("metadata"), ".log");
    let [log] = &logs[..] else { panic!("one file: {logs:?}") };
    let mut bytes = fs::read(log).expect("a file");
    let (mut end, mut offset, mut count, mut controller_epoch) = (HEADER_BYTES, 0_i64, 0_u32, 0_u32);
    let mut payload: Vec<u8> = Vec::new();
    while bytes[end..].starts_with(b"FMC1") {
        let frame = &bytes[end..];
        let records = &frame[HEADER_BYTES..HEADER_BYTES + u32_at(frame, 4) as usize];
        controller_epoch = u32_at(frame, 16);
        offset += i64::from(u32_at(frame, 20));
        let mut rest = records;
        while !rest.is_empty() {
            let (record, behind) = rest.split_at(4 + u32_at(rest, 0) as usize);
            if record[4] == PARTITION {
                let mut changed = record.to_vec();
                changed[EPOCHS_AT..EPOCHS_AT + 4].copy_from_slice(&epoch.to_le_bytes());
                changed[EPOCHS_AT + 4..EPOCHS_AT + 8].copy_from_slice(&epoch.to_le_bytes());
                payload.extend(changed);
                count += 1;
            }
            rest = behind;
        }
        end += HEADER_BYTES + records.len();
    }
    let mut frame = b"FMC1".to_vec();
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(offset.to_le_bytes());
    for number in [controller_epoch, count, crc32c(&payload)] {
        frame.extend(number.to_le_bytes());
    }
    frame.extend(crc32c(&frame).to_le_bytes());
    frame.extend(payload);
    bytes.truncate(end);
    bytes.extend(frame);
    fs::write(log, bytes).expect("written");
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}
