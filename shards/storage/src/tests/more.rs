//! Segments, times, producers, epochs, deletions.

use super::*;
use crate::{AppendError, ReadError};
use std::sync::atomic::Ordering;

fn produced(id: i64, epoch: i16, sequence: i32, value: &[u8]) -> Vec<u8> {
    by_producer(batch_of(1, value), id, epoch, sequence)
}

/// A batch with real records: one at each of these times.
pub(super) fn timed(times: &[i64]) -> Vec<u8> {
    let base = times[0];
    let mut records = Vec::new();
    for (delta, time) in times.iter().enumerate() {
        let mut record = vec![0];
        put_varint(&mut record, time - base);
        put_varint(&mut record, delta as i64);
        record.extend_from_slice(&[1, 2, b'v', 0]);
        put_varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    let mut bytes = batch_at(times.len() as i32, &records, base);
    let newest = times.iter().max().expect("one");
    bytes[35..43].copy_from_slice(&newest.to_be_bytes());
    batch::seal(&mut bytes);
    bytes
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = (value << 1 ^ value >> 63) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[test]
fn a_batch_sent_twice_is_appended_once_also_after_a_restart() {
    for clean in [true, false] {
        let mut rig = Rig::new(10);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            for sequence in 0..20 {
                append(&store, &partition, &produced(9, 0, sequence, &[1; 500])).await.expect("appends");
            }
            // While the first is on its way, the second waits for it.
            let first = partition.append(&produced(9, 0, 20, b"twice"), &context()).expect("taken");
            let second = partition.append(&produced(9, 0, 20, b"twice"), &context()).expect("known");
            assert!(!first.duplicate && second.duplicate);
            assert_eq!((second.base_offset, second.last_offset), (first.base_offset, first.last_offset));
            store.committed(&second.ticket).await.expect("durable");
            assert_eq!(partition.offsets().high_watermark, Offset(21));
            if clean {
                store.stop().await.expect("stops");
            }
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            assert_eq!(partition.offsets().log_end, Offset(21));
            for sequence in 16..=20 {
                let offset = append(&store, &partition, &produced(9, 0, sequence, &[1; 500])).await;
                assert_eq!(offset, Ok(Offset(i64::from(sequence))));
            }
            assert_eq!(partition.offsets().log_end, Offset(21));
            let wrong = append(&store, &partition, &produced(9, 0, 30, b"gap")).await;
            assert_eq!(wrong, Err(AppendError::OutOfOrderSequence));
            assert!(append(&store, &partition, &produced(9, 0, 21, b"next")).await.is_ok());
            assert!(append(&store, &partition, &produced(9, 1, 0, b"epoch")).await.is_ok());
            let old = append(&store, &partition, &produced(9, 0, 22, b"old")).await;
            assert_eq!(old, Err(AppendError::InvalidProducerEpoch));
            assert_eq!(partition.producers().len(), 1);
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn segments_roll_and_are_found_again_with_their_indexes() {
    let mut rig = Rig::new(11);
    let config = LogConfig { segment_bytes: 20_000, index_interval_bytes: 1000, ..LogConfig::default() };
    let run = rig.begin();
    let options = rig.options(&run);
    let ours = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        for number in 0..300i64 {
            let bytes = timed(&[NOW + 10 * number, NOW + 10 * number + 5]);
            append(&store, &partition, &[bytes, batch_at(1, &[7; 400], NOW)].concat())
                .await
                .expect("appends");
        }
        store.stop().await.expect("stops");
    });
    let logs: Vec<(String, u64)> =
        rig.world.files(rig.node).list().into_iter().filter(|(name, _)| name.ends_with(".log")).collect();
    assert_eq!(logs.len(), 9, "{logs:?}");
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.clean);
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        for number in (0..300i64).rev() {
            let at =
                partition.offset_for_timestamp(NOW + 10 * number + 1).await.expect("looks").expect("one");
            assert_eq!((at.offset.0, at.timestamp), (3 * number + 1, NOW + 10 * number + 5));
        }
        let newest = partition.max_timestamp().await.expect("looks").expect("one");
        assert_eq!((newest.offset, newest.timestamp), (Offset(898), NOW + 2995));
        assert_eq!(partition.offset_for_timestamp(NOW + 2996).await, Ok(None));
        let read = store.stats().read_bytes.load(Ordering::Relaxed);
        for from in [0, 1, 449, 899] {
            let some = partition.read(Offset(from), 1, true, ReadBound::HighWatermark).await.expect("reads");
            assert_eq!(
                batches(&some.slices[0])[0].0.base_offset,
                from / 3 * 3 + if from % 3 == 2 { 2 } else { 0 }
            );
        }
        assert!(store.stats().read_bytes.load(Ordering::Relaxed) - read <= 4 * 20_480);
        assert_eq!(batches(&read_all(&partition, Offset(0), 5000).await.expect("reads")).len(), 600);
        store.stop().await.expect("stops");
    });
}

#[test]
fn deleted_records_stay_deleted_and_their_segments_go() {
    for crash_at_once in [true, false] {
        let mut rig = Rig::new(12);
        let config = LogConfig { segment_bytes: 10_000, ..LogConfig::default() };
        let run = rig.begin();
        let options = rig.options(&run);
        let ours = config.clone();
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
            for number in 0..100u8 {
                append(&store, &partition, &batch_of(1, &[number; 900])).await.expect("appends");
            }
            executor::sleep(std::time::Duration::from_secs(3)).await;
            assert!(matches!(
                partition.delete_records(Offset(101)).await,
                Err(ReadError::OffsetOutOfRange { .. })
            ));
            assert_eq!(partition.delete_records(Offset(55)).await, Ok(Offset(55)));
            assert_eq!(partition.delete_records(Offset(20)).await, Ok(Offset(55)));
            let early = partition.read(Offset(54), 100, true, ReadBound::HighWatermark).await;
            assert!(matches!(early, Err(ReadError::OffsetOutOfRange { .. })));
            if !crash_at_once {
                append(&store, &partition, &batch_of(1, b"more")).await.expect("appends");
                executor::sleep(std::time::Duration::from_secs(3)).await;
            }
        });
        let (run, options) = rig.after_crash(run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
            assert_eq!(partition.damage(), None);
            assert_eq!(partition.offsets().log_start, Offset(55));
            let all = batches(&read_all(&partition, Offset(55), 5000).await.expect("reads"));
            let end = if crash_at_once { 100 } else { 101 };
            assert_eq!((all[0].0.base_offset, all.last().expect("some").0.base_offset), (55, end - 1));
            store.stop().await.expect("stops");
        });
        let logs = rig.world.files(rig.node).list().into_iter().filter(|(name, _)| name.ends_with(".log"));
        assert!(logs.count() <= 6);
    }
}

#[test]
fn leader_epochs_are_kept() {
    let mut rig = Rig::new(13);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        for epoch in [0, 0, 3, 3, 4] {
            let context = AppendContext { leader_epoch: LeaderEpoch(epoch), ..context() };
            let appended = partition.append(&batch_of(10, b"value"), &context).expect("taken");
            store.committed(&appended.ticket).await.expect("durable");
        }
        assert_eq!(partition.epoch_end(LeaderEpoch(2)), (LeaderEpoch(0), Offset(20)));
        store.stop().await.expect("stops");
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!(partition.epoch_end(LeaderEpoch(2)), (LeaderEpoch(0), Offset(20)));
        assert_eq!(partition.epoch_end(LeaderEpoch(3)), (LeaderEpoch(3), Offset(40)));
        assert_eq!(partition.epoch_end(LeaderEpoch(4)), (LeaderEpoch(4), Offset(50)));
        let epochs = [0, 19, 20, 49].map(|offset| partition.epoch_at(Offset(offset)).0);
        assert_eq!(epochs, [0, 0, 3, 4]);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_compacted_topic_wants_keys() {
    let mut rig = Rig::new(14);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { compact: true, ..LogConfig::default() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        // Length, attributes, time, offset, key of one byte or none, value of one byte, no headers.
        let keyed = [16, 0, 0, 0, 2, b'k', 2, b'v', 0];
        let second = [16, 0, 0, 2, 2, b'k', 2, b'v', 0];
        let keyless = [14, 0, 0, 2, 1, 2, b'v', 0];
        let append = |records: &[&[u8]]| {
            partition.append(&batch_of(records.len() as i32, &records.concat()), &context()).map(|_| ())
        };
        assert_eq!(append(&[&keyed, &second]), Ok(()));
        assert!(matches!(append(&[&keyed, &keyless]), Err(AppendError::InvalidRecord(what)) if what.contains("key")));
        assert!(matches!(append(&[&keyed, &second[..5]]), Err(AppendError::InvalidRecord(_))));
        assert_eq!(partition.offsets().log_end, Offset(2));
        for codec in 1..=4i16 {
            let packed = |records: &[&[u8]], cut: usize| {
                let codec = compression::codec(codec).expect("one");
                let payload = compression::compress(codec, &records.concat()).expect("compresses");
                let mut bytes = batch_of(records.len() as i32, &payload[..payload.len() - cut]);
                bytes[22] |= codec as u8;
                batch::seal(&mut bytes);
                partition.append(&bytes, &context()).map(|_| ())
            };
            assert_eq!(packed(&[&keyed, &second], 0), Ok(()));
            let refused = packed(&[&keyed, &keyless], 0);
            assert!(matches!(refused, Err(AppendError::InvalidRecord(what)) if what.contains("key")), "{codec}");
            assert!(matches!(packed(&[&keyed, &second[..5]], 0), Err(AppendError::InvalidRecord(_))), "{codec}");
            assert!(packed(&[&keyed, &second], 12).is_err(), "{codec}");
        }
        assert_eq!(partition.offsets().log_end, Offset(10));
        store.stop().await.expect("stops");
    });
}

/// A batch of one record of producer 9 with this sequence number.
fn of_producer(sequence: i32) -> Vec<u8> {
    produced(9, 0, sequence, &[sequence as u8; 50])
}

#[test]
fn a_snapshot_from_behind_the_end_is_not_believed_when_the_log_has_grown_past_it() {
    let mut rig = Rig::new(14);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        for sequence in 0..5 {
            append(&store, &partition, &of_producer(sequence)).await.expect("appends");
        }
        executor::sleep(std::time::Duration::from_secs(10)).await;
        // What a start finds of a history that a crash has taken: nobody was known then.
        let path = partition.log.directory.join("00000000000000000008.snapshot");
        let bytes = crate::producers::Producers::default().encode(8);
        crate::window::replace_file(&path, bytes).await.expect("writes");
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        for _ in 0..4 {
            append(&store, &partition, &batch_of(1, b"of nobody")).await.expect("appends");
        }
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec(0)).await.expect("opens");
        let again = append(&store, &partition, &of_producer(3)).await;
        assert_eq!(
            (again, partition.offsets().log_end),
            (Ok(Offset(3)), Offset(9)),
            "sent twice, there once"
        );
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_load_of_producers_goes_on_when_who_asked_for_it_has_gone() {
    let mut rig = Rig::new(1103);
    let run = rig.begin();
    let options = rig.options(&run);
    let config = LogConfig { segment_bytes: 20_000, ..LogConfig::default() };
    let ours = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        for sequence in 0..20 {
            let batch = by_producer(batch_of(1, &[7; 4000]), 9, 0, sequence);
            append(&store, &partition, &batch).await.expect("appends");
        }
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        let asking = partition.clone();
        let asker = executor::spawn("asker", async move { asking.load_producers().await });
        // It waits for its first read.
        executor::yield_now().await;
        executor::yield_now().await;
        asker.abort();
        let loaded = executor::timeout(Duration::from_secs(10), partition.load_producers()).await;
        assert!(matches!(loaded, Ok(Ok(()))), "the load that was begun never ends");
        let next = by_producer(batch_of(1, b"next"), 9, 0, 20);
        assert_eq!(append(&store, &partition, &next).await.expect("appends"), Offset(20));
    });
}

/// The batch with its records compressed.
pub(super) fn packed(plain: &[u8], codec: i16) -> Vec<u8> {
    let kind = compression::codec(codec).expect("a codec");
    let mut bytes = plain[..batch::HEADER_BYTES].to_vec();
    bytes.extend(compression::compress(kind, &plain[batch::HEADER_BYTES..]).expect("compresses"));
    let length = (bytes.len() - batch::OVERHEAD_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[21..23].copy_from_slice(&codec.to_be_bytes());
    batch::seal(&mut bytes);
    bytes
}

#[test]
fn a_record_of_a_compressed_batch_is_found_by_its_time() {
    let mut rig = Rig::new(22);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        for codec in 0..5i16 {
            let first = NOW + 100 * i64::from(codec);
            let plain = timed(&[first, first + 20, first + 40]);
            let batch = if codec == 0 { plain } else { packed(&plain, codec) };
            append(&store, &partition, &batch).await.expect("appends");
        }
        let found = async |ahead: i64| {
            let found = partition.offset_for_timestamp(NOW + ahead).await.expect("looks").expect("one");
            (found.offset.0, found.timestamp - NOW)
        };
        for batch in 0..5 {
            let (offset, time) = (3 * batch, 100 * batch);
            assert_eq!(found(time).await, (offset, time));
            assert_eq!(found(time + 1).await, (offset + 1, time + 20), "codec {batch}");
            assert_eq!(found(time + 21).await, (offset + 2, time + 40), "codec {batch}");
        }
        store.stop().await.expect("stops");
    });
}
