//! A plan: the records of one commit while they are gathered, and the image as they leave it.

use super::{ConfigRules, FeatureRange};
use crate::error::{ControlError, ErrorKind};
use crate::image::{Builder, Image};
use crate::record::Record;
use model::{NodeId, TopicId};

/// The most records that one change may need. Kafka allows 10,000; we want that many partitions, and more.
pub const RECORDS_MAX: usize = 100_000;
/// The most bytes that the records of one change may take in the log.
pub const BYTES_MAX: usize = 32 << 20;
/// Records planned, encoded or applied before other tasks get a turn. 256 take well below a millisecond.
pub(crate) const PORTION: u32 = 256;

/// What planning may ask besides the image.
pub struct Context<'a> {
    /// What configuration keys mean.
    pub rules: &'a dyn ConfigRules,
    /// The features that this program knows, and the levels it can work at.
    pub features: &'a [FeatureRange],
    /// Partitions of a topic whose creator does not say (`num.partitions`).
    pub default_partitions: i32,
    /// Replicas of a topic whose creator does not say (`default.replication.factor`).
    pub default_replication_factor: i16,
    /// New ids; random, so that two controllers never give the same.
    pub new_id: &'a dyn Fn() -> TopicId,
    /// Lets other tasks run between portions. Off in tests that have no executor.
    pub yields: bool,
}

/// The records of one commit, and the image as they leave it.
pub struct Plan<'a> {
    context: &'a Context<'a>,
    builder: Builder,
    records: Vec<Record>,
    bytes: usize,
    /// Where the current change's records and bytes begin.
    change_began: (usize, usize),
    spent: u32,
}

impl<'a> Plan<'a> {
    /// An empty plan on top of an image, for a commit in `epoch`.
    pub fn new(context: &'a Context<'a>, image: &Image, epoch: i32) -> Plan<'a> {
        let builder = Builder::new(image, epoch);
        Plan { context, builder, records: Vec::new(), bytes: 0, change_began: (0, 0), spent: 0 }
    }

    /// What planning may ask.
    pub fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// The image with all that was planned so far.
    pub fn image(&mut self) -> &Image {
        self.builder.so_far()
    }

    /// The nodes that can hold replicas, by id.
    pub fn nodes(&mut self) -> Vec<NodeId> {
        self.image().nodes().map(|node| node.id).collect()
    }

    /// The records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// About how many bytes the records take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records, and the image after them.
    pub fn finish(self) -> (Vec<Record>, Image) {
        (self.records, self.builder.finish())
    }

    pub(crate) fn begin_change(&mut self) {
        self.change_began = (self.records.len(), self.bytes);
    }

    /// Whether the current change may add so many records.
    ///
    /// # Errors
    /// `PolicyViolation`.
    pub fn check_room(&self, records: usize) -> Result<(), ControlError> {
        if records > RECORDS_MAX - (self.records.len() - self.change_began.0).min(RECORDS_MAX) {
            let message = format!("The request is too large: it may change {RECORDS_MAX} things at most.");
            return Err(ControlError::new(ErrorKind::PolicyViolation, message));
        }
        Ok(())
    }

    /// Adds the records of one item: all of them, or with an error none.
    ///
    /// # Errors
    /// `PolicyViolation` when the change would become too large.
    pub async fn add(&mut self, records: Vec<Record>) -> Result<(), ControlError> {
        self.check_room(records.len())?;
        let bytes: usize = records.iter().map(Record::bytes_at_most).sum();
        if bytes > BYTES_MAX - (self.bytes - self.change_began.1).min(BYTES_MAX) {
            let message = format!("The request is too large: it may change {BYTES_MAX} bytes of metadata.");
            return Err(ControlError::new(ErrorKind::PolicyViolation, message));
        }
        for record in records {
            self.push(record);
            self.pace(1).await;
        }
        Ok(())
    }

    /// Adds one record of bounded size.
    pub(crate) fn push(&mut self, record: Record) {
        // The rules just made sure that it fits. If it does not, going on would write a log that no start can
        // read: better to stop here, where the log is still good.
        if let Err(error) = self.builder.apply(&record) {
            panic!("a planned record does not fit: {error}");
        }
        self.bytes += record.bytes_at_most();
        self.records.push(record);
    }

    /// Accounts for some work and lets other tasks run when a portion of it is done.
    pub async fn pace(&mut self, work: u32) {
        self.spent += work;
        if self.spent >= PORTION {
            self.spent = 0;
            if self.context.yields {
                executor::yield_now().await;
            }
        }
    }
}
