//! What cores ask each other.

use crate::client_telemetry::{TelemetryAnswer, TelemetryQuestion};
use crate::coordinators::{GroupQuestion, GroupReply, TransactionQuestion, TransactionReply};
use crate::quotas::{Meters, Moment};
use crate::sharing::{ShareQuestion, ShareReply};
use controller::{Change, ControlError, Image, Outcome};
use groups::Response;
use kafka_wire::ErrorCode;
use network::Census;
use shard::operation::MarkerItem;
use shard::{Calls, Operation};
use std::net::SocketAddr;
use std::sync::Arc;

/// A question from one core to another.
#[derive(Debug)]
pub enum CoreQuestion {
    /// About partitions that the other core owns.
    Partitions(Operation),
    /// To the coordinator of a group that the other core has.
    Group(GroupQuestion),
    /// Here is the answer that was promised for later, to the question with this ticket of yours.
    GroupAnswer { ticket: u64, answer: Result<Response, ErrorCode> },
    /// Nobody here waits any more for the answer that was promised for this ticket.
    GroupForget { ticket: u64 },
    /// To the coordinator of a partition of `__transaction_state`.
    Transaction(i32, TransactionQuestion),
    /// About share groups.
    Share(ShareQuestion),
    /// To write the ends of transactions into partitions of the other core.
    Mark(Vec<MarkerItem>),
    /// Of a client that pushes metrics and is kept by the other core.
    Telemetry(TelemetryQuestion),
    /// To change metadata; only the first core, which has the controller, is asked.
    Change(Change),
    /// Here is a new image: make it yours, with the partitions that it wants of you.
    Apply(Arc<Image>),
    /// At start, when the journals are replayed: open your store and your partitions.
    Open(Arc<Image>),
    /// At start, last: take connections on this address, and count them with the other cores, as what clients use of
    /// their quotas, by a clock that shows this now.
    Listen(SocketAddr, Arc<Census>, Arc<Meters>, Moment),
    /// At the end: take no more requests and make everything durable.
    Stop,
}

/// The answer.
#[derive(Debug)]
pub enum CoreAnswer {
    /// To [`CoreQuestion::Partitions`].
    Partitions(shard::Outcome),
    /// To [`CoreQuestion::Group`].
    Group(GroupReply),
    /// To [`CoreQuestion::GroupAnswer`] and [`CoreQuestion::GroupForget`].
    Taken,
    /// To [`CoreQuestion::Transaction`].
    Transaction(TransactionReply),
    /// To [`CoreQuestion::Share`].
    Share(ShareReply),
    /// To [`CoreQuestion::Mark`]: Kafka's errors, in order.
    Marked(Vec<ErrorCode>),
    /// To [`CoreQuestion::Telemetry`].
    Telemetry(Result<TelemetryAnswer, ErrorCode>),
    /// To [`CoreQuestion::Change`].
    Changed(Result<Outcome, ControlError>),
    /// To [`CoreQuestion::Apply`].
    Applied,
    /// To the questions of start and end: done, or one line that says why not.
    Step(Result<(), String>),
    /// To [`CoreQuestion::Listen`]: the address, with the port filled in.
    Listening(Result<SocketAddr, String>),
}

/// The ways between the cores.
pub type Cores = Calls<CoreQuestion, CoreAnswer>;
