//! Producers outlive their records: before the log start moves, a snapshot of them is on the device.
//!
//! A start reads the batches from the newest snapshot or from the log start on, whichever comes later. What is deleted
//! must therefore be in a snapshot that no power loss takes: it is synced, its directory is there, and the log is
//! durable up to it, for one from behind the log's end is removed by the start. Other snapshots are not synced, so
//! that one stays, however many of these come, until another like it has taken its place.

use super::{Log, LogState, aborted, producers};
use crate::error::{ReadError, StorageError};
use crate::producers::Producers;
use crate::segment::file_name;
use crate::store::Shared;
use crate::window::put_file;
use driver::{Errno, OpenOptions};
use executor::{io, now, race, sleep};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// On a full device a large append may wait for what a deletion is to make: it is waited for so long then.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Who waits looks again so often: that the device is full, or that the store stops, is not told to all.
const LOOK: Duration = Duration::from_millis(100);

/// The snapshots of a log that stay though newer ones come.
#[derive(Default)]
pub(crate) struct Secured {
    /// The offsets of those that are on the device for sure, in order. The log start relies on the newest one that the
    /// log is durable up to; what is before that goes.
    synced: Vec<i64>,
    /// The one that the producers were loaded from, as long as nobody has made sure that it is on the device.
    loaded: Option<i64>,
}

impl Secured {
    /// The producers were loaded from the snapshot of this offset.
    pub fn note_loaded(&mut self, offset: i64) {
        self.loaded = Some(offset);
    }

    /// Whether the snapshot of this offset stays.
    pub fn keeps(&self, offset: i64) -> bool {
        self.loaded == Some(offset) || self.synced.contains(&offset)
    }

    /// Lets those go that are not relied on any more.
    pub fn trim(&mut self, high_watermark: i64) {
        let reached = self.synced.partition_point(|&offset| offset <= high_watermark);
        self.synced.drain(..reached.saturating_sub(1));
    }

    fn add(&mut self, offset: i64) {
        if let Err(at) = self.synced.binary_search(&offset) {
            self.synced.insert(at, offset);
        }
    }

    /// The first one that holds everything before an offset.
    fn holding(&self, before: i64) -> Option<i64> {
        self.synced.iter().copied().find(|&offset| offset >= before)
    }
}

/// Puts the producers on the device, before the log start moves to `start`, which is not above the high watermark. The
/// caller does not hold the log's writer. False if there is no room for that, and then a snapshot is due, whatever was
/// appended: what makes room does not wait for some, or on a full device nothing would ever be deleted. An error if they
/// cannot be read for now.
pub(crate) async fn secure(shared: &Rc<Shared>, log: &Rc<Log>, start: i64) -> Result<bool, StorageError> {
    if !producers::ensure_loaded(shared, log).await {
        // It was said why.
        let failure = log.load_failure.borrow().clone();
        return match failure.and_then(passing).filter(|_| !shared.stats.is_full()) {
            Some(error) => Err(error),
            // Old records go all the same: without a limit the device would be full some day.
            None => Ok(true),
        };
    }
    match put(shared, log, start).await {
        Ok(offset) => reached(shared, log, offset).await,
        Err(StorageError::NoSpace) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why the producers could not be read, if another try may do better: what is lost with the records until then would be
/// lost for nothing. Damage, and files that are gone or cannot be read, stay as they are.
fn passing(failure: ReadError) -> Option<StorageError> {
    match failure {
        ReadError::Storage(error) => {
            let stays = error.is_gone()
                || matches!(
                    error,
                    StorageError::Damaged(_)
                        | StorageError::Format { .. }
                        | StorageError::Io { errno: Errno::IO, .. }
                );
            (!stays).then_some(error)
        }
        ReadError::Damaged(_) | ReadError::OffsetOutOfRange { .. } => None,
    }
}

/// The offset of a snapshot that will do. Where no producer is known none is needed, and `start` is as good as one.
fn found(state: &LogState, start: i64) -> Option<i64> {
    match state.producers.as_ref().is_none_or(Producers::is_empty) {
        true => Some(start),
        false => state.secured.holding(start),
    }
}

/// Makes a snapshot, if there is none that will do; its offset.
async fn put(shared: &Rc<Shared>, log: &Rc<Log>, start: i64) -> Result<i64, StorageError> {
    let there = found(&log.state.borrow(), start);
    if let Some(offset) = there {
        return Ok(offset);
    }
    let _writing = log.writer.take(1).await;
    shared.check_online()?;
    let (bytes, offset) = {
        let mut state = log.state.borrow_mut();
        if state.deleted {
            return Err(StorageError::UnknownPartition(log.id));
        }
        // Somebody else may have made one meanwhile.
        if let Some(offset) = found(&state, start) {
            return Ok(offset);
        }
        let Some(taken) = producers::take_snapshot(&mut state) else { return Ok(start) };
        taken
    };
    let put = put_synced(shared, log, bytes, offset).await;
    if put.is_err() {
        log.state.borrow_mut().unsaved_bytes += producers::SNAPSHOT_BYTES + 1;
    }
    put.map(|()| offset)
}

async fn put_synced(shared: &Shared, log: &Rc<Log>, bytes: Vec<u8>, offset: i64) -> Result<(), StorageError> {
    let put = write_synced(shared, log, bytes, offset).await;
    if let Err(StorageError::Io { action, errno, .. }) = &put
        && *action == "sync"
    {
        // As where the drain does it: the next sync would not say that names are lost, which may be those of segments.
        shared.go_offline(*errno, "sync", &log.directory);
    }
    put
}

async fn write_synced(
    shared: &Shared,
    log: &Rc<Log>,
    bytes: Vec<u8>,
    offset: i64,
) -> Result<(), StorageError> {
    // All that is deleted may be in the journal only, and the drain has not made it yet.
    log.make_directory(shared).await?;
    // A start reads no batch before the snapshot: what it would find there must be in files.
    aborted::save(log).await?;
    put_file(&log.directory.join(file_name(offset, "snapshot")), bytes).await?;
    io::sync_directory(&log.directory).await.map_err(StorageError::sync(&log.directory))?;
    producers::note_snapshot(log, offset);
    log.state.borrow_mut().secured.add(offset);
    producers::remove_old(log).await
}

/// Waits until the log is durable up to a snapshot. What comes meanwhile is not waited for. False if it would be for
/// long: a large append waits for room on the device.
async fn reached(shared: &Rc<Shared>, log: &Rc<Log>, offset: i64) -> Result<bool, StorageError> {
    let give_up = now() + FULL_PAUSE;
    loop {
        let (seen, moved) = (log.changed.count(), shared.room.count());
        {
            let state = log.state.borrow();
            if state.deleted {
                return Err(StorageError::UnknownPartition(log.id));
            }
            if state.high_watermark >= offset {
                return Ok(true);
            }
        }
        shared.check_online()?;
        if shared.stats.is_full() && now() >= give_up {
            return Ok(false);
        }
        let moves = race(log.changed.after(seen), shared.room.after(moved));
        race(moves, sleep(LOOK)).await;
    }
}

/// Before older snapshots go, the one that the producers were loaded from is put on the device: it may have been
/// written by a process that was killed, and an older one be all that a power loss leaves. The caller holds the log's
/// writer.
pub(super) async fn keep_loaded(log: &Log) -> Result<(), StorageError> {
    let (loaded, log_start) = {
        let state = log.state.borrow();
        (state.secured.loaded, state.log_start)
    };
    let Some(offset) = loaded else { return Ok(()) };
    // Where nothing was ever deleted the batches tell it all.
    let is_synced = log_start > 0 && sync(log, &log.directory.join(file_name(offset, "snapshot"))).await?;
    let mut state = log.state.borrow_mut();
    state.secured.loaded = None;
    if is_synced {
        state.secured.add(offset);
    }
    Ok(())
}

/// Puts a file and its name on the device; false if it is not there.
async fn sync(log: &Log, path: &Path) -> Result<bool, StorageError> {
    let handle = match io::open(path, OpenOptions::WRITE).await.map_err(StorageError::io("open", path)) {
        Ok(handle) => handle,
        Err(error) if error.is_gone() => return Ok(false),
        Err(error) => return Err(error),
    };
    let synced = io::sync(handle).await;
    let _ = io::close(handle).await;
    synced.map_err(StorageError::io("sync", path))?;
    io::sync_directory(&log.directory).await.map_err(StorageError::sync(&log.directory))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_start_relies_on_stays_until_another_is_reached() {
        let mut secured = Secured::default();
        assert_eq!(secured.holding(0), None);
        secured.note_loaded(3);
        assert_eq!(secured.holding(3), None, "it may not be on the device");
        secured.add(5);
        secured.add(9);
        secured.add(9);
        let holding = [4, 5, 6, 9, 10].map(|before| secured.holding(before));
        assert_eq!(holding, [Some(5), Some(5), Some(9), Some(9), None]);
        secured.trim(8);
        assert_eq!([3, 5, 9, 10].map(|offset| secured.keeps(offset)), [true, true, true, false]);
        secured.trim(9);
        assert_eq!([3, 5, 9, 10].map(|offset| secured.keeps(offset)), [true, false, true, false]);
        secured.trim(4);
        assert!(secured.keeps(9), "the only one stays");
    }
}
