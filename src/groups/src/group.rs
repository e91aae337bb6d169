//! A group of any protocol.

use crate::classic::{ClassicGroup, ClassicState};
use crate::consumer::ConsumerGroup;
use crate::offsets::delete::AgeFrom;
use crate::request::Refused;
use crate::share::ShareGroup;
use kafka_wire::ErrorCode;

/// A group.
#[derive(Clone, Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
    Share(ShareGroup),
}

impl Group {
    /// The group as one of the consumer protocol.
    pub fn consumer_mut(&mut self) -> Result<&mut ConsumerGroup, Refused> {
        match self {
            Group::Consumer(group) => Ok(group),
            other => {
                let message = format!("Group {} is not a consumer group.", other.id());
                Err(Refused::new(ErrorCode::GroupIdNotFound, message))
            }
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
            Group::Share(group) => &group.id,
        }
    }

    pub fn members(&self) -> usize {
        match self {
            Group::Classic(group) => group.members.len(),
            Group::Consumer(group) => group.members.len(),
            Group::Share(group) => group.members.len(),
        }
    }

    /// True if nobody is in it and nobody is about to be.
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state == ClassicState::Empty && group.pending_join.is_empty(),
            Group::Consumer(group) => group.members.is_empty(),
            Group::Share(group) => group.members.is_empty(),
        }
    }

    pub fn state_name(&self) -> &'static str {
        match self {
            Group::Classic(group) => group.state.name(),
            Group::Consumer(group) => group.state_name(),
            Group::Share(group) => group.state_name(),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Group::Classic(_) => "classic",
            Group::Consumer(_) => "consumer",
            Group::Share(_) => "share",
        }
    }

    pub fn protocol_type(&self) -> &str {
        match self {
            Group::Classic(group) => group.protocol_type.as_deref().unwrap_or_default(),
            Group::Consumer(_) => crate::classic::CONSUMER_PROTOCOL,
            Group::Share(_) => "share",
        }
    }

    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
            Group::Share(_) => false,
        }
    }

    /// From when the age of its offsets counts; `None` if they do not age now.
    pub fn offsets_age_from(&self) -> Option<AgeFrom> {
        let Group::Classic(group) = self else { return Some(AgeFrom::Commit) };
        match group.state {
            _ if group.protocol_type.is_none() => Some(AgeFrom::Commit),
            ClassicState::Empty => Some(group.changed_ms.map_or(AgeFrom::Commit, AgeFrom::Time)),
            ClassicState::Stable if group.subscribed.is_some() => Some(AgeFrom::Commit),
            _ => None,
        }
    }
}
