//! What a core can be asked to do with its partitions, and what it answers.
//!
//! Each operation names any number of partitions of one core, so that a request costs one message a core and
//! not one a partition. Answers are in the order of the items.

use memory::Slice;
use model::{LeaderEpoch, Offset, TopicPartition};
use std::time::Duration;
use storage::transactions::EndMarker;
use storage::{AppendError, LogConfig, Origin, ProducerDescription, ReadBound, ReadError, StorageError};

/// Batches for one partition, as they came.
#[derive(Debug)]
pub struct AppendItem {
    /// Where to.
    pub partition: TopicPartition,
    /// Record batches, whole.
    pub batches: Slice,
    /// Where the log ended before a coordinator was asked about the transaction that they belong to, if one was.
    pub since: Option<Offset>,
}

/// A transaction's end in one partition.
#[derive(Clone, Copy, Debug)]
pub struct MarkerItem {
    /// Where.
    pub partition: TopicPartition,
    /// Whose, and how.
    pub marker: EndMarker,
    /// The level of `transaction.version` that it was decided by.
    pub transaction_version: i16,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendDone {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The broker's time of the append in ms; -1 when the topic keeps the producer's.
    pub log_append_time_ms: i64,
    /// The first offset of the log.
    pub log_start: Offset,
}

/// Why an operation on one partition failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionError {
    /// This core does not have the partition: it is being created or removed.
    Unknown,
    /// The asker knows a newer leadership than this node.
    UnknownLeaderEpoch,
    /// The asker's idea of the leadership is old.
    FencedLeaderEpoch,
    /// The append was refused.
    Append(AppendError),
    /// The read was refused.
    Read(ReadError),
    /// Storage failed.
    Storage(StorageError),
    /// It is not done yet, and goes on.
    TimedOut,
}

/// What to read from one partition.
#[derive(Clone, Debug)]
pub struct ReadItem {
    /// Where from.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub from: Offset,
    /// At most so many bytes, except for a first batch that is larger.
    pub bytes_max: usize,
    /// The leadership that the asker believes in; [`LeaderEpoch::UNKNOWN`] if it does not say.
    pub leader_epoch: LeaderEpoch,
}

/// What was read from one partition.
#[derive(Debug, Default)]
pub struct ReadDone {
    /// Whole batches, as they lie.
    pub slices: Vec<Slice>,
    /// Their bytes.
    pub bytes: usize,
    /// Where readers end.
    pub high_watermark: Offset,
    /// Where readers of committed transactions end.
    pub last_stable: Offset,
    /// The first offset of the log.
    pub log_start: Offset,
    /// For readers of committed data: the aborted transactions that have records in what was read, by producer and
    /// first offset.
    pub aborted: Vec<(i64, Offset)>,
}

/// What a watcher of a partition has seen of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Which one.
    pub partition: TopicPartition,
    /// The first offset that it wants.
    pub from: Offset,
    /// The end that it saw.
    pub end: Offset,
    /// The beginning that it saw.
    pub log_start: Offset,
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The first of the log.
    Earliest,
    /// The end that the bound allows to see.
    Latest,
    /// That of the record with the largest timestamp.
    MaxTimestamp,
    /// The first with this timestamp or a later one.
    At(i64),
}

/// The answer to an [`OffsetQuery`]: -1 for what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetFound {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: i64,
    /// The leadership under which it was written.
    pub leader_epoch: LeaderEpoch,
}

/// A partition as its core shall have it.
#[derive(Clone, Debug)]
pub struct PartitionSetup {
    /// Which one.
    pub partition: TopicPartition,
    /// Its topic's name.
    pub topic: String,
    /// The settings of its log.
    pub config: LogConfig,
    /// The leadership.
    pub leader_epoch: LeaderEpoch,
}

/// What is known of a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Bytes in segments and on their way there.
    pub bytes: u64,
    /// The first offset.
    pub log_start: Offset,
    /// Where readers end.
    pub high_watermark: Offset,
    /// The next offset.
    pub log_end: Offset,
}

/// A question to a core about its partitions.
#[derive(Debug)]
pub enum Operation {
    /// Appends, and waits until it is durable if `durable`.
    Append { items: Vec<AppendItem>, origin: Origin, durable: bool },
    /// Reads. Together at most `bytes_max`; `minimum_one`: the first batch that is found whatever its size.
    Read { items: Vec<ReadItem>, bytes_max: usize, minimum_one: bool, bound: ReadBound },
    /// Waits until there are `bytes_min` to read from these partitions together, or something else about one of
    /// them has changed.
    Watch { seen: Vec<Seen>, bytes_min: u64, bound: ReadBound },
    /// Everything else.
    Rare(Rare),
}

/// A question that is asked once in a while.
#[derive(Debug)]
pub enum Rare {
    /// Writes the ends of transactions, and waits until they are durable.
    WriteMarkers { items: Vec<MarkerItem> },
    /// Tells which producers are known, and their open transactions.
    Producers { items: Vec<TopicPartition> },
    /// Finds offsets.
    Offsets { items: Vec<(TopicPartition, OffsetQuery, LeaderEpoch)>, bound: ReadBound },
    /// Where an epoch ended: the largest epoch not above it, and its end.
    EpochEnds { items: Vec<(TopicPartition, LeaderEpoch, LeaderEpoch)> },
    /// Removes records before an offset; -1: all that can be read. What is not done `within` this time goes on, whether
    /// or not anybody asks again.
    DeleteRecords { items: Vec<(TopicPartition, Offset)>, within: Duration },
    /// Creates partitions, or opens those that are there.
    Setup { items: Vec<PartitionSetup>, create: bool },
    /// Replaces settings.
    Configure { items: Vec<(TopicPartition, LogConfig)> },
    /// Removes partitions and their files.
    Remove { items: Vec<TopicPartition> },
    /// Tells sizes and offsets.
    Status { items: Vec<TopicPartition> },
}

impl From<Rare> for Operation {
    fn from(rare: Rare) -> Operation {
        Operation::Rare(rare)
    }
}

/// A core's answer.
#[derive(Debug)]
pub enum Outcome {
    /// To `Append`.
    Appended(Vec<Result<AppendDone, PartitionError>>),
    /// To `WriteMarkers`.
    Marked(Vec<Result<(), PartitionError>>),
    /// To `Producers`.
    Producers(Vec<Result<Vec<ProducerDescription>, PartitionError>>),
    /// To `Read`.
    Read(Vec<Result<ReadDone, PartitionError>>),
    /// To `Watch`.
    Changed,
    /// To `Offsets`.
    Offsets(Vec<Result<OffsetFound, PartitionError>>),
    /// To `EpochEnds`.
    EpochEnds(Vec<Result<(LeaderEpoch, Offset), PartitionError>>),
    /// To `DeleteRecords`: the log start offsets.
    Deleted(Vec<Result<Offset, PartitionError>>),
    /// To `Setup`, `Configure` and `Remove`.
    Done(Vec<Result<(), PartitionError>>),
    /// To `Status`.
    Status(Vec<Result<PartitionStatus, PartitionError>>),
}
