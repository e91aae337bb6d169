//! The index on disk: Kafka's `.index` and `.timeindex`, big-endian.

use super::index::{Index, IndexEntry};
use crate::batch::array;

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
    u32::from_be_bytes(array(bytes, at))
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
///
/// Kafka notes a time when the batch of an entry is counted already, Flumen before that. The next time behind an entry
/// is right for both: nothing before the entry is newer.
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
        let next = times.peek().copied().unwrap_or(newest);
        if next.0 < newest.0 {
            return None;
        }
        let (max_timestamp, max_timestamp_delta) = next;
        entries.push(IndexEntry { offset_delta, position, max_timestamp, max_timestamp_delta });
    }
    let max_timestamp = (newest.0 >= 0).then_some(newest);
    Some(Index::of_entries(entries, max_timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchHeader;

    const BYTES: u32 = 300;

    /// The largest timestamp of batch `number`, of two records; times go back now and then.
    fn time(number: u32) -> i64 {
        5000 + i64::from(number) * 10 - i64::from(number % 5 == 3) * 45
    }

    fn header(number: u32) -> BatchHeader {
        BatchHeader {
            base_offset: i64::from(number) * 2,
            bytes: BYTES as usize,
            leader_epoch: 0,
            crc: 0,
            attributes: 0,
            last_offset_delta: 1,
            base_timestamp: time(number),
            max_timestamp: time(number),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 2,
        }
    }

    /// The files that Kafka writes with an entry for every `every`th batch.
    fn of_kafka(count: u32, every: u32) -> (Vec<u8>, Vec<u8>) {
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        let (mut newest, mut noted) = ((-1, 0), -1);
        for number in 0..count {
            let last = number * 2 + 1;
            if time(number) > newest.0 {
                newest = (time(number), last);
            }
            if number % every == every - 1 {
                offsets.extend([last.to_be_bytes(), (number * BYTES).to_be_bytes()].concat());
                if newest.0 > noted {
                    noted = newest.0;
                    times.extend(newest.0.to_be_bytes());
                    times.extend(newest.1.to_be_bytes());
                }
            }
        }
        (offsets, times)
    }

    #[test]
    fn nobody_is_led_behind_what_is_looked_for() {
        let count = 200;
        let mut index = Index::default();
        for number in 0..count {
            index.push(0, number * BYTES, &header(number), 1000);
        }
        for (files, least) in [(encode(&index), 40), (of_kafka(count, 4), 50), (of_kafka(count, 1), 200)] {
            let index = decode(&files.0, &files.1, count * BYTES).expect("whole");
            assert!(index.entries().len() >= least);
            for number in 0..count {
                let at = index.position_for_offset(number * 2);
                assert!(at <= number * BYTES && number * BYTES - at <= 6 * BYTES, "offset {}", number * 2);
                let at = index.position_for_timestamp(time(number));
                let first = (0..count).find(|&other| time(other) >= time(number)).expect("one");
                assert!(at <= first * BYTES, "time {}", time(number));
                assert!(first * BYTES - at <= 24 * BYTES, "time {}", time(number));
            }
        }
    }

    #[test]
    fn files_that_contradict_themselves_are_none() {
        let (offsets, times) = of_kafka(40, 4);
        let written = 40 * BYTES;
        assert!(decode(&offsets, &times, written).is_some());
        assert!(decode(&offsets[1..], &times, written).is_none());
        assert!(decode(&offsets, &times[1..], written).is_none());
        assert!(decode(&offsets, &times, 30 * BYTES).is_none());
        assert!(decode(&[&offsets[8..], &offsets[..8]].concat(), &times, written).is_none());
        let swapped = [&times[12..24], &times[..12], &times[24..]].concat();
        assert!(decode(&offsets, &swapped, written).is_none());
        // What a crash leaves of files that were made larger than they are.
        assert!(decode(&[&offsets[..], &[0; 80]].concat(), &times, written).is_none());
    }
}
