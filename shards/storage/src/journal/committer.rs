//! Writes commits, several at once, and acknowledges them in the order of their sequence.

use super::building::Sealed;
use crate::config::Durability;
use crate::stats;
use crate::store::Shared;
use base::Instant;
use driver::Errno;
use executor::io;
use memory::Slice;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

/// The first commit goes out as soon as it holds anything. Beside one that is on its way a second goes out when it has
/// grown to this: what comes meanwhile makes one larger commit, and a commit costs a block of the device, memory for it,
/// and a flush, however small it is.
const SECOND_COMMIT_BYTES: usize = 16 << 10;
/// Beyond, and where nobody waits for the device, it is this: an operation costs as much as 100 KB of data.
const FURTHER_COMMIT_BYTES: usize = 32 << 10;

type Write = Pin<Box<dyn Future<Output = (Result<(), Errno>, Slice)>>>;

/// A commit on its way.
struct Flight {
    commit: Sealed,
    write: Write,
    began: Instant,
    result: Option<Result<(), Errno>>,
}

/// The committer's task; ends when the store stops and everything is written, or when a write fails.
pub(crate) async fn run(shared: Rc<Shared>) {
    let mut flights: VecDeque<Flight> = VecDeque::new();
    loop {
        let seen = shared.work.count();
        while let Some(commit) = shared.next_commit(flights.len()) {
            flights.push_back(start(&shared, commit));
        }
        if flights.is_empty() && shared.stopping.get() {
            return;
        }
        let mut work = pin!(shared.work.after(seen));
        poll_fn(|context| {
            let progress = poll_flights(&mut flights, context);
            let woken = work.as_mut().poll(context).is_ready();
            if progress || woken { Poll::Ready(()) } else { Poll::Pending }
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
    fn next_commit(&self, in_flight: usize) -> Option<Sealed> {
        let mut journal = self.journal.borrow_mut();
        if self.offline.borrow().is_some() || in_flight >= self.options.journal_inflight.max(1) {
            return None;
        }
        if journal.sealed.is_empty() {
            let bytes = journal.building_bytes();
            let enough = match in_flight {
                0 => 1,
                1 if self.waits_for_device() => SECOND_COMMIT_BYTES,
                _ => FURTHER_COMMIT_BYTES,
            };
            if bytes >= enough {
                self.put_notes(&mut journal);
                journal.seal();
            }
        }
        journal.sealed.pop_front()
    }

    /// A commit and all before it are on the device: its records may be seen and its waiters go on.
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
