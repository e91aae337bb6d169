//! The state of all share partitions that one partition of `__share_group_state` keeps.

use crate::Refused;
use crate::kept::{Batches, StateBatch};
use crate::records::{self, Record, ReplayError, Stored};
use kafka_wire::ErrorCode;
use kafka_wire::messages::share_snapshot_value::ShareSnapshotValue;
use kafka_wire::messages::share_update_value::ShareUpdateValue;
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A share partition: a group and a partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: TopicId,
    /// The partition's number.
    pub partition: i32,
}

/// What of a share partition is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The epoch of the state.
    pub state_epoch: i32,
    /// The group's position; -1 if it has none yet.
    pub start_offset: i64,
    /// What has become of records behind it.
    pub batches: Vec<StateBatch>,
}

/// What tools are told of a share partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The epoch of the state.
    pub state_epoch: i32,
    /// The leadership that wrote last.
    pub leader_epoch: i32,
    /// The group's position; -1 if it has none yet.
    pub start_offset: i64,
    /// How many offsets from there on are done with; -1 if that is not known.
    pub complete_count: i32,
}

/// A change of a share partition, from whoever leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// The epoch of the state that it knows.
    pub state_epoch: i32,
    /// Its leadership.
    pub leader_epoch: i32,
    /// The group's position.
    pub start_offset: i64,
    /// How many offsets from there on are done with.
    pub complete_count: i32,
    /// The records that change.
    pub batches: Vec<StateBatch>,
    /// It has read that there is no state, and this makes it.
    pub makes: bool,
}

#[derive(Clone, Debug)]
struct Kept {
    state_epoch: i32,
    leader_epoch: i32,
    snapshot_epoch: i32,
    start_offset: i64,
    complete_count: i32,
    created_ms: i64,
    batches: Batches,
    /// Updates since the snapshot.
    updates: i32,
    /// Where in the log the snapshot is; everything before it is of no more use.
    snapshot_at: Option<i64>,
}

impl Kept {
    fn put(&mut self, start_offset: i64, complete_count: i32, batches: &[StateBatch]) {
        // Changes that were begun together end in any order: a position never goes back.
        if start_offset >= self.start_offset {
            self.start_offset = start_offset;
            self.complete_count = complete_count;
        }
        self.batches.put(batches, self.start_offset);
    }

    fn value(&self, now_ms: i64) -> ShareSnapshotValue {
        ShareSnapshotValue {
            snapshot_epoch: self.snapshot_epoch,
            state_epoch: self.state_epoch,
            leader_epoch: self.leader_epoch,
            start_offset: self.start_offset,
            delivery_complete_count: self.complete_count,
            create_timestamp: self.created_ms,
            write_timestamp: now_ms,
            state_batches: records::to_snapshot(&self.batches.list()),
        }
    }

    fn restore(value: &ShareSnapshotValue, at: i64) -> Kept {
        let mut batches = Batches::default();
        batches.put(&records::of_snapshot(&value.state_batches), value.start_offset);
        Kept {
            state_epoch: value.state_epoch,
            leader_epoch: value.leader_epoch,
            snapshot_epoch: value.snapshot_epoch,
            start_offset: value.start_offset,
            complete_count: value.delivery_complete_count,
            created_ms: value.create_timestamp,
            batches,
            updates: 0,
            snapshot_at: Some(at),
        }
    }
}

/// The state of one partition of `__share_group_state`.
///
/// Loading: [`StateCoordinator::new`], then [`StateCoordinator::replay`] in the order of the log. Every change gives
/// the one record that writes it; state changes at once, so a coordinator whose records cannot be written must be
/// dropped and loaded again.
#[derive(Debug)]
pub struct StateCoordinator {
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    updates_max: i32,
    kept: BTreeMap<StateKey, Kept>,
}

impl StateCoordinator {
    /// One that knows nothing yet.
    pub fn new(updates_max: i32) -> StateCoordinator {
        StateCoordinator { updates_max, kept: BTreeMap::new() }
    }

    /// Goes by another number of updates between snapshots from now on.
    pub fn configure(&mut self, updates_max: i32) {
        self.updates_max = updates_max;
    }

    /// Takes in a record that is in the log at an offset. Types that are not known are left out.
    ///
    /// # Errors
    /// If the record cannot be read. Nothing has changed then; the record can be left out.
    pub fn replay(&mut self, at: i64, key: &[u8], value: Option<&[u8]>) -> Result<(), ReplayError> {
        match Stored::read(key, value)? {
            Stored::Snapshot(key, Some(value)) => {
                self.kept.insert(key, Kept::restore(&value, at));
            }
            Stored::Snapshot(key, None) => {
                self.kept.remove(&key);
            }
            Stored::Update(key, value) => self.replay_update(&key, &value),
            Stored::Other => {}
        }
        Ok(())
    }

    /// An update of what is not there belongs to state that was taken away before.
    fn replay_update(&mut self, key: &StateKey, value: &ShareUpdateValue) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        let start = if value.start_offset == -1 { kept.start_offset } else { value.start_offset };
        kept.leader_epoch = kept.leader_epoch.max(value.leader_epoch);
        kept.updates = kept.updates.saturating_add(1);
        kept.put(start, value.delivery_complete_count, &records::of_update(&value.state_batches));
    }

    /// A snapshot that this coordinator gave is durable at an offset.
    pub fn snapshot_written(&mut self, key: &StateKey, at: i64) {
        if let Some(kept) = self.kept.get_mut(key) {
            kept.snapshot_at = Some(at);
        }
    }

    /// What is durable of a share partition, or will be before anything that is asked for later.
    pub fn read(&self, key: &StateKey) -> Option<Loaded> {
        self.kept.get(key).map(|kept| Loaded {
            state_epoch: kept.state_epoch,
            start_offset: kept.start_offset,
            batches: kept.batches.list(),
        })
    }

    /// What tools are told of a share partition.
    pub fn summary(&self, key: &StateKey) -> Option<Summary> {
        self.kept.get(key).map(|kept| Summary {
            state_epoch: kept.state_epoch,
            leader_epoch: kept.leader_epoch,
            start_offset: kept.start_offset,
            complete_count: kept.complete_count,
        })
    }

    /// Takes in a change. Gives its record, and whether that is a snapshot.
    ///
    /// # Errors
    /// FENCED_STATE_EPOCH if the state was set or taken away behind the writer's back, FENCED_LEADER_EPOCH if a newer
    /// leadership has written.
    pub fn write(
        &mut self,
        now_ms: i64,
        key: &StateKey,
        write: &StateWrite,
    ) -> Result<(Record, bool), Refused> {
        let updates_max = self.updates_max;
        let Some(kept) = self.kept.get_mut(key) else {
            if !write.makes {
                return Err(ErrorCode::FencedStateEpoch);
            }
            return Ok((self.make(now_ms, key, write.state_epoch, write), true));
        };
        if write.leader_epoch < kept.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if write.state_epoch != kept.state_epoch {
            return Err(ErrorCode::FencedStateEpoch);
        }
        kept.leader_epoch = write.leader_epoch;
        kept.put(write.start_offset, write.complete_count, &write.batches);
        if kept.updates >= updates_max {
            kept.updates = 0;
            kept.snapshot_epoch = kept.snapshot_epoch.wrapping_add(1);
            return Ok((records::snapshot(key, &kept.value(now_ms)), true));
        }
        kept.updates += 1;
        let value = ShareUpdateValue {
            snapshot_epoch: kept.snapshot_epoch,
            leader_epoch: kept.leader_epoch,
            start_offset: kept.start_offset,
            delivery_complete_count: kept.complete_count,
            state_batches: records::to_update(&write.batches),
        };
        Ok((records::update(key, &value), false))
    }

    /// Sets a group's position, whatever it was. The new epoch fences whoever leads the share partition.
    pub fn initialize(&mut self, now_ms: i64, key: &StateKey, state_epoch: i32, start_offset: i64) -> Record {
        let epoch = self
            .kept
            .get(key)
            .map_or(state_epoch, |kept| state_epoch.max(kept.state_epoch.saturating_add(1)));
        let write = StateWrite {
            state_epoch: epoch,
            leader_epoch: -1,
            start_offset,
            complete_count: 0,
            batches: Vec::new(),
            makes: true,
        };
        self.make(now_ms, key, epoch, &write)
    }

    fn make(&mut self, now_ms: i64, key: &StateKey, state_epoch: i32, write: &StateWrite) -> Record {
        let before = self.kept.get(key);
        let mut batches = Batches::default();
        batches.put(&write.batches, write.start_offset);
        let kept = Kept {
            state_epoch,
            leader_epoch: before.map_or(write.leader_epoch, |kept| kept.leader_epoch.max(write.leader_epoch)),
            snapshot_epoch: before.map_or(0, |kept| kept.snapshot_epoch.wrapping_add(1)),
            start_offset: write.start_offset,
            complete_count: write.complete_count,
            created_ms: now_ms,
            batches,
            updates: 0,
            snapshot_at: None,
        };
        let record = records::snapshot(key, &kept.value(now_ms));
        self.kept.insert(key.clone(), kept);
        record
    }

    /// Takes a share partition away; `None` if it is not there.
    pub fn delete(&mut self, key: &StateKey) -> Option<Record> {
        self.kept.remove(key).map(|_| records::tombstone(key))
    }

    /// Takes away what belongs to topics that are not there any more.
    pub fn retain_topics(&mut self, is_there: impl Fn(TopicId) -> bool) -> Vec<Record> {
        let topics: BTreeSet<TopicId> = self.kept.keys().map(|key| key.topic).collect();
        let gone: BTreeSet<TopicId> = topics.into_iter().filter(|topic| !is_there(*topic)).collect();
        let keys: Vec<StateKey> = self.kept.keys().filter(|key| gone.contains(&key.topic)).cloned().collect();
        keys.iter().filter_map(|key| self.delete(key)).collect()
    }

    /// The offset before which nothing in the log is needed any more; `None` while a snapshot is on its way, or there
    /// is no state.
    pub fn needed_from(&self) -> Option<i64> {
        let mut from = None;
        for kept in self.kept.values() {
            let at = kept.snapshot_at?;
            from = Some(from.map_or(at, |from: i64| from.min(at)));
        }
        from
    }

    /// Writes snapshots anew that lie before an offset, so that the log can be cut there; at most so many.
    pub fn refresh_before(&mut self, now_ms: i64, offset: i64, most: usize) -> Vec<(StateKey, Record)> {
        let old = self.kept.iter_mut().filter(|(_, kept)| kept.snapshot_at.is_some_and(|at| at < offset));
        let refreshed = old.take(most).map(|(key, kept)| {
            kept.updates = 0;
            kept.snapshot_at = None;
            kept.snapshot_epoch = kept.snapshot_epoch.wrapping_add(1);
            (key.clone(), records::snapshot(key, &kept.value(now_ms)))
        });
        refreshed.collect()
    }

    /// How many share partitions it keeps.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// It keeps none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many batches it keeps of them.
    pub fn batches(&self) -> usize {
        self.kept.values().map(|kept| kept.batches.len()).sum()
    }
}
