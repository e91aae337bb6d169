//! Groups of the classic protocol.
//!
//! - [`member`]: a member.
//! - [`join`]: JoinGroup, from its checks to the member's place in the round.
//! - [`statics`]: the joins of static members (KIP-345).
//! - [`round`]: rounds of joins: how they start, wait and end.
//! - [`sync`]: SyncGroup and what a new assignment leads to.
//! - [`alive`]: Heartbeat, LeaveGroup, and members that are not heard of.
//! - [`state`]: what a group says of itself: to describe it, to store it, to expire its offsets.

pub(crate) mod alive;
pub(crate) mod join;
pub(crate) mod member;
pub(crate) mod round;
pub(crate) mod state;
pub(crate) mod statics;
pub(crate) mod sync;

pub(crate) use member::ClassicMember;

use crate::request::Refused;
use crate::wire::subscribed_topics;
use base::mistakes;
use kafka_wire::ErrorCode;
use member::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The protocol type of consumers.
pub(crate) const CONSUMER_PROTOCOL: &str = "consumer";

/// Where a group stands. Kafka's Dead is a group that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClassicState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl ClassicState {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// How much longer the first round of a group waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitialDelay {
    pub delay_ms: i32,
    pub remaining_ms: i32,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    pub id: Arc<str>,
    pub state: ClassicState,
    /// When the state last changed; not known of groups from very old logs.
    pub changed_ms: Option<i64>,
    pub generation: i32,
    /// None of a group that only commits offsets.
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: Option<Arc<str>>,
    pub members: BTreeMap<Arc<str>, ClassicMember>,
    /// Member ids by instance id.
    pub statics: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were given out and not yet joined with.
    pub pending_join: BTreeSet<Arc<str>>,
    /// Members of this generation that have not synced yet.
    pub pending_sync: BTreeSet<Arc<str>>,
    /// Set while the first round of an empty group runs.
    pub initial: Option<InitialDelay>,
    /// Whether somebody came since the first round was last prolonged.
    pub newcomer: bool,
    /// The topics of all members; None if that is not known.
    pub subscribed: Option<BTreeSet<String>>,
    /// How many members offer each protocol.
    offered: BTreeMap<String, usize>,
    /// How many members wait for the round to end.
    pub joined: usize,
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub fn new(id: Arc<str>, now: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: ClassicState::Empty,
            changed_ms: Some(now),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            initial: None,
            newcomer: false,
            subscribed: None,
            offered: BTreeMap::new(),
            joined: 0,
        }
    }

    pub fn enter(&mut self, state: ClassicState, now: i64) {
        self.state = state;
        self.changed_ms = Some(now);
    }

    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL)
    }

    pub fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// True if every member waits for the round to end, and nobody is on the way.
    pub fn all_joined(&self) -> bool {
        self.joined == self.members.len() && self.pending_join.is_empty()
    }

    /// The largest rebalance timeout of the members.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Adds a member; with `joining` set it counts as having joined.
    pub fn add(&mut self, member: ClassicMember, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        self.pending_join.remove(&member.id);
        self.count(&member, true);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member or a pending id out; another member becomes leader if this one was.
    pub fn remove(&mut self, id: &str) -> Option<ClassicMember> {
        let removed = self.members.remove(id);
        if let Some(member) = &removed {
            self.count(member, false);
            if let Some(instance) = &member.instance {
                self.statics.remove(instance);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_join.remove(id);
        self.pending_sync.remove(id);
        removed
    }

    fn count(&mut self, member: &ClassicMember, add: bool) {
        self.joined = if add {
            self.joined + usize::from(member.joining.is_some())
        } else {
            self.joined.saturating_sub(usize::from(member.joining.is_some()))
        };
        for (name, _) in &member.protocols {
            let count = self.offered.entry(name.clone()).or_default();
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.offered.remove(name);
            }
        }
    }

    /// Changes a member by `change`, and keeps the counts of the group right.
    pub fn update(&mut self, id: &str, change: impl FnOnce(&mut ClassicMember)) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count(&member, false);
        change(&mut member);
        self.count(&member, true);
        self.members.insert(member.id.clone(), member);
    }

    /// Whether somebody of this type, who offers these protocols, can be a member.
    pub fn accepts(&self, protocol_type: &str, mut names: impl Iterator<Item = impl AsRef<str>>) -> bool {
        if self.state == ClassicState::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && names.any(|name| self.is_common(name.as_ref()))
    }

    fn is_common(&self, protocol: &str) -> bool {
        self.offered.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members like best, of those that all offer.
    pub fn vote(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|(name, _)| self.is_common(name));
            if let Some((name, _)) = choice {
                *votes.entry(name.as_str()).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    /// Reads the topics of all members out of their metadata.
    pub fn read_topics(&mut self) {
        self.subscribed = self.topics_of_members();
    }

    fn topics_of_members(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.extend(subscribed_topics(member.metadata(protocol))?);
        }
        Some(all)
    }

    /// Checks that a request comes from a member, and from the one that has the instance id.
    pub fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), Refused> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId.into()),
                Some(member) if &**member != id => {
                    return match mistakes::is_made("instances not fenced") {
                        true => Ok(()),
                        false => Err(ErrorCode::FencedInstanceId.into()),
                    };
                }
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId.into()) }
    }
}

/// What a JoinGroup request says of the member's protocols, owned.
pub(crate) fn protocols_of(
    protocols: &[kafka_wire::messages::join_group_request::JoinGroupRequestProtocol<'_>],
) -> Vec<Protocol> {
    protocols.iter().map(|one| (one.name.clone().into_owned(), one.metadata.clone().into_owned())).collect()
}
