//! What can go wrong: with a change, and with the files.

use crate::record::RecordError;
use std::fmt;
use std::path::PathBuf;

/// Which of Kafka's errors a refused change gets. The broker knows their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A topic's name cannot be used.
    InvalidTopic,
    /// The topic is there.
    TopicAlreadyExists,
    /// The topic, named by its name, is not there.
    UnknownTopicOrPartition,
    /// The topic, named by its id, is not there.
    UnknownTopicId,
    /// A number of partitions that cannot be.
    InvalidPartitions,
    /// A replication factor that cannot be.
    InvalidReplicationFactor,
    /// A manual assignment that cannot be.
    InvalidReplicaAssignment,
    /// A configuration that cannot be.
    InvalidConfig,
    /// The request contradicts itself.
    InvalidRequest,
    /// More than one change may ask for.
    PolicyViolation,
    /// More partitions were to be created or deleted than the client may.
    ThrottlingQuotaExceeded,
    /// The node is not registered.
    BrokerIdNotRegistered,
    /// The node has registered anew since.
    StaleBrokerEpoch,
    /// A feature cannot go to that level.
    InvalidUpdateVersion,
    /// The metadata log could not be written.
    KafkaStorageError,
    /// The controller is stopping; another may answer later.
    NotController,
    /// What should not happen.
    UnknownServerError,
}

impl ErrorKind {
    /// The error's name in Kafka's protocol.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidTopic => "INVALID_TOPIC_EXCEPTION",
            ErrorKind::TopicAlreadyExists => "TOPIC_ALREADY_EXISTS",
            ErrorKind::UnknownTopicOrPartition => "UNKNOWN_TOPIC_OR_PARTITION",
            ErrorKind::UnknownTopicId => "UNKNOWN_TOPIC_ID",
            ErrorKind::InvalidPartitions => "INVALID_PARTITIONS",
            ErrorKind::InvalidReplicationFactor => "INVALID_REPLICATION_FACTOR",
            ErrorKind::InvalidReplicaAssignment => "INVALID_REPLICA_ASSIGNMENT",
            ErrorKind::InvalidConfig => "INVALID_CONFIG",
            ErrorKind::InvalidRequest => "INVALID_REQUEST",
            ErrorKind::PolicyViolation => "POLICY_VIOLATION",
            ErrorKind::ThrottlingQuotaExceeded => "THROTTLING_QUOTA_EXCEEDED",
            ErrorKind::BrokerIdNotRegistered => "BROKER_ID_NOT_REGISTERED",
            ErrorKind::StaleBrokerEpoch => "STALE_BROKER_EPOCH",
            ErrorKind::InvalidUpdateVersion => "INVALID_UPDATE_VERSION",
            ErrorKind::KafkaStorageError => "KAFKA_STORAGE_ERROR",
            ErrorKind::NotController => "NOT_CONTROLLER",
            ErrorKind::UnknownServerError => "UNKNOWN_SERVER_ERROR",
        }
    }
}

/// Why a change, or one item of it, was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlError {
    /// Kafka's error.
    pub kind: ErrorKind,
    /// What the user is told.
    pub message: String,
}

impl ControlError {
    /// An error with its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ControlError {
        ControlError { kind, message: message.into() }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for ControlError {}

/// Why the metadata log could not be opened. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// The kernel refused an operation on a file.
    Io { file: PathBuf, doing: &'static str, errno: driver::Errno },
    /// Bytes of a file are damaged, and what follows them is not.
    Damaged { file: PathBuf, position: u64, what: String },
    /// A file is whole but of a format that this program does not know.
    Version { file: PathBuf, version: u32 },
    /// Records between two files are missing.
    Gap { file: PathBuf, expected: i64, found: i64 },
    /// A file must be there and is not.
    Missing { file: PathBuf },
    /// A commit is whole, but a record in it cannot be read.
    Unreadable { file: PathBuf, position: u64, error: RecordError },
    /// The log belongs to another cluster.
    OtherCluster { expected: String, found: String },
    /// No memory was free to read files with.
    NoMemory,
    /// The first records could not be written.
    Refused(ControlError),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::Io { file, doing, errno } => {
                write!(
                    out,
                    "cannot {doing} {}: {errno}; check the disk and the directory's owner",
                    file.display()
                )
            }
            MetadataError::Damaged { file, position, what } => write!(
                out,
                "{} is damaged at byte {position}: {what}. Nothing was changed. Restore the metadata directory \
                 from a copy, or see what is readable with `flumen log dump`",
                file.display()
            ),
            MetadataError::Version { file, version } => write!(
                out,
                "{} has format version {version}, this program knows {}; start the version of flumen that wrote it",
                file.display(),
                crate::frame::FORMAT_VERSION
            ),
            MetadataError::Gap { file, expected, found } => write!(
                out,
                "{} begins at metadata offset {found}, but {expected} comes next: a file is missing. Restore the \
                 metadata directory from a copy",
                file.display()
            ),
            MetadataError::Missing { file } => write!(
                out,
                "{} is missing. Restore the metadata directory from a copy: records that were in it may be lost",
                file.display()
            ),
            MetadataError::Unreadable { file, position, error } => write!(
                out,
                "{}, commit at byte {position}: {error}; a newer version of flumen may have written it, then start \
                 that one",
                file.display()
            ),
            MetadataError::OtherCluster { expected, found } => write!(
                out,
                "the metadata log is of cluster {found}, this node belongs to {expected}; use the right data directory"
            ),
            MetadataError::NoMemory => {
                out.write_str("no block of memory is free to read the metadata log; raise flumen.pool.bytes")
            }
            MetadataError::Refused(error) => write!(out, "the node could not register: {error}"),
        }
    }
}

impl std::error::Error for MetadataError {}
