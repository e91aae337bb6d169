//! What lies beside a partition's segments, as `storage::inspect` reads it: aborted transactions, producers, leader
//! epochs, how far the log was compacted. And the node's file, which says whose the directory is.

use super::file::DumpFile;
use super::journal::read;
use super::report::Report;
use super::{DumpError, base_offset};
use crate::timestamp;
use model::NodeFile;
use serde_json::json;
use std::path::Path;
use storage::inspect::{self, Flaw};

fn end(flaw: Flaw, report: &mut Report) -> Result<(), DumpError> {
    Ok(report.damage(flaw.position, flaw.what, "this is the end")?)
}

/// Prints a `.txnindex`: markers of aborted transactions, in the order of their offsets.
pub(super) fn dump_aborted(path: &Path, file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    for aborted in inspect::aborted_transactions(base_offset(path).unwrap_or(0), &bytes) {
        let aborted = match aborted {
            Ok(aborted) => aborted,
            Err(flaw) if flaw.resumes_at.is_some() => {
                report.damage(flaw.position, flaw.what, "going on with the next entry")?;
                continue;
            }
            Err(flaw) => return end(flaw, report),
        };
        let (producer, first, last) = (aborted.producer_id, aborted.first_offset, aborted.last_offset);
        let stable = aborted.last_stable_offset;
        report.print(
            || format!("  producer {producer}: offsets {first} to {last}, last stable offset {stable}"),
            || {
                json!({ "aborted": {
                    "producer_id": producer, "first_offset": first, "last_offset": last,
                    "last_stable_offset": stable,
                }})
            },
        )?;
    }
    Ok(())
}

/// Prints a `.snapshot` of producers.
pub(super) fn dump_producers(path: &Path, file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let (producers, next) = match inspect::producer_snapshot(&bytes) {
        Ok(found) => found,
        Err(flaw) => return end(flaw, report),
    };
    let count = producers.len();
    report.print(
        || format!("  before offset {}: {count} producers", next.0),
        || json!({ "header": { "next_offset": next.0, "producers": count } }),
    )?;
    if base_offset(path).is_some_and(|named| named != next.0) {
        report.damage(0, "it holds before another offset than the one in its name", "going on with it")?;
    }
    for producer in producers {
        let (id, epoch) = (producer.producer_id.0, producer.producer_epoch.0);
        let open = producer.current_transaction_start.map(|offset| offset.0);
        report.print(
            || {
                let (sequence, time) = (producer.last_sequence, timestamp::format(producer.last_timestamp));
                let open = open.map_or(String::new(), |offset| format!(", in a transaction since {offset}"));
                format!("  producer {id}, epoch {epoch}: sequence number {sequence}, {time}{open}")
            },
            || {
                json!({ "producer": {
                    "id": id, "epoch": epoch, "last_sequence": producer.last_sequence,
                    "last_timestamp": producer.last_timestamp,
                    "coordinator_epoch": producer.coordinator_epoch, "transaction_start": open,
                }})
            },
        )?;
    }
    Ok(())
}

/// Prints a `leader-epoch-checkpoint`.
pub(super) fn dump_epochs(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let epochs = match inspect::leader_epochs(&bytes) {
        Ok(epochs) => epochs,
        Err(flaw) => return end(flaw, report),
    };
    for (epoch, start) in epochs {
        report.print(
            || format!("  epoch {} from offset {} on", epoch.0, start.0),
            || json!({ "epoch": { "epoch": epoch.0, "start_offset": start.0 } }),
        )?;
    }
    Ok(())
}

/// Prints a `cleaner-state`.
pub(super) fn dump_cleaner(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let (boundary, dirty) = match inspect::cleaner_state(&bytes) {
        Ok((boundary, dirty)) => (boundary.0, dirty.0),
        Err(flaw) => return end(flaw, report),
    };
    report.print(
        || format!("  compacted before offset {dirty}; segments before {boundary} may be rewritten"),
        || json!({ "cleaner": { "first_dirty": dirty, "boundary": boundary } }),
    )?;
    Ok(())
}

/// Tells what keeps a broker from starting with a `node.toml`; of a whole one there is nothing to say.
pub(super) fn check_node(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let Some(bytes) = read(file, report)? else { return Ok(()) };
    let flaw = match std::str::from_utf8(&bytes) {
        Ok(text) => text.parse::<NodeFile>().err().map(|error| error.to_string()),
        Err(error) => Some(format!("no text: {error}")),
    };
    match flaw {
        Some(what) => Ok(report.damage(0, what, "a broker does not start with it")?),
        None => Ok(()),
    }
}
