//! The clients of a run: tasks on one core of a machine of their own, each with its own connections.
//!
//! - [`producer`]: idempotent, with retries; [`plain`]: acks 0, 1 and all, each record sent once.
//! - [`consumer`]: fetches, with sessions and without, from memory and from disk.
//! - [`admin`]: topics, partitions, and the beginnings of logs.
//!
//! Of groups and transactions; what they do goes into the history that the checker judges:
//! - [`transaction`]: producers in transactions; [`member`]: members of groups, by way of [`classic`] or [`modern`];
//!   [`statics`]: those with an instance id; [`transform`]: members that consume, transform and produce in
//!   transactions.
//! - [`planter`]: makes topics that groups come to read, by their patterns.
//! - [`sharer`]: members of a share group; what they are given has a book of its own.
//! - [`reader`]: reads along; [`audit`]: reads everything after each start; [`polling`]: how they all fetch.
//! - [`coordinated`]: what coordinators say, and what it means.

pub(crate) mod admin;
pub(crate) mod audit;
mod classic;
pub(crate) mod consumer;
mod coordinated;
pub(crate) mod member;
mod modern;
pub(crate) mod plain;
pub(crate) mod planter;
mod polling;
pub(crate) mod producer;
pub(crate) mod reader;
pub(crate) mod sharer;
mod statics;
pub(crate) mod transaction;
mod transform;

use crate::control::Control;
use crate::tamper::Bug;
use crate::wire::{Answer, Trouble, Wire};
use base::Random;
use executor::sleep;
use kafka_wire::{ApiKey, Encode, ErrorCode};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What every client has.
pub(crate) struct Client {
    pub control: Rc<Control>,
    pub number: usize,
    pub random: Random,
    address: SocketAddr,
    patience: Duration,
    wire: Option<Wire>,
    bug: Option<Bug>,
}

impl Client {
    /// A client that is not connected.
    pub(crate) fn new(
        control: &Rc<Control>,
        name: String,
        address: SocketAddr,
        random: Random,
        bug: Option<Bug>,
    ) -> Client {
        let number = control.join(name);
        let mut random = random;
        let patience = Duration::from_millis(random.between(100, 400));
        Client { control: control.clone(), number, random, address, patience, wire: None, bug }
    }

    /// Lets this client wait longer for answers.
    pub(crate) fn be_patient(&mut self) {
        self.patience = Duration::from_secs(20);
    }

    /// Whether this client is to have this bug.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The connection; a new one if there is none. `None` after a pause when nobody answers.
    pub(crate) async fn wire(&mut self) -> Option<&mut Wire> {
        if self.wire.is_none() {
            match Wire::open(self.address, self.patience).await {
                Ok(wire) => self.wire = Some(wire),
                Err(trouble) => {
                    self.trouble(trouble);
                    self.pause(10_000).await;
                }
            }
        }
        self.wire.as_mut()
    }

    /// The connection, if there is one.
    pub(crate) fn open_wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// Ends the connection, for no reason but that it wants to.
    pub(crate) fn hang_up(&mut self) {
        self.wire = None;
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.wire.is_some()
    }

    /// Ends the connection, and notes a violation if it was one.
    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        self.wire = None;
        self.control.note(self.number, &format!("{trouble:?}"));
        match trouble {
            Trouble::Lost => self.control.book.borrow_mut().counts.lost_requests += 1,
            Trouble::Wrong(what) => self.control.violated(what),
        }
    }

    /// Sends a request and waits for its answer; `None` if there was none.
    pub(crate) async fn call(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encode,
        extra: Duration,
    ) -> Option<Answer> {
        let called = self.wire().await?.call(api, version, request, extra).await;
        called.map_err(|trouble| self.trouble(trouble)).ok()
    }

    /// An error that a client meets by trying again is counted; any other is a violation.
    pub(crate) fn refused(&mut self, what: &str, code: i16) {
        let passing = [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::RequestTimedOut,
            ErrorCode::KafkaStorageError,
            ErrorCode::NotController,
            ErrorCode::CoordinatorNotAvailable,
        ];
        self.control.note(self.number, &format!("{what} was refused with {code}"));
        match passing.iter().any(|one| *one as i16 == code) {
            true => self.control.book.borrow_mut().counts.refused += 1,
            false => {
                let name = ErrorCode::try_from(code).map_or("an unknown error", |code| code.name());
                self.control.violated(format!("{what} was answered with {name} ({code})"));
            }
        }
    }

    /// Waits up to so many microseconds.
    pub(crate) async fn pause(&mut self, micros_max: u64) {
        let micros = self.random.below(micros_max.max(1));
        sleep(Duration::from_micros(micros)).await;
    }
}
