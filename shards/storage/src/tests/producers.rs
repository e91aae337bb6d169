//! What is kept of idempotent producers, and what becomes of it.

use super::{Rig, append, batch_of, by_producer, spec, start};
use crate::Partition;
use model::Offset;
use std::time::Duration;

/// Batches that make a snapshot due, but no second one.
const PER_ROUND: i32 = 150;

/// A batch of one record, whose offset is its sequence number when it is the only producer's.
fn large(sequence: i32) -> Vec<u8> {
    by_producer(batch_of(1, &[sequence as u8; 30_000]), 9, 0, sequence)
}

/// The offsets of the snapshots in a partition's directory, in order.
async fn snapshots(partition: &Partition) -> Vec<i64> {
    let entries = executor::io::list_directory(&partition.log.directory).await.expect("lists");
    let offset = |name: &str| crate::segment::offset_of_name(name, "snapshot");
    entries.iter().filter_map(|entry| offset(&entry.name)).collect()
}

#[test]
fn logs_that_are_due_are_saved_one_after_the_other_and_keep_two_snapshots() {
    let mut rig = Rig::new(1202);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let mut partitions = Vec::new();
        for number in 0..2 {
            partitions.push(store.create_partition(spec(number)).await.expect("creates"));
        }
        for round in 0..3 {
            let (from, to) = (round * PER_ROUND, (round + 1) * PER_ROUND);
            for sequence in from..to {
                for partition in &partitions {
                    append(&store, partition, &large(sequence)).await.expect("appends");
                }
            }
            executor::sleep(Duration::from_secs(10)).await;
            for partition in &partitions {
                let found = snapshots(partition).await;
                assert_eq!(found.len(), (round as usize + 1).min(2), "{found:?} after round {round}");
                assert!(found.last() > Some(&i64::from(from)), "{found:?} after round {round}");
            }
        }
    });
    let (run, options) = rig.after_crash(run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        for number in 0..2 {
            let partition = store.open_partition(spec(number)).await.expect("opens");
            let last = 3 * PER_ROUND - 1;
            let again = append(&store, &partition, &large(last)).await;
            assert_eq!(again, Ok(Offset(i64::from(last))), "sent twice, there once");
            assert_eq!(partition.offsets().log_end, Offset(i64::from(last) + 1));
        }
        store.stop().await.expect("stops");
    });
}

#[test]
fn what_is_due_at_a_clean_stop_is_saved_by_it() {
    let mut rig = Rig::new(1203);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        for sequence in 0..PER_ROUND {
            append(&store, &partition, &large(sequence)).await.expect("appends");
        }
        store.stop().await.expect("stops");
        assert_eq!(snapshots(&partition).await.last(), Some(&i64::from(PER_ROUND)));
    });
}

#[test]
fn batches_that_nobody_has_validated_are_given_up_without_a_panic() {
    let mut rig = Rig::new(1201);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let first = by_producer(batch_of(1, &[7; 50]), 9, 0, 0);
        // What waits behind others is whatever a client has sent.
        for length in 0..first.len() {
            partition.gave_up(&first[..length]);
        }
        let mut longer = first.clone();
        longer[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        partition.gave_up(&longer);
        let second = by_producer(batch_of(1, &[7; 50]), 9, 0, 1);
        append(&store, &partition, &second).await.expect("none of these was a first batch of the producer");
        store.stop().await.expect("stops");
    });
}
