//! Operations under way: who waits for which, and what becomes of those that nobody waits for any more.

use driver::{Completion, Handle, Operation, Outcome, Token};
use std::task::{Context, Poll, Waker};

enum Slot {
    Free,
    Waiting(Option<Waker>),
    Done(Outcome),
    /// Its future was dropped: the outcome's buffers are freed, its handles closed.
    Orphan,
}

/// The table of operations under way. A token is the slot's number and how often it was used.
#[derive(Default)]
pub(crate) struct Ops {
    slots: Vec<(u32, Slot)>,
    free: Vec<u32>,
}

impl Ops {
    pub(crate) fn begin(&mut self) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, Slot::Free));
            (self.slots.len() - 1) as u32
        });
        let (uses, slot) = &mut self.slots[index as usize];
        *uses = uses.wrapping_add(1);
        *slot = Slot::Waiting(None);
        Token(u64::from(*uses) << 32 | u64::from(index))
    }

    /// An operation nobody will wait for.
    pub(crate) fn begin_detached(&mut self) -> Token {
        let token = self.begin();
        self.slots[token.0 as u32 as usize].1 = Slot::Orphan;
        token
    }

    /// Takes in a completion. Returns a handle that nobody owns and that must be closed.
    pub(crate) fn complete(&mut self, completion: Completion) -> Option<Handle> {
        let slot = self.slot(completion.token);
        match std::mem::replace(slot, Slot::Done(completion.outcome)) {
            Slot::Waiting(waker) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                None
            }
            Slot::Orphan => {
                let outcome = self.release(completion.token);
                match outcome {
                    Some(Outcome::Accepted(Ok((handle, _))) | Outcome::Opened(Ok(handle))) => Some(handle),
                    _ => None,
                }
            }
            Slot::Free | Slot::Done(_) => panic!("operation {:?} completed twice", completion.token),
        }
    }

    pub(crate) fn poll(&mut self, token: Token, context: &mut Context<'_>) -> Poll<Outcome> {
        match self.slot(token) {
            Slot::Waiting(waker) => {
                // The same task nearly always: spare the clone then.
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Slot::Done(_) => match self.release(token) {
                Some(outcome) => Poll::Ready(outcome),
                None => unreachable!("the slot was just seen to be done"),
            },
            Slot::Free | Slot::Orphan => panic!("operation {token:?} is awaited after its end"),
        }
    }

    /// The future was dropped. Returns whether the operation is still under way, and a handle to close.
    pub(crate) fn abandon(&mut self, token: Token) -> (bool, Option<Handle>) {
        let slot = self.slot(token);
        match slot {
            Slot::Waiting(_) => {
                *slot = Slot::Orphan;
                (true, None)
            }
            Slot::Done(_) => match self.release(token) {
                Some(Outcome::Accepted(Ok((handle, _))) | Outcome::Opened(Ok(handle))) => {
                    (false, Some(handle))
                }
                _ => (false, None),
            },
            Slot::Free | Slot::Orphan => (false, None),
        }
    }

    /// Operations that have not completed.
    pub(crate) fn under_way(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn slot(&mut self, token: Token) -> &mut Slot {
        let (uses, slot) = &mut self.slots[token.0 as u32 as usize];
        assert_eq!(*uses, (token.0 >> 32) as u32, "a stale token {token:?}");
        slot
    }

    fn release(&mut self, token: Token) -> Option<Outcome> {
        let index = token.0 as u32;
        self.free.push(index);
        match std::mem::replace(&mut self.slots[index as usize].1, Slot::Free) {
            Slot::Done(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// Whether an operation may wait for somebody outside and is therefore cancelled with its future. The others
/// end by themselves, and to cut them short would leave their effect unknown.
pub(crate) fn waits_for_a_peer(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Accept { .. }
            | Operation::Connect { .. }
            | Operation::Receive { .. }
            | Operation::ReceiveInto { .. }
            | Operation::Send { .. }
    )
}
