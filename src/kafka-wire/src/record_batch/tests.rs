use super::*;

/// A batch with the shapes that matter: null and empty key and value, repeated and null headers.
fn sample() -> Vec<u8> {
    let mut builder = BatchBuilder::new().base_offset(7).leader_epoch(3).producer(42, 5, 10).transactional();
    let headers: [(&str, Option<&[u8]>); 3] = [("h", Some(b"1")), ("h", None), ("h", Some(b"2"))];
    builder.append(1_000, Some(b"k"), Some(&[9; 200]), &headers).unwrap();
    builder.append(990, None, None, &[]).unwrap();
    builder.append(2_000, Some(b""), Some(b""), &[("", Some(b""))]).unwrap();
    builder.build().unwrap()
}

#[test]
fn what_is_built_can_be_read() {
    let bytes = sample();
    let (batch, rest) = RecordBatch::split_first(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!(batch.bytes(), bytes);
    assert_eq!(batch.batch_length() as usize, bytes.len() - LENGTH_OVERHEAD);
    assert_eq!((batch.base_offset(), batch.last_offset_delta(), batch.last_offset()), (7, 2, 9));
    assert_eq!((batch.leader_epoch(), batch.magic()), (3, 2));
    assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (42, 5, 10));
    assert_eq!((batch.base_timestamp(), batch.max_timestamp(), batch.record_count()), (1_000, 2_000, 3));
    assert_eq!(batch.compression(), Ok(Compression::None));
    assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
    assert!(batch.is_transactional() && !batch.is_control() && !batch.has_delete_horizon());
    assert_eq!(batch.crc(), batch.compute_crc());

    let records: Vec<Record<'_>> = batch.records().unwrap().map(Result::unwrap).collect();
    let deltas: Vec<_> = records.iter().map(|record| (record.offset_delta, record.timestamp_delta)).collect();
    assert_eq!(deltas, [(0, 0), (1, -10), (2, 1_000)]);
    assert_eq!((records[0].key, records[0].value), (Some(&b"k"[..]), Some(&[9; 200][..])));
    assert_eq!((records[1].key, records[1].value), (None, None));
    assert_eq!((records[2].key, records[2].value), (Some(&b""[..]), Some(&b""[..])));
    let headers: Vec<_> = records[0].headers.map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [(&b"h"[..], Some(&b"1"[..])), (b"h", None), (b"h", Some(b"2"))]);
    assert_eq!(records[0].headers.len(), 3);
    assert_eq!(records[1].headers.len(), 0);
}

/// Written out by hand from the format, so that builder and reader cannot be wrong together.
#[test]
fn a_batch_to_the_byte() {
    let mut builder = BatchBuilder::new();
    builder.append(1, Some(b"k"), Some(b"v"), &[("h", None)]).unwrap();
    let bytes = builder.build().unwrap();
    // length 11: attributes 0, timestamp delta 0, offset delta 0, key "k", value "v", one header "h" of null.
    let record = [22, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 1];
    assert_eq!(bytes[HEADER_LENGTH..], record);
    assert_eq!(bytes[..17], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 61, 255, 255, 255, 255, 2]);
    assert_eq!(bytes[21..27], [0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[27..43], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bytes[43..57], [255; 14]);
    assert_eq!(bytes[57..61], [0, 0, 0, 1]);
}

#[test]
fn records_of_all_sizes_say_how_long_they_are() {
    for size in (0..200usize).chain(8_100..8_300) {
        let (key, value) = (vec![1u8; size], vec![2u8; size / 2]);
        let time = (size as i64 - 100).pow(3);
        let mut builder = BatchBuilder::with_capacity(size);
        builder.append(0, Some(&key[..]), None, &[]).unwrap();
        builder.append(time, None, Some(&value[..]), &[("h", Some(&key[..])), ("", None)]).unwrap();
        let bytes = builder.build().unwrap();
        let (batch, _) = RecordBatch::split_first(&bytes).unwrap();
        let read: Vec<Record<'_>> = batch.records().unwrap().map(Result::unwrap).collect();
        assert_eq!((read[0].key, read[0].value), (Some(&key[..]), None));
        assert_eq!((read[1].timestamp_delta, read[1].value), (time, Some(&value[..])));
        let headers: Vec<_> = read[1].headers.map(|header| (header.key, header.value)).collect();
        assert_eq!(headers, [(&b"h"[..], Some(&key[..])), (b"", None)]);
    }
}

#[test]
fn several_batches_follow_each_other() {
    let mut bytes = sample();
    let first = bytes.len();
    bytes.extend(BatchBuilder::new().base_offset(10).build().unwrap());
    let (batch, rest) = RecordBatch::split_first(&bytes).unwrap();
    assert_eq!(batch.bytes().len(), first);
    let (second, rest) = RecordBatch::split_first(rest).unwrap();
    assert_eq!((second.base_offset(), second.record_count(), rest.len()), (10, 0, 0));
    assert_eq!(second.records().unwrap().count(), 0);
}

#[test]
fn writing_before_the_checksum_keeps_it_right() {
    let mut bytes = sample();
    let crc = RecordBatch::split_first(&bytes).unwrap().0.crc();
    set_base_offset(&mut bytes, i64::MAX - 1).unwrap();
    set_leader_epoch(&mut bytes, 77).unwrap();
    let (batch, _) = RecordBatch::split_first(&bytes).unwrap();
    assert_eq!((batch.base_offset(), batch.leader_epoch()), (i64::MAX - 1, 77));
    assert_eq!((batch.crc(), batch.compute_crc()), (crc, crc));
    assert_eq!(batch.last_offset(), i64::MAX);
    assert!(set_base_offset(&mut bytes[..60], 0).is_err());
}

#[test]
fn log_append_time_renews_the_checksum() {
    let mut bytes = sample();
    bytes.extend([1; 40]);
    set_log_append_time(&mut bytes, 5_000).unwrap();
    let (batch, rest) = RecordBatch::split_first(&bytes).unwrap();
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((batch.max_timestamp(), batch.base_timestamp()), (5_000, 1_000));
    assert!(batch.is_transactional());
    assert_eq!(batch.crc(), batch.compute_crc());
    assert_eq!(rest, [1; 40]);
}

#[test]
fn every_cut_is_refused() {
    let bytes = sample();
    for cut in 0..bytes.len() {
        let error = RecordBatch::split_first(&bytes[..cut]).unwrap_err();
        assert!(matches!(error, WireError::UnexpectedEnd { .. }), "{cut}: {error}");
    }
}

#[test]
fn impossible_headers_are_refused() {
    let with = |position: usize, field: &[u8]| {
        let mut bytes = sample();
        bytes[position..position + field.len()].copy_from_slice(field);
        bytes
    };
    let split = |bytes: &[u8]| RecordBatch::split_first(bytes).map(|_| ());
    assert_eq!(split(&with(MAGIC, &[1])), Err(WireError::UnsupportedMagic(1)));
    assert_eq!(
        split(&with(BATCH_LENGTH, &48i32.to_be_bytes())),
        Err(WireError::InvalidBatch("shorter than its header"))
    );
    assert_eq!(split(&with(BATCH_LENGTH, &[255; 4])), Err(WireError::InvalidBatch("negative length")));
    assert!(matches!(
        split(&with(BATCH_LENGTH, &i32::MAX.to_be_bytes())),
        Err(WireError::UnexpectedEnd { .. })
    ));
    let records = |bytes: &[u8]| RecordBatch::split_first(bytes).unwrap().0.records().map(|_| ());
    assert!(matches!(
        records(&with(RECORD_COUNT, &i32::MAX.to_be_bytes())),
        Err(WireError::CountExceedsFrame { .. })
    ));
    assert_eq!(records(&with(RECORD_COUNT, &[255; 4])), Err(WireError::InvalidLength(-1)));
    assert_eq!(records(&with(ATTRIBUTES, &[0, 1])), Err(WireError::InvalidBatch("compressed")));
    assert_eq!(records(&with(ATTRIBUTES, &[0, 7])), Err(WireError::InvalidBatch("unknown compression")));
}

#[test]
fn a_count_that_does_not_fit_the_payload_is_found() {
    let mut bytes = sample();
    bytes[RECORD_COUNT..HEADER_LENGTH].copy_from_slice(&2i32.to_be_bytes());
    let (batch, _) = RecordBatch::split_first(&bytes).unwrap();
    let results: Vec<_> = batch.records().unwrap().collect();
    assert_eq!(results.len(), 3);
    assert_eq!(results[2], Err(WireError::InvalidBatch("bytes behind the last record")));
    bytes[RECORD_COUNT..HEADER_LENGTH].copy_from_slice(&4i32.to_be_bytes());
    let (batch, _) = RecordBatch::split_first(&bytes).unwrap();
    let results: Vec<_> = batch.records().unwrap().collect();
    assert!(results[3].is_err() && results.len() == 4, "ends after the error");
}

/// Every byte of the payload, changed in several ways, gives records or an error, and never an endless loop.
#[test]
fn damaged_records_never_panic() {
    let bytes = sample();
    let mut refused = 0;
    for position in HEADER_LENGTH..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[position] = value;
            let (batch, _) = RecordBatch::split_first(&damaged).unwrap();
            assert!(batch.compute_crc() != batch.crc() || damaged == bytes);
            for record in batch.records().unwrap() {
                match record {
                    Ok(record) => assert_eq!(record.headers.count(), record.headers.len()),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 50, "{refused}");
}
