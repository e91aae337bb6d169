//! Small steps between the wire's types and ours.

use kafka_wire::messages::consumer_protocol_assignment::{self, ConsumerProtocolAssignment};
use kafka_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kafka_wire::{Decode, Encode, Reader, Str, Uuid, Writer};
use model::TopicId;
use std::borrow::Cow;

/// The newest version of what consumers embed in classic group messages.
const EMBEDDED_NEWEST: i16 = 3;

/// Text that an answer owns.
pub(crate) fn text(text: &str) -> Str<'static> {
    Cow::Owned(text.to_owned())
}

pub(crate) fn optional_text(optional: Option<&str>) -> Option<Str<'static>> {
    optional.map(text)
}

pub(crate) fn topic_id(id: Uuid) -> TopicId {
    TopicId(id.0)
}

pub(crate) fn uuid(id: TopicId) -> Uuid {
    Uuid(id.0)
}

/// The version that precedes what a consumer embeds; one that is newer than ours is read as ours, which is a
/// prefix of it.
pub(crate) fn embedded_version(bytes: &[u8]) -> Option<i16> {
    let version = Reader::new(bytes).i16().ok()?;
    (version >= 0).then_some(version.min(EMBEDDED_NEWEST))
}

/// The subscription that a consumer embeds in a JoinGroup request; `None` if it is malformed.
pub(crate) fn subscription(bytes: &[u8]) -> Option<ConsumerProtocolSubscription<'_>> {
    let version = embedded_version(bytes)?;
    let mut reader = Reader::new(bytes);
    reader.i16().ok()?;
    ConsumerProtocolSubscription::decode(&mut reader, version).ok()
}

/// The topics of such a subscription: what every version begins with.
pub(crate) fn subscribed_topics(bytes: &[u8]) -> Option<Vec<String>> {
    embedded_version(bytes)?;
    let mut reader = Reader::new(bytes);
    reader.i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?;
    Some(subscription.topics.into_iter().map(Cow::into_owned).collect())
}

/// The assignment that a leader embeds in a SyncGroup request: topics and their partitions. No bytes at all are
/// no partitions; `None` if it is malformed.
pub(crate) fn assignment(bytes: &[u8]) -> Option<Vec<(String, Vec<i32>)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let version = embedded_version(bytes)?;
    let mut reader = Reader::new(bytes);
    reader.i16().ok()?;
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).ok()?;
    let topics = assignment.assigned_partitions.into_iter();
    Some(topics.map(|topic| (topic.topic.into_owned(), topic.partitions)).collect())
}

/// An assignment as a consumer of the classic protocol reads it.
pub(crate) fn embed_assignment(topics: Vec<(String, Vec<i32>)>, version: i16) -> Vec<u8> {
    let assigned = topics.into_iter().map(|(topic, partitions)| {
        consumer_protocol_assignment::TopicPartition { topic: Cow::Owned(topic), partitions }
    });
    let message = ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data: None };
    encoded(version, &message, version)
}

/// Two bytes, and a message after them: the form of keys, values and what consumers embed.
///
/// Every string in these came from the wire or a topic's name and is within the wire's limits.
pub(crate) fn encoded(prefix: i16, message: &impl Encode, version: i16) -> Vec<u8> {
    encoded_within(0, prefix, message, version)
}

/// The same of what has so many bytes or few less: its memory does not grow while it is written.
pub(crate) fn encoded_within(bytes: usize, prefix: i16, message: &impl Encode, version: i16) -> Vec<u8> {
    let mut writer = Writer::with_capacity(bytes);
    writer.i16(prefix);
    message.encode(&mut writer, version).expect("strings within the limits of the wire");
    writer.into_parts().0
}
