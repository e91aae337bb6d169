//! The shells around coordinators: what joins their pure cores to logs, cores, clocks and clients.
//!
//! - [`group_shell`]: [`GroupShell`], one partition of `__consumer_offsets`: loading, requests, records, time;
//!   [`deleted`]: topics whose offsets are still to go.
//! - [`transaction_shell`]: [`TransactionShell`], one partition of `__transaction_state`; [`markers`]: what ends
//!   transactions in the partitions that they wrote to; [`ask_transactions`]: asking for them.
//! - [`question`]: a request to a group's coordinator on its way between cores.
//! - [`ask`]: from a handler to the core that has the coordinator, and back.
//! - [`late`]: answers that come long after the question, for joins and syncs wait for other members.
//! - [`append`]: appending records. [`writes`]: what is to be written, in order, and what waits for it; [`waiters`]: who
//!   waits for answers; [`replay`]: reading records back; [`alarm`]: what wakes who keeps the time.
//! - [`topics`]: the image as a coordinator sees it; [`settings`]: what of the configuration it goes by.
//!
//! Each partition's coordinator lives on the core that owns the partition. It is there as soon as the image shows
//! the partition, loads its log, and goes with the partition. `docs/groups.md` says what is durable before which
//! answer; keeping that is the work of [`writes`].

mod alarm;
pub(crate) mod append;
pub(crate) mod ask;
pub(crate) mod ask_transactions;
mod deleted;
mod group_shell;
mod late;
pub(crate) mod markers;
mod question;
pub(crate) mod replay;
mod settings;
mod topics;
mod transaction_shell;
mod waiters;
pub(crate) mod writes;

pub use ask_transactions::{TransactionQuestion, TransactionReply};
pub use question::{GroupQuestion, GroupReply};

use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use controller::Image;
use controller::changes::names::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use executor::JoinHandle;
use group_shell::{GroupShell, Pending, Told};
use groups::Usage;
use kafka_wire::ErrorCode;
use late::Expected;
use model::{PartitionId, ProducerEpoch, ProducerId, ShardId, TopicId, TopicPartition};
use shard::Reply;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use transaction_shell::TransactionShell;

/// Pause between two counts of what the coordinators hold.
const COUNT_PAUSE: Duration = Duration::from_secs(10);

/// A core's coordinators.
#[derive(Default)]
pub(crate) struct Coordinators {
    /// By partition of `__consumer_offsets`.
    groups: RefCell<BTreeMap<i32, Rc<GroupShell>>>,
    /// By partition of `__transaction_state`.
    transactions: RefCell<BTreeMap<i32, Rc<TransactionShell>>>,
    /// What this core waits for from others.
    expected: Expected,
    /// No more are started, and nothing is counted any more.
    stopped: Cell<bool>,
    /// What others wait for from this core, by their core and their ticket.
    owed: RefCell<BTreeMap<(ShardId, u64), JoinHandle<()>>>,
}

impl Coordinators {
    /// Begins with a question of this core. `asked`: the request that it has, if that was decoded before.
    fn begin(
        &self,
        broker: &Rc<Broker>,
        question: &GroupQuestion,
        asked: Option<&groups::Request<'_>>,
    ) -> Result<Pending, ErrorCode> {
        let shell = self.groups.borrow().get(&question.partition).cloned();
        shell.ok_or(ErrorCode::NotCoordinator)?.begin(broker, question, asked)
    }

    /// Answers a question of another core.
    pub(crate) fn answer(
        &self,
        broker: &Rc<Broker>,
        from: ShardId,
        question: &GroupQuestion,
        reply: Reply<CoreQuestion, CoreAnswer>,
    ) {
        let pending = match self.begin(broker, question, None) {
            Ok(pending) => pending,
            Err(code) => return reply.send(CoreAnswer::Group(GroupReply::Now(Err(code)))),
        };
        match question.ticket.filter(|_| pending.is_parked()) {
            Some(ticket) => {
                reply.send(CoreAnswer::Group(GroupReply::Later));
                self.owe(broker.clone(), from, ticket, pending);
            }
            None => reply.work("group request", async move {
                CoreAnswer::Group(GroupReply::Now(pending.answer().await))
            }),
        }
    }

    /// Sends an answer when it is there.
    fn owe(&self, broker: Rc<Broker>, from: ShardId, ticket: u64, pending: Pending) {
        let task = executor::spawn("late group answer", async move {
            let answer = pending.answer().await;
            broker.coordinators.owed.borrow_mut().remove(&(from, ticket));
            // A core that does not take it is stopping.
            let _ = broker.cores.call(from, CoreQuestion::GroupAnswer { ticket, answer }).await;
        });
        self.owed.borrow_mut().insert((from, ticket), task);
    }

    /// An answer that was promised for later has come.
    pub(crate) fn take(&self, ticket: u64, answer: Told) {
        self.expected.take(ticket, answer);
    }

    /// Another core does not wait any more.
    pub(crate) fn forget(&self, from: ShardId, ticket: u64) {
        let task = self.owed.borrow_mut().remove(&(from, ticket));
        if let Some(task) = task {
            task.abort();
        }
    }

    /// The coordinator of a partition of `__transaction_state`, if it is this core's.
    fn transaction_shell(&self, partition: i32) -> Option<Rc<TransactionShell>> {
        self.transactions.borrow().get(&partition).cloned()
    }

    /// A marker is durable in a partition of `__consumer_offsets`.
    fn end_transaction(&self, partition: i32, producer: ProducerId, epoch: ProducerEpoch, commit: bool) {
        let shell = self.groups.borrow().get(&partition).cloned();
        if let Some(shell) = shell {
            shell.end_transaction(producer, epoch, commit);
        }
    }

    fn shells(&self) -> Vec<Rc<GroupShell>> {
        self.groups.borrow().values().cloned().collect()
    }

    /// Ends all of them: the broker stops.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        let shells = std::mem::take(&mut *self.groups.borrow_mut());
        shells.values().for_each(|shell| shell.end());
        let shells = std::mem::take(&mut *self.transactions.borrow_mut());
        shells.values().for_each(|shell| shell.end());
    }

    /// How much all of them hold.
    fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for one in self.groups.borrow().values().map(|shell| shell.usage()) {
            sum.classic_groups += one.classic_groups;
            sum.consumer_groups += one.consumer_groups;
            sum.streams_groups += one.streams_groups;
            sum.share_groups += one.share_groups;
            sum.members += one.members;
            sum.offsets += one.offsets;
            sum.waiters += one.waiters;
        }
        sum
    }
}

impl Broker {
    /// Brings the coordinators to an image that is this core's now. `deleted` are the topics that are gone.
    pub(crate) fn coordinate(self: &Rc<Self>, image: &Image, deleted: &[(&str, TopicId)]) {
        if self.coordinators.stopped.get() {
            return;
        }
        self.coordinate_transactions(image);
        self.share_coordinate(image, !deleted.is_empty());
        let wanted = self.wanted(image, CONSUMER_OFFSETS);
        let settings = settings::of_groups(&self.config(), self.record_bytes_max(image, CONSUMER_OFFSETS));
        {
            let mut shells = self.coordinators.groups.borrow_mut();
            shells.retain(|number, shell| {
                let stays = wanted.get(number).is_some_and(|(id, _)| *id == shell.id());
                if !stays {
                    shell.end();
                }
                stays
            });
            for (number, (id, _)) in wanted {
                shells.entry(number).or_insert_with(|| GroupShell::start(self, id, settings.clone()));
            }
        }
        if deleted.is_empty() {
            return;
        }
        for shell in self.coordinators.shells() {
            deleted.iter().for_each(|(name, id)| shell.topic_deleted(self, name, *id));
        }
    }

    fn coordinate_transactions(self: &Rc<Self>, image: &Image) {
        let bytes = self.record_bytes_max(image, TRANSACTION_STATE);
        let config = settings::of_transactions(&self.config(), image, bytes);
        let wanted = self.wanted(image, TRANSACTION_STATE);
        let mut shells = self.coordinators.transactions.borrow_mut();
        shells.retain(|number, shell| {
            let stays = wanted.get(number).is_some_and(|(id, _)| *id == shell.id());
            if !stays {
                shell.end();
            }
            stays
        });
        shells.values().for_each(|shell| shell.configure(&config));
        for (number, (id, epoch)) in wanted {
            shells.entry(number).or_insert_with(|| TransactionShell::start(self, id, epoch, config.clone()));
        }
    }

    /// Brings the coordinators to the configuration in force.
    pub(crate) fn configure_coordinators(&self) {
        let image = self.image();
        let settings = settings::of_groups(&self.config(), self.record_bytes_max(&image, CONSUMER_OFFSETS));
        self.coordinators.shells().iter().for_each(|shell| shell.configure(&settings));
        let bytes = self.record_bytes_max(&image, TRANSACTION_STATE);
        let config = settings::of_transactions(&self.config(), &image, bytes);
        self.coordinators.transactions.borrow().values().for_each(|shell| shell.configure(&config));
        self.share_configure();
    }

    /// The partitions of a topic whose coordinators are this core's, with their leader epochs.
    pub(crate) fn wanted(&self, image: &Image, topic: &str) -> BTreeMap<i32, (TopicPartition, i32)> {
        let Some(topic) = image.topic(topic) else { return BTreeMap::new() };
        let all = (0..).map(PartitionId).zip(&topic.partitions);
        let all =
            all.map(|(partition, found)| (TopicPartition { topic: topic.id, partition }, found.leader_epoch));
        let own = all.filter(|(id, _)| self.shard_of(*id) == self.shard());
        own.map(|(id, epoch)| (id.partition.0, (id, epoch))).collect()
    }
}

/// Counts what the coordinators hold, now and then.
pub(crate) async fn count(broker: Rc<Broker>) {
    while !broker.coordinators.stopped.get() {
        broker.metrics.note_groups(&broker.coordinators.usage());
        broker.share_count();
        executor::sleep(COUNT_PAUSE).await;
    }
}
