//! Errors of ours and the ones Kafka gives for them.

use controller::{ControlError, ErrorKind};
use kafka_wire::ErrorCode;
use shard::PartitionError;
use storage::{AppendError, ReadError};

/// What a client is told of an error in a partition.
pub(crate) fn of_partition(error: &PartitionError) -> ErrorCode {
    match error {
        // It is in the image, or it would not have been asked for: it is just being made or removed.
        PartitionError::Unknown => ErrorCode::NotLeaderOrFollower,
        PartitionError::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        PartitionError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        PartitionError::Append(error) => of_append(error),
        PartitionError::Read(error) => of_read(error),
        PartitionError::Storage(_) => ErrorCode::KafkaStorageError,
        PartitionError::TimedOut => ErrorCode::RequestTimedOut,
    }
}

fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::CorruptMessage(_) => ErrorCode::CorruptMessage,
        AppendError::MessageTooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::InvalidRecord(_) => ErrorCode::InvalidRecord,
        AppendError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::UnsupportedForMessageFormat => ErrorCode::UnsupportedForMessageFormat,
        AppendError::OutOfOrderSequence => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTxnState | AppendError::Unverified { .. } => ErrorCode::InvalidTxnState,
        AppendError::CoordinatorFenced => ErrorCode::TransactionCoordinatorFenced,
        AppendError::DuplicateSequence => ErrorCode::DuplicateSequenceNumber,
        // Nothing was appended, and later there will be room: the client tries again.
        AppendError::Busy | AppendError::OtherCodec => ErrorCode::RequestTimedOut,
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Damaged(_) => ErrorCode::CorruptMessage,
        ReadError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// What a client is told of an error of the controller. Ours carry Kafka's names.
pub(crate) fn of_control(error: &ControlError) -> ErrorCode {
    of_kind(error.kind)
}

/// By the name, which is Kafka's.
pub(crate) fn of_kind(kind: ErrorKind) -> ErrorCode {
    ErrorCode::from_name(kind.name()).unwrap_or(ErrorCode::UnknownServerError)
}
