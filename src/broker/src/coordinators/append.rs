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

/// Appends a batch and waits until it is durable; if that fails, tells what clients are told, and why.
pub(crate) async fn append(
    broker: &Broker,
    partition: TopicPartition,
    batch: Vec<u8>,
) -> Result<(), (ErrorCode, String)> {
    append_at(broker, partition, batch).await.map(drop)
}

/// [`append`] that tells the offset of the first record.
pub(crate) async fn append_at(
    broker: &Broker,
    partition: TopicPartition,
    batch: Vec<u8>,
) -> Result<Offset, (ErrorCode, String)> {
    let items = vec![AppendItem { partition, batches: Slice::from(batch) }];
    let operation = Operation::Append { items, origin: Origin::Coordinator, durable: true };
    let appended = match broker.service.begin(operation).await {
        Outcome::Appended(mut results) => results.pop(),
        _ => None,
    };
    match appended {
        Some(Ok(done)) => Ok(done.base_offset),
        Some(Err(error)) => Err((failed_append(&error), format!("{error:?}"))),
        None => Err((ErrorCode::UnknownServerError, "an append without a result".to_owned())),
    }
}

/// Appends a coordinator's batches until there is nothing more to write, and hands on what has waited for each. Ends
/// as well once the partition has. `mistake` is the one that holds writes back.
///
/// # Errors
/// That of a batch that could not be appended: those behind it are not tried.
pub(crate) async fn append_writes<T>(
    broker: &Broker,
    partition: TopicPartition,
    writes: &Writes<T>,
    ended: &Cell<bool>,
    mistake: &'static str,
    mut follow: impl FnMut(T),
) -> Result<(), (ErrorCode, String)> {
    while let Some(batch) = writes.begin(wall_clock_ms()) {
        if mistakes::is_made(mistake) {
            sleep(MISTAKE_PAUSE).await;
        }
        let appended = match batch {
            Ok(batch) => append(broker, partition, batch).await,
            Err(error) => Err((ErrorCode::UnknownServerError, error.to_string())),
        };
        if ended.get() {
            break;
        }
        appended?;
        writes.end().into_iter().for_each(&mut follow);
    }
    Ok(())
}

/// What clients are told when records of theirs could not be written.
fn failed_append(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::Unknown => ErrorCode::NotCoordinator,
        PartitionError::Append(AppendError::Storage(_) | AppendError::Busy) => {
            ErrorCode::CoordinatorNotAvailable
        }
        // Too large, or other than records may be: it will not be better the next time.
        PartitionError::Append(_) => ErrorCode::UnknownServerError,
        _ => ErrorCode::CoordinatorNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_try_again_where_that_may_help() {
        let too_large = AppendError::MessageTooLarge { bytes: 2, limit: 1 };
        let cases = [
            (PartitionError::Unknown, ErrorCode::NotCoordinator),
            (PartitionError::Append(AppendError::Busy), ErrorCode::CoordinatorNotAvailable),
            (PartitionError::Append(too_large), ErrorCode::UnknownServerError),
        ];
        for (error, code) in cases {
            assert_eq!(failed_append(&error), code, "{error:?}");
        }
    }
}
