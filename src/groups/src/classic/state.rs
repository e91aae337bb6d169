//! What a classic group says of itself: described, stored, read back.

use super::{ClassicGroup, ClassicMember, ClassicState};
use crate::effects::Record;
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::timers::TimerKind;
use crate::wire::{optional_text, text};
use kafka_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_wire::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use kafka_wire::{ErrorCode, Str};
use std::borrow::Cow;
use std::sync::Arc;

impl ClassicGroup {
    /// The group as it is kept: what a new coordinator begins with.
    pub fn record(&self) -> Record {
        let protocol = self.protocol.as_deref();
        let member = |member: &'_ ClassicMember| MemberMetadata {
            member_id: text(&member.id),
            group_instance_id: optional_text(member.instance.as_deref()),
            client_id: text(&member.client_id),
            client_host: text(&member.client_host),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: Cow::Owned(member.metadata(protocol.unwrap_or_default()).to_vec()),
            assignment: Cow::Owned(member.assignment.clone()),
        };
        let value = GroupMetadataValue {
            protocol_type: Str::Borrowed(self.protocol_type.as_deref().unwrap_or_default()),
            generation: self.generation,
            protocol: protocol.map(Str::Borrowed),
            leader: self.leader.as_deref().map(Str::Borrowed),
            current_state_timestamp: self.changed_ms.unwrap_or(-1),
            members: self.members.values().map(member).collect(),
        };
        records::classic_group(&self.id, &value)
    }

    /// The record of a group that was just made: whatever goes on in it counts only when a round has ended.
    pub fn empty_record(&self) -> Record {
        let value = GroupMetadataValue {
            protocol: None,
            leader: None,
            current_state_timestamp: self.changed_ms.unwrap_or(-1),
            ..Default::default()
        };
        records::classic_group(&self.id, &value)
    }

    /// The group that a record describes.
    pub fn restore(id: Arc<str>, value: &GroupMetadataValue<'_>) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, 0);
        for stored in &value.members {
            let protocol = value.protocol.iter().map(|name| (name.to_string(), stored.subscription.to_vec()));
            let rebalance = stored.rebalance_timeout;
            let member = ClassicMember {
                id: Arc::from(&*stored.member_id),
                instance: stored.group_instance_id.as_deref().map(Arc::from),
                client_id: stored.client_id.to_string(),
                client_host: stored.client_host.to_string(),
                rebalance_timeout_ms: if rebalance == -1 { stored.session_timeout } else { rebalance },
                session_timeout_ms: stored.session_timeout,
                protocols: protocol.collect(),
                assignment: stored.assignment.to_vec(),
                joining: None,
                syncing: None,
                is_new: false,
            };
            group.add(member, &value.protocol_type);
        }
        let has_type = !value.protocol_type.is_empty();
        group.protocol_type = has_type.then(|| value.protocol_type.to_string());
        group.protocol = value.protocol.as_deref().map(str::to_owned);
        group.leader = value.leader.as_deref().map(Arc::from);
        group.generation = value.generation;
        group.changed_ms = (value.current_state_timestamp != -1).then_some(value.current_state_timestamp);
        group.state = if group.members.is_empty() { ClassicState::Empty } else { ClassicState::Stable };
        group.read_topics();
        group
    }

    /// The log has been read: sessions begin anew, and a group over its limit starts a round.
    pub fn loaded(&mut self, scene: &mut Scene<'_>) {
        for member in self.members.values() {
            scene.arm(&self.id, Some(&member.id), TimerKind::Session, member.session_timeout_ms);
        }
        if self.members.len() > scene.settings.max_size {
            self.prepare(scene);
        }
    }

    /// The group for DescribeGroups: metadata and assignments only when they are agreed.
    pub fn describe(&self) -> DescribedGroup<'static> {
        let agreed = self.state == ClassicState::Stable;
        let protocol = if agreed { self.protocol.as_deref().unwrap_or_default() } else { "" };
        let member = |member: &ClassicMember| DescribedGroupMember {
            member_id: text(&member.id),
            group_instance_id: optional_text(member.instance.as_deref()),
            client_id: text(&member.client_id),
            client_host: text(&member.client_host),
            member_metadata: Cow::Owned(if agreed { member.metadata(protocol).to_vec() } else { Vec::new() }),
            member_assignment: Cow::Owned(if agreed { member.assignment.clone() } else { Vec::new() }),
        };
        DescribedGroup {
            group_id: text(&self.id),
            group_state: Str::Borrowed(self.state.name()),
            protocol_type: text(self.protocol_type.as_deref().unwrap_or_default()),
            protocol_data: text(protocol),
            members: self.members.values().map(member).collect(),
            ..Default::default()
        }
    }

    /// Whether an offset commit may be taken.
    pub fn check_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        in_txn: bool,
    ) -> Result<(), Refused> {
        let is_empty = self.state == ClassicState::Empty;
        if generation < 0 && is_empty {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.check_member(member, instance)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration.into());
            }
        } else if !in_txn && !is_empty {
            return Err(ErrorCode::UnknownMemberId.into());
        }
        if !in_txn && self.state == ClassicState::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress.into());
        }
        Ok(())
    }

    /// Whether a member may read this topic, so that its offsets must stay.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }
}
