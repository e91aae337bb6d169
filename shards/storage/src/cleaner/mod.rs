//! Compaction, in the background: of every key its last record stays. `docs/log-cleaning.md` is its page.
//!
//! - [`choose`]: what of a log may be compacted, and whether it is worth it.
//! - [`map`]: the last offset of every key, in fixed memory; [`hash`]: what stands for a key in it.
//! - [`rewrite`]: a run over a log.
//! - [`filter`]: what of a batch stays; [`records`]: what is in it; [`transactions`]: whose it is.
//! - [`output`]: the file that segments are rewritten into; [`swap`]: how it takes their place.
//! - [`state`]: how far a log was compacted, in a file.
//! - [`pace`]: how fast all of this goes.

mod choose;
mod filter;
mod hash;
mod map;
mod output;
mod pace;
mod records;
mod rewrite;
pub(crate) mod state;
pub(crate) mod swap;
mod transactions;

pub(crate) use filter::{Changes, LastBatch, other_batch};
pub(crate) use state::CleanerState;
pub(crate) use transactions::AbortedTransaction;

use crate::config::LogConfig;
use crate::error::{Damage, StorageError};
use crate::partition::{Log, Partition, producers};
use crate::stats;
use crate::store::Shared;
use choose::Dirty;
use executor::{race, sleep, yield_now};
use filter::Rules;
use hash::KeyHash;
use map::OffsetMap;
use pace::Pace;
use rewrite::Run;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use transactions::Transactions;

/// Of the pool at most this part is the offset map.
const POOL_PART: usize = 8;

/// Why a run has ended early.
pub(crate) enum CleanError {
    /// The log cannot be compacted.
    Damaged(Box<Damage>),
    /// The store stops, or the log is no more what it was when the run began.
    Ended,
    Storage(StorageError),
}

impl From<StorageError> for CleanError {
    fn from(error: StorageError) -> CleanError {
        match error {
            StorageError::Damaged(damage) => CleanError::Damaged(damage),
            other => CleanError::Storage(other),
        }
    }
}

/// The task; ends when the store stops or goes offline.
pub(crate) async fn run(shared: Rc<Shared>) {
    loop {
        let (stop, configured) = (shared.stop.count(), shared.cleaner_configured.count());
        if shared.check_online().is_err() {
            return;
        }
        let (enabled, backoff) = {
            let options = shared.cleaner.borrow();
            (options.enabled, options.backoff.max(Duration::from_millis(1)))
        };
        if enabled && clean_dirtiest(&shared).await {
            yield_now().await;
            continue;
        }
        let told = race(shared.cleaner_configured.after(configured), shared.stop.after(stop));
        race(sleep(backoff), told).await;
    }
}

/// A log that is worth a run.
struct Candidate {
    log: Rc<Log>,
    config: Rc<LogConfig>,
    dirty: Dirty,
}

/// Compacts the log that needs it most; false if none does, or it could not be done now.
async fn clean_dirtiest(shared: &Rc<Shared>) -> bool {
    let Some(candidate) = dirtiest(shared).await else { return false };
    let Candidate { log, config, dirty } = candidate;
    stats::add(&shared.stats.cleaner_runs, 1);
    let result = clean(shared, &log, &config, &dirty).await;
    shared.stats.cleaner_last_run_ms.store(executor::wall_clock_ms().max(0) as u64, Ordering::Relaxed);
    match result {
        Ok(()) => true,
        Err(CleanError::Ended) => false,
        Err(CleanError::Damaged(damage)) => {
            let behind = damage.offsets.map_or(i64::MAX, |(_, to)| to.0);
            log.uncleanable.set(Some(behind));
            log::error!("{}: this log is not compacted any more, since it is damaged: {damage}", log.id);
            true
        }
        // There will be room again.
        Err(CleanError::Storage(StorageError::NoSpace | StorageError::OutOfMemory { .. })) => false,
        Err(CleanError::Storage(error)) => {
            if !log.state.borrow().deleted && shared.check_online().is_ok() {
                log.uncleanable.set(Some(i64::MAX));
                log::error!("{}: this log is not compacted any more: {error}; restart the broker", log.id);
            }
            true
        }
    }
}

/// Looks at all compacted logs.
async fn dirtiest(shared: &Rc<Shared>) -> Option<Candidate> {
    let mut all: Vec<Partition> = shared.partitions.borrow().values().cloned().collect();
    all.retain(|partition| partition.config().compact);
    all.sort_by_key(Partition::id);
    let now_ms = executor::wall_clock_ms();
    let (mut most, mut uncleanable, mut best) = (0.0, 0, None::<Candidate>);
    for Partition { log } in all {
        if log.is_uncleanable() {
            uncleanable += 1;
            continue;
        }
        let config = log.config.borrow().clone();
        let dirty = match choose::examine(shared, &log, &config, now_ms).await {
            Ok(dirty) => dirty,
            Err(error) => {
                if !error.is_gone() && !log.state.borrow().deleted {
                    log::warn!("{}: could not see what is to be compacted: {error}", log.id);
                }
                continue;
            }
        };
        most = f64::max(most, dirty.ratio);
        let worth = dirty.ratio > config.min_cleanable_ratio || dirty.overdue;
        let better = best.as_ref().is_none_or(|best| dirty.ratio > best.dirty.ratio);
        if worth && better && dirty.dirty_bytes > 0 {
            best = Some(Candidate { log, config, dirty });
        }
    }
    shared.stats.max_dirty_permille.store((most * 1000.0) as u64, Ordering::Relaxed);
    shared.stats.uncleanable_partitions.store(uncleanable, Ordering::Relaxed);
    best
}

/// A run over one log.
async fn clean(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    config: &LogConfig,
    dirty: &Dirty,
) -> Result<(), CleanError> {
    if !producers::ensure_loaded(shared, log).await {
        let what = "the state of its producers cannot be read";
        return Err(StorageError::Format { path: log.directory.clone(), what }.into());
    }
    // Which transactions are open may be known only now.
    let unstable = log.first_unstable();
    let examined;
    let dirty = if unstable < dirty.first_uncleanable {
        examined = choose::examine(shared, log, config, executor::wall_clock_ms()).await?;
        &examined
    } else {
        dirty
    };
    let last = log.state.borrow().producers.as_ref().map(|all| all.last_batches()).unwrap_or_default();
    let mut run = Run::new(shared, log);
    let mut map = take_map(shared, &mut run.pace, dirty.dirty_bytes).await?;
    run.fill(dirty, &mut map).await?;
    if map.latest < dirty.first_dirty {
        return Ok(());
    }
    let end = map.latest + 1;
    let groups = choose::groups(&dirty.parts, end, u64::from(config.segment_bytes));
    let boundary = groups.last().and_then(|group| group.last()).map_or(0, |part| part.end);
    let known = choose::state(shared, log).await?;
    let begun = CleanerState { boundary: known.boundary.max(boundary), first_dirty: dirty.first_dirty };
    put_state(log, begun).await?;
    let rules = Rules {
        map,
        now_ms: executor::wall_clock_ms(),
        delete_retention_ms: config.delete_retention_ms,
        round_end: dirty.first_uncleanable,
        last,
    };
    let begin = dirty.parts.first().map_or(0, |part| part.base);
    let mut transactions = Transactions::new(&log.aborted_transactions(begin, end).await?);
    for group in &groups {
        run.rewrite(&rules, &mut transactions, group).await?;
    }
    put_state(log, CleanerState { first_dirty: end, ..begun }).await
}

async fn put_state(log: &Rc<Log>, state: CleanerState) -> Result<(), CleanError> {
    log.has_gaps.set(true);
    match state.write(&log.directory).await {
        // The partition was deleted.
        Err(error) if error.is_gone() => return Err(CleanError::Ended),
        written => written?,
    }
    log.cleaned.set(Some(state));
    Ok(())
}

/// Memory for a map of the keys in `dirty_bytes`, as much as is wanted and there is.
async fn take_map(shared: &Rc<Shared>, pace: &mut Pace, dirty_bytes: u64) -> Result<OffsetMap, CleanError> {
    let (wanted, load) = {
        let options = shared.cleaner.borrow();
        (options.map_bytes, options.load_factor)
    };
    let pool = &shared.options.pool;
    // A record has at least some eight bytes, an entry of the map has 24.
    let useful = usize::try_from(dirty_bytes.saturating_mul(4)).unwrap_or(usize::MAX);
    let limit = wanted.min(pool.budget_bytes() / POOL_PART).min(useful).max(map::BYTES_MIN);
    let mut bytes = 1usize << limit.ilog2();
    let mut block = loop {
        match pool.take(bytes) {
            Some(block) => break block,
            None if bytes > map::BYTES_MIN => bytes /= 2,
            None => return Err(StorageError::OutOfMemory { bytes }.into()),
        }
    };
    for part in block.chunks_mut(map::CLEAR_BYTES) {
        part.fill(0);
        pace.worked(part.len()).await?;
    }
    let key = KeyHash::new([executor::random(), executor::random()]);
    Ok(OffsetMap::new(block, key, load))
}
