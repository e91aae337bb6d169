//! Appending a coordinator's records to its partition.

use super::writes::Writes;
use crate::broker::Broker;
use base::mistakes;
use executor::{sleep, wall_clock_ms};
use kafka_wire::ErrorCode;
use memory::Slice;
use model::{Offset, TopicPartition};
use shard::operation::{AppendItem, Operation};
use shard::{Outcome, PartitionError};
use std::cell::Cell;
use std::time::Duration;
use storage::{AppendError, Origin};

/// How long a batch is held back that was answered before it was written, by mistake.
const MISTAKE_PAUSE: Duration = Duration::from_millis(30);

/// What a failed append says of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Nothing has happened to it, and nothing stands in the way of what comes next.
    AsItWas,
    /// Nothing has happened to it, but there was no room for long: what comes next would wait as long.
    Full,
    /// The batch may be in it, or it cannot be written.
    Unknown,
}

/// Why a batch was not appended.
struct Failed {
    /// What clients are told.
    code: ErrorCode,
    why: String,
    left: Left,
}

impl Failed {
    fn new(code: ErrorCode, why: String, left: Left) -> Failed {
        Failed { code, why, left }
    }

    fn of(error: &PartitionError) -> Failed {
        let left = match error {
            PartitionError::Append(AppendError::Busy) => Left::Full,
            PartitionError::Append(error) if !matches!(error, AppendError::Storage(_)) => Left::AsItWas,
            _ => Left::Unknown,
        };
        Failed::new(failed_append(error), format!("{error:?}"), left)
    }
}

/// Appends a batch and waits until it is durable; tells the offset of the first record. If that fails, tells what
/// clients are told, and why.
pub(crate) async fn append_at(
    broker: &Broker,
    partition: TopicPartition,
    batch: Vec<u8>,
) -> Result<Offset, (ErrorCode, String)> {
    append_item(broker, AppendItem { partition, batches: Slice::from(batch), since: None })
        .await
        .map_err(|failed| (failed.code, failed.why))
}

async fn append_item(broker: &Broker, item: AppendItem) -> Result<Offset, Failed> {
    let operation = Operation::Append { items: vec![item], origin: Origin::Coordinator, durable: true };
    let appended = match broker.service.begin(operation).await {
        Outcome::Appended(mut results) => results.pop(),
        _ => None,
    };
    match appended {
        Some(Ok(done)) => Ok(done.base_offset),
        Some(Err(error)) => Err(Failed::of(&error)),
        None => {
            let why = "an append without a result".to_owned();
            Err(Failed::new(ErrorCode::UnknownServerError, why, Left::Unknown))
        }
    }
}

/// Appends a coordinator's batches until there is nothing more to write, and hands on what has waited for each, with
/// what came of it. Ends as well once the partition has. `mistake` is the one that holds writes back.
///
/// A transaction's records may come late: its end may overtake them on their way here. If the log refuses them that is
/// their affair alone, for nothing else rests on them. If it has no room for them, those of other transactions that
/// wait are refused with them: one after the other they would wait for longer than their clients do, who come again,
/// and there would be ever more.
///
/// # Errors
/// That of another batch that could not be appended: those behind it are not tried.
pub(crate) async fn append_writes<T>(
    broker: &Broker,
    partition: TopicPartition,
    writes: &Writes<T>,
    ended: &Cell<bool>,
    mistake: &'static str,
    mut follow: impl FnMut(T, Result<(), ErrorCode>),
) -> Result<(), (ErrorCode, String)> {
    while let Some(batch) = writes.begin(wall_clock_ms(), batch_bytes_max(broker, partition)) {
        if mistakes::is_made(mistake) {
            sleep(MISTAKE_PAUSE).await;
        }
        let within = writes.within();
        let appended = match batch {
            Ok(batch) => {
                let since = within.and_then(|within| within.since);
                append_item(broker, AppendItem { partition, batches: Slice::from(batch), since }).await
            }
            Err(error) => Err(Failed::new(ErrorCode::UnknownServerError, error.to_string(), Left::AsItWas)),
        };
        if ended.get() {
            break;
        }
        match appended {
            Ok(_) => writes.end().into_iter().for_each(|then| follow(then, Ok(()))),
            Err(failed) if failed.left != Left::Unknown && within.is_some() => {
                let (own, behind) = match failed.left {
                    Left::Full => writes.refuse_transactions(),
                    _ => writes.refuse(),
                };
                own.into_iter().for_each(|then| follow(then, Err(failed.code)));
                behind.into_iter().for_each(|then| follow(then, Ok(())));
            }
            Err(failed) => return Err((failed.code, failed.why)),
        }
    }
    Ok(())
}

/// Bytes of a batch that the log of a partition of this core takes: its `max.message.bytes`, and no more than a segment.
pub(crate) fn batch_bytes_max(broker: &Broker, partition: TopicPartition) -> usize {
    let found = broker.service.store().partition(partition);
    found.map_or(usize::MAX, |partition| {
        let config = partition.config();
        config.max_message_bytes.min(config.segment_bytes as usize)
    })
}

/// What clients are told when records of theirs could not be written.
fn failed_append(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::Unknown => ErrorCode::NotCoordinator,
        PartitionError::Append(AppendError::Storage(_) | AppendError::Busy) => {
            ErrorCode::CoordinatorNotAvailable
        }
        // Of a transaction that has ended meanwhile.
        PartitionError::Append(AppendError::InvalidProducerEpoch) => ErrorCode::InvalidProducerEpoch,
        PartitionError::Append(AppendError::InvalidTxnState) => ErrorCode::InvalidTxnState,
        // Too large, as Kafka has it too, or other than records may be: it will not be better the next time.
        PartitionError::Append(_) => ErrorCode::UnknownServerError,
        _ => ErrorCode::CoordinatorNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::StorageError;

    #[test]
    fn clients_are_told_what_helps_them() {
        let too_large = AppendError::MessageTooLarge { bytes: 2, limit: 1 };
        let cases = [
            (PartitionError::Unknown, ErrorCode::NotCoordinator),
            (PartitionError::Append(AppendError::Busy), ErrorCode::CoordinatorNotAvailable),
            (PartitionError::Append(too_large), ErrorCode::UnknownServerError),
            (PartitionError::Append(AppendError::InvalidProducerEpoch), ErrorCode::InvalidProducerEpoch),
            (PartitionError::Append(AppendError::InvalidTxnState), ErrorCode::InvalidTxnState),
        ];
        for (error, code) in cases {
            assert_eq!(failed_append(&error), code, "{error:?}");
        }
    }

    #[test]
    fn what_the_log_refuses_is_told_from_what_may_be_in_it() {
        let full = StorageError::NoSpace;
        let cases = [
            (PartitionError::Append(AppendError::InvalidProducerEpoch), Left::AsItWas),
            (PartitionError::Append(AppendError::InvalidTxnState), Left::AsItWas),
            (PartitionError::Append(AppendError::Busy), Left::Full),
            (PartitionError::Append(AppendError::Storage(full.clone())), Left::Unknown),
            (PartitionError::Storage(full), Left::Unknown),
            (PartitionError::Unknown, Left::Unknown),
        ];
        for (error, left) in cases {
            assert_eq!(Failed::of(&error).left, left, "{error:?}");
        }
    }
}
