//! A transaction as Kafka keeps it in `__transaction_state`.

use crate::{NO_EPOCH, NO_PRODUCER, PartitionSet, State, Transaction};
use kafka_wire::messages::transaction_log_key::TransactionLogKey;
use kafka_wire::messages::transaction_log_value::{PartitionsSchema, TransactionLogValue};
use kafka_wire::{Decode, Encode, Reader, WireError, Writer};
use std::fmt;

/// The type of record in front of a key.
const KEY_TYPE: i16 = 0;
/// The versions of values.
const RIGID: i16 = 0;
const FLEXIBLE: i16 = 1;
/// The level of `transaction.version` from which values are flexible.
const FLEXIBLE_FROM: i16 = 1;

/// A record for the coordinator's partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Two bytes of type, and Kafka's `TransactionLogKey`.
    pub key: Vec<u8>,
    /// Two bytes of version, and Kafka's `TransactionLogValue`; `None`: the id is gone.
    pub value: Option<Vec<u8>>,
}

/// A record that cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The key is of a type that is not known: of a newer broker.
    UnknownKey(i16),
    /// The value is of a version that is not known: of a newer broker.
    UnknownValue(i16),
    /// A state in which no transaction is kept.
    BadState(i8),
    /// Bytes that are not what their version says.
    Malformed(WireError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::UnknownKey(kind) => write!(f, "a key of the unknown type {kind}"),
            ReplayError::UnknownValue(version) => write!(f, "a value of the unknown version {version}"),
            ReplayError::BadState(state) => write!(f, "a transaction in state {state}, which is never kept"),
            ReplayError::Malformed(error) => write!(f, "not a record of a transaction: {error}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<WireError> for ReplayError {
    fn from(error: WireError) -> ReplayError {
        ReplayError::Malformed(error)
    }
}

/// The record of a transaction as it is now; `level` is that of `transaction.version`.
pub(crate) fn put(id: &str, transaction: &Transaction, level: i16) -> Record {
    let version = if level >= FLEXIBLE_FROM { FLEXIBLE } else { RIGID };
    let mut writer = Writer::new();
    writer.i16(version);
    encoded(value(transaction, version).encode(&mut writer, version));
    Record { key: key(id), value: Some(writer.into_parts().0) }
}

/// The record that an id is gone.
pub(crate) fn tombstone(id: &str) -> Record {
    Record { key: key(id), value: None }
}

fn key(id: &str) -> Vec<u8> {
    let mut writer = Writer::with_capacity(4 + id.len());
    writer.i16(KEY_TYPE);
    encoded(TransactionLogKey { transactional_id: id.into() }.encode(&mut writer, 0));
    writer.into_parts().0
}

/// Lengths were checked when ids and names came in, and the fields that a version lacks are at their defaults.
fn encoded(result: Result<(), WireError>) {
    result.expect("a transaction that its record cannot hold");
}

fn value(transaction: &Transaction, version: i16) -> TransactionLogValue<'_> {
    let has_tags = version >= FLEXIBLE;
    TransactionLogValue {
        producer_id: transaction.producer_id,
        previous_producer_id: if has_tags { transaction.previous_producer_id } else { NO_PRODUCER },
        next_producer_id: if has_tags { transaction.next_producer_id } else { NO_PRODUCER },
        producer_epoch: transaction.epoch,
        next_producer_epoch: NO_EPOCH,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state.id(),
        transaction_partitions: (transaction.state != State::Empty).then(|| topics(&transaction.partitions)),
        transaction_last_update_timestamp_ms: transaction.update_ms,
        transaction_start_timestamp_ms: transaction.start_ms,
        client_transaction_version: if has_tags { transaction.client_version } else { 0 },
    }
}

fn topics(partitions: &PartitionSet) -> Vec<PartitionsSchema<'_>> {
    let schema = partitions.topics().map(|(topic, partitions)| PartitionsSchema {
        topic: topic.into(),
        partition_ids: partitions.iter().copied().collect(),
    });
    schema.collect()
}

/// The id that a record is of, and what it says; `None`: the id is gone.
pub(crate) fn read(key: &[u8], value: Option<&[u8]>) -> Result<(String, Option<Transaction>), ReplayError> {
    let mut reader = Reader::new(key);
    match reader.i16()? {
        KEY_TYPE => {}
        other => return Err(ReplayError::UnknownKey(other)),
    }
    let id = TransactionLogKey::decode(&mut reader, 0)?.transactional_id.into_owned();
    let Some(value) = value else { return Ok((id, None)) };
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    if !(RIGID..=FLEXIBLE).contains(&version) {
        return Err(ReplayError::UnknownValue(version));
    }
    Ok((id, Some(transaction(&TransactionLogValue::decode(&mut reader, version)?)?)))
}

fn transaction(value: &TransactionLogValue<'_>) -> Result<Transaction, ReplayError> {
    let bad_state = ReplayError::BadState(value.transaction_status);
    let state = State::from_id(value.transaction_status).ok_or(bad_state)?;
    if matches!(state, State::Dead | State::PrepareEpochFence) {
        return Err(bad_state);
    }
    let mut partitions = PartitionSet::default();
    // Of a transaction that is over, the list is empty in what brokers write; it would not be looked at.
    if state == State::Ongoing || state.is_prepared() {
        for topic in value.transaction_partitions.iter().flatten() {
            for &partition in &topic.partition_ids {
                partitions.insert(&topic.topic, partition);
            }
        }
    }
    Ok(Transaction {
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        epoch: value.producer_epoch,
        last_epoch: NO_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        start_ms: value.transaction_start_timestamp_ms,
        update_ms: value.transaction_last_update_timestamp_ms,
        client_version: value.client_transaction_version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Transaction {
        Transaction {
            producer_id: 0x0102,
            previous_producer_id: 0x0102,
            next_producer_id: 0x0203,
            epoch: 5,
            last_epoch: NO_EPOCH,
            timeout_ms: 60_000,
            state: State::PrepareCommit,
            partitions: [("t", 1), ("t", 2)].into_iter().collect(),
            start_ms: 0x10,
            update_ms: 0x20,
            client_version: 2,
        }
    }

    #[test]
    fn a_flexible_record_to_the_byte() {
        let record = put("ab", &sample(), 2);
        assert_eq!(record.key, [0, 0, 0, 2, b'a', b'b']);
        let mut value = vec![0, 1];
        value.extend([0, 0, 0, 0, 0, 0, 1, 2]); // producer id
        value.extend([0, 5]); // epoch
        value.extend([0, 0, 0xea, 0x60]); // timeout
        value.push(2); // status
        value.extend([2, 2, b't', 3, 0, 0, 0, 1, 0, 0, 0, 2, 0]); // partitions
        value.extend([0, 0, 0, 0, 0, 0, 0, 0x20]); // last update
        value.extend([0, 0, 0, 0, 0, 0, 0, 0x10]); // start
        value.push(3); // tagged fields
        value.extend([0, 8, 0, 0, 0, 0, 0, 0, 1, 2]); // previous producer id
        value.extend([1, 8, 0, 0, 0, 0, 0, 0, 2, 3]); // next producer id
        value.extend([2, 2, 0, 2]); // client transaction version
        assert_eq!(record.value, Some(value));
    }

    #[test]
    fn an_old_record_to_the_byte() {
        let mut transaction = Transaction::new(3, 1, 2);
        transaction.raise_epoch(1, None, 2).expect("it is new");
        let record = put("", &transaction, 0);
        assert_eq!(record.key, [0, 0, 0, 0]);
        let mut value = vec![0, 0];
        value.extend([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 1, 0]);
        value.extend([0xff; 4]); // no list of partitions
        value.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        value.extend([0xff; 8]);
        assert_eq!(record.value, Some(value));
    }

    #[test]
    fn records_come_back() {
        for level in [1, 2] {
            let record = put("id", &sample(), level);
            let read = read(&record.key, record.value.as_deref());
            assert_eq!(read, Ok(("id".to_owned(), Some(sample()))));
        }
        let record = put("id", &sample(), 0);
        let old = Transaction {
            previous_producer_id: NO_PRODUCER,
            next_producer_id: NO_PRODUCER,
            client_version: 0,
            ..sample()
        };
        assert_eq!(read(&record.key, record.value.as_deref()), Ok(("id".to_owned(), Some(old))));
        assert_eq!(read(&tombstone("id").key, None), Ok(("id".to_owned(), None)));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = put("id", &sample(), 2);
        let value = good.value.expect("a value");
        let with_state = |state: u8| {
            let mut value = value.clone();
            value[16] = state;
            read(&good.key, Some(&value))
        };
        for state in [6, 7, 8, 255] {
            assert_eq!(with_state(state), Err(ReplayError::BadState(state as i8)));
        }
        assert!(with_state(3).is_ok());
        assert_eq!(read(&[0, 1, 0, 0], Some(&value)), Err(ReplayError::UnknownKey(1)));
        assert_eq!(read(&good.key, Some(&[0, 2])), Err(ReplayError::UnknownValue(2)));
        for length in 0..value.len() {
            assert!(read(&good.key, Some(&value[..length])).is_err(), "{length} bytes");
        }
        for length in 0..good.key.len() {
            assert!(read(&good.key[..length], Some(&value)).is_err(), "{length} bytes of the key");
        }
    }
}
