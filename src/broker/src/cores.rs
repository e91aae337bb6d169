//! What cores ask each other.

use controller::{Change, ControlError, Image, Outcome};
use shard::{Calls, Operation};
use std::net::SocketAddr;
use std::sync::Arc;

/// A question from one core to another.
#[derive(Debug)]
pub enum CoreQuestion {
    /// About partitions that the other core owns.
    Partitions(Operation),
    /// To change metadata; only the first core, which has the controller, is asked.
    Change(Change),
    /// Here is a new image: make it yours, with the partitions that it wants of you.
    Apply(Arc<Image>),
    /// At start, when the journals are replayed: open your store and your partitions.
    Open(Arc<Image>),
    /// At start, last: take connections on this address.
    Listen(SocketAddr),
    /// At the end: take no more requests and make everything durable.
    Stop,
}

/// The answer.
#[derive(Debug)]
pub enum CoreAnswer {
    /// To [`CoreQuestion::Partitions`].
    Partitions(shard::Outcome),
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
