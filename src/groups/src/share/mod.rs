//! Share groups (KIP-932): members, and who reads what. What becomes of single records is not known here.
//!
//! - this module: a group, and how each part of it changes together with its record.
//! - [`member`]: a member, what it said and what it has.
//! - [`heartbeat`]: what a heartbeat leads to: joining, staying, leaving, time that is up.
//! - [`assign`]: the assignor, Kafka's `simple`.
//! - [`keep`]: decisions that the log takes, and those that are taken back.
//! - [`plan`]: positions of the group, for those who look at them and change them.
//! - [`records`]: its records; [`replay`]: reading them back.
//! - [`state`]: what a group says of itself.

pub(crate) mod assign;
pub(crate) mod heartbeat;
pub(crate) mod keep;
pub(crate) mod member;
pub(crate) mod plan;
pub(crate) mod records;
pub(crate) mod replay;
pub(crate) mod state;

use crate::assignors::Target;
use crate::effects::Record;
use crate::scene::Scene;
use crate::topics::Topics;
use member::{Member, Profile};
use model::TopicId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A topic that the group has positions in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Started {
    pub name: String,
    pub partitions: BTreeSet<i32>,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct ShareGroup {
    pub id: Arc<str>,
    /// Goes up when members or what they subscribe to change, and when positions are set.
    pub epoch: i32,
    /// A digest of the topics that the group subscribes to, as the epoch knows them.
    pub metadata_hash: i64,
    /// The epoch that the target was computed for.
    pub assignment_epoch: i32,
    /// When that was, if it ever was.
    pub assigned_ms: Option<i64>,
    pub members: BTreeMap<Arc<str>, Member>,
    pub targets: BTreeMap<Arc<str>, Target>,
    /// Where the group has positions, or has them as soon as a member reads.
    pub started: BTreeMap<TopicId, Started>,
    /// How many members name each topic.
    pub named: BTreeMap<String, usize>,
    /// The version of the topics that the hash was last compared with.
    pub seen_topics: Option<i64>,
}

impl ShareGroup {
    pub fn new(id: Arc<str>) -> ShareGroup {
        ShareGroup {
            id,
            epoch: 0,
            metadata_hash: 0,
            assignment_epoch: 0,
            assigned_ms: None,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            started: BTreeMap::new(),
            named: BTreeMap::new(),
            seen_topics: None,
        }
    }

    /// The member, made if it is new.
    pub fn member_mut(&mut self, id: &Arc<str>) -> &mut Member {
        self.members.entry(id.clone()).or_insert_with(|| Member::new(id.clone()))
    }

    /// Takes in what a member says of itself.
    pub fn put_profile(&mut self, id: &Arc<str>, profile: Profile) {
        let before = std::mem::take(&mut self.member_mut(id).profile);
        for topic in &before.topics {
            if let Some(count) = self.named.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(topic);
                }
            }
        }
        for topic in &profile.topics {
            *self.named.entry(topic.clone()).or_default() += 1;
        }
        self.member_mut(id).profile = profile;
    }

    /// Takes a member out, with all that it had.
    pub fn remove(&mut self, id: &Arc<str>) {
        if self.members.contains_key(id) {
            self.put_profile(id, Profile::default());
            self.members.remove(id);
        }
        self.targets.remove(id);
    }

    /// [`ShareGroup::put_profile`], and its record.
    fn write_profile(&mut self, id: &Arc<str>, profile: Profile, out: &mut Vec<Record>) {
        out.push(records::member(&self.id, id, &profile.value()));
        self.put_profile(id, profile);
    }

    /// Sets a member's target, and writes it.
    fn write_target(&mut self, id: &Arc<str>, target: Target, out: &mut Vec<Record>) {
        out.push(records::target_member(&self.id, id, &target));
        self.targets.insert(id.clone(), target);
    }

    /// [`ShareGroup::remove`], and its tombstones.
    fn write_removal(&mut self, id: &Arc<str>, out: &mut Vec<Record>) {
        out.push(records::current_tombstone(&self.id, id));
        out.push(records::target_member_tombstone(&self.id, id));
        out.push(records::member_tombstone(&self.id, id));
        self.remove(id);
    }

    /// Everything that is written of the group is deleted.
    pub fn write_end(&self, out: &mut Vec<Record>) {
        for id in self.members.keys() {
            out.push(records::current_tombstone(&self.id, id));
            out.push(records::target_member_tombstone(&self.id, id));
            out.push(records::member_tombstone(&self.id, id));
        }
        out.push(records::target_tombstone(&self.id));
        out.push(records::started_tombstone(&self.id));
        out.push(records::group_tombstone(&self.id));
    }

    /// Raises the epoch, and writes it.
    fn raise_epoch(&mut self, out: &mut Vec<Record>) {
        self.epoch = self.epoch.saturating_add(1);
        out.push(records::group(&self.id, self.epoch, self.metadata_hash));
    }

    /// Writes where the group has positions; topics that are gone go here as well.
    fn write_started(&mut self, topics: &dyn Topics, out: &mut Vec<Record>) {
        self.started.retain(|id, _| topics.by_id(*id).is_some());
        out.push(records::started(&self.id, &self.started));
    }

    /// Begins positions in all partitions of the topics that members subscribe to, and raises the epoch if `changed`,
    /// or if topics have changed that the group subscribes to.
    fn refresh_epoch(&mut self, changed: bool, scene: &mut Scene<'_>) {
        let version = Some(scene.topics.version());
        if !changed && self.seen_topics == version {
            return;
        }
        self.seen_topics = version;
        let hash = self.digest(scene.topics);
        if changed || hash != self.metadata_hash {
            self.metadata_hash = hash;
            if self.start_named(scene.topics) {
                self.write_started(scene.topics, &mut scene.out.records);
            }
            self.raise_epoch(&mut scene.out.records);
        }
    }

    /// True if there are partitions among those subscribed to that are new to the group.
    fn start_named(&mut self, topics: &dyn Topics) -> bool {
        let mut is_new = false;
        for topic in self.named.keys().filter_map(|name| topics.by_name(name)) {
            let started = self.started.entry(topic.id).or_default();
            for partition in 0..topic.partitions {
                is_new |= started.partitions.insert(partition);
            }
            if *started.name != *topic.name {
                started.name = topic.name.to_string();
                is_new = true;
            }
        }
        is_new
    }

    /// A digest of what is known of the topics that the group subscribes to; 0 if there are none. Only a
    /// coordinator's own are compared.
    fn digest(&self, topics: &dyn Topics) -> i64 {
        // FNV-1a, 64 bits.
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut count = 0;
        for topic in self.named.keys().filter_map(|name| topics.by_name(name)) {
            count += 1;
            let number = topic.partitions.to_be_bytes();
            for byte in topic.name.bytes().chain([0]).chain(topic.id.0).chain(number) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        if count == 0 { 0 } else { hash as i64 }
    }
}
