//! The one writer: takes the changes that wait, plans them on top of each other, commits them together.

use crate::changes::{Change, Context, Outcome, Plan};
use crate::controller::{Options, Shared, plan_start};
use crate::error::{ControlError, ErrorKind};
use crate::frame::FrameBuilder;
use crate::ids::random_id;
use crate::image::Image;
use crate::log::{AppendError, MetadataLog};
use crate::record::Record;
use crate::snapshot;
use executor::sync::{OneshotSender, Permit};
use executor::{Class, JoinHandle};
use std::rc::Rc;
use std::sync::Arc;

/// Changes in one commit at most.
const GROUP_MAX: usize = 256;
/// Once a commit has so many bytes, the next change waits for the next one. With the largest change on top a
/// commit stays below what a frame can hold.
const GROUP_BYTES: usize = 16 << 20;
/// Records encoded between two chances for other tasks.
const PORTION: usize = 256;

type Answer = Result<Outcome, ControlError>;

/// A change that waits.
pub(crate) struct Job {
    pub(crate) change: Change,
    pub(crate) reply: OneshotSender<Answer>,
    /// Its place in the queue, given back when it is answered.
    pub(crate) _place: Permit,
}

pub(crate) struct Writer {
    shared: Rc<Shared>,
    options: Options,
    log: MetadataLog,
    epoch: i32,
    /// Since the last snapshot was tried.
    log_bytes: u64,
    log_records: u64,
    snapshot: Option<JoinHandle<()>>,
    /// There is no room but for what must go on, and that was said.
    scarce: bool,
    /// A commit had no room, and changes that make room were in it: they are first in the queue again, for a
    /// commit of their own.
    alone: bool,
}

impl Writer {
    pub(crate) fn new(shared: Rc<Shared>, options: Options, log: MetadataLog, epoch: i32) -> Writer {
        let (log_bytes, log_records) = log.replayed();
        let (snapshot, scarce, alone) = (None, false, false);
        Writer { shared, options, log, epoch, log_bytes, log_records, snapshot, scarce, alone }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let seen = self.shared.arrived.count();
            if !self.shared.queue.borrow().is_empty() {
                self.commit_group().await;
                self.snapshot_if_due().await;
            } else if self.shared.closing.get() {
                break;
            } else {
                self.shared.arrived.after(seen).await;
            }
        }
        self.close().await;
    }

    pub(crate) async fn close(self) {
        if let Some(running) = self.snapshot {
            running.await;
        }
        self.log.close().await;
    }

    /// The records of a start, before anybody can ask for changes.
    pub(crate) async fn commit_first(&mut self) -> Result<(), ControlError> {
        let new_id = || random_id(executor::random);
        let image = self.shared.image();
        let context = context(&self.options, &new_id);
        let mut plan = Plan::new(&context, &image, self.epoch);
        plan_start(&self.options, &mut plan, || new_id().to_string()).await?;
        let (records, next) = plan.finish();
        self.commit(image.offset(), &records, next, true).await
    }

    /// The next change that waits; with `alone` only one that makes room.
    fn next_job(&self, alone: bool) -> Option<Job> {
        let mut queue = self.shared.queue.borrow_mut();
        let fits = queue.front().is_some_and(|job| !alone || makes_room(&job.change));
        if fits { queue.pop_front() } else { None }
    }

    /// Whether only what must go on finds room. Says so when that begins.
    async fn is_scarce(&mut self) -> bool {
        let scarce = !self.log.is_broken() && self.log.keep_room().await.is_err();
        if scarce && !self.scarce {
            log::warn!(
                "metadata: no room is left for {}: until there is, topics can be deleted and nothing else is changed",
                self.log.path().display()
            );
        }
        self.scarce = scarce;
        scarce
    }

    /// Plans the changes that wait, and those that come meanwhile, and makes one commit of them.
    async fn commit_group(&mut self) {
        let alone = std::mem::take(&mut self.alone);
        let scarce = self.is_scarce().await;
        let new_id = || random_id(executor::random);
        let image = self.shared.image();
        let context = context(&self.options, &new_id);
        let mut plan = Plan::new(&context, &image, self.epoch);
        let mut answers: Vec<(Job, Answer)> = Vec::new();
        while answers.len() < GROUP_MAX && plan.bytes() < GROUP_BYTES {
            let Some(job) = self.next_job(alone) else { break };
            let answer = if self.log.is_broken() {
                Err(offline(&self.log))
            } else if scarce && !makes_room(&job.change) {
                Err(full())
            } else {
                job.change.plan(&mut plan).await
            };
            answers.push((job, answer));
        }
        let urgent = answers.iter().all(|(job, _)| makes_room(&job.change));
        let (records, next) = plan.finish();
        let committed = if records.is_empty() {
            Ok(())
        } else {
            self.commit(image.offset(), &records, next, urgent).await
        };
        // A large change beside it is no reason to refuse what makes room. After any other failure the log is broken.
        let again = committed.is_err() && !urgent && !self.log.is_broken();
        let (first, answers): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(job, _)| again && makes_room(&job.change));
        self.alone = !first.is_empty();
        for (mut job, _) in first.into_iter().rev() {
            if let Change::DeleteTopics(deletion) = &mut job.change {
                // It is planned once more, and has been paid for.
                deletion.budget = None;
            }
            self.shared.queue.borrow_mut().push_front(job);
        }
        for (job, answer) in answers {
            // Without the commit not even a refusal is right: it may rest on a change that is not to be.
            job.reply.send(committed.clone().and(answer));
        }
    }

    /// Writes the records as one commit, durably, and publishes the image that has them. What is `urgent` may take the
    /// last room.
    async fn commit(
        &mut self,
        base_offset: i64,
        records: &[Record],
        next: Image,
        urgent: bool,
    ) -> Result<(), ControlError> {
        let mut frame = FrameBuilder::new(base_offset, self.epoch);
        for portion in records.chunks(PORTION) {
            portion.iter().for_each(|record| frame.add(record));
            if portion.len() == PORTION {
                executor::yield_now().await;
            }
        }
        self.log_bytes += frame.payload_bytes() as u64;
        self.log_records += records.len() as u64;
        match self.log.append(frame.finish(), urgent).await {
            Ok(()) => {
                self.shared.publish(Arc::new(next));
                Ok(())
            }
            Err(AppendError::NoSpace(errno)) => {
                log::warn!(
                    "metadata: {}: {errno}; changes are refused until there is room",
                    self.log.path().display()
                );
                let message = format!("The metadata log has no room ({errno}). Nothing was changed.");
                Err(ControlError::new(ErrorKind::KafkaStorageError, message))
            }
            Err(AppendError::Broken(errno)) => {
                log::error!(
                    "metadata: writing {} failed: {errno}; changes are refused until a restart verifies the log",
                    self.log.path().display()
                );
                Err(offline(&self.log))
            }
        }
    }

    /// Begins a snapshot when the log has grown enough, unless one is under way.
    async fn snapshot_if_due(&mut self) {
        let due = self.log_bytes >= self.options.snapshot_bytes
            || self.log_records >= self.options.snapshot_records;
        let running = self.snapshot.as_ref().is_some_and(|task| !task.is_finished());
        if !due || running || self.log.is_broken() {
            return;
        }
        // Also if it fails: it is tried again after as much log, not at each change.
        (self.log_bytes, self.log_records) = (0, 0);
        let image = self.shared.image();
        if let Err(errno) = self.log.roll(image.offset(), self.epoch).await {
            log::warn!("metadata: a new log file: {errno}; going on with {}", self.log.path().display());
            return;
        }
        let directory = self.log.directory().to_owned();
        self.snapshot = Some(executor::spawn_class("metadata snapshot", Class::Background, async move {
            match snapshot::write(&directory, &image).await {
                Ok(bytes) => {
                    log::info!("metadata: snapshot at offset {}, {bytes} bytes", image.offset());
                }
                Err(error) => log::warn!("metadata: no snapshot at offset {}: {error}", image.offset()),
            }
        }));
    }
}

fn context<'a>(options: &'a Options, new_id: &'a dyn Fn() -> model::TopicId) -> Context<'a> {
    Context {
        rules: &*options.rules,
        features: &options.features,
        default_partitions: options.default_partitions,
        default_replication_factor: options.default_replication_factor,
        new_id,
        yields: true,
    }
}

/// Changes that go on when there is no room for others.
fn makes_room(change: &Change) -> bool {
    matches!(change, Change::DeleteTopics(_))
}

fn full() -> ControlError {
    let message = "The device is full: until there is room, topics can only be deleted. Nothing was changed.";
    ControlError::new(ErrorKind::KafkaStorageError, message)
}

fn offline(log: &MetadataLog) -> ControlError {
    let message = format!(
        "The metadata log {} could not be written; the broker must be restarted, which verifies it.",
        log.path().display()
    );
    ControlError::new(ErrorKind::KafkaStorageError, message)
}
