//! Writes commits, several at once, and acknowledges them in the order of their sequence.
//!
//! Where somebody waits for the device, a first commit goes out as soon as it holds anything. Where nobody does
//! ([`Durability::Memory`]), a write for each small record costs more than all else of its way: there they gather, and
//! no record waits longer for its write than [`RELAXED_PAUSE`]. Readers and producers do not wait for that: the logs get
//! what has come in each turn.

use super::Journal;
use super::building::Sealed;
use crate::config::Durability;
use crate::error::StorageError;
use crate::stats;
use crate::store::Shared;
use base::Instant;
use driver::Errno;
use executor::{Sleep, io};
use memory::Slice;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The first commit goes out as soon as it holds anything. Beside one that is on its way a second goes out when it has
/// grown to this: what comes meanwhile makes one larger commit, and a commit costs a block of the device, memory for it,
/// and a flush, however small it is.
const SECOND_COMMIT_BYTES: usize = 16 << 10;
/// Beyond it is this: an operation costs as much as 100 KB of data.
const FURTHER_COMMIT_BYTES: usize = 32 << 10;
/// Where nobody waits for the device it is this, beside others or not,
const RELAXED_COMMIT_BYTES: usize = 64 << 10;
/// or anything, so long after the commit before began. One that comes later than that goes out at once, and needs no
/// timer. `docs/configuration.md` promises it.
pub(crate) const RELAXED_PAUSE: Duration = Duration::from_millis(1);

type Write = Pin<Box<dyn Future<Output = (Result<(), Errno>, Slice)>>>;

/// A commit on its way.
struct Flight {
    commit: Sealed,
    write: Write,
    began: Instant,
    result: Option<Result<(), Errno>>,
}

/// When a commit that nobody waits for goes out, however little it holds.
#[derive(Default)]
struct Pace {
    /// Not before; `None`: at once.
    next: Option<Instant>,
    /// Wakes the committer then. There is one for all that gathers, not one for each record.
    alarm: Option<Sleep>,
}

impl Pace {
    fn began(&mut self, at: Instant) {
        self.next = Some(at + RELAXED_PAUSE);
        self.alarm = None;
    }

    fn is_due(&self) -> bool {
        self.next.is_none_or(|next| executor::now() >= next)
    }

    /// Whether it is due; else the task is woken then. It must always be the same task that asks.
    fn poll_due(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_due() {
            self.alarm = None;
            return true;
        }
        let Some(next) = self.next.filter(|_| self.alarm.is_none()) else { return false };
        let mut alarm = executor::sleep_until(next);
        let rang = Pin::new(&mut alarm).poll(context).is_ready();
        self.alarm = Some(alarm);
        rang
    }
}

/// The committer's task; ends when the store stops and everything is written, or when a write fails.
pub(crate) async fn run(shared: Rc<Shared>) {
    let mut flights: VecDeque<Flight> = VecDeque::new();
    let mut pace = Pace::default();
    loop {
        let seen = shared.work.count();
        while let Some(commit) = shared.next_commit(flights.len(), &pace) {
            let flight = start(&shared, commit);
            pace.began(flight.began);
            flights.push_back(flight);
        }
        if flights.is_empty() && shared.stopping.get() {
            return;
        }
        let gathers = shared.gathers(flights.len());
        let mut work = pin!(shared.work.after(seen));
        poll_fn(|context| {
            let progress = poll_flights(&mut flights, context);
            let woken = work.as_mut().poll(context).is_ready();
            let due = gathers && pace.poll_due(context);
            if progress || woken || due { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        while flights.front().is_some_and(|flight| flight.result.is_some()) {
            let Some(flight) = flights.pop_front() else { break };
            if let Some(Err(errno)) = flight.result {
                // On a line of its own: the journal must not be borrowed while it goes offline.
                let path = shared.journal.borrow().files.current_path();
                shared.go_offline(errno, "write the journal", &path);
                let error = shared.offline_error();
                for flight in std::iter::once(flight).chain(flights.drain(..)) {
                    flight.commit.done.end(Err(error.clone()));
                }
                return;
            }
            shared.stats.flush_latency.record(executor::now().since(flight.began));
            shared.acknowledge(flight.commit);
        }
    }
}

fn start(shared: &Shared, commit: Sealed) -> Flight {
    let durable = shared.options.durability == Durability::Device;
    let bytes = commit.bytes.clone();
    stats::add(&shared.stats.commits, 1);
    stats::add(&shared.stats.commit_bytes, bytes.len() as u64);
    let write = Box::pin(io::write(commit.handle, commit.offset, bytes, durable));
    Flight { commit, write, began: executor::now(), result: None }
}

/// True if the first one has ended, or any other has now.
fn poll_flights(flights: &mut VecDeque<Flight>, context: &mut Context<'_>) -> bool {
    let mut progress = false;
    for flight in flights.iter_mut().filter(|flight| flight.result.is_none()) {
        if let Poll::Ready((result, _)) = flight.write.as_mut().poll(context) {
            flight.result = Some(result);
            progress = true;
        }
    }
    progress
}

impl Shared {
    /// The next commit to write while `in_flight` others are on their way.
    fn next_commit(&self, in_flight: usize, pace: &Pace) -> Option<Sealed> {
        let mut journal = self.journal.borrow_mut();
        if !self.waits_for_device() {
            // Whenever it is written: readers have it now.
            journal.share();
        }
        if !self.may_begin(in_flight) {
            return None;
        }
        if journal.sealed.is_empty() && journal.building_bytes() >= self.enough(&journal, in_flight, pace) {
            self.put_notes(&mut journal);
            journal.seal();
        }
        journal.sealed.pop_front()
    }

    /// Whether one more commit may be on its way beside `in_flight` others.
    fn may_begin(&self, in_flight: usize) -> bool {
        self.offline.borrow().is_none() && in_flight < self.options.journal_inflight.max(1)
    }

    /// What a commit must hold to go out.
    fn enough(&self, journal: &Journal, in_flight: usize, pace: &Pace) -> usize {
        if !self.waits_for_device() {
            // A store that stops, and one that is short of room, waits for the first one at least.
            let awaited = in_flight == 0 && (self.stopping.get() || self.busy.get());
            let at_once = awaited || journal.is_urgent() || pace.is_due();
            return if at_once { 1 } else { RELAXED_COMMIT_BYTES };
        }
        match in_flight {
            0 => 1,
            1 => SECOND_COMMIT_BYTES,
            _ => FURTHER_COMMIT_BYTES,
        }
    }

    /// Something is gathered that nobody waits for, and goes out when its time has come.
    fn gathers(&self, in_flight: usize) -> bool {
        !self.waits_for_device() && self.may_begin(in_flight) && self.journal.borrow().building_bytes() > 0
    }

    /// Puts all commits on the device that are written. Where acknowledgements wait for that, they are there.
    ///
    /// Of all files, as far as that was not done before: a start goes through the commits from the first one on that it
    /// does not know to be drained, and a file that is free by now may have that.
    pub(crate) async fn sync_journal(&self) -> Result<(), StorageError> {
        if self.waits_for_device() {
            return Ok(());
        }
        let wanted = self.journal.borrow().durable_through;
        // One after another: of two that are under way at once, one is told what the file's sync has failed for, and the
        // other is not. Who has waited here most often finds that all is done.
        let _syncing = self.journal_sync.take(1).await;
        self.check_online()?;
        let (through, files) = {
            let journal = self.journal.borrow();
            if journal.synced_through >= wanted {
                return Ok(());
            }
            (journal.durable_through, journal.files.behind(journal.synced_through))
        };
        for (handle, path) in files {
            let synced = io::sync(handle).await;
            // A store that stops closes them, whatever their numbers stand for then.
            self.check_online()?;
            if let Err(errno) = synced {
                self.go_offline(errno, "sync", &path);
                return Err(self.offline_error());
            }
        }
        let mut journal = self.journal.borrow_mut();
        journal.synced_through = journal.synced_through.max(through);
        Ok(())
    }

    /// A commit and all before it are on the device, or written where nobody waits for more: its records may be seen
    /// and its waiters go on.
    fn acknowledge(&self, commit: Sealed) {
        let mut journal = self.journal.borrow_mut();
        journal.durable_through = commit.sequence;
        journal.durable_bytes += commit.bytes.len() as u64;
        drop(journal);
        for append in &commit.appends {
            append.log.durable(append.last + 1);
        }
        commit.done.end(Ok(()));
        self.room.notify();
    }
}
