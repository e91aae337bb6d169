//! A partition's producers: read when the first of them appends after a start, saved now and then.

use super::{Log, LogState, Partition, ReadBound, aborted, delete, load};
use crate::batch::BatchHeader;
use crate::error::{ReadError, StorageError};
use crate::producers::{ProducerDescription, Producers};
use crate::segment::{file_name, offset_of_name};
use crate::store::Shared;
use crate::window::{read_file, replace_file};
use driver::{DirectoryEntry, Errno, OpenOptions};
use executor::io;
use memory::Slice;
use model::Offset;
use std::rc::Rc;

/// A snapshot is due after so many bytes were appended: a start reads little more of a log for its producers.
const SNAPSHOT_BYTES: u64 = 4 << 20;
/// Newer snapshots may be of records that a crash has taken.
const SNAPSHOTS_KEPT: usize = 2;
const READ_BYTES: usize = 256 << 10;

impl Partition {
    /// The idempotent producers that are known; none before the first of them has appended since the start.
    pub fn producers(&self) -> Vec<ProducerDescription> {
        let state = self.log.state.borrow();
        state.producers.as_ref().map_or(Vec::new(), Producers::describe)
    }

    /// Makes the producers and their transactions known, which is done by itself when the first of them appends or
    /// a reader of committed data comes.
    pub async fn load_producers(&self) -> Result<(), ReadError> {
        if self.log.state.borrow().producers.is_some() {
            return Ok(());
        }
        let shared = self.log.shared()?;
        match ensure_loaded(&shared, &self.log).await {
            true => Ok(()),
            false => Err(ReadError::Storage(StorageError::Format {
                path: self.log.directory.clone(),
                what: "which transactions are open cannot be found out; the log of the broker says why",
            })),
        }
    }
}

/// Begins to load the producers, if nobody has yet.
pub(crate) fn begin_load(shared: &Rc<Shared>, log: &Rc<Log>) {
    if log.loading.replace(true) {
        return;
    }
    let (shared, log) = (shared.clone(), log.clone());
    drop(executor::spawn("load producers", async move { load_into(&shared, &log).await }));
}

/// Loads the producers; the log is marked as one that does.
async fn load_into(shared: &Rc<Shared>, log: &Rc<Log>) {
    let loaded = load(shared, log).await;
    match loaded {
        Ok((mut producers, aborted)) => {
            let mut state = log.state.borrow_mut();
            producers.durable(state.high_watermark);
            state.producers = Some(producers);
            state.aborted = aborted;
        }
        Err(error) => log::error!("{}: cannot read the producers' state: {error}", log.id),
    }
    log.loading.set(false);
    shared.room.notify();
}

/// Loads the producers if that was not done; false if it cannot be. The load is a task of its own: who asks may be
/// dropped while it waits, and others wait for the same load.
pub(crate) async fn ensure_loaded(shared: &Rc<Shared>, log: &Rc<Log>) -> bool {
    let mut tried = false;
    while log.state.borrow().producers.is_none() {
        // Before it begins: its end must not be missed.
        let seen = shared.room.count();
        if !log.loading.get() {
            if tried {
                return false;
            }
            tried = true;
            begin_load(shared, log);
        }
        shared.room.after(seen).await;
    }
    true
}

/// Saves a snapshot of all producers, synced: before batches are deleted, which may be the last of some of them. The
/// caller does not hold the log's writer. After an error one is due, whatever was appended.
pub(crate) async fn secure(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(), StorageError> {
    if !ensure_loaded(shared, log).await {
        // It was said why. Old records go all the same: without a limit the device would be full some day.
        return Ok(());
    }
    let _writing = log.writer.take(1).await;
    let (bytes, offset) = {
        let mut state = log.state.borrow_mut();
        let Some(producers) = state.producers.as_ref().filter(|all| !all.is_empty()) else { return Ok(()) };
        let saved = (producers.encode(state.log_end), state.log_end);
        state.unsaved_bytes = 0;
        saved
    };
    let put = put_synced(log, bytes, offset).await;
    if put.is_err() {
        log.state.borrow_mut().unsaved_bytes += SNAPSHOT_BYTES + 1;
    }
    put
}

async fn put_synced(log: &Rc<Log>, bytes: Vec<u8>, offset: i64) -> Result<(), StorageError> {
    aborted::save(log).await?;
    match replace_file(&log.directory.join(file_name(offset, "snapshot")), bytes).await {
        // The partition was deleted, or has no directory yet.
        Err(error) if error.is_gone() => Ok(()),
        saved => {
            saved?;
            note_snapshot(log, offset);
            remove_old(log).await
        }
    }
}

/// The newest snapshot, and what was appended since.
async fn load(shared: &Rc<Shared>, log: &Rc<Log>) -> Result<(Producers, aborted::Aborted), ReadError> {
    let log_end = log.state.borrow().log_end;
    let mut producers = Producers::default();
    let mut at = log.state.borrow().log_start;
    for offset in snapshots(log).await?.into_iter().rev().filter(|&offset| offset <= log_end) {
        let path = log.directory.join(file_name(offset, "snapshot"));
        let bytes = read_file(&path, &shared.options.pool, 256 << 20).await?;
        if let Some((found, next)) = bytes.as_deref().and_then(Producers::decode)
            && next == offset
        {
            producers = found;
            at = at.max(offset);
            break;
        }
    }
    let unlisted = log.state.borrow().older_unknown;
    if unlisted {
        load::list_older(log).await?;
    }
    let mut aborted = aborted::load(shared, log, at).await?;
    let partition = Partition { log: log.clone() };
    // Others append meanwhile, but no producer that must be remembered: they wait for this.
    while at < log_end {
        // Boxed: a read of committed data may be what loads the producers.
        let read = match Box::pin(partition.read_whole(Offset(at), READ_BYTES, ReadBound::LogEnd)).await {
            Err(ReadError::Damaged(damage)) => match damage.offsets {
                // What producers wrote there is lost with it; what they wrote since still counts.
                Some((_, to)) if to.0 > at => {
                    at = to.0;
                    continue;
                }
                _ => return Err(ReadError::Damaged(damage)),
            },
            read => read?,
        };
        for slice in &read.slices {
            let mut rest: &[u8] = slice;
            while let Ok(header) = BatchHeader::parse(rest) {
                let seen_ms = header.max_timestamp;
                if header.has_producer()
                    && let Some(found) = producers.take_in(&header, rest, seen_ms)
                {
                    aborted.push(log.segment_of(header.base_offset), found);
                }
                at = header.last_offset() + 1;
                rest = rest.get(header.bytes..).unwrap_or(&[]);
            }
        }
        if read.bytes == 0 {
            // The rest is on its way to the device, and belongs to no producer.
            break;
        }
    }
    Ok((producers, aborted))
}

/// Removes the snapshots from behind the log's end: they tell of records that a crash has taken, and the log would grow
/// past them with others. `entries`: what its directory holds.
pub(crate) async fn remove_beyond(log: &Log, entries: &[DirectoryEntry]) -> Result<(), StorageError> {
    let log_end = log.state.borrow().log_end;
    let beyond: Vec<i64> = snapshots_among(entries).filter(|&offset| offset > log_end).collect();
    if beyond.is_empty() {
        return Ok(());
    }
    for offset in beyond {
        delete::remove(&log.directory.join(file_name(offset, "snapshot"))).await?;
    }
    // Or the next crash brings them back.
    io::sync_directory(&log.directory).await.map_err(StorageError::io("sync", &log.directory))
}

/// The offsets of the snapshots there are, in order.
async fn snapshots(log: &Log) -> Result<Vec<i64>, StorageError> {
    match io::list_directory(&log.directory).await {
        Ok(entries) => Ok(snapshots_among(&entries).collect()),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(StorageError::io("list", &log.directory)(errno)),
    }
}

fn snapshots_among(entries: &[DirectoryEntry]) -> impl Iterator<Item = i64> {
    entries.iter().filter_map(|entry| offset_of_name(&entry.name, "snapshot"))
}

/// Whether there is enough new for a snapshot, or, at a clean stop, anything new.
pub(super) fn is_due(state: &LogState, stopping: bool) -> bool {
    let enough = if stopping { 0 } else { SNAPSHOT_BYTES };
    state.unsaved_bytes > enough && state.producers.as_ref().is_some_and(|all| !all.is_empty())
}

/// Saves a snapshot if there is enough new for one, or, at a clean stop, if there is anything new; nobody else has the
/// log's writer.
pub(crate) async fn save(log: &Rc<Log>, stopping: bool) -> Result<(), StorageError> {
    let (bytes, offset) = {
        let mut state = log.state.borrow_mut();
        let due = is_due(&state, stopping);
        let Some(producers) = state.producers.as_ref().filter(|_| due) else { return Ok(()) };
        let saved = (producers.encode(state.log_end), state.log_end);
        state.unsaved_bytes = 0;
        saved
    };
    // A start reads no batch before the snapshot: what it would find there must be in files.
    aborted::save(log).await?;
    // Not synced and not put in place in one step: its checksum tells whether it is whole, and without it
    // more is read.
    let path = log.directory.join(file_name(offset, "snapshot"));
    let options = OpenOptions { truncate: true, ..OpenOptions::CREATE };
    let handle = match io::open(&path, options).await {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(StorageError::io("create", &path)(errno)),
    };
    // Whatever becomes of it: it is to be removed some day.
    note_snapshot(log, offset);
    let (result, _) = io::write(handle, 0, Slice::from(bytes), false).await;
    let _ = io::close(handle).await;
    result.map_err(StorageError::io("write", &path))?;
    remove_old(log).await
}

/// There is a snapshot more.
fn note_snapshot(log: &Log, offset: i64) {
    let mut state = log.state.borrow_mut();
    if let Some(all) = state.snapshots.as_mut().filter(|all| all.last() != Some(&offset)) {
        all.push(offset);
    }
}

/// Removes the snapshots that newer ones have replaced. The directory is listed for the first time only: the core waits
/// for that, and a busy log is saved several times a second.
async fn remove_old(log: &Log) -> Result<(), StorageError> {
    let known = log.state.borrow_mut().snapshots.take();
    let mut all = match known {
        Some(all) => all,
        None => snapshots(log).await?,
    };
    let old: Vec<i64> = all.drain(..all.len().saturating_sub(SNAPSHOTS_KEPT)).collect();
    log.state.borrow_mut().snapshots = Some(all);
    for offset in old {
        delete::remove(&log.directory.join(file_name(offset, "snapshot"))).await?;
    }
    Ok(())
}
