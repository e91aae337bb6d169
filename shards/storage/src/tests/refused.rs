//! Batches that no good producer makes, each with one thing wrong, and Kafka's error for it.

use super::*;
use crate::{AppendError, validate};

/// A batch of one record in which some bytes of the header are others.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch_of(1, b"value");
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch::seal(&mut batch);
    batch
}

/// The last byte of the attributes, and the base timestamp.
const ATTRIBUTES: usize = 22;
const BASE_TIMESTAMP: usize = 27;

#[test]
fn counts_attributes_and_timestamps_that_cannot_be_are_refused() {
    let mut rig = Rig::new(720);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let lenient = store.create_partition(spec(0)).await.expect("creates");
        let narrow =
            LogConfig { timestamp_before_max_ms: 5000, timestamp_after_max_ms: 1000, ..LogConfig::default() };
        let narrow = store.create_partition(spec_with(1, narrow)).await.expect("creates");
        let refusal = |partition: &Partition, batch: &[u8]| partition.append(batch, &context()).err();
        for count in [0, -1, i32::MIN + 1] {
            let expected = AppendError::InvalidRecord("a batch without records");
            assert_eq!(refusal(&lenient, &batch_of(count, b"value")), Some(expected), "{count}");
        }
        // The broker's time is the broker's to give, though the timestamp be good.
        let stamped = changed(ATTRIBUTES, &[0x08]);
        let expected = AppendError::InvalidTimestamp { timestamp: NOW };
        assert_eq!(refusal(&lenient, &stamped), Some(expected));
        let transactional = changed(ATTRIBUTES, &[0x10]);
        let expected = AppendError::InvalidRecord("a transactional batch without a producer id");
        assert_eq!(refusal(&lenient, &transactional), Some(expected));
        for timestamp in [-2, i64::MIN] {
            let batch = batch_at(1, b"value", timestamp);
            let expected = AppendError::InvalidTimestamp { timestamp };
            assert_eq!(refusal(&lenient, &batch), Some(expected));
        }
        // The largest timestamp is good, the first is not.
        for timestamp in [NOW - 5001, NOW + 1001, -2] {
            let batch = changed(BASE_TIMESTAMP, &timestamp.to_be_bytes());
            let expected = AppendError::InvalidTimestamp { timestamp };
            assert_eq!(refusal(&narrow, &batch), Some(expected));
        }
        // None at all is good, and so are the borders.
        for timestamp in [-1, NOW - 5000, NOW + 1000] {
            assert_eq!(refusal(&narrow, &changed(BASE_TIMESTAMP, &timestamp.to_be_bytes())), None);
        }
        assert_eq!((lenient.offsets().log_end, narrow.offsets().log_end), (Offset(0), Offset(3)));
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_compacted_log_takes_no_record_that_is_longer_than_its_batch() {
    // Zigzag: the length 8, then attributes, two deltas, a key and a value of one byte, no headers.
    let record = [16_u8, 0, 0, 0, 2, b'k', 2, b'v', 0];
    let mut rig = Rig::new(721);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { compact: true, ..LogConfig::default() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        let refusal = |records: &[u8]| partition.append(&batch_of(1, records), &context()).err();
        for cut in 0..record.len() {
            assert_eq!(refusal(&record[..cut]), Some(validate::CUT), "cut at {cut}");
        }
        // A length of -1, one of 4 GiB, and a record that ends within its fields.
        for records in [&[1][..], &[0x80, 0x80, 0x80, 0x80, 0x20], &[2, 0], &[8, 0, 0, 0, 0x80]] {
            assert_eq!(refusal(records), Some(validate::CUT), "{records:?}");
        }
        assert_eq!(refusal(&record), None);
        assert_eq!(partition.offsets().log_end, Offset(1));
        store.stop().await.expect("stops");
    });
}
