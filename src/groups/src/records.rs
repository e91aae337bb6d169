//! The records of `__consumer_offsets`, in the types and versions that Kafka 4.3 writes.
//!
//! - Keys and values of each type, and their tombstones.
//! - [`Stored`]: a record that was read back.
//!
//! Those of streams groups are with these: `streams::records`.

use crate::effects::Record;
use crate::share::replay as share;
use crate::streams::records as streams;
use crate::wire::{encoded, encoded_within};
use kafka_wire::messages::consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
use kafka_wire::messages::consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
use kafka_wire::messages::consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
use kafka_wire::messages::consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue;
use kafka_wire::messages::consumer_group_metadata_key::ConsumerGroupMetadataKey;
use kafka_wire::messages::consumer_group_metadata_value::ConsumerGroupMetadataValue;
use kafka_wire::messages::consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey;
use kafka_wire::messages::consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
use kafka_wire::messages::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
use kafka_wire::messages::consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
use kafka_wire::messages::consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue;
use kafka_wire::messages::consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
use kafka_wire::messages::consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
use kafka_wire::messages::group_metadata_key::GroupMetadataKey;
use kafka_wire::messages::group_metadata_value::GroupMetadataValue;
use kafka_wire::messages::legacy_offset_commit_key::LegacyOffsetCommitKey;
use kafka_wire::messages::offset_commit_key::OffsetCommitKey;
use kafka_wire::messages::offset_commit_value::OffsetCommitValue;
use kafka_wire::{Decode, Encode, Reader, Str, WireError};
use std::borrow::Cow;
use std::fmt;

const LEGACY_OFFSET: i16 = 0;
const OFFSET: i16 = 1;
const CLASSIC_GROUP: i16 = 2;
const GROUP: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER: i16 = 5;
const TARGET: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT: i16 = 8;
const REGEX: i16 = 16;

/// The highest version of a classic group's value that is not flexible: Kafka stays with it.
const CLASSIC_GROUP_VERSION: i16 = 3;
/// An offset's, the first with the topic's id: Kafka writes it since it keeps ids.
const OFFSET_VERSION: i16 = 4;
/// The only version of an offset's value with a time of expiry of its own.
const OFFSET_EXPIRING_VERSION: i16 = 1;
/// What the key of an offset has besides the names of group and topic: type, two lengths, partition.
const OFFSET_KEY_BYTES: usize = 10;
/// What its value has besides the note, at most.
const OFFSET_VALUE_BYTES: usize = 48;

pub(crate) fn record(kind: i16, key: &impl Encode, value: &impl Encode, version: i16) -> Record {
    Record { key: encoded(kind, key, 0), value: Some(encoded(version, value, version)) }
}

pub(crate) fn tombstone(kind: i16, key: &impl Encode) -> Record {
    Record { key: encoded(kind, key, 0), value: None }
}

pub(crate) fn borrowed(text: &str) -> Str<'_> {
    Cow::Borrowed(text)
}

/// The records of one type whose key is a group and a member: how one is written, and its tombstone. The protocols have
/// such types of their own, alike but for what the wire calls them.
macro_rules! member_records {
    ($(#[$about:meta])* $write:ident, $delete:ident: $kind:ident, $key:ident, $value:ty) => {
        $(#[$about])*
        pub(crate) fn $write(group: &str, member: &str, value: &$value) -> Record {
            record($kind, &$key { group_id: borrowed(group), member_id: borrowed(member) }, value, 0)
        }

        pub(crate) fn $delete(group: &str, member: &str) -> Record {
            tombstone($kind, &$key { group_id: borrowed(group), member_id: borrowed(member) })
        }
    };
}
pub(crate) use member_records;

fn offset_key<'a>(group: &'a str, topic: &'a str, partition: i32) -> OffsetCommitKey<'a> {
    OffsetCommitKey { group: borrowed(group), topic: borrowed(topic), partition }
}

/// The keys of a group's offsets of one topic: they are alike but for the partition, which they end with.
pub(crate) struct OffsetKeys {
    first: Vec<u8>,
}

impl OffsetKeys {
    pub fn new(group: &str, topic: &str) -> OffsetKeys {
        let bytes = OFFSET_KEY_BYTES + group.len() + topic.len();
        OffsetKeys { first: encoded_within(bytes, OFFSET, &offset_key(group, topic, 0), 0) }
    }

    /// The committed offset of one partition.
    pub fn offset(&self, partition: i32, value: &OffsetCommitValue<'_>) -> Record {
        let number = partition.to_be_bytes();
        let mut key = Vec::with_capacity(self.first.len());
        key.extend_from_slice(&self.first[..self.first.len() - number.len()]);
        key.extend_from_slice(&number);
        Record { key, value: Some(offset_value(value)) }
    }
}

/// A committed offset.
pub(crate) fn offset(group: &str, topic: &str, partition: i32, value: &OffsetCommitValue<'_>) -> Record {
    OffsetKeys::new(group, topic).offset(partition, value)
}

fn offset_value(value: &OffsetCommitValue<'_>) -> Vec<u8> {
    let version = if value.expire_timestamp == -1 { OFFSET_VERSION } else { OFFSET_EXPIRING_VERSION };
    encoded_within(OFFSET_VALUE_BYTES + value.metadata.len(), version, value, version)
}

pub(crate) fn offset_tombstone(group: &str, topic: &str, partition: i32) -> Record {
    tombstone(OFFSET, &offset_key(group, topic, partition))
}

/// A classic group as a whole.
pub(crate) fn classic_group(group: &str, value: &GroupMetadataValue<'_>) -> Record {
    record(CLASSIC_GROUP, &GroupMetadataKey { group: borrowed(group) }, value, CLASSIC_GROUP_VERSION)
}

pub(crate) fn classic_group_tombstone(group: &str) -> Record {
    tombstone(CLASSIC_GROUP, &GroupMetadataKey { group: borrowed(group) })
}

/// A consumer group's epoch.
pub(crate) fn group(group: &str, epoch: i32, metadata_hash: i64) -> Record {
    let key = ConsumerGroupMetadataKey { group_id: borrowed(group) };
    record(GROUP, &key, &ConsumerGroupMetadataValue { epoch, metadata_hash }, 0)
}

pub(crate) fn group_tombstone(group: &str) -> Record {
    tombstone(GROUP, &ConsumerGroupMetadataKey { group_id: borrowed(group) })
}

/// Kafka 4.0 kept the partition counts of a group's topics in such a record; it is only ever deleted.
pub(crate) fn partition_metadata_tombstone(group: &str) -> Record {
    tombstone(PARTITION_METADATA, &ConsumerGroupPartitionMetadataKey { group_id: borrowed(group) })
}

member_records!(
    /// A member and what it subscribes to.
    member, member_tombstone: MEMBER, ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue<'_>
);

/// The epoch of the target assignment, and when it was computed.
pub(crate) fn target(group: &str, assignment_epoch: i32, assignment_timestamp: i64) -> Record {
    let key = ConsumerGroupTargetAssignmentMetadataKey { group_id: borrowed(group) };
    let value = ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp };
    record(TARGET, &key, &value, 0)
}

pub(crate) fn target_tombstone(group: &str) -> Record {
    tombstone(TARGET, &ConsumerGroupTargetAssignmentMetadataKey { group_id: borrowed(group) })
}

member_records!(
    /// What a member shall have.
    target_member, target_member_tombstone:
    TARGET_MEMBER, ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue
);

member_records!(
    /// What a member has.
    current, current_tombstone:
    CURRENT, ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue
);

fn regex_key<'a>(group: &'a str, pattern: &'a str) -> ConsumerGroupRegularExpressionKey<'a> {
    ConsumerGroupRegularExpressionKey { group_id: borrowed(group), regular_expression: borrowed(pattern) }
}

/// What topics a pattern stands for.
pub(crate) fn regex(group: &str, pattern: &str, value: &ConsumerGroupRegularExpressionValue<'_>) -> Record {
    record(REGEX, &regex_key(group, pattern), value, 0)
}

pub(crate) fn regex_tombstone(group: &str, pattern: &str) -> Record {
    tombstone(REGEX, &regex_key(group, pattern))
}

/// A record that was read back; without a value it is a tombstone.
#[derive(Debug)]
pub(crate) enum Stored<'a> {
    Offset(OffsetCommitKey<'a>, Option<OffsetCommitValue<'a>>),
    ClassicGroup(GroupMetadataKey<'a>, Option<GroupMetadataValue<'a>>),
    Group(ConsumerGroupMetadataKey<'a>, Option<ConsumerGroupMetadataValue>),
    Member(ConsumerGroupMemberMetadataKey<'a>, Option<ConsumerGroupMemberMetadataValue<'a>>),
    Target(ConsumerGroupTargetAssignmentMetadataKey<'a>, Option<ConsumerGroupTargetAssignmentMetadataValue>),
    TargetMember(
        ConsumerGroupTargetAssignmentMemberKey<'a>,
        Option<ConsumerGroupTargetAssignmentMemberValue>,
    ),
    Current(ConsumerGroupCurrentMemberAssignmentKey<'a>, Option<ConsumerGroupCurrentMemberAssignmentValue>),
    Regex(ConsumerGroupRegularExpressionKey<'a>, Option<ConsumerGroupRegularExpressionValue<'a>>),
    /// One of a streams group.
    Streams(streams::Stored<'a>),
    /// One of a share group.
    Share(share::Stored<'a>),
    /// A type that means nothing to us.
    Other,
}

/// Why a record could not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The key is malformed.
    Key(WireError),
    /// The value is malformed, or of a version that Kafka 4.3 does not know.
    Value(WireError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Key(error) => write!(out, "the key of a group record cannot be read: {error}"),
            ReplayError::Value(error) => write!(out, "the value of a group record cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ReplayError {}

pub(crate) fn decoded_value<'a, V: Decode<'a>>(value: Option<&'a [u8]>) -> Result<Option<V>, ReplayError> {
    let Some(bytes) = value else { return Ok(None) };
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map_err(ReplayError::Value)?;
    V::decode(&mut reader, version).map(Some).map_err(ReplayError::Value)
}

impl<'a> Stored<'a> {
    /// Reads a record.
    pub fn read(key: &'a [u8], value: Option<&'a [u8]>) -> Result<Stored<'a>, ReplayError> {
        let mut reader = Reader::new(key);
        let kind = reader.i16().map_err(ReplayError::Key)?;
        let reader = &mut reader;
        let bad = ReplayError::Key;
        Ok(match kind {
            LEGACY_OFFSET => {
                let key = LegacyOffsetCommitKey::decode(reader, 0).map_err(bad)?;
                let key = OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition };
                Stored::Offset(key, decoded_value(value)?)
            }
            OFFSET => Stored::Offset(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            CLASSIC_GROUP => {
                Stored::ClassicGroup(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?)
            }
            GROUP => Stored::Group(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            MEMBER => Stored::Member(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            TARGET => Stored::Target(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            TARGET_MEMBER => {
                Stored::TargetMember(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?)
            }
            CURRENT => Stored::Current(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            REGEX => Stored::Regex(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            other => match share::Stored::read(other, reader, value)? {
                Some(stored) => Stored::Share(stored),
                None => streams::Stored::read(other, reader, value)?.map_or(Stored::Other, Stored::Streams),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::Uuid;

    #[test]
    fn an_offset_is_as_kafka_writes_it() {
        let value =
            OffsetCommitValue { offset: 7, leader_epoch: 2, commit_timestamp: 9, ..Default::default() };
        let written = offset("g", "t", 1, &value);
        assert_eq!(written.key, [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 1]);
        let mut expected = vec![0, 4];
        expected.extend(7i64.to_be_bytes());
        expected.extend(2i32.to_be_bytes());
        // No metadata.
        expected.push(1);
        expected.extend(9i64.to_be_bytes());
        let no_tags = [&expected[..], &[0]].concat();
        assert_eq!(written.value, Some(no_tags));
        // One tagged field, number 0, of 16 bytes: the topic's id.
        let with_id = [&expected[..], &[1, 0, 16], &[5; 16]].concat();
        let of_topic = OffsetCommitValue { topic_id: Uuid([5; 16]), ..value.clone() };
        assert_eq!(offset("g", "t", 1, &of_topic).value, Some(with_id));
        let expiring = OffsetCommitValue { leader_epoch: -1, expire_timestamp: 5, ..value };
        assert_eq!(offset("g", "t", 1, &expiring).value.map(|value| value[..2].to_vec()), Some(vec![0, 1]));
    }

    #[test]
    fn a_member_without_classic_protocols_is_as_kafka_writes_it() {
        let value = ConsumerGroupMemberMetadataValue {
            instance_id: None,
            rack_id: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            classic_member_metadata: None,
            ..Default::default()
        };
        let mut expected = vec![0, 0];
        // No instance, no rack, an empty client and host, no topics, no pattern.
        expected.extend([0, 0, 1, 1, 1, 0]);
        expected.extend((-1i32).to_be_bytes());
        // No assignor; one tagged field, number 0, of one byte: null.
        expected.extend([0, 1, 0, 1, 0]);
        let written = member("g", "m", &value);
        assert_eq!(written.value.as_ref(), Some(&expected));
        match Stored::read(&written.key, written.value.as_deref()) {
            Ok(Stored::Member(_, Some(read))) => assert_eq!(read, value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let written = classic_group("g", &GroupMetadataValue { generation: 3, ..Default::default() });
        assert_eq!(written.value.as_ref().map(|value| &value[..2]), Some(&[0u8, 3][..]));
        match Stored::read(&written.key, written.value.as_deref()) {
            Ok(Stored::ClassicGroup(key, Some(value))) => {
                assert_eq!((key.group.as_ref(), value.generation), ("g", 3));
            }
            other => panic!("{other:?}"),
        }
        match Stored::read(&regex_tombstone("g", "a.*").key, None) {
            Ok(Stored::Regex(key, None)) => assert_eq!(key.regular_expression, "a.*"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_what_is_unknown_is_not() {
        assert!(matches!(Stored::read(&[0], None), Err(ReplayError::Key(_))));
        assert!(matches!(Stored::read(&[0, 1, 0], None), Err(ReplayError::Key(_))));
        assert!(matches!(Stored::read(&[0, 99], None), Ok(Stored::Other)));
        let key = group_tombstone("g").key;
        assert!(matches!(Stored::read(&key, Some(&[0, 9])), Err(ReplayError::Value(_))));
        assert!(matches!(Stored::read(&key, Some(&[])), Err(ReplayError::Value(_))));
    }
}
