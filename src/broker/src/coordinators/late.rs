//! Answers that come long after the question.
//!
//! Calls between cores are bounded, and a join may wait for minutes until other members have joined: if each kept
//! its call, a thousand of them would leave no room for the joins that they wait for, nor for anything else. So the
//! coordinator's core says at once that the answer comes later, and sends it by a call of its own.

use super::group_shell::Told;
use crate::broker::Broker;
use crate::cores::CoreQuestion;
use executor::{OneshotReceiver, OneshotSender, oneshot};
use kafka_wire::ErrorCode;
use model::ShardId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;

/// What a core waits for, by its tickets.
#[derive(Default)]
pub(crate) struct Expected {
    waiting: RefCell<BTreeMap<u64, OneshotSender<Told>>>,
    last: Cell<u64>,
}

impl Expected {
    /// The answer for a ticket is there. If nobody waits any more it is dropped.
    pub(crate) fn take(&self, ticket: u64, answer: Told) {
        let waiting = self.waiting.borrow_mut().remove(&ticket);
        if let Some(waiting) = waiting {
            waiting.send(answer);
        }
    }
}

/// A wait for an answer of another core. Dropping it tells that core, if it has the question.
pub(crate) struct Late {
    broker: Rc<Broker>,
    from: ShardId,
    pub(crate) ticket: u64,
    answer: OneshotReceiver<Told>,
    asked: Cell<bool>,
}

impl Late {
    /// A ticket for an answer of `from`.
    pub(crate) fn new(broker: &Rc<Broker>, from: ShardId) -> Late {
        let expected = &broker.coordinators.expected;
        let ticket = expected.last.get() + 1;
        expected.last.set(ticket);
        let (sender, answer) = oneshot();
        expected.waiting.borrow_mut().insert(ticket, sender);
        Late { broker: broker.clone(), from, ticket, answer, asked: Cell::new(false) }
    }

    /// The answer, which was promised.
    pub(crate) async fn answer(self) -> Told {
        self.asked.set(true);
        let answer = poll_fn(|context| self.answer.poll_receive(context)).await;
        answer.unwrap_or(Err(ErrorCode::NotCoordinator))
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let waiting = self.broker.coordinators.expected.waiting.borrow_mut().remove(&self.ticket);
        if waiting.is_some() && self.asked.get() {
            // Nobody waits for what it says. Dropping the call cancels it, but it has left before.
            drop(self.broker.cores.call(self.from, CoreQuestion::GroupForget { ticket: self.ticket }));
        }
    }
}
