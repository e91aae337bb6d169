//! Clocks that jump: offsets, durability and producers do not care, and timestamps are as Kafka would have them.

use super::*;
use crate::{AppendError, TimestampType};
use executor::sleep;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A machine's wall clock.
struct Clock {
    world: World,
    node: NodeId,
}

impl Clock {
    fn of(rig: &Rig) -> Clock {
        Clock { world: rig.world.clone(), node: rig.node }
    }

    fn jump(&self, by_ms: i64) {
        self.world.jump_wall_clock(self.node, by_ms);
    }
}

/// As the broker appends: by what its clock says.
fn by_the_clock() -> AppendContext {
    AppendContext { now_ms: executor::wall_clock_ms(), ..context() }
}

/// Appends, and gives the offset and the broker's time once it is durable; whether it was a duplicate, too.
async fn put(store: &Store, partition: &Partition, bytes: &[u8]) -> (i64, i64, bool) {
    loop {
        match partition.append(bytes, &by_the_clock()) {
            Ok(appended) => {
                store.committed(&appended.ticket).await.expect("durable");
                return (appended.base_offset.0, appended.log_append_time_ms, appended.duplicate);
            }
            Err(AppendError::Busy) => store.room().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A batch of one record as a producer makes it: no key, the value `value`, no headers.
fn one_record(timestamp: i64) -> Vec<u8> {
    // Zigzag: the length 11, then attributes, two deltas of 0, a key's length of -1, a value's of 5.
    let record = [&[22_u8, 0, 0, 0, 1, 10][..], b"value", &[0]].concat();
    batch_at(1, &record, timestamp)
}

/// Offset and largest timestamp of each batch.
async fn stamps(partition: &Partition, stamped: bool) -> Vec<(i64, i64)> {
    let all = batches(&read_all(partition, Offset(0), 10_000).await.expect("reads"));
    assert!(all.iter().all(|(header, _)| header.is_log_append_time() == stamped));
    all.iter().map(|(header, _)| (header.base_offset, header.max_timestamp)).collect()
}

async fn at_or_after(partition: &Partition, at_ms: i64) -> Option<(i64, i64)> {
    let found = partition.offset_for_timestamp(at_ms).await.expect("looks");
    found.map(|found| (found.offset.0, found.timestamp))
}

async fn newest(partition: &Partition) -> Option<(i64, i64)> {
    let found = partition.max_timestamp().await.expect("looks");
    found.map(|found| (found.offset.0, found.timestamp))
}

#[test]
fn what_producers_say_stays_whatever_the_clock_does() {
    const TIMES: [(i64, i64); 4] =
        [(0, NOW), (2 * DAY_MS, NOW + 1), (-3 * DAY_MS, NOW + 3), (HOUR_MS, NOW + 2)];
    let mut rig = Rig::new(700);
    let clock = Clock::of(&rig);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { timestamp_after_max_ms: i64::MAX, ..LogConfig::default() };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        for ((by_ms, timestamp), offset) in TIMES.into_iter().zip(0..) {
            clock.jump(by_ms);
            assert_eq!(put(&store, &partition, &one_record(timestamp)).await, (offset, -1, false));
        }
        let expected = [(0, NOW), (1, NOW + 1), (2, NOW + 3), (3, NOW + 2)];
        // From memory, and when it has gone into a segment.
        for _ in 0..2 {
            assert_eq!(stamps(&partition, false).await, expected);
            assert_eq!(newest(&partition).await, Some((2, NOW + 3)));
            assert_eq!(at_or_after(&partition, NOW + 1).await, Some((1, NOW + 1)));
            assert_eq!(at_or_after(&partition, NOW + 2).await, Some((2, NOW + 3)));
            assert_eq!(at_or_after(&partition, NOW + 4).await, None);
            sleep(Duration::from_secs(10)).await;
        }
        store.stop().await.expect("stops");
    });
}

#[test]
fn what_is_too_early_or_too_late_is_so_by_the_clock_of_now() {
    let mut rig = Rig::new(701);
    let clock = Clock::of(&rig);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig {
            timestamp_before_max_ms: HOUR_MS,
            timestamp_after_max_ms: HOUR_MS,
            ..LogConfig::default()
        };
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        let (sent, refused) = (one_record(NOW), AppendError::InvalidTimestamp { timestamp: NOW });
        assert_eq!(put(&store, &partition, &sent).await.0, 0);
        for (by_ms, offset) in [(-2 * HOUR_MS, 1), (2 * HOUR_MS, 2)] {
            clock.jump(by_ms);
            assert_eq!(partition.append(&sent, &by_the_clock()).err(), Some(refused.clone()));
            clock.jump(-by_ms);
            assert_eq!(put(&store, &partition, &sent).await.0, offset);
        }
        store.stop().await.expect("stops");
    });
}

fn stamped() -> LogConfig {
    LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() }
}

/// The log has these times, of which the second is the latest and the third before all others.
async fn check_stamped(partition: &Partition, times: &[i64]) {
    let expected: Vec<(i64, i64)> = (0..).zip(times.iter().copied()).collect();
    assert_eq!(stamps(partition, true).await, expected);
    assert_eq!(newest(partition).await, Some((1, times[1])));
    // The first in the order of the log that is late enough, as in Kafka.
    assert_eq!(at_or_after(partition, times[2]).await, Some((0, times[0])));
    assert_eq!(at_or_after(partition, times[0] + 1).await, Some((1, times[1])));
    assert_eq!(at_or_after(partition, times[1] + 1).await, None);
}

#[test]
fn the_brokers_time_jumps_with_its_clock_and_offsets_go_on_after_a_crash_too() {
    let mut rig = Rig::new(702);
    let clock = Clock::of(&rig);
    let run = rig.begin();
    let options = rig.options(&run);
    let mut times = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, stamped())).await.expect("creates");
        let mut times = Vec::new();
        for (by_ms, expected) in [0, 2 * DAY_MS, -4 * DAY_MS, HOUR_MS].into_iter().zip(0..) {
            clock.jump(by_ms);
            let before = executor::wall_clock_ms();
            let (offset, time, _) = put(&store, &partition, &batch_at(1, b"value", 5)).await;
            assert_eq!(offset, expected);
            let after = executor::wall_clock_ms();
            assert!((before..=after).contains(&time), "{time}: not between {before} and {after}");
            times.push(time);
        }
        check_stamped(&partition, &times).await;
        times
    });
    let clock = Clock::of(&rig);
    clock.jump(-10 * DAY_MS);
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, stamped())).await.expect("opens");
        check_stamped(&partition, &times).await;
        let (offset, time, _) = put(&store, &partition, &batch_at(1, b"value", 5)).await;
        assert_eq!(offset, 4);
        assert!(time < times[2], "the broker's time is what its clock says");
        times.push(time);
        let expected: Vec<(i64, i64)> = (0..).zip(times.iter().copied()).collect();
        assert_eq!(stamps(&partition, true).await, expected);
        assert_eq!(newest(&partition).await, Some((1, times[1])));
        store.stop().await.expect("stops");
    });
}

/// Segments that end after a minute and go after two hours.
fn short(timestamp_type: TimestampType) -> LogConfig {
    LogConfig {
        timestamp_type,
        segment_ms: 60_000,
        retention_ms: 2 * HOUR_MS,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

#[test]
fn a_jump_back_ends_no_segment_and_deletes_nothing_and_one_forth_does_both() {
    let mut rig = Rig::new(703);
    rig.tune = |options| look_every(options, 10);
    let clock = Clock::of(&rig);
    let run = rig.begin();
    let options = rig.options(&run);
    // One log by the broker's time; in the other the records have none, so that it goes by when segments were begun.
    let timeless = batch_at(1, b"value", -1);
    let bytes = timeless.clone();
    let (store, logs) = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let types = [TimestampType::LogAppendTime, TimestampType::CreateTime];
        let mut logs = Vec::new();
        for (timestamp_type, number) in types.into_iter().zip(0..) {
            let spec = spec_with(number, short(timestamp_type));
            logs.push(store.create_partition(spec).await.expect("creates"));
        }
        for (by_ms, offset) in [(0, 0), (-DAY_MS, 1)] {
            clock.jump(by_ms);
            for log in &logs {
                assert_eq!(put(&store, log, &bytes).await.0, offset);
            }
        }
        sleep(Duration::from_secs(45)).await;
        (store, logs)
    });
    let segments = |rig: &Rig| {
        let files = rig.world.files(rig.node).list();
        files.iter().filter(|(name, _)| name.ends_with(".log")).count()
    };
    assert_eq!(segments(&rig), 2, "one each");
    assert!(logs.iter().all(|log| log.offsets().log_start == Offset(0)));
    let clock = Clock::of(&rig);
    let (ours, theirs) = (store.clone(), logs.clone());
    let bytes = timeless.clone();
    rig.run(&run, async move {
        clock.jump(2 * DAY_MS);
        for log in &theirs {
            assert_eq!(put(&ours, log, &bytes).await.0, 2);
        }
        sleep(Duration::from_secs(45)).await;
    });
    for log in &logs {
        let offsets = log.offsets();
        assert_eq!((offsets.log_start, offsets.log_end), (Offset(2), Offset(3)), "{}", log.id());
    }
    assert_eq!(segments(&rig), 2, "a new one each");
    rig.run(&run, async move { store.stop().await.expect("stops") });
}

#[test]
fn a_producers_sequence_goes_on_and_its_duplicates_are_known_across_jumps_back() {
    let batch = |sequence| by_producer(batch_at(1, b"value", NOW), 9, 0, sequence);
    let config = || LogConfig { timestamp_after_max_ms: i64::MAX, ..LogConfig::default() };
    let mut rig = Rig::new(704);
    let clock = Clock::of(&rig);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config())).await.expect("creates");
        assert_eq!(put(&store, &partition, &batch(0)).await, (0, -1, false));
        clock.jump(-3 * DAY_MS);
        assert_eq!(put(&store, &partition, &batch(1)).await, (1, -1, false));
        assert_eq!(put(&store, &partition, &batch(0)).await, (0, -1, true));
        // Waits for the drain.
        sleep(Duration::from_secs(30)).await;
        clock.jump(DAY_MS);
        assert_eq!(put(&store, &partition, &batch(1)).await, (1, -1, true));
        let early = partition.append(&batch(3), &by_the_clock()).err();
        assert_eq!(early, Some(AppendError::OutOfOrderSequence));
        assert_eq!(put(&store, &partition, &batch(2)).await, (2, -1, false));
        store.stop().await.expect("stops");
    });
}
