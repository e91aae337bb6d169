//! A group of any protocol.

use crate::classic::{ClassicGroup, ClassicState};
use crate::consumer::ConsumerGroup;
use crate::offsets::delete::AgeFrom;
use crate::request::Refused;
use crate::share::ShareGroup;
use crate::streams::{STREAMS_PROTOCOL, StreamsGroup};
use kafka_wire::ErrorCode;
use std::sync::Arc;

/// A group.
#[derive(Clone, Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
    Streams(StreamsGroup),
    Share(ShareGroup),
}

impl Group {
    pub fn id(&self) -> &Arc<str> {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
            Group::Streams(group) => &group.id,
            Group::Share(group) => &group.id,
        }
    }

    fn is_no(&self, kind: &str) -> Refused {
        Refused::new(ErrorCode::GroupIdNotFound, format!("Group {} is not a {kind} group.", self.id()))
    }

    /// The group as one of the consumer protocol.
    pub fn consumer_mut(&mut self) -> Result<&mut ConsumerGroup, Refused> {
        match self {
            Group::Consumer(group) => Ok(group),
            other => Err(other.is_no("consumer")),
        }
    }

    /// The group as one of the streams protocol.
    pub fn streams_mut(&mut self) -> Result<&mut StreamsGroup, Refused> {
        match self {
            Group::Streams(group) => Ok(group),
            other => Err(other.is_no("streams")),
        }
    }

    pub fn members(&self) -> usize {
        match self {
            Group::Classic(group) => group.members.len(),
            Group::Consumer(group) => group.members.len(),
            Group::Streams(group) => group.members.len(),
            Group::Share(group) => group.members.len(),
        }
    }

    /// True if nobody is in it and nobody is about to be.
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state == ClassicState::Empty && group.pending_join.is_empty(),
            Group::Consumer(group) => group.members.is_empty(),
            Group::Streams(group) => group.members.is_empty(),
            Group::Share(group) => group.members.is_empty(),
        }
    }

    pub fn state_name(&self) -> &'static str {
        match self {
            Group::Classic(group) => group.state.name(),
            Group::Consumer(group) => group.state_name(),
            Group::Streams(group) => group.state_name(),
            Group::Share(group) => group.state_name(),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Group::Classic(_) => "classic",
            Group::Consumer(_) => "consumer",
            Group::Streams(_) => "streams",
            Group::Share(_) => "share",
        }
    }

    pub fn protocol_type(&self) -> &str {
        match self {
            Group::Classic(group) => group.protocol_type.as_deref().unwrap_or_default(),
            Group::Consumer(_) => crate::classic::CONSUMER_PROTOCOL,
            Group::Streams(_) => STREAMS_PROTOCOL,
            Group::Share(_) => "share",
        }
    }

    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
            Group::Streams(group) => group.is_subscribed_to(topic),
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
