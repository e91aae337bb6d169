//! What cores ask each other about share groups.

use super::{keep, leader};
use crate::broker::Broker;
use executor::{join_all, wall_clock_ms};
use kafka_wire::ErrorCode;
use memory::Slice;
use model::TopicPartition;
use share::sessions::{Seen, Visit};
use share::{AckBatch, Acquired, Loaded, StateKey, StateWrite, Summary, Wish};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// What a member says about records of one partition.
#[derive(Clone, Debug)]
pub struct AckItem {
    /// Which partition.
    pub partition: TopicPartition,
    /// What it says.
    pub batches: Vec<AckBatch>,
}

/// What a member wants from partitions of one core.
#[derive(Clone, Debug)]
pub struct FetchWish {
    /// Its group.
    pub group: Arc<str>,
    /// The member.
    pub member: Arc<str>,
    /// From where, in this order.
    pub partitions: Vec<TopicPartition>,
    /// How many records.
    pub wish: Wish,
    /// How many bytes at most, except for a first batch that is larger.
    pub bytes_max: usize,
    /// With fewer bytes than these nothing is handed out.
    pub bytes_min: usize,
}

/// What a member was given of one partition.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Whole batches, as they lie, with all that was acquired and perhaps more.
    pub slices: Vec<Slice>,
    /// Their bytes.
    pub bytes: usize,
    /// What the member has now.
    pub acquired: Vec<Acquired>,
    /// Bytes that are there, whether or not they were handed out.
    pub available: usize,
}

/// What is asked about the durable state of a share partition.
#[derive(Clone, Debug)]
pub enum StateAsk {
    /// What it is.
    Read,
    /// What tools are told of it.
    Summarize,
    /// To change it.
    Write(StateWrite),
    /// To set the group's position, with the epoch that the state has from then on.
    Initialize { state_epoch: i32, start_offset: i64 },
    /// To take it away.
    Delete,
}

/// The answer, when what it shows is durable.
#[derive(Clone, Debug)]
pub enum StateGiven {
    /// To [`StateAsk::Read`]; none if there is no state.
    Read(Option<Loaded>),
    /// To [`StateAsk::Summarize`].
    Summary(Option<Summary>),
    /// To the changes.
    Done,
}

/// A question about share groups to another core, or to this one.
#[derive(Debug)]
pub enum ShareQuestion {
    /// To go on with a member's session.
    Visit(Visit),
    /// To end a session whose client is gone.
    End { group: String, member: String, serial: u64 },
    /// To take in what a member says about records.
    Acknowledge { group: Arc<str>, member: Arc<str>, items: Vec<AckItem> },
    /// To hand records out.
    Fetch(FetchWish),
    /// To say when there may be something to hand out.
    Watch { group: Arc<str>, partitions: Vec<TopicPartition> },
    /// To take back what a member has.
    Release { group: Arc<str>, member: Arc<str>, partitions: Vec<TopicPartition> },
    /// To forget what is known of share partitions: their state was set by others.
    Forget { group: Arc<str>, partitions: Vec<TopicPartition> },
    /// About the durable state of a share partition, to the core that keeps it.
    State { partition: i32, key: StateKey, ask: StateAsk },
}

/// The answer.
#[derive(Debug)]
pub enum ShareReply {
    /// To [`ShareQuestion::Visit`] and [`ShareQuestion::End`].
    Seen(Result<Seen, ErrorCode>),
    /// To [`ShareQuestion::Acknowledge`], in order.
    Acknowledged(Vec<ErrorCode>),
    /// To [`ShareQuestion::Fetch`], in order.
    Fetched(Vec<Result<Fetched, ErrorCode>>),
    /// To those that only want something done.
    Done,
    /// To [`ShareQuestion::State`].
    State(Result<StateGiven, ErrorCode>),
}

/// An answer on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = ShareReply>>>;

/// Answers a question. What is said about durable state is begun here and not in the future: the order of questions is
/// the order of writes.
pub(crate) fn answer(broker: &Rc<Broker>, question: ShareQuestion) -> Answering {
    let broker = broker.clone();
    match question {
        ShareQuestion::State { partition, key, ask } => {
            let begun = keep::begin(&broker, partition, key, ask);
            Box::pin(async move { ShareReply::State(begun.await) })
        }
        ShareQuestion::Visit(visit) => {
            let seen = broker.share.sessions.borrow_mut().visit(visit, wall_clock_ms());
            Box::pin(std::future::ready(ShareReply::Seen(seen)))
        }
        ShareQuestion::End { group, member, serial } => {
            let seen = broker.share.sessions.borrow_mut().end(&group, &member, serial);
            Box::pin(std::future::ready(ShareReply::Seen(seen.ok_or(ErrorCode::ShareSessionNotFound))))
        }
        ShareQuestion::Acknowledge { group, member, items } => Box::pin(async move {
            let each = items.into_iter().map(|item| leader::acknowledge(&broker, &group, &member, item));
            ShareReply::Acknowledged(join_all(each.collect()).await)
        }),
        ShareQuestion::Fetch(wish) => {
            Box::pin(async move { ShareReply::Fetched(leader::fetch_all(&broker, wish).await) })
        }
        ShareQuestion::Watch { group, partitions } => Box::pin(async move {
            leader::watch(&broker, &group, &partitions).await;
            ShareReply::Done
        }),
        ShareQuestion::Release { group, member, partitions } => Box::pin(async move {
            let leaders = partitions.iter().filter_map(|partition| broker.share.known(&group, *partition));
            let each = leaders.map(|leader| leader.release(broker.clone(), member.clone()));
            join_all(each.collect()).await;
            ShareReply::Done
        }),
        ShareQuestion::Forget { group, partitions } => {
            for leader in partitions.iter().filter_map(|partition| broker.share.known(&group, *partition)) {
                broker.share.forget(&leader);
            }
            Box::pin(std::future::ready(ShareReply::Done))
        }
    }
}
