//! A second crash after the first: what a start has made, or shown, must still be there.

use super::*;
use crate::journal::format::BLOCK_BYTES;

const JOURNAL: &str = "/data/shard-0/journal/0.journal";

fn segment(partition: i32) -> PathBuf {
    PathBuf::from(format!("/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/{partition}/00000000000000000000.log"))
}

/// The offsets of a log, all of which can be read.
async fn offsets(partition: &Partition) -> Vec<i64> {
    let from = partition.offsets().log_start;
    let found = batches(&read_all(partition, from, 20_000).await.expect("reads"));
    found.into_iter().map(|(header, _)| header.base_offset).collect()
}

#[test]
fn what_only_a_segment_has_is_there_after_a_power_loss_as_well() {
    // The commit with a log's only record is damaged: one before others, so that it is missed, and the last one,
    // which looks torn. The drain has written the record, and the kernel has it when the process is killed.
    for seed in 600..612 {
        let missed = seed % 2 == 0;
        let mut rig = Rig::new(seed);
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            let (store, _) = start(options).await;
            let logs: &[i32] = if missed { &[0, 1, 0] } else { &[0, 1] };
            for &number in logs {
                let partition = store.open_partition(spec(number)).await.expect("opens");
                append(&store, &partition, &batch_of(1, &[7; 100])).await.expect("appends");
            }
            // Drained after one second, synced after three.
            executor::sleep(Duration::from_secs(2)).await;
        });
        rig.kill(run);
        let files = rig.world.files(rig.node);
        let written = files.visible(&segment(1)).is_some_and(|bytes| bytes.iter().any(|&byte| byte != 0));
        assert!(written && files.durable(&segment(1)).is_none(), "seed {seed}: drained, and not synced");
        rig.world.rot(rig.node, Path::new(JOURNAL), Some(2 * BLOCK_BYTES + 150)).expect("a byte of the file");
        for restart in 0..3 {
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, recovered) = start(options).await;
                let missing = usize::from(missed && restart == 0);
                assert_eq!(recovered.damage.len(), missing, "seed {seed}, start {restart}");
                let partition = store.open_partition(spec(1)).await.expect("opens");
                assert_eq!(partition.damage(), None, "seed {seed}, start {restart}");
                assert_eq!(offsets(&partition).await, [0], "seed {seed}, start {restart}");
            });
            rig.crash(run);
        }
    }
}
