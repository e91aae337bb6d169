//! Where in a segment an offset or a time is, roughly: the place at or before which to begin to look.
//!
//! In memory an entry stands for every `index.interval.bytes` of the segment; when there are too many, every
//! second one goes and the interval doubles, so that an index is never larger than 200 KiB. On disk it
//! is Kafka's pair of files (`docs/formats/segment.md`).

use crate::batch::BatchHeader;

/// More entries than this are thinned out.
const ENTRIES_MAX: usize = 8192;

/// A place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Last offset of the batch there, relative to the segment's: whoever looks for a later one may begin here.
    pub offset_delta: u32,
    /// Where the batch begins.
    pub position: u32,
    /// The largest timestamp of all batches before it.
    pub max_timestamp: i64,
    /// Last offset of the batch with that timestamp, relative to the segment's.
    pub max_timestamp_delta: u32,
}

/// The index of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    entries: Vec<IndexEntry>,
    interval_bytes: u32,
    since_last: u32,
    /// The largest timestamp in the segment, -1 if there is none, and the last offset of its batch.
    pub max_timestamp: Option<(i64, u32)>,
}

impl Index {
    /// Takes note of the time of a batch that nobody is to be led to, which stands before the offset `delta`.
    pub fn note_time(&mut self, timestamp: i64, delta: u32) {
        if timestamp > self.max_timestamp.map_or(-1, |(newest, _)| newest) {
            self.max_timestamp = Some((timestamp, delta.saturating_sub(1)));
        }
    }

    /// Takes note of the batch at `position`, which is the segment's end.
    pub fn push(&mut self, base: i64, position: u32, header: &BatchHeader, interval_bytes: u32) {
        self.interval_bytes = self.interval_bytes.max(interval_bytes);
        if self.since_last > self.interval_bytes {
            self.since_last = 0;
            let (max_timestamp, max_timestamp_delta) = self.max_timestamp.unwrap_or((-1, 0));
            // Kafka's tools compare the entry with the batch's last offset.
            let offset_delta = (header.last_offset().max(header.base_offset) - base) as u32;
            self.entries.push(IndexEntry { offset_delta, position, max_timestamp, max_timestamp_delta });
            if self.entries.len() > ENTRIES_MAX {
                self.thin();
            }
        }
        self.since_last = self.since_last.saturating_add(header.bytes as u32);
        let newest = self.max_timestamp.map_or(-1, |(timestamp, _)| timestamp);
        if header.max_timestamp > newest {
            self.max_timestamp = Some((header.max_timestamp, (header.last_offset() - base) as u32));
        }
    }

    fn thin(&mut self) {
        let mut keep = false;
        self.entries.retain(|_| {
            keep = !keep;
            keep
        });
        self.interval_bytes = self.interval_bytes.saturating_mul(2);
    }

    /// Where to begin to look for an offset.
    pub fn position_for_offset(&self, offset_delta: u32) -> u32 {
        self.entry_for_offset(offset_delta).map_or(0, |entry| entry.position)
    }

    /// The last entry whose batch does not end behind an offset.
    pub fn entry_for_offset(&self, offset_delta: u32) -> Option<&IndexEntry> {
        let after = self.entries.partition_point(|entry| entry.offset_delta <= offset_delta);
        after.checked_sub(1).map(|index| &self.entries[index])
    }

    /// Where to begin to look for the first batch that has a timestamp of at least `timestamp`.
    pub fn position_for_timestamp(&self, timestamp: i64) -> u32 {
        // The last place before which everything is older.
        let after = self.entries.partition_point(|entry| entry.max_timestamp < timestamp);
        after.checked_sub(1).map_or(0, |index| self.entries[index].position)
    }

    /// All entries.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// An index of entries that come from its files; the rest of the segment, from the last entry's position
    /// on, is still to be pushed.
    pub fn of_entries(entries: Vec<IndexEntry>, max_timestamp: Option<(i64, u32)>) -> Index {
        Index { entries, max_timestamp, ..Index::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(base_offset: i64, bytes: usize, max_timestamp: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            bytes,
            leader_epoch: 0,
            crc: 0,
            attributes: 0,
            last_offset_delta: 1,
            base_timestamp: max_timestamp,
            max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: 2,
        }
    }

    #[test]
    fn an_index_stays_small_and_right() {
        let mut index = Index::default();
        let (mut position, mut places) = (0, Vec::new());
        for number in 0..100_000i64 {
            // Times go back now and then.
            let header = header(1000 + 2 * number, 300, 5000 + number - (number % 7) * 10);
            index.push(1000, position, &header, 512);
            places.push(position);
            position += 300;
        }
        assert!(index.entries().len() <= ENTRIES_MAX && index.entries().len() > ENTRIES_MAX / 4);
        for number in (0..100_000usize).step_by(997) {
            let at = index.position_for_offset(2 * number as u32 + 1);
            assert!(at <= places[number] && places[number] - at < 300_000 / 2);
            let timestamp = 5000 + number as i64;
            let at = index.position_for_timestamp(timestamp);
            let first = (0..100_000i64).position(|n| 5000 + n - (n % 7) * 10 >= timestamp).expect("one");
            assert!(at <= places[first]);
        }
    }
}
