//! A partition's producers: read when the first of them appends after a start, saved now and then. That a log has none
//! is saved too, but rarely: or all of it would be read to find that out.

use super::{Log, LogState, Partition, ReadBound, aborted, delete, load, secured, snapshots as due};
use crate::batch::BatchHeader;
use crate::error::{ReadError, StorageError};
use crate::producers::{ProducerDescription, Producers};
use crate::segment::{file_name, offset_of_name};
use crate::store::Shared;
use crate::window::read_file;
use driver::{DirectoryEntry, Errno, OpenOptions};
use executor::io;
use memory::Slice;
use model::Offset;
use std::rc::Rc;

/// A snapshot is due after so many bytes of producers were appended: a start reads little more of a log for them.
pub(super) const SNAPSHOT_BYTES: u64 = 4 << 20;
/// And after so many of whoever sent them: where nobody needs producers, a load reads little more than this.
const RARE_BYTES: u64 = 64 << 20;
/// Newer snapshots may be of records that a crash has taken. What a log start relies on stays besides.
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
        Err(error) => {
            if !shared.stopping.get() {
                log::error!("{}: cannot read the producers' state: {error}", log.id);
            }
            *log.load_failure.borrow_mut() = Some(error);
        }
    }
    log.loading.set(false);
    // What was read now is not to be read at the next start.
    due::save_later(shared, log);
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
            log.state.borrow_mut().secured.note_loaded(offset);
            break;
        }
    }
    let unlisted = log.state.borrow().older_unknown;
    if unlisted {
        load::list_older(log).await?;
    }
    let mut aborted = aborted::load(shared, log, at).await?;
    let partition = Partition { log: log.clone() };
    let mut read_bytes = 0;
    // Others append meanwhile, but no producer that must be remembered: they wait for this.
    while at < log_end {
        if shared.stopping.get() {
            return Err(ReadError::Storage(StorageError::Stopped));
        }
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
        read_bytes += read.bytes as u64;
        // What is in memory is read without a wait.
        executor::yield_now().await;
    }
    let mut state = log.state.borrow_mut();
    state.unread_bytes = state.unread_bytes.max(read_bytes);
    drop(state);
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

/// Whether there is enough new for a snapshot; at a clean stop that is anything of a producer, or so much of others as
/// the next start should not read.
pub(super) fn is_due(state: &LogState, stopping: bool) -> bool {
    let Some(producers) = &state.producers else { return false };
    let (enough, of_anybody) = if stopping { (0, SNAPSHOT_BYTES) } else { (SNAPSHOT_BYTES, RARE_BYTES) };
    state.unread_bytes > of_anybody || (state.unsaved_bytes > enough && !producers.is_empty())
}

/// Whether so much has come, while nobody asked for the producers, that they should be read before it is more.
pub(super) fn is_unknown_for_long(state: &LogState) -> bool {
    state.producers.is_none() && state.unread_bytes > RARE_BYTES
}

/// A snapshot's bytes and its offset, the log's end, as far as producers are known. Whoever takes it saves it.
pub(super) fn take_snapshot(state: &mut LogState) -> Option<(Vec<u8>, i64)> {
    let bytes = state.producers.as_ref()?.encode(state.log_end);
    state.unsaved_bytes = 0;
    state.unread_bytes = 0;
    Some((bytes, state.log_end))
}

/// Saves a snapshot if there is enough new for one, or, at a clean stop, if there is anything new; nobody else has the
/// log's writer.
pub(crate) async fn save(log: &Rc<Log>, stopping: bool) -> Result<(), StorageError> {
    let taken = {
        let mut state = log.state.borrow_mut();
        if is_due(&state, stopping) { take_snapshot(&mut state) } else { None }
    };
    let Some((bytes, offset)) = taken else { return Ok(()) };
    if log.state.borrow().secured.keeps(offset) {
        // It says the same, and a write over it would not be synced.
        return Ok(());
    }
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
pub(super) fn note_snapshot(log: &Log, offset: i64) {
    let mut state = log.state.borrow_mut();
    if let Some(all) = state.snapshots.as_mut().filter(|all| all.last() != Some(&offset)) {
        all.push(offset);
    }
}

/// Removes the snapshots that newer ones have replaced, but for what a log start relies on. The directory is listed for
/// the first time only: the core waits for that, and a busy log is saved several times a second.
pub(super) async fn remove_old(log: &Log) -> Result<(), StorageError> {
    secured::keep_loaded(log).await?;
    let known = log.state.borrow_mut().snapshots.take();
    let mut all = match known {
        Some(all) => all,
        None => snapshots(log).await?,
    };
    let newest = all.split_off(all.len().saturating_sub(SNAPSHOTS_KEPT));
    let old = {
        let mut state = log.state.borrow_mut();
        let high_watermark = state.high_watermark;
        state.secured.trim(high_watermark);
        let (mut kept, old): (Vec<i64>, Vec<i64>) =
            all.into_iter().partition(|&offset| state.secured.keeps(offset));
        kept.extend(newest);
        state.snapshots = Some(kept);
        old
    };
    for offset in old {
        delete::remove(&log.directory.join(file_name(offset, "snapshot"))).await?;
    }
    Ok(())
}
