//! What the run tells its clients, and what they tell it.

use crate::book::{Book, Place};
use crate::shares::Ledger;
use checker::History;
use executor::Event;
use sim_driver::World;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Their work.
    Work,
    /// Only what takes its time while all is well: groups come to read what matches their patterns.
    Settle,
    /// No new work, but bring to an end what was begun; then wait.
    Finish,
    /// Nothing: no request may be sent.
    Pause,
}

/// One client's progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub name: String,
    /// Requests that were answered as they should be.
    pub successes: u64,
    /// It is at the gate, with nothing under way.
    pub waits: bool,
    /// Nothing that it began is left to be done.
    pub finished: bool,
    /// It has done its work and is gone.
    pub left: bool,
    /// It has something to do in [`Phase::Settle`].
    pub settles: bool,
    /// It has to wait for all others before it is finished.
    pub last: bool,
}

/// Shared by the run and its clients.
pub(crate) struct Control {
    world: World,
    pub book: RefCell<Book>,
    /// What clients of coordinators did.
    pub history: RefCell<History>,
    /// What members of the share group were given.
    pub ledger: RefCell<Ledger>,
    /// The group of each client that subscribes to a pattern, and what it has.
    pub shares: RefCell<BTreeMap<usize, (u32, BTreeSet<Place>)>>,
    /// The last topic that matches patterns has been made.
    pub planted: Cell<bool>,
    members: Cell<u32>,
    phase: Cell<Phase>,
    changed: Event,
    progress: RefCell<Vec<Progress>>,
}

impl Control {
    pub(crate) fn new(world: &World) -> Rc<Control> {
        Rc::new(Control {
            world: world.clone(),
            book: RefCell::default(),
            history: RefCell::default(),
            ledger: RefCell::default(),
            shares: RefCell::default(),
            planted: Cell::new(false),
            members: Cell::new(0),
            phase: Cell::new(Phase::Pause),
            changed: Event::new(),
            progress: RefCell::default(),
        })
    }

    /// Adds a client; its number.
    pub(crate) fn join(&self, name: String) -> usize {
        let mut progress = self.progress.borrow_mut();
        let last = name.starts_with("consumer");
        progress.push(Progress { name, waits: true, last, ..Progress::default() });
        progress.len() - 1
    }

    /// Tells all clients. They hear of it at their next look.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        if phase != Phase::Finish {
            self.progress.borrow_mut().iter_mut().for_each(|one| one.finished = false);
        }
        self.changed.notify();
    }

    /// What clients are to do.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A number that no member of a group has had.
    pub(crate) fn new_member(&self) -> u32 {
        self.members.set(self.members.get() + 1);
        self.members.get()
    }

    /// Waits until there is something to do: work, or with `unfinished` business its end.
    pub(crate) async fn gate(&self, client: usize, unfinished: bool) -> Phase {
        loop {
            let (seen, phase) = (self.changed.count(), self.phase.get());
            let settles = phase == Phase::Settle && self.progress.borrow()[client].settles;
            if phase == Phase::Work || phase == Phase::Finish && unfinished || settles {
                self.edit(client, |one| one.waits = false);
                return phase;
            }
            self.edit(client, |one| {
                one.waits = true;
                one.finished = phase == Phase::Finish;
            });
            self.changed.after(seen).await;
        }
    }

    /// A client is gone for good.
    pub(crate) fn leave(&self, client: usize) {
        self.edit(client, |one| (one.left, one.waits) = (true, true));
    }

    /// Whether a client has something to do in [`Phase::Settle`].
    pub(crate) fn settles(&self, client: usize, settles: bool) {
        self.edit(client, |one| one.settles = settles);
    }

    /// A request was answered as it should be.
    pub(crate) fn success(&self, client: usize) {
        self.edit(client, |one| one.successes += 1);
    }

    /// Adds a line of a client to the trace.
    pub(crate) fn note(&self, client: usize, text: &str) {
        let name = self.progress.borrow()[client].name.clone();
        self.world.note(&format!("{name}: {text}"));
    }

    fn edit(&self, client: usize, act: impl FnOnce(&mut Progress)) {
        act(&mut self.progress.borrow_mut()[client]);
    }

    pub(crate) fn progress(&self) -> Vec<Progress> {
        self.progress.borrow().clone()
    }

    /// Whether every client is at the gate.
    pub(crate) fn all_wait(&self) -> bool {
        self.progress.borrow().iter().all(|one| one.waits)
    }

    /// Whether all but the consumers are finished: so nothing will be added to the logs.
    pub(crate) fn producers_finished(&self) -> bool {
        self.progress.borrow().iter().all(|one| one.finished || one.last || one.left)
    }

    /// Whether every client has brought everything to an end.
    pub(crate) fn all_finished(&self) -> bool {
        self.progress.borrow().iter().all(|one| one.finished || one.left)
    }

    pub(crate) fn violated(&self, what: impl Into<String>) {
        self.book.borrow_mut().violated(what);
    }
}
