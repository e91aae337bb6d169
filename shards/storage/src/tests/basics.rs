//! What a store does on a good day.

use super::*;
use crate::{AppendError, Durability, ReadError, TimestampType};
use executor::join_all;
use std::sync::atomic::Ordering;

#[test]
fn appends_are_read_back_from_memory_and_after_a_clean_stop_from_disk() {
    let mut rig = Rig::new(1);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert_eq!((recovered.epoch, recovered.commits), (1, 0));
        let partition = store.create_partition(spec(0)).await.expect("creates");
        for number in 0..50u8 {
            let offset = append(&store, &partition, &batch_of(2, &[number; 100])).await.expect("appends");
            assert_eq!(offset, Offset(2 * i64::from(number)));
        }
        assert_eq!(partition.offsets().high_watermark, Offset(100));
        let all = read_all(&partition, Offset(0), 1 << 20).await.expect("reads");
        assert_eq!(batches(&all).len(), 50);
        // From within a batch, its beginning is delivered too.
        let some = partition.read(Offset(51), 1, true, ReadBound::HighWatermark).await.expect("reads");
        assert_eq!(some.bytes, 161);
        let none = partition.read(Offset(51), 1, false, ReadBound::HighWatermark).await.expect("reads");
        assert_eq!(none.bytes, 0);
        let end = partition.read(Offset(100), 100, true, ReadBound::HighWatermark).await.expect("reads");
        assert_eq!(end.bytes, 0);
        for wrong in [-1, 101] {
            let read = partition.read(Offset(wrong), 100, true, ReadBound::HighWatermark).await;
            assert!(matches!(read, Err(ReadError::OffsetOutOfRange { .. })));
        }
        store.stop().await.expect("stops");
        assert!(matches!(partition.append(&batch_of(1, b"late"), &context()), Err(AppendError::Storage(_))));
    });
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, recovered) = start(options).await;
        assert!(recovered.clean);
        assert_eq!((recovered.epoch, recovered.commits), (2, 0));
        let partition = store.open_partition(spec(0)).await.expect("opens");
        assert_eq!(partition.offsets().log_end, Offset(100));
        let all = read_all(&partition, Offset(0), 1000).await.expect("reads");
        let all = batches(&all);
        assert!(all.iter().enumerate().all(|(index, (header, value))| {
            header.base_offset == 2 * index as i64 && value[..] == [index as u8; 100]
        }));
        assert_eq!(all.len(), 50);
    });
}

#[test]
fn many_partitions_and_more_data_than_memory_and_journal_hold() {
    let mut rig = Rig::new(2);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let mut tasks = Vec::new();
        for number in 0..20 {
            let store = store.clone();
            tasks.push(executor::spawn("producer", async move {
                let partition = store.create_partition(spec(number)).await.expect("creates");
                for count in 0..60u32 {
                    let value = vec![number as u8; 1000 + 700 * (count as usize % 30)];
                    append(&store, &partition, &batch_of(1, &value)).await.expect("appends");
                }
                partition
            }));
        }
        let partitions = join_all(tasks).await;
        let stats = store.stats();
        let appended = stats.appended_bytes.load(std::sync::atomic::Ordering::Relaxed);
        assert!(appended > 2 * POOL_BYTES as u64 / 2 * 3 / 2, "{appended} must not fit into memory");
        let tail = stats.tail_bytes.load(std::sync::atomic::Ordering::Relaxed);
        assert!(tail <= POOL_BYTES as u64 / 2);
        for (number, partition) in partitions.iter().enumerate() {
            let all = read_all(partition, Offset(0), 50_000).await.expect("reads");
            let all = batches(&all);
            assert_eq!(all.len(), 60);
            for (count, (header, value)) in all.iter().enumerate() {
                assert_eq!(header.base_offset, count as i64);
                assert_eq!(value, &vec![number as u8; 1000 + 700 * (count % 30)]);
            }
        }
        store.stop().await.expect("stops");
    });
}

#[test]
fn small_batches_are_delivered_in_few_slices() {
    let mut rig = Rig::new(3);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let tickets: Vec<_> = (0..1000)
            .map(|_| partition.append(&batch_of(1, &[1; 100]), &context()).expect("room").ticket)
            .collect();
        for ticket in &tickets {
            store.committed(ticket).await.expect("durable");
        }
        let commits = store.stats().commits.load(std::sync::atomic::Ordering::Relaxed);
        assert!(commits <= 3, "{commits} commits for one turn's appends");
        let read = partition.read(Offset(0), 1 << 20, true, ReadBound::HighWatermark).await.expect("reads");
        assert_eq!((read.bytes, read.slices.len()), (161_000, 3));
        assert_eq!(partition.available_bytes(Offset(0), ReadBound::HighWatermark), 161_000);
        assert_eq!(partition.available_bytes(Offset(999), ReadBound::HighWatermark), 161);
        assert_eq!(partition.available_bytes(Offset(1000), ReadBound::HighWatermark), 0);
        store.stop().await.expect("stops");
    });
}

#[test]
fn large_appends_that_wait_for_one_under_way_are_one_write() {
    let mut rig = Rig::new(6);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let appended = |number: u8| {
            let batch = batch_of(1, &vec![number; 65_000]);
            partition.append(&batch, &context()).expect("there is room").ticket
        };
        let mut tickets = vec![appended(0)];
        // It is on its way when the others come.
        executor::yield_now().await;
        executor::yield_now().await;
        tickets.extend((1..4).map(appended));
        for ticket in &tickets {
            store.committed(ticket).await.expect("durable");
        }
        assert_eq!(store.stats().direct_writes.load(Ordering::Relaxed), 2);
        let found = batches(&read_all(&partition, Offset(0), 1 << 20).await.expect("reads"));
        let found: Vec<u8> = found.iter().map(|(_, value)| value[0]).collect();
        assert_eq!(found, [0, 1, 2, 3]);
        store.stop().await.expect("stops");
    });
}

#[test]
fn batches_that_come_again_are_checked_but_for_their_crc() {
    let mut rig = Rig::new(8);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let mut hurt = batch_of(1, b"value");
        hurt[batch::HEADER_BYTES] ^= 1;
        let refused = partition.append(&hurt, &context()).map(|_| ());
        assert!(matches!(refused, Err(AppendError::CorruptMessage(_))), "{refused:?}");
        let refused = partition.append_again(&batch_of(0, b""), &context()).map(|_| ());
        assert!(matches!(refused, Err(AppendError::InvalidRecord(_))), "{refused:?}");
        // Nobody says so of such a batch; it shows that the sum is not looked at.
        assert!(partition.append_again(&hurt, &context()).is_ok());
    });
}

#[test]
fn nothing_is_visible_before_it_is_durable_unless_memory_is_enough() {
    for durability in [Durability::Device, Durability::Memory] {
        let mut rig = Rig::new(4);
        let run = rig.begin();
        let options = StoreOptions { durability, ..rig.options(&run) };
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let partition = store.create_partition(spec(0)).await.expect("creates");
            let changed = partition.changed();
            let seen = changed.count();
            let appended = partition.append(&batch_of(1, b"value"), &context()).expect("room");
            assert_eq!(partition.offsets().log_end, Offset(1));
            assert_eq!(partition.offsets().high_watermark, Offset(0));
            let began = executor::now();
            store.committed(&appended.ticket).await.expect("durable");
            if durability == Durability::Memory {
                assert_eq!(executor::now(), began);
                changed.after(seen).await;
            }
            assert_eq!(partition.offsets().high_watermark, Offset(1));
            let read = partition.read(Offset(0), 1000, true, ReadBound::HighWatermark).await.expect("reads");
            assert_eq!(read.bytes, 66);
            store.stop().await.expect("stops");
        });
    }
}

#[test]
fn what_no_producer_may_send_is_refused() {
    let mut rig = Rig::new(5);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig {
            max_message_bytes: 1000,
            timestamp_before_max_ms: 5000,
            timestamp_after_max_ms: 1000,
            ..LogConfig::default()
        };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        let refused = |bytes: &[u8]| match partition.append(bytes, &context()) {
            Err(error) => error,
            Ok(_) => panic!("it was taken"),
        };
        let changed = |at: usize, byte: u8, sealed: bool| {
            let mut bytes = batch_of(3, b"value");
            bytes[at] = byte;
            if sealed {
                batch::seal(&mut bytes);
            }
            bytes
        };
        let good = batch_of(3, b"value");
        assert!(matches!(refused(&[]), AppendError::InvalidRecord(_)));
        for length in 1..good.len() {
            assert!(matches!(refused(&good[..length]), AppendError::CorruptMessage(_)), "{length}");
        }
        // Behind a good batch something that is none: nothing of it is taken.
        assert!(matches!(refused(&[&good[..], &[0; 20]].concat()), AppendError::CorruptMessage(_)));
        assert!(matches!(refused(&changed(63, 9, false)), AppendError::CorruptMessage(_)));
        assert!(matches!(refused(&changed(16, 1, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(refused(&changed(60, 4, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(refused(&changed(26, 3, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(refused(&changed(22, 0x20, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(refused(&changed(22, 0x07, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(refused(&changed(43, 0x00, true)), AppendError::InvalidRecord(_)));
        assert!(matches!(
            refused(&batch_of(1, &[0; 940])),
            AppendError::MessageTooLarge { bytes: 1001, limit: 1000 }
        ));
        for timestamp in [NOW - 5001, NOW + 1001] {
            let late = batch_at(1, b"value", timestamp);
            assert_eq!(refused(&late), AppendError::InvalidTimestamp { timestamp });
        }
        assert!(partition.append(&batch_at(1, b"value", NOW - 5000), &context()).is_ok());
        assert_eq!(partition.offsets().log_end, Offset(1));
        store.stop().await.expect("stops");
    });
}

#[test]
fn the_brokers_time_is_written_where_the_topic_wants_it() {
    let mut rig = Rig::new(6);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        let appended = partition.append(&batch_at(1, b"value", 5), &context()).expect("taken");
        assert_eq!(appended.log_append_time_ms, NOW);
        store.committed(&appended.ticket).await.expect("durable");
        let all = batches(&read_all(&partition, Offset(0), 1000).await.expect("reads"));
        assert!(all[0].0.is_log_append_time());
        assert_eq!(all[0].0.max_timestamp, NOW);
        store.stop().await.expect("stops");
    });
}

#[test]
fn a_deleted_partition_is_gone_and_its_name_free() {
    let mut rig = Rig::new(7);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        append(&store, &partition, &batch_of(1, &[3; 5000])).await.expect("appends");
        executor::sleep(std::time::Duration::from_secs(3)).await;
        assert!(io_exists("/data/topics").await);
        let other = append(&store, &partition, &batch_of(1, b"more")).await;
        assert!(other.is_ok());
        store.delete_partition(id(0)).await.expect("deletes");
        assert!(store.partition(id(0)).is_none());
        assert!(partition.append(&batch_of(1, b"late"), &context()).is_err());
        let read = partition.read(Offset(0), 1000, true, ReadBound::HighWatermark).await;
        assert!(matches!(read, Err(ReadError::Storage(_))));
        executor::sleep(std::time::Duration::from_secs(3)).await;
        let left = executor::io::list_directory("/data/topics").await.expect("lists");
        assert!(left.is_empty(), "{left:?}");
        store.stop().await.expect("stops");
    });
}

async fn io_exists(path: &str) -> bool {
    executor::io::stat(path).await.is_ok()
}

/// A lone small record takes a block of the device, in memory too: the drain goes by that, not by the records' size.
#[test]
fn lone_small_records_never_wait_for_the_drain() {
    let mut rig = Rig::new(77);
    rig.tune = |options| options.journal_file_bytes = 8 << 20;
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        // Three times as much memory as recent data may take.
        for n in 0..3 * POOL_BYTES / 2 / 4096 {
            let offset = append(&store, &partition, &batch_of(1, b"small")).await.expect("appends");
            assert_eq!(offset, Offset(n as i64));
        }
        let stats = store.stats();
        assert_eq!(stats.busy.load(Ordering::Relaxed), 0, "appends waited for memory");
        assert!(stats.drained_bytes.load(Ordering::Relaxed) > 0);
        store.stop().await.expect("stops");
    });
}

/// A pass of the drain ends at what was there when it came to a log. Where an acknowledgement waits for no device, that
/// is what bounds the loss.
#[test]
fn a_partition_that_is_never_at_rest_keeps_no_other_from_the_device() {
    let mut rig = Rig::new(78);
    rig.tune = |options| {
        options.durability = Durability::Memory;
        options.journal_file_bytes = 8 << 20;
        options.drain_interval = Duration::from_millis(100);
    };
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let busy = store.create_partition(spec(0)).await.expect("creates");
        let quiet = store.create_partition(spec(1)).await.expect("creates");
        // Until its journal is ready the drain is in a hurry.
        executor::sleep(Duration::from_millis(10)).await;
        append(&store, &busy, &batch_of(1, b"one of many")).await.expect("appends");
        append(&store, &quiet, &batch_of(1, b"the only one")).await.expect("appends");
        // Three intervals: one until it is written, one until it is synced. Too little for the drain to hurry.
        for _ in 0..300 {
            busy.append(&batch_of(1, b"one of many"), &context()).expect("there is room");
            executor::sleep(Duration::from_millis(1)).await;
        }
        {
            let state = quiet.log.state.borrow();
            assert!(!state.is_undrained(1), "it waits for the other to rest");
            assert!(state.unsynced.first().is_none(), "it is written and not synced");
        }
        store.stop().await.expect("stops");
    });
}
