//! What can go wrong, for those who append, read, and start.

use driver::Errno;
use model::{Offset, TopicPartition};
use std::fmt;
use std::path::PathBuf;

/// A place where bytes that were durable are not there, or are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The partition whose records are affected; `None` when that cannot be known (a journal's own block).
    pub partition: Option<TopicPartition>,
    /// The file.
    pub file: PathBuf,
    /// The byte in the file at which what is damaged begins.
    pub position: u64,
    /// The first offset that is affected, and the first after it that is not (`None`: not known).
    pub offsets: Option<(Offset, Offset)>,
    /// What was found there.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at byte {}: {}", self.file.display(), self.position, self.what)?;
        if let Some(partition) = self.partition {
            write!(out, "; partition {partition}")?;
        }
        match self.offsets {
            Some((from, to)) => write!(out, "; offsets {from} to before {to} are affected")?,
            None => write!(out, "; which offsets are affected is not known")?,
        }
        write!(
            out,
            "; choices: restore the file from a copy, delete the records up to behind the hole (kafka-delete-records), or delete the partition"
        )
    }
}

/// Why the storage of a shard, or a part of it, does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The kernel refused.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
    /// A write or flush of this shard failed earlier: it takes no appends until the broker is restarted.
    Offline(Errno),
    /// The device is full; goes on by itself when there is room.
    NoSpace,
    /// The device is full at a start, which must write what the journals hold into segments first.
    NoSpaceToStart,
    /// The pool has no block of this size.
    OutOfMemory {
        /// The size in bytes that was asked for.
        bytes: usize,
    },
    /// Durable bytes are damaged.
    Damaged(Box<Damage>),
    /// A file of ours has contents that no version of ours writes.
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The node's checkpoint cannot be read: a start must not go on.
    NodeCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The partition was deleted, or never created here.
    UnknownPartition(TopicPartition),
    /// The store was stopped.
    Stopped,
}

impl StorageError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> StorageError {
        let path = path.into();
        move |errno| match errno.is_out_of_space() {
            true => StorageError::NoSpace,
            false => StorageError::Io { action, path, errno },
        }
    }

    /// Of the sync of a file whose records were acknowledged, or of its name. A full device is no exception: what
    /// the sync was for may be lost, and the next one, with room again, would not say so.
    pub(crate) fn sync(path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> StorageError {
        let path = path.into();
        move |errno| StorageError::Io { action: "sync", path, errno }
    }
}

impl StorageError {
    /// A file was not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, StorageError::Io { errno: Errno::NOENT, .. })
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Io { action, path, errno } => {
                write!(out, "cannot {action} {}: {errno}", path.display())
            }
            StorageError::Offline(errno) => {
                write!(out, "this shard's log is offline since a write failed ({errno}); restart the broker")
            }
            StorageError::NoSpace => {
                out.write_str("no space left on the device; free some and it goes on by itself")
            }
            StorageError::NoSpaceToStart => out.write_str(
                "no space left on the device to start with; nothing is lost: free some space and start again",
            ),
            StorageError::OutOfMemory { bytes } => {
                write!(out, "no block of {bytes} bytes is free; raise flumen.pool.bytes")
            }
            StorageError::Damaged(damage) => fmt::Display::fmt(damage, out),
            StorageError::Format { path, what } => write!(out, "{}: {what}", path.display()),
            StorageError::NodeCheckpoint { path, what } => write!(
                out,
                "{}: {what}; without it old journals cannot be told from new ones. Nothing was changed. \
                 Choices: restore the file from a copy, or read what is there with `flumen log dump --records`",
                path.display()
            ),
            StorageError::UnknownPartition(id) => write!(out, "no partition {id} on this shard"),
            StorageError::Stopped => out.write_str("the store was stopped"),
        }
    }
}

impl std::error::Error for StorageError {}

/// Why nothing was appended. Each that names one of Kafka's errors is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// CORRUPT_MESSAGE: lengths contradict each other, or the CRC does not match.
    CorruptMessage(&'static str),
    /// MESSAGE_TOO_LARGE: a batch larger than `max.message.bytes`.
    MessageTooLarge {
        /// The size of the batch.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// INVALID_RECORD: counts, offset deltas, attributes or sequence that no producer may send.
    InvalidRecord(&'static str),
    /// INVALID_TIMESTAMP: outside of `message.timestamp.before/after.max.ms`.
    InvalidTimestamp {
        /// The timestamp in the batch.
        timestamp: i64,
    },
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT.
    UnsupportedForMessageFormat,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrderSequence,
    /// INVALID_PRODUCER_EPOCH: an older incarnation of the producer.
    InvalidProducerEpoch,
    /// INVALID_TXN_STATE: a batch that is not in the transaction that its producer has open.
    InvalidTxnState,
    /// The batch would open a transaction, and it is not known whether its coordinator has this partition in it: ask
    /// there, and append again as [`Origin::Verified`](crate::Origin::Verified).
    Unverified {
        /// Where the log ended: what the coordinator says holds until a transaction of the producer ends behind it.
        log_end: Offset,
    },
    /// TRANSACTION_COORDINATOR_FENCED: a marker of a coordinator that is not the newest.
    CoordinatorFenced,
    /// DUPLICATE_SEQUENCE_NUMBER: older than the five batches that are remembered.
    DuplicateSequence,
    /// The log keeps another codec than the batches have: append what
    /// [`Partition::recompress`](crate::Partition::recompress) makes of them.
    OtherCodec,
    /// Memory or journal are full, or the partition's producers are being loaded: wait for
    /// [`Store::room`](crate::Store::room) and append again.
    Busy,
    /// KAFKA_STORAGE_ERROR.
    Storage(StorageError),
}

impl fmt::Display for AppendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::CorruptMessage(what) => write!(out, "corrupt message: {what}"),
            AppendError::MessageTooLarge { bytes, limit } => {
                write!(out, "a batch of {bytes} bytes, the limit is {limit}")
            }
            AppendError::InvalidRecord(what) => write!(out, "invalid record: {what}"),
            AppendError::InvalidTimestamp { timestamp } => {
                write!(out, "timestamp {timestamp} is out of range")
            }
            AppendError::UnsupportedForMessageFormat => {
                out.write_str("not possible with this message format")
            }
            AppendError::OutOfOrderSequence => out.write_str("out of order sequence number"),
            AppendError::InvalidProducerEpoch => out.write_str("an older epoch of this producer"),
            AppendError::InvalidTxnState => {
                out.write_str("not in the transaction that the producer has open")
            }
            AppendError::Unverified { .. } => {
                out.write_str("the partition is not known to be in the transaction")
            }
            AppendError::CoordinatorFenced => out.write_str("a marker of an older coordinator"),
            AppendError::DuplicateSequence => out.write_str("a sequence number from long ago"),
            AppendError::OtherCodec => out.write_str("the topic's compression is another; try again"),
            AppendError::Busy => out.write_str("no room now; wait and try again"),
            AppendError::Storage(error) => fmt::Display::fmt(error, out),
        }
    }
}

impl std::error::Error for AppendError {}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// OFFSET_OUT_OF_RANGE: before the log start or after the bound.
    OffsetOutOfRange {
        /// The first offset there is.
        log_start: Offset,
        /// The bound that the read had.
        end: Offset,
    },
    /// The bytes at this place are damaged; they are never served.
    Damaged(Box<Damage>),
    /// KAFKA_STORAGE_ERROR.
    Storage(StorageError),
}

impl ReadError {
    /// A file was not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, ReadError::Storage(error) if error.is_gone())
    }
}

impl From<StorageError> for ReadError {
    fn from(error: StorageError) -> ReadError {
        match error {
            StorageError::Damaged(damage) => ReadError::Damaged(damage),
            other => ReadError::Storage(other),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::OffsetOutOfRange { log_start, end } => {
                write!(out, "offset outside of {log_start} to {end}")
            }
            ReadError::Damaged(damage) => fmt::Display::fmt(damage, out),
            ReadError::Storage(error) => fmt::Display::fmt(error, out),
        }
    }
}

impl std::error::Error for ReadError {}
