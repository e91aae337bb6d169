//! Offset and time indexes: Kafka's formats.
//!
//! An offset index is pairs of `int32`: offset less the segment's base offset, position in the segment. A time
//! index is `int64` timestamp and `int32` relative offset. Both grow by preallocation: what follows the last
//! entry may be zeros.

use super::DumpError;
use super::file::DumpFile;
use super::report::Report;
use serde_json::json;

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;
/// Entries that are read at once.
const ENTRIES: usize = 8192;

/// Prints an offset index: both numbers must grow from entry to entry.
pub(super) fn dump_offsets(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let mut last: Option<(u32, u32)> = None;
    entries::<OFFSET_ENTRY_BYTES>(file, report, |report, position, entry| {
        let (offset, place) = (u32_at(entry, 0), u32_at(entry, 4));
        if last.is_some_and(|last| offset <= last.0 || place <= last.1) {
            let what = format!("entry {offset} -> {place} does not grow from the one before");
            report.damage(position, what, "going on with the next entry")?;
        }
        last = Some((offset, place));
        report.print(
            || format!("  +{offset} at byte {place}"),
            || json!({ "entry": { "position": position, "relative_offset": offset, "at": place } }),
        )?;
        Ok(())
    })
}

/// Prints a time index: times grow, offsets do not shrink.
pub(super) fn dump_times(file: &DumpFile, report: &mut Report) -> Result<(), DumpError> {
    let mut last: Option<(i64, u32)> = None;
    entries::<TIME_ENTRY_BYTES>(file, report, |report, position, entry| {
        let timestamp = i64::from_be_bytes(std::array::from_fn(|at| entry[at]));
        let offset = u32_at(entry, 8);
        if last.is_some_and(|last| timestamp < last.0 || offset < last.1) {
            let what = format!("entry {timestamp} -> {offset} is behind the one before");
            report.damage(position, what, "going on with the next entry")?;
        }
        last = Some((timestamp, offset));
        report.print(
            || format!("  up to {} by +{offset}", crate::timestamp::format(timestamp)),
            || json!({ "entry": { "position": position, "timestamp": timestamp, "relative_offset": offset } }),
        )?;
        Ok(())
    })
}

fn u32_at(entry: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(std::array::from_fn(|byte| entry[at + byte]))
}

/// Gives each entry and its position to `print`, up to trailing zeros.
fn entries<const N: usize>(
    file: &DumpFile,
    report: &mut Report,
    mut print: impl FnMut(&mut Report, u64, &[u8; N]) -> Result<(), DumpError>,
) -> Result<(), DumpError> {
    let mut bytes = Vec::new();
    let (mut position, mut zeros) = (0, None);
    loop {
        file.read(position, ENTRIES * N, &mut bytes)?;
        let (entries, tail) = bytes.as_chunks::<N>();
        for entry in entries {
            // The first entry of an index may well be zeros; a later one is not.
            if position > 0 && entry.iter().all(|&byte| byte == 0) {
                zeros.get_or_insert(position);
            } else {
                if let Some(begin) = zeros.take() {
                    report.damage(begin, "zeros between entries", "going on behind them")?;
                }
                print(report, position, entry)?;
            }
            position += N as u64;
        }
        if !tail.is_empty() {
            let what = format!("{} bytes, of the {N} of an entry", tail.len());
            report.damage(position, what, "this is the end")?;
        }
        if entries.len() < ENTRIES {
            break;
        }
    }
    if let Some(begin) = zeros {
        report.note(begin, "zeros to the end of the file: room for more entries")?;
    }
    Ok(())
}
