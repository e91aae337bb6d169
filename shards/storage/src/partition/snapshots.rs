//! Which logs are due for a snapshot of their producers, and the task that saves them; and which are due for a look at
//! what producers they have.
//!
//! A snapshot is little to write, but it makes one name and removes another: workers of the kernel do that, on the same
//! core when there is no other, and each is waited for. The drain must not be the one that waits, for those who find no
//! room wait for it. So one task saves a log after the other, and rests in between. The more logs are busy, the more
//! each of them takes in from one snapshot to the next, and what they cost a shard is bounded.
//!
//! Of a log that nobody asked for its producers since the start, they are not known, so there is nothing to save. When
//! much has come since, they are read before it is more, one log after the other: or the first that asks would wait
//! until all of it is read.

use super::{Log, producers};
use crate::error::StorageError;
use crate::store::Shared;
use driver::Errno;
use executor::{Either, Event, race, sleep};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The pause after a snapshot. While all logs of a shard are due again and again, each of them takes in on average what
/// the shard does in such a pause, beyond what makes it due: a start reads so much more of it for its producers.
const PAUSE: Duration = Duration::from_millis(25);

/// The logs that are due, each of them once.
#[derive(Default)]
pub(crate) struct Due {
    /// For a snapshot.
    logs: RefCell<VecDeque<Rc<Log>>>,
    /// There is one more.
    more: Event,
    /// For a look at what producers they have.
    unknown: RefCell<VecDeque<Rc<Log>>>,
    /// There is one more.
    more_unknown: Event,
}

/// Has a snapshot saved, if there is enough new in the log for one; or the producers read, so that one can be saved.
pub(crate) fn save_later(shared: &Shared, log: &Rc<Log>) {
    let due = &shared.snapshots_due;
    let (is_due, is_unknown) = {
        let state = log.state.borrow();
        (producers::is_due(&state, false), producers::is_unknown_for_long(&state))
    };
    if is_due && !log.snapshot_due.replace(true) {
        due.logs.borrow_mut().push_back(log.clone());
        due.more.notify();
    }
    if is_unknown && !log.load_due.replace(true) {
        due.unknown.borrow_mut().push_back(log.clone());
        due.more_unknown.notify();
    }
}

/// The task; ends when the store stops, which saves everything, or goes offline.
pub(crate) async fn run(shared: Rc<Shared>) {
    let due = &shared.snapshots_due;
    while !shared.stopping.get() && shared.offline.borrow().is_none() {
        let (seen, stop) = (due.more.count(), shared.stop.count());
        let next = due.logs.borrow_mut().pop_front();
        let Some(log) = next else {
            race(due.more.after(seen), shared.stop.after(stop)).await;
            continue;
        };
        if let Err(error) = save(&log).await {
            log::error!("{}: could not save the producers' state: {error}", log.id);
            shared.go_offline(Errno::IO, "save producers to", &shared.options.data);
            break;
        }
        race(sleep(PAUSE), shared.stop.after(stop)).await;
    }
    due.logs.borrow_mut().clear();
}

/// The task that has the producers read where they are not known; ends when the store stops or goes offline.
pub(crate) async fn run_loads(shared: Rc<Shared>) {
    let due = &shared.snapshots_due;
    while !shared.stopping.get() && shared.offline.borrow().is_none() {
        let (seen, stop) = (due.more_unknown.count(), shared.stop.count());
        let next = due.unknown.borrow_mut().pop_front();
        let Some(log) = next else {
            race(due.more_unknown.after(seen), shared.stop.after(stop)).await;
            continue;
        };
        if log.state.borrow().deleted {
            continue;
        }
        // The load has it saved.
        let loading = producers::ensure_loaded(&shared, &log);
        let known = matches!(race(loading, shared.stop.after(stop)).await, Either::Left(true));
        log.load_due.set(false);
        if !known {
            // It was said why; the next time when as much has come again.
            log.state.borrow_mut().unread_bytes = 0;
        }
    }
    due.unknown.borrow_mut().clear();
}

async fn save(log: &Rc<Log>) -> Result<(), StorageError> {
    // Nobody else writes to its directory meanwhile, or removes that.
    let _writing = log.writer.take(1).await;
    log.snapshot_due.set(false);
    if log.state.borrow().deleted {
        return Ok(());
    }
    match producers::save(log, false).await {
        // Without it a start reads more; it is tried again when as much has come.
        Err(StorageError::NoSpace) => Ok(()),
        // A partition that was deleted meanwhile takes its files along.
        Err(_) if log.state.borrow().deleted => Ok(()),
        saved => saved,
    }
}
