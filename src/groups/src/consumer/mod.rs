//! Groups of the consumer protocol (KIP-848).
//!
//! - this module: a group, and how each part of it changes together with its record.
//! - [`member`]: a member, what it said and what it has.
//! - [`check`]: whether a heartbeat can be taken.
//! - [`heartbeat`]: what it leads to.
//! - [`subscription`]: topics and patterns, and when the group's epoch goes up.
//! - [`target`]: the target assignment.
//! - [`reconcile`]: a member's next step towards it.
//! - [`keep`]: decisions that the log takes, and those that are taken back.
//! - [`leave`]: members that go.
//! - [`legacy`]: members of the classic protocol in such a group.
//! - [`migrate`]: groups that change their protocol.
//! - [`state`]: what a group says of itself.

pub(crate) mod check;
pub(crate) mod heartbeat;
pub(crate) mod keep;
pub(crate) mod leave;
pub(crate) mod legacy;
pub(crate) mod member;
pub(crate) mod migrate;
pub(crate) mod reconcile;
pub(crate) mod state;
pub(crate) mod subscription;
pub(crate) mod target;

use crate::assignors::Target;
use crate::effects::Record;
use crate::records;
use crate::wire::uuid;
use kafka_wire::messages::consumer_group_target_assignment_member_value::{
    ConsumerGroupTargetAssignmentMemberValue, TopicPartition,
};
use member::{Member, Profile, Progress};
use model::TopicId;
use std::collections::BTreeMap;
use std::sync::Arc;
use subscription::Resolved;

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    pub id: Arc<str>,
    /// Goes up when members or what they subscribe to change.
    pub epoch: i32,
    /// A digest of the topics that the group subscribes to, as the epoch knows them.
    pub metadata_hash: i64,
    /// The epoch that the target was computed for.
    pub assignment_epoch: i32,
    /// When that was, if it ever was.
    pub assigned_ms: Option<i64>,
    pub members: BTreeMap<Arc<str>, Member>,
    /// Member ids by instance id.
    pub statics: BTreeMap<Arc<str>, Arc<str>>,
    pub targets: BTreeMap<Arc<str>, Target>,
    /// Who has each partition, or has still to give it back.
    pub owners: BTreeMap<(TopicId, i32), Arc<str>>,
    /// How many members name each topic.
    pub named: BTreeMap<String, usize>,
    /// The patterns that members subscribe with.
    pub patterns: BTreeMap<Arc<str>, Resolved>,
    /// How many members use the classic protocol.
    pub classic_members: usize,
    /// How many of those offer each of its protocols.
    pub classic_offers: BTreeMap<String, usize>,
    /// The version of the topics that the hash was last compared with.
    pub seen_topics: Option<i64>,
}

impl ConsumerGroup {
    pub fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup {
            id,
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            assigned_ms: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            targets: BTreeMap::new(),
            owners: BTreeMap::new(),
            named: BTreeMap::new(),
            patterns: BTreeMap::new(),
            classic_members: 0,
            classic_offers: BTreeMap::new(),
            seen_topics: None,
        }
    }

    /// The member, made if it is new.
    fn member_mut(&mut self, id: &Arc<str>) -> &mut Member {
        self.members.entry(id.clone()).or_insert_with(|| Member {
            id: id.clone(),
            profile: Profile::default(),
            progress: Progress::new(),
        })
    }

    /// Takes in what a member says of itself.
    pub fn put_profile(&mut self, id: &Arc<str>, profile: Profile) {
        let before = std::mem::take(&mut self.member_mut(id).profile);
        self.count(&before, false);
        self.forget_instance(&before, id);
        self.count(&profile, true);
        if let Some(instance) = &profile.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.member_mut(id).profile = profile;
    }

    fn count(&mut self, profile: &Profile, add: bool) {
        for topic in &profile.topics {
            step(&mut self.named, topic, add);
        }
        if let Some(pattern) = &profile.regex {
            let resolved = self.patterns.entry(pattern.clone()).or_default();
            resolved.members = if add { resolved.members + 1 } else { resolved.members.saturating_sub(1) };
        }
        let Some(classic) = &profile.classic else { return };
        self.classic_members =
            if add { self.classic_members + 1 } else { self.classic_members.saturating_sub(1) };
        for (name, _) in &classic.protocols {
            step(&mut self.classic_offers, name, add);
        }
    }

    /// Takes in what a member has.
    pub fn put_progress(&mut self, id: &Arc<str>, progress: Progress) {
        self.release(id);
        for partition in progress.partitions() {
            self.owners.insert(partition, id.clone());
        }
        self.member_mut(id).progress = progress;
    }

    fn release(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        for partition in member.progress.partitions() {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    /// Takes a member out, with all that it had.
    pub fn remove(&mut self, id: &Arc<str>) -> Option<Member> {
        self.release(id);
        let member = self.members.remove(id)?;
        self.targets.remove(id);
        self.count(&member.profile, false);
        self.forget_instance(&member.profile, id);
        Some(member)
    }

    /// The member does not have the instance id of this profile any more, if it had it.
    fn forget_instance(&mut self, profile: &Profile, id: &Arc<str>) {
        if let Some(instance) = &profile.instance
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    /// [`ConsumerGroup::put_profile`], and its record.
    pub fn write_profile(&mut self, id: &Arc<str>, profile: Profile, out: &mut Vec<Record>) {
        out.push(records::member(&self.id, id, &profile.value()));
        self.put_profile(id, profile);
    }

    /// [`ConsumerGroup::put_progress`], and its record.
    pub fn write_progress(&mut self, id: &Arc<str>, progress: Progress, out: &mut Vec<Record>) {
        out.push(records::current(&self.id, id, &progress.value()));
        self.put_progress(id, progress);
    }

    /// Sets a member's target, and writes it.
    pub fn write_target(&mut self, id: &Arc<str>, target: Target, out: &mut Vec<Record>) {
        let topic = |(topic, partitions): (&TopicId, &Vec<i32>)| TopicPartition {
            topic_id: uuid(*topic),
            partitions: partitions.clone(),
        };
        let value =
            ConsumerGroupTargetAssignmentMemberValue { topic_partitions: target.iter().map(topic).collect() };
        out.push(records::target_member(&self.id, id, &value));
        self.targets.insert(id.clone(), target);
    }

    /// [`ConsumerGroup::remove`], and its tombstones.
    pub fn write_removal(&mut self, id: &Arc<str>, out: &mut Vec<Record>) -> Option<Member> {
        out.push(records::current_tombstone(&self.id, id));
        out.push(records::target_member_tombstone(&self.id, id));
        out.push(records::member_tombstone(&self.id, id));
        self.remove(id)
    }

    /// Everything that is written of the group is deleted.
    pub fn write_end(&self, out: &mut Vec<Record>) {
        for id in self.members.keys() {
            out.push(records::current_tombstone(&self.id, id));
        }
        for id in self.members.keys() {
            out.push(records::target_member_tombstone(&self.id, id));
        }
        out.push(records::target_tombstone(&self.id));
        for id in self.members.keys() {
            out.push(records::member_tombstone(&self.id, id));
        }
        for pattern in self.patterns.keys() {
            out.push(records::regex_tombstone(&self.id, pattern));
        }
        out.push(records::partition_metadata_tombstone(&self.id));
        out.push(records::group_tombstone(&self.id));
    }
}

/// Counts a name up or down; none is forgotten.
fn step(counts: &mut BTreeMap<String, usize>, name: &str, add: bool) {
    if add {
        *counts.entry(name.to_owned()).or_default() += 1;
    } else if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}
