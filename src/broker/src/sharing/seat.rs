//! Sessions end with the connection that they were begun on: what the client had is given to others at once, and not
//! when its locks are up.

use crate::broker::Broker;
use std::cell::RefCell;
use std::rc::Rc;

/// A session that was begun on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seated {
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) serial: u64,
}

/// The sessions of one connection. It goes with the connection and the last of its requests.
pub(crate) struct Seat {
    broker: Rc<Broker>,
    taken: RefCell<Vec<Seated>>,
}

impl Seat {
    pub(crate) fn new(broker: Rc<Broker>) -> Rc<Seat> {
        Rc::new(Seat { broker, taken: RefCell::default() })
    }

    /// A session begins here. A member's earlier one has ended by that.
    pub(crate) fn take(&self, seated: Seated) {
        let mut taken = self.taken.borrow_mut();
        taken.retain(|one| one.group != seated.group || one.member != seated.member);
        taken.push(seated);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let taken = std::mem::take(&mut *self.taken.borrow_mut());
        if !taken.is_empty() {
            self.broker.share.left(taken);
        }
    }
}
