//! Where the batches of a segment end that was not finished, and what lies behind them.
//!
//! Behind the last batch of a log that was appended to lies space that is reserved, which is nothing to anybody: it
//! stays, for the log goes on into it. What was written there is a torn write, and is cut off.

use super::Log;
use super::read::describe;
use crate::batch::BatchHeader;
use crate::checkpoint::{CheckpointEntry, LogPlace};
use crate::drain::ALIGN;
use crate::epochs::Epochs;
use crate::error::{Damage, StorageError};
use crate::open_files::OpenFile;
use crate::segment::cursor::{Cursor, Found};
use crate::store::Shared;
use crate::window::READ_BYTES;
use executor::io;
use model::{LeaderEpoch, Offset};
use std::path::Path;
use std::rc::Rc;

/// More holes of one log are not told apart: the last one goes up to the end.
const HOLES_MAX: usize = 256;
/// How much is looked through at once for something that is not zero.
const LOOK_BYTES: usize = READ_BYTES / 2;
/// Why nothing more is found.
const NOTHING: &str = "the file ends before what was durable";

/// Where batches have ended.
pub(super) struct Stop {
    /// What is there instead of a batch.
    pub why: &'static str,
    /// From there on to the end of the file are zeros: those that fill the last block, and space that is reserved.
    pub reserved: bool,
}

/// The leader epochs of the batches that were read.
pub(super) struct Seen {
    /// Where they begin.
    pub epochs: Epochs,
    /// The newest that there can be.
    newest: i32,
}

impl Seen {
    /// Nothing was read yet of a log whose leader has the epoch `current`.
    pub fn new(current: LeaderEpoch) -> Seen {
        Seen { epochs: Epochs::default(), newest: current.0 }
    }

    fn take(&mut self, header: &BatchHeader) {
        // The CRC does not cover it, and one that is too large would hide all that follow.
        if header.leader_epoch <= self.newest {
            self.epochs.begin(header.leader_epoch, header.base_offset);
        }
    }
}

/// Offsets from a place up to `to` that were durable and cannot be read.
pub(super) fn hole(log: &Log, from: &LogPlace, to: i64, what: &'static str) -> Damage {
    Damage {
        partition: Some(log.id),
        file: log.segment_path(from.segment),
        position: u64::from(from.position),
        offsets: Some((Offset(from.offset), Offset(to))),
        what,
    }
}

/// Goes on from `end` as far as there are batches that follow each other, in a file of `size` bytes. Where something is
/// broken that was durable, a hole is noted, and it goes on behind that.
pub(super) async fn follow(
    shared: &Rc<Shared>,
    log: &Log,
    entry: &CheckpointEntry,
    size: u64,
    end: &mut LogPlace,
    holes: &mut Vec<Damage>,
    seen: &mut Seen,
) -> Result<Stop, StorageError> {
    let begin = *end;
    if size <= u64::from(begin.position) {
        return Ok(Stop { why: NOTHING, reserved: true });
    }
    let file = shared.files.open(&log.segment_path(begin.segment), false).await?;
    // Space that was only reserved may be as large as the segment: it is not read.
    let limit = written_part(&file, begin.position, size).await.min(u64::from(u32::MAX));
    let position = u64::from(begin.position);
    let mut cursor = Cursor::new(file.clone(), shared.options.pool.clone(), position, limit);
    let why = follow_batches(&mut cursor, log, entry, end, holes, seen).await?;
    if *end > begin {
        secure(log, &file, begin.position == 0).await?;
    }
    let reserved = is_reserved(&mut cursor, &file, end.position, size).await?;
    Ok(Stop { why, reserved })
}

/// Puts on the device what was found by reading: readers are shown it from now on, and no journal has it any more.
/// That it was durable says nothing of the segment: it may have been so in a journal only, which was damaged since,
/// while here it is in the kernel's memory. Then the name of a file that was new has not been synced either.
async fn secure(log: &Log, file: &OpenFile, is_new: bool) -> Result<(), StorageError> {
    io::sync(file.handle).await.map_err(StorageError::sync(&file.path))?;
    if is_new {
        io::sync_directory(&log.directory).await.map_err(StorageError::io("sync", &log.directory))?;
    }
    Ok(())
}

async fn follow_batches(
    cursor: &mut Cursor,
    log: &Log,
    entry: &CheckpointEntry,
    end: &mut LogPlace,
    holes: &mut Vec<Damage>,
    seen: &mut Seen,
) -> Result<&'static str, StorageError> {
    loop {
        let what = match cursor.next().await? {
            Found::Batch(header, _) if header.base_offset >= end.offset => {
                end.position = cursor.position as u32;
                end.offset = header.last_offset() + 1;
                seen.take(&header);
                continue;
            }
            Found::Batch(..) => "a batch with an offset that was before",
            Found::End => return Ok(NOTHING),
            Found::Broken(error) => describe(error),
        };
        cursor.position = u64::from(end.position);
        if entry.is_reached(end) || holes.len() == HOLES_MAX {
            return Ok(what);
        }
        // What was durable ends there: on the last of its batches nothing need follow.
        let limit = cursor.window.limit;
        if end.segment == entry.claimed.segment {
            cursor.window.limit = limit.min(u64::from(entry.claimed.position));
        }
        let behind = cursor.resume(end.offset, entry.claimed.offset).await;
        cursor.window.limit = limit;
        let behind = behind?;
        let place = |header: &BatchHeader| LogPlace {
            position: cursor.position as u32,
            offset: header.base_offset,
            ..*end
        };
        // Behind what was durable anything may be.
        let Some(next) = behind.as_ref().map(place).filter(|next| *next < entry.claimed) else {
            return Ok(what);
        };
        holes.push(hole(log, end, next.offset, what));
        *end = next;
    }
}

/// Up to where a file of `size` bytes can hold anything, as far as that is known: the end of the block that `position`
/// lies in, if nothing was written behind it.
async fn written_part(file: &OpenFile, position: u32, size: u64) -> u64 {
    let block_end = u64::from(position).next_multiple_of(ALIGN as u64);
    if block_end >= size {
        return size;
    }
    match io::find_written(file.handle, block_end).await {
        Ok(None) => block_end,
        // Where it cannot be told, it is looked at.
        Ok(Some(_)) | Err(_) => size,
    }
}

/// Whether there is nothing but zeros from `position` on to the end of a file of `size` bytes. What was only reserved
/// is not looked at, where that can be told.
async fn is_reserved(
    cursor: &mut Cursor,
    file: &OpenFile,
    position: u32,
    size: u64,
) -> Result<bool, StorageError> {
    let upto = written_part(file, position, size).await;
    let mut at = u64::from(position);
    while at < upto {
        let left = (upto - at).min(LOOK_BYTES as u64) as usize;
        let some = cursor.window.at(at, left).await?;
        if some.is_empty() || some.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += some.len() as u64;
    }
    Ok(true)
}

/// Cuts a segment's file behind its last batch: a torn write must not be found again by a later start.
pub(super) async fn cut(
    shared: &Rc<Shared>,
    log: &Log,
    path: &Path,
    size: u64,
    end: LogPlace,
    why: &str,
) -> Result<(), StorageError> {
    // What is in the last block is written over with what comes next.
    if size <= u64::from(end.position).next_multiple_of(ALIGN as u64) {
        return Ok(());
    }
    let file = shared.files.open(path, false).await?;
    io::truncate(file.handle, u64::from(end.position)).await.map_err(StorageError::io("truncate", path))?;
    io::sync(file.handle).await.map_err(StorageError::io("sync", path))?;
    log::info!(
        "{}: {}: cut at byte {} of {size}, offset {} ({why})",
        log.id,
        path.display(),
        end.position,
        end.offset
    );
    Ok(())
}
