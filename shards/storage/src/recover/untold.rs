//! Where logs begin, of which a checkpoint that cannot be read may have told.
//!
//! It may have said that the first segments of a log were deleted, and the journal need not say so any more. Then what
//! another checkpoint tells is of segments that are gone, and who opens the log would take all that there are for what
//! was begun behind its end. Only the names of the segments that are left say otherwise.

use super::Replay;
use super::segments::AT_ONCE;
use crate::checkpoint::{Checkpoint, LogPlace};
use crate::error::StorageError;
use crate::partition::load::list_segments;
use executor::join_some;
use model::TopicPartition;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The partitions of which a shard's checkpoint from the run before tells: in a run a partition is on one shard, so no
/// other shard's has told more of them, and a segment that is missing there is lost. The node's was written when that run
/// began, in epoch `node_epoch`.
pub(super) fn told_of(node_epoch: u64, shards: &[Checkpoint]) -> BTreeSet<TopicPartition> {
    let epoch = shards.iter().map(|shard| shard.epoch).fold(node_epoch, u64::max);
    let newest = shards.iter().filter(|shard| shard.epoch == epoch);
    newest.flat_map(|shard| &shard.entries).map(|entry| entry.id).collect()
}

impl Replay<'_> {
    /// Looks where these logs begin. Before anything is replayed of them: that may make segments anew that were
    /// deleted.
    pub(super) async fn find_starts(&mut self, ids: BTreeSet<TopicPartition>) -> Result<(), StorageError> {
        let mut found: Vec<(TopicPartition, PathBuf)> = Vec::new();
        for id in ids {
            found.extend(self.directory(id).map(|directory| (id, directory)));
        }
        let listed = join_some(found.iter().map(|(_, directory)| list_segments(directory)), AT_ONCE).await;
        for ((id, _), bases) in found.iter().zip(listed) {
            self.begins_with(*id, &bases?);
        }
        Ok(())
    }

    /// A log has these segments. If the one that is known of it lies before them, or if nothing is known of it, it
    /// begins with the first of them. It is looked at from the last one on: one that is followed by another is whole,
    /// and synced or replayed. Where nobody waited for the device a power loss may have taken some of it, which who reads
    /// it is told; to look for that from the first one on would be to cut the log, and remove all behind, where on a
    /// device that has lost a checkpoint one byte more is damaged.
    fn begins_with(&mut self, id: TopicPartition, bases: &[i64]) {
        let (Some(&first), Some(&last)) = (bases.first(), bases.last()) else { return };
        let is_news = match self.entries.get(&id) {
            Some(entry) => entry.verified.segment < first,
            None => first > 0,
        };
        let place = LogPlace { segment: last, position: 0, offset: last };
        if !is_news || !self.claim(id, place, -1) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.log_start = entry.log_start.max(first);
        entry.verified = place;
        // The file of leader epochs knows what began since.
        entry.leader_epoch = -1;
        let begins = entry.log_start;
        log::warn!("{id}: begins at offset {begins}, as the first of its segments does that are left");
    }
}
