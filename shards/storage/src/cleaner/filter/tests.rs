//! What stays of batches, rule by rule.

use super::*;
use crate::cleaner::hash::KeyHash;
use crate::cleaner::map::BYTES_MIN;
use memory::Pool;

const NOW: i64 = 1_000_000;

fn rules(keys: &[(&[u8], i64)]) -> Rules {
    let mut block = Pool::new(BYTES_MIN).expect("maps").take(BYTES_MIN).expect("free");
    block.fill(0);
    let mut map = OffsetMap::new(block, KeyHash::new([3, 4]), 0.9);
    for (key, offset) in keys {
        assert!(map.put(key, *offset));
        map.latest = map.latest.max(*offset);
    }
    Rules { map, now_ms: NOW, delete_retention_ms: 500, round_end: i64::MAX, last: BTreeMap::new() }
}

/// A batch at offset 100 with a record for each of these: key and whether there is a value.
fn batch(records: &[(&[u8], bool)]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&100i64.to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(records.len() as i32 - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&7000i64.to_be_bytes());
    bytes[35..43].copy_from_slice(&(7000 + records.len() as i64 - 1).to_be_bytes());
    bytes[43..51].copy_from_slice(&9i64.to_be_bytes());
    bytes[53..57].copy_from_slice(&30i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&(records.len() as i32).to_be_bytes());
    for (delta, (key, has_value)) in records.iter().enumerate() {
        let mut contents = Vec::new();
        records::put_varint(&mut contents, key.len() as i64);
        contents.extend_from_slice(key);
        contents.extend_from_slice(if *has_value { &[2, b'v', 0] } else { &[1, 0] });
        let record = Record {
            attributes: 0,
            timestamp_delta: 0,
            offset_delta: delta as i64,
            key: None,
            has_value: false,
            contents: &contents,
        };
        record.put(&mut bytes, delta as i64);
    }
    close(bytes)
}

fn left(rules: &Rules, bytes: &[u8], discardable: bool) -> Left {
    let header = BatchHeader::verify(bytes).expect("whole");
    let mut filter = Filter::new(rules, header, &bytes[HEADER_BYTES..], discardable);
    while !filter.step(1).expect("sane") {}
    filter.left()
}

/// The batch that is left when some records are: header, and each record's offset, timestamp and key.
fn rebuilt(rules: &Rules, bytes: &[u8]) -> (BatchHeader, Vec<(i64, i64, Vec<u8>)>) {
    let Left::Records { records, count, base_timestamp, max_timestamp, has_horizon } =
        left(rules, bytes, false)
    else {
        panic!("some records")
    };
    let changes = Changes { count, base_timestamp, max_timestamp, has_horizon, codec: 0 };
    let bytes = other_batch(bytes, &changes, &records);
    let header = BatchHeader::verify(&bytes).expect("whole");
    let (mut rest, mut all) = (&bytes[HEADER_BYTES..], Vec::new());
    while let Some(record) = records::take(&mut rest) {
        let offset = header.base_offset + record.offset_delta;
        let key = record.key.unwrap_or_default().to_vec();
        all.push((offset, header.base_timestamp + record.timestamp_delta, key));
    }
    assert_eq!((rest.len(), all.len()), (0, header.count as usize));
    (header, all)
}

#[test]
fn the_last_record_of_each_key_stays_with_its_offset_and_time() {
    let bytes = batch(&[(b"a", true), (b"b", true), (b"c", true)]);
    assert_eq!(left(&rules(&[(b"a", 100), (b"b", 101), (b"c", 102)]), &bytes, false), Left::Same);
    assert_eq!(left(&rules(&[(b"a", 200), (b"b", 201), (b"c", 202)]), &bytes, false), Left::Nothing);
    // Behind the map's end nothing is known.
    assert_eq!(left(&rules(&[(b"a", 99)]), &bytes, false), Left::Same);
    let (header, all) = rebuilt(&rules(&[(b"a", 200)]), &bytes);
    assert_eq!(all, [(101, 7001, b"b".to_vec()), (102, 7002, b"c".to_vec())]);
    let kept = (header.base_offset, header.last_offset(), header.base_sequence, header.producer_id);
    assert_eq!(kept, (100, 102, 30, 9));
    assert_eq!((header.base_timestamp, header.max_timestamp, horizon(&header)), (7001, 7002, None));
}

#[test]
fn tombstones_get_a_horizon_and_go_behind_it() {
    let keys: [(&[u8], i64); 2] = [(b"a", 100), (b"b", 101)];
    let bytes = batch(&[(b"a", false), (b"b", true)]);
    let mut rules = rules(&keys);
    let (header, all) = rebuilt(&rules, &bytes);
    assert_eq!(horizon(&header), Some(NOW + 500));
    assert_eq!(all, [(100, 7000, b"a".to_vec()), (101, 7001, b"b".to_vec())], "times stay as they were");
    let Left::Records { records, count, base_timestamp, max_timestamp, has_horizon } =
        left(&rules, &bytes, false)
    else {
        panic!("a horizon")
    };
    let changes = Changes { count, base_timestamp, max_timestamp, has_horizon, codec: 0 };
    let marked = other_batch(&bytes, &changes, &records);
    rules.now_ms = NOW + 499;
    assert_eq!(left(&rules, &marked, false), Left::Same);
    rules.now_ms = NOW + 500;
    let (header, all) = rebuilt(&rules, &marked);
    assert_eq!(all, [(101, 7001, b"b".to_vec())]);
    assert_eq!((horizon(&header), header.count), (Some(NOW + 500), 1));
}

#[test]
fn the_last_batch_of_a_producer_and_of_the_round_stay_without_records() {
    let bytes = batch(&[(b"a", true), (b"b", true)]);
    let gone: [(&[u8], i64); 2] = [(b"a", 200), (b"b", 201)];
    let mut rules = rules(&gone);
    rules.last.insert(9, LastBatch { data_offset: Some(101), epoch: 0 });
    assert_eq!(left(&rules, &bytes, false), Left::Empty);
    assert_eq!(left(&rules, &bytes, true), Left::Empty, "of an aborted transaction too");
    let empty = empty_batch(&bytes);
    let header = BatchHeader::verify(&empty).expect("whole");
    assert_eq!((empty.len(), header.count, header.base_sequence), (HEADER_BYTES, 0, 30));
    assert_eq!((header.base_offset, header.last_offset(), header.max_timestamp), (100, 101, 7001));
    assert_eq!(left(&rules, &empty, false), Left::Same);
    rules.last.insert(9, LastBatch { data_offset: Some(300), epoch: 0 });
    assert_eq!((left(&rules, &bytes, false), left(&rules, &empty, false)), (Left::Nothing, Left::Nothing));
    rules.round_end = 102;
    assert_eq!((left(&rules, &bytes, false), left(&rules, &empty, false)), (Left::Empty, Left::Same));
}

#[test]
fn a_marker_waits_for_its_horizon() {
    let mut bytes = batch(&[(&[0, 0, 0, 1], true)]);
    bytes[22] |= 0x30;
    let bytes = close(bytes);
    let mut rules = rules(&[(b"a", 200)]);
    assert_eq!(left(&rules, &bytes, false), Left::Same);
    let Left::Records { records, count, base_timestamp, max_timestamp, has_horizon } =
        left(&rules, &bytes, true)
    else {
        panic!("a horizon")
    };
    let changes = Changes { count, base_timestamp, max_timestamp, has_horizon, codec: 0 };
    let marked = other_batch(&bytes, &changes, &records);
    assert_eq!(left(&rules, &marked, true), Left::Same);
    rules.now_ms = NOW + 500;
    assert_eq!(left(&rules, &marked, false), Left::Same, "something of the transaction is left");
    assert_eq!(left(&rules, &marked, true), Left::Nothing);
}

#[test]
fn keyless_records_go_and_contradictions_are_told() {
    let rules = rules(&[(b"a", 200)]);
    let mut bytes = batch(&[(b"x", true)]);
    let record = [12, 0, 0, 0, 1, 2, b'v', 0];
    bytes.truncate(HEADER_BYTES);
    bytes.extend_from_slice(&[14, 0, 0, 0, 1, 2, b'v', 0]);
    let bytes = close(bytes);
    assert_eq!(left(&rules, &bytes, false), Left::Nothing);
    let header = BatchHeader::verify(&bytes).expect("whole");
    for wrong in [&record[..3], &[], &[14, 0, 0, 2, 1, 2, b'v', 0][..]] {
        assert_eq!(Filter::new(&rules, header, wrong, false).step(100), Err(Broken));
    }
}
