//! Journal files and checkpoints of a shard, as `storage::inspect` reads them.

use super::DumpError;
use super::file::DumpFile;
use super::report::Report;
use crate::timestamp;
use serde_json::{Value, json};
use storage::inspect::{self, Batch, CheckpointEntry, Commit, Entry, FileHeader, Header, LogPlace};

/// A larger file is not read: no journal file or checkpoint is.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// All of a small file; `None` if it is none.
pub(super) fn read(file: &DumpFile, report: &mut Report) -> Result<Option<Vec<u8>>, DumpError> {
    if file.length() > FILE_BYTES_MAX {
        let what = format!("no file of this kind has more than {FILE_BYTES_MAX} bytes");
        report.damage(FILE_BYTES_MAX, what, "nothing of it is printed")?;
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read(0, file.length() as usize, &mut bytes)?;
    Ok(Some(bytes))
}

/// Prints the commits of the newest use of a journal file, and with `entries` what is in them.
pub(super) fn dump(file: &DumpFile, entries: bool, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let journal = inspect::journal(&bytes);
    match &journal.header {
        Header::Unused => return Ok(report.note(0, "unused: zeros, as it was made")?),
        Header::Whole(header) => print_header(header, report)?,
        Header::Flawed(_) => report.damage(0, "the file's header is none", "going on behind it")?,
    }
    for commit in journal.commits() {
        match commit {
            Ok(commit) => print_commit(&commit, entries, report)?,
            Err(flaw) => {
                let then = match flaw.resumes_at {
                    Some(next) => format!("going on with a whole one at byte {next}"),
                    None => "no whole one of this use is behind it".to_owned(),
                };
                report.damage(flaw.position, flaw.what, &then)?;
            }
        }
    }
    Ok(())
}

fn print_header(header: &FileHeader, report: &mut Report) -> Result<(), DumpError> {
    let FileHeader { file_sequence, epoch, sequence_min, drained_through, .. } = *header;
    report.print(
        || {
            format!(
                "  use {file_sequence} of epoch {epoch}: commits from {sequence_min} on, when {drained_through} was in segments"
            )
        },
        || {
            json!({ "header": {
                "file_sequence": file_sequence, "epoch": epoch, "sequence_min": sequence_min,
                "drained_through": drained_through,
            }})
        },
    )?;
    Ok(())
}

fn print_commit(commit: &Commit<'_>, entries: bool, report: &mut Report) -> Result<(), DumpError> {
    let (position, header) = (commit.position, commit.header);
    report.print(
        || {
            format!(
                "  byte {position}: commit {}, {} entries, {} bytes, {}; durable through {}, in segments through {}",
                header.sequence,
                header.entries,
                header.length,
                timestamp::format(header.wall_clock_ms),
                header.durable_through,
                header.drained_through
            )
        },
        || {
            json!({ "commit": {
                "position": position, "sequence": header.sequence, "entries": header.entries,
                "bytes": header.length, "wall_clock_ms": header.wall_clock_ms,
                "durable_through": header.durable_through, "drained_through": header.drained_through,
            }})
        },
    )?;
    for entry in commit.entries() {
        match entry {
            Ok(entry) if entries => report.print(|| text(&entry), || json!({ "entry": fields(&entry) }))?,
            Ok(_) => {}
            Err(_) => {
                let what = "an entry that no version writes, in a commit whose checksum matches";
                report.damage(position, what, "going on with the next commit")?;
            }
        }
    }
    Ok(())
}

/// The first batch of an append's payload, if it is one.
fn batch<'a>(payload: &'a [u8]) -> Option<Batch<'a>> {
    inspect::segment(payload, i64::MIN).next()?.ok()
}

fn text(entry: &Entry<'_>) -> String {
    match *entry {
        Entry::Declare { number, id, segment } => {
            format!("    #{number} is partition {id}, segment {segment}")
        }
        Entry::Append { number, position, batch: payload } => match batch(payload) {
            Some(batch) => format!(
                "    #{number} batch at byte {position}: offsets {} to {}, {} records, {} bytes",
                batch.base_offset,
                batch.last_offset,
                batch.records,
                payload.len()
            ),
            None => {
                format!("    #{number} {} bytes at byte {position} that are no whole batch", payload.len())
            }
        },
        Entry::LogStart { number, offset } => format!("    #{number} log start {offset}"),
        Entry::Direct { number, position, next_offset } => {
            format!("    #{number} written past the journal: to byte {position}, before offset {next_offset}")
        }
    }
}

fn fields(entry: &Entry<'_>) -> Value {
    match *entry {
        Entry::Declare { number, id, segment } => {
            json!({ "kind": "declare", "number": number, "partition": id.to_string(), "segment": segment })
        }
        Entry::Append { number, position, batch: payload } => {
            let batch = batch(payload);
            json!({
                "kind": "append", "number": number, "at": position, "bytes": payload.len(),
                "base_offset": batch.map(|batch| batch.base_offset),
                "last_offset": batch.map(|batch| batch.last_offset),
            })
        }
        Entry::LogStart { number, offset } => {
            json!({ "kind": "log_start", "number": number, "offset": offset })
        }
        Entry::Direct { number, position, next_offset } => {
            json!({ "kind": "direct", "number": number, "at": position, "next_offset": next_offset })
        }
    }
}

/// Prints a checkpoint, of a node or a shard.
pub(super) fn dump_checkpoint(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let (found, flaw) = inspect::checkpoint(&bytes);
    if let Some(flaw) = flaw {
        let then = if found.is_some() { "what it holds is printed all the same" } else { "this is the end" };
        report.damage(flaw.position, flaw.what, then)?;
    }
    let Some(checkpoint) = found else { return Ok(()) };
    let clean = if checkpoint.clean { "clean stop" } else { "running" };
    report.print(
        || {
            let time = timestamp::format(checkpoint.wall_clock_ms);
            let (epoch, generation) = (checkpoint.epoch, checkpoint.generation);
            format!("  epoch {epoch}, generation {generation}, {clean}, {time}")
        },
        || {
            json!({ "header": {
                "epoch": checkpoint.epoch, "generation": checkpoint.generation, "clean": checkpoint.clean,
                "wall_clock_ms": checkpoint.wall_clock_ms,
            }})
        },
    )?;
    for entry in &checkpoint.entries {
        report.print(|| entry_text(entry), || entry_fields(entry))?;
    }
    Ok(())
}

fn place_text(place: &LogPlace) -> String {
    format!("offset {} at byte {} of segment {}", place.offset, place.position, place.segment)
}

fn entry_text(entry: &CheckpointEntry) -> String {
    let exact = if entry.exact { "ends" } else { "whole up to" };
    let claimed = match entry.claimed == entry.verified {
        true => String::new(),
        false => format!(", durable up to {}", place_text(&entry.claimed)),
    };
    format!(
        "  {}: from offset {}, {exact} {}{claimed}, leader epoch {}",
        entry.id,
        entry.log_start,
        place_text(&entry.verified),
        entry.leader_epoch
    )
}

fn entry_fields(entry: &CheckpointEntry) -> Value {
    let place =
        |place: &LogPlace| json!({ "segment": place.segment, "at": place.position, "offset": place.offset });
    json!({ "partition": {
        "id": entry.id.to_string(), "exact": entry.exact, "leader_epoch": entry.leader_epoch,
        "log_start": entry.log_start, "verified": place(&entry.verified), "claimed": place(&entry.claimed),
        "older_bytes": entry.older_bytes,
    }})
}
