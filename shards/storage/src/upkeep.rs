//! The store's upkeep, in the background: looks for old segments, and removes files some time after they were
//! deleted.

use crate::partition::{Partition, retention};
use crate::store::Shared;
use base::Instant;
use driver::Errno;
use executor::{io, now, race, sleep_until, yield_now};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// While files wait to be removed, it is looked so often whether their room is needed.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

/// Files that are to be removed, each with the time for it.
pub(crate) type Trash = BTreeSet<(Instant, PathBuf)>;

/// Removes a file after a while.
pub(crate) fn remove_later(shared: &Shared, path: PathBuf, delay: Duration) {
    shared.trash.borrow_mut().insert((now() + delay, path));
    shared.trashed.notify();
}

/// The task that looks for old segments; ends when the store stops or goes offline.
pub(crate) async fn run(shared: Rc<Shared>) {
    let mut due = now() + shared.options.retention_first;
    loop {
        let stop = shared.stop.count();
        if shared.check_online().is_err() {
            return;
        }
        race(sleep_until(due), shared.stop.after(stop)).await;
        if now() >= due {
            look(&shared).await;
            due = now() + shared.options.retention_check;
        }
    }
}

/// The task that removes files; ends when the store stops or goes offline. Not the one that looks: where a log's
/// producers must be read before records go, a look takes long, and what is removed here makes room meanwhile.
pub(crate) async fn run_trash(shared: Rc<Shared>) {
    loop {
        let (stop, trashed) = (shared.stop.count(), shared.trashed.count());
        if shared.check_online().is_err() {
            return;
        }
        let signs = race(shared.stop.after(stop), shared.trashed.after(trashed));
        let waiting = shared.trash.borrow().first().map(|(at, _)| *at);
        match waiting {
            Some(at) => {
                race(sleep_until(at.min(now() + LOOK_FOR_ROOM)), signs).await;
            }
            None => {
                signs.await;
            }
        }
        empty_trash(&shared, false).await;
    }
}

/// Looks at every log once.
async fn look(shared: &Rc<Shared>) {
    let mut all: Vec<Partition> = shared.partitions.borrow().values().cloned().collect();
    all.sort_by_key(Partition::id);
    for partition in all {
        if shared.check_online().is_err() {
            return;
        }
        let gone = |partition: &Partition| partition.log.state.borrow().deleted;
        match retention::enforce(shared, &partition.log).await {
            Err(error) if shared.check_online().is_ok() && !gone(&partition) => {
                log::warn!("{}: could not delete old segments: {error}; trying again later", partition.id());
            }
            _ => yield_now().await,
        }
    }
}

/// Removes the files whose time has come; `all`, and where room is needed: all.
pub(crate) async fn empty_trash(shared: &Rc<Shared>, all: bool) {
    loop {
        let path = {
            let mut trash = shared.trash.borrow_mut();
            let all = all || shared.stats.is_full();
            match trash.pop_first() {
                Some((at, path)) if all || at <= now() => path,
                Some(early) => {
                    trash.insert(early);
                    return;
                }
                None => return,
            }
        };
        match io::remove(&path).await {
            // The partition may be gone with all of its files.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => log::warn!("could not remove {}: {errno}; the next start does", path.display()),
        }
    }
}
