//! The records of `__share_group_state`, in the types and versions that Kafka 4.3 writes.
//!
//! A snapshot is the whole state of a share partition; updates behind it are changes of it. A snapshot's key without
//! a value takes the share partition away.

use crate::kept::StateBatch;
use crate::state::StateKey;
use kafka_wire::messages::share_snapshot_key::ShareSnapshotKey;
use kafka_wire::messages::share_snapshot_value::{self, ShareSnapshotValue};
use kafka_wire::messages::share_update_key::ShareUpdateKey;
use kafka_wire::messages::share_update_value::{self, ShareUpdateValue};
use kafka_wire::{Decode, Encode, Reader, Str, Uuid, WireError, Writer};
use model::TopicId;
use std::fmt;
use std::sync::Arc;

const SNAPSHOT: i16 = 0;
const UPDATE: i16 = 1;

/// A record for the topic. Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Two bytes with the type of record, then the key.
    pub key: Vec<u8>,
    /// Two bytes with the version, then the value.
    pub value: Option<Vec<u8>>,
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
            ReplayError::Key(error) => write!(out, "the key of a share state record cannot be read: {error}"),
            ReplayError::Value(error) => {
                write!(out, "the value of a share state record cannot be read: {error}")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// A record that was read back; a snapshot without a value is a tombstone.
#[derive(Debug)]
pub(crate) enum Stored {
    Snapshot(StateKey, Option<ShareSnapshotValue>),
    Update(StateKey, ShareUpdateValue),
    /// A type that means nothing to us, or an update without a value.
    Other,
}

/// Two bytes, and a message after them. The only text in these is a group's name, which came from the wire and is
/// within its limits.
fn encoded(prefix: i16, message: &impl Encode) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.i16(prefix);
    message.encode(&mut writer, 0).expect("strings within the limits of the wire");
    writer.into_parts().0
}

fn snapshot_key(key: &StateKey) -> Vec<u8> {
    let message = ShareSnapshotKey {
        group_id: Str::Borrowed(&key.group),
        topic_id: Uuid(key.topic.0),
        partition: key.partition,
    };
    encoded(SNAPSHOT, &message)
}

/// The whole state of a share partition.
pub(crate) fn snapshot(key: &StateKey, value: &ShareSnapshotValue) -> Record {
    Record { key: snapshot_key(key), value: Some(encoded(0, value)) }
}

/// A change of it.
pub(crate) fn update(key: &StateKey, value: &ShareUpdateValue) -> Record {
    let message = ShareUpdateKey {
        group_id: Str::Borrowed(&key.group),
        topic_id: Uuid(key.topic.0),
        partition: key.partition,
    };
    Record { key: encoded(UPDATE, &message), value: Some(encoded(0, value)) }
}

/// The end of a share partition.
pub(crate) fn tombstone(key: &StateKey) -> Record {
    Record { key: snapshot_key(key), value: None }
}

fn decoded_value<'a, V: Decode<'a>>(value: Option<&'a [u8]>) -> Result<Option<V>, ReplayError> {
    let Some(bytes) = value else { return Ok(None) };
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map_err(ReplayError::Value)?;
    V::decode(&mut reader, version).map(Some).map_err(ReplayError::Value)
}

impl Stored {
    /// Reads a record.
    pub fn read(key: &[u8], value: Option<&[u8]>) -> Result<Stored, ReplayError> {
        let mut reader = Reader::new(key);
        let bad = ReplayError::Key;
        match reader.i16().map_err(bad)? {
            SNAPSHOT => {
                let key = ShareSnapshotKey::decode(&mut reader, 0).map_err(bad)?;
                let key = state_key(&key.group_id, key.topic_id, key.partition);
                Ok(Stored::Snapshot(key, decoded_value(value)?))
            }
            UPDATE => {
                let key = ShareUpdateKey::decode(&mut reader, 0).map_err(bad)?;
                let key = state_key(&key.group_id, key.topic_id, key.partition);
                let value: Option<ShareUpdateValue> = decoded_value(value)?;
                Ok(value.map_or(Stored::Other, |value| Stored::Update(key, value)))
            }
            _ => Ok(Stored::Other),
        }
    }
}

fn state_key(group: &str, topic: Uuid, partition: i32) -> StateKey {
    StateKey { group: Arc::from(group), topic: TopicId(topic.0), partition }
}

/// Batches as a snapshot has them.
pub(crate) fn to_snapshot(batches: &[StateBatch]) -> Vec<share_snapshot_value::StateBatch> {
    let one = |batch: &StateBatch| share_snapshot_value::StateBatch {
        first_offset: batch.first,
        last_offset: batch.last,
        delivery_state: batch.state,
        delivery_count: batch.deliveries,
    };
    batches.iter().map(one).collect()
}

/// Batches as an update has them.
pub(crate) fn to_update(batches: &[StateBatch]) -> Vec<share_update_value::StateBatch> {
    let one = |batch: &StateBatch| share_update_value::StateBatch {
        first_offset: batch.first,
        last_offset: batch.last,
        delivery_state: batch.state,
        delivery_count: batch.deliveries,
    };
    batches.iter().map(one).collect()
}

/// Batches of a snapshot.
pub(crate) fn of_snapshot(batches: &[share_snapshot_value::StateBatch]) -> Vec<StateBatch> {
    let one = |batch: &share_snapshot_value::StateBatch| StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        deliveries: batch.delivery_count,
    };
    batches.iter().map(one).collect()
}

/// Batches of an update.
pub(crate) fn of_update(batches: &[share_update_value::StateBatch]) -> Vec<StateBatch> {
    let one = |batch: &share_update_value::StateBatch| StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        deliveries: batch.delivery_count,
    };
    batches.iter().map(one).collect()
}
