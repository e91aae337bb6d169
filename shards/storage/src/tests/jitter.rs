//! `segment.jitter.ms`: segments that were begun at one moment do not all end at one.

use super::*;
use std::collections::BTreeSet;

const PARTITIONS: i32 = 8;
/// Seconds of records, one a second.
const RECORDS: i64 = 260;

/// How many seconds each segment but the last covers, for each of some partitions that are written to alike.
fn covered(jitter_ms: i64) -> Vec<Vec<i64>> {
    let mut rig = Rig::new(360);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let config = LogConfig { segment_ms: 100_000, segment_jitter_ms: jitter_ms, ..LogConfig::default() };
        let mut all = Vec::new();
        for number in 0..PARTITIONS {
            let partition = store.create_partition(spec_with(number, config.clone())).await.expect("creates");
            for second in 0..RECORDS {
                let batch = batch_at(1, b"value", NOW + 1000 * second);
                assert_eq!(append(&store, &partition, &batch).await, Ok(Offset(second)));
            }
            // An offset a second: they begin at the second that is their first offset.
            let bases: Vec<i64> =
                partition.log.state.borrow().segments.iter().map(|segment| segment.base).collect();
            all.push(bases.windows(2).map(|pair| pair[1] - pair[0]).collect());
        }
        store.stop().await.expect("stops");
        all
    })
}

#[test]
fn segments_end_before_their_time_and_not_all_at_one_moment() {
    let all = covered(50_000);
    assert_eq!(all.len(), PARTITIONS as usize);
    for seconds in all.iter().flatten() {
        // The first record that comes later than it may is the first of the next one.
        assert!((51..=101).contains(seconds), "{all:?}");
    }
    let first: BTreeSet<i64> = all.iter().map(|seconds| seconds[0]).collect();
    assert!(first.len() >= 4, "those that began together end apart: {all:?}");
    let uneven = all.iter().filter(|seconds| seconds.iter().any(|one| *one != seconds[0])).count();
    assert!(uneven >= 4, "another amount for each segment: {all:?}");
}

#[test]
fn without_jitter_all_segments_end_at_their_time() {
    assert_eq!(covered(0), vec![vec![101, 101]; PARTITIONS as usize]);
}
