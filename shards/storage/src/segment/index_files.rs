//! The index on disk: Kafka's `.index` and `.timeindex`, big-endian.

use super::index::{Index, IndexEntry};

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// The bytes of both files: `.index`, `.timeindex`.
pub(crate) fn encode(index: &Index) -> (Vec<u8>, Vec<u8>) {
    let (mut offsets, mut times) = (Vec::new(), Vec::new());
    let mut newest = -1;
    let mut time = |timestamp: i64, delta: u32| {
        if timestamp > newest {
            newest = timestamp;
            times.extend_from_slice(&timestamp.to_be_bytes());
            times.extend_from_slice(&delta.to_be_bytes());
        }
    };
    for entry in index.entries() {
        offsets.extend_from_slice(&entry.offset_delta.to_be_bytes());
        offsets.extend_from_slice(&entry.position.to_be_bytes());
        time(entry.max_timestamp, entry.max_timestamp_delta);
    }
    if let Some((timestamp, delta)) = index.max_timestamp {
        time(timestamp, delta);
    }
    (offsets, times)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(array)
}

/// The entries of an `.index`: offset relative to the segment's, and position. What is left behind the last
/// whole entry is not looked at.
pub(crate) fn offsets(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    bytes.chunks_exact(OFFSET_ENTRY_BYTES).map(|entry| (u32_at(entry, 0), u32_at(entry, 4)))
}

/// The entries of a `.timeindex`: timestamp, and the offset it stands at, relative to the segment's.
pub(crate) fn times(bytes: &[u8]) -> impl Iterator<Item = (i64, u32)> {
    bytes.chunks_exact(TIME_ENTRY_BYTES).map(|entry| {
        let high = i64::from(u32_at(entry, 0)) << 32;
        (high | i64::from(u32_at(entry, 4)), u32_at(entry, 8))
    })
}

/// The index that both files make together, for a segment whose file holds `written` bytes; `None` when they
/// contradict themselves or it. The batches from the last entry's position on are still to be pushed.
pub(crate) fn decode(offset_file: &[u8], time_file: &[u8], written: u32) -> Option<Index> {
    if !offset_file.len().is_multiple_of(OFFSET_ENTRY_BYTES)
        || !time_file.len().is_multiple_of(TIME_ENTRY_BYTES)
    {
        return None;
    }
    let mut times = times(time_file).peekable();
    let (mut newest, mut entries) = ((-1, 0), Vec::<IndexEntry>::new());
    for (offset_delta, position) in offsets(offset_file) {
        let in_order =
            entries.last().is_none_or(|last| last.offset_delta < offset_delta && last.position < position);
        if !in_order || position >= written {
            return None;
        }
        while let Some(&(timestamp, delta)) = times.peek().filter(|(_, delta)| *delta < offset_delta) {
            if timestamp <= newest.0 {
                return None;
            }
            newest = (timestamp, delta);
            times.next();
        }
        let (max_timestamp, max_timestamp_delta) = newest;
        entries.push(IndexEntry { offset_delta, position, max_timestamp, max_timestamp_delta });
    }
    let max_timestamp = (newest.0 >= 0).then_some(newest);
    Some(Index::of_entries(entries, max_timestamp))
}
