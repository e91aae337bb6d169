//! The aborted transactions of a segment: what readers of committed data are told to skip.
//!
//! On disk it is Kafka's `.txnindex`: entries of 34 bytes, big-endian: version 0 (2), producer id (8), first offset
//! (8), last offset (8), last stable offset (8), in the order of the markers. A transaction is in the index of the
//! segment that has its marker, wherever it began.

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 34;
const VERSION: u16 = 0;

/// An aborted transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: i64,
    /// The offset of its marker.
    pub last_offset: i64,
    /// The last stable offset when the marker was appended: no transaction that is aborted later begins before it.
    pub last_stable_offset: i64,
}

/// Why bytes are no index, or an entry does not belong to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIndex {
    /// The file ends inside of an entry.
    Length,
    /// An entry of a version that is not known.
    Version(u16),
    /// Offsets that no transaction can have, or that do not follow those before.
    Offsets,
}

impl std::fmt::Display for BadIndex {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadIndex::Length => {
                out.write_str("an index of aborted transactions that ends inside of an entry")
            }
            BadIndex::Version(version) => {
                write!(out, "an aborted transaction in the unknown version {version}")
            }
            BadIndex::Offsets => out.write_str("an aborted transaction with offsets that do not fit"),
        }
    }
}

impl std::error::Error for BadIndex {}

impl AbortedTransaction {
    /// The entry's bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        out[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (place, field) in out[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    /// The transaction in an entry's bytes.
    pub(crate) fn decode(entry: &[u8; ENTRY_BYTES]) -> Result<AbortedTransaction, BadIndex> {
        let version = u16::from_be_bytes([entry[0], entry[1]]);
        if version != VERSION {
            return Err(BadIndex::Version(version));
        }
        let field = |number: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&entry[2 + 8 * number..10 + 8 * number]);
            i64::from_be_bytes(bytes)
        };
        Ok(AbortedTransaction {
            producer_id: field(0),
            first_offset: field(1),
            last_offset: field(2),
            last_stable_offset: field(3),
        })
    }
}

/// The aborted transactions whose markers are in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortedIndex {
    /// The first offset of the segment.
    base: i64,
    /// Their last offsets go up.
    entries: Vec<AbortedTransaction>,
}

impl AbortedIndex {
    /// Of a segment that begins at `base` and has none yet.
    pub fn new(base: i64) -> AbortedIndex {
        AbortedIndex { base, entries: Vec::new() }
    }

    /// The index of a segment from its file.
    ///
    /// # Errors
    /// Bytes that are no index of this segment: it must be made again from the batches.
    pub fn decode(base: i64, bytes: &[u8]) -> Result<AbortedIndex, BadIndex> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(BadIndex::Length);
        }
        let mut index = AbortedIndex::new(base);
        for entry in entries {
            index.push(AbortedTransaction::decode(entry)?)?;
        }
        Ok(index)
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.entries.iter().flat_map(AbortedTransaction::encode).collect()
    }

    /// Adds a transaction whose marker was appended to the segment.
    ///
    /// # Errors
    /// [`BadIndex::Offsets`] for a marker that does not lie behind those that are there; nothing has changed.
    pub fn push(&mut self, aborted: AbortedTransaction) -> Result<(), BadIndex> {
        let from = self.entries.last().map_or(self.base, |last| last.last_offset.saturating_add(1));
        if aborted.last_offset < from || !(0..=aborted.last_offset).contains(&aborted.first_offset) {
            return Err(BadIndex::Offsets);
        }
        self.entries.push(aborted);
        Ok(())
    }

    /// Adds to `found` those that have records in [`from`, `end`). Tells whether later segments can have more: if so
    /// the next one is to be asked, too.
    pub fn collect(&self, from: i64, end: i64, found: &mut Vec<AbortedTransaction>) -> bool {
        let first = self.entries.partition_point(|aborted| aborted.last_offset < from);
        for aborted in &self.entries[first..] {
            if aborted.first_offset < end {
                found.push(*aborted);
            }
            if aborted.last_stable_offset >= end {
                return false;
            }
        }
        true
    }

    /// The segment was cut off at `end`: markers from there on are gone.
    pub fn truncate(&mut self, end: i64) {
        self.entries.truncate(self.entries.partition_point(|aborted| aborted.last_offset < end));
    }

    /// All of them, in the order of their markers.
    pub fn entries(&self) -> &[AbortedTransaction] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id, first_offset: first, last_offset: last, last_stable_offset: stable }
    }

    /// Two that overlap, and two more; the last stable offset of each is the beginning of what was open then.
    fn sample() -> AbortedIndex {
        let mut index = AbortedIndex::new(0);
        let all =
            [aborted(0, 0, 10, 5), aborted(1, 5, 15, 16), aborted(2, 18, 35, 32), aborted(3, 32, 50, 51)];
        for entry in all {
            index.push(entry).expect("in order");
        }
        index
    }

    #[test]
    fn an_entry_to_the_byte() {
        let mut expected = vec![0, 0];
        for field in [1u8, 2, 3, 4] {
            expected.extend([0, 0, 0, 0, 0, 0, 0, field]);
        }
        let mut index = AbortedIndex::new(0);
        index.push(aborted(1, 2, 3, 4)).expect("in order");
        assert_eq!(index.encode(), expected);
        assert_eq!(expected.len(), ENTRY_BYTES);
    }

    #[test]
    fn indexes_come_back_and_others_do_not() {
        let index = sample();
        let bytes = index.encode();
        assert_eq!(AbortedIndex::decode(0, &bytes), Ok(index));
        assert_eq!(AbortedIndex::decode(0, &[]), Ok(AbortedIndex::new(0)));
        for length in (1..bytes.len()).filter(|length| length % ENTRY_BYTES != 0) {
            assert_eq!(AbortedIndex::decode(0, &bytes[..length]), Err(BadIndex::Length));
        }
        assert_eq!(AbortedIndex::decode(11, &bytes), Err(BadIndex::Offsets), "of an earlier segment");
        let mut newer = bytes.clone();
        newer[ENTRY_BYTES + 1] = 1;
        assert_eq!(AbortedIndex::decode(0, &newer), Err(BadIndex::Version(1)));
        let mut twice = bytes[..ENTRY_BYTES].to_vec();
        twice.extend_from_slice(&bytes[..ENTRY_BYTES]);
        assert_eq!(AbortedIndex::decode(0, &twice), Err(BadIndex::Offsets));
        let mut backwards = AbortedIndex::new(0);
        assert_eq!(backwards.push(aborted(1, 9, 8, 9)), Err(BadIndex::Offsets));
        assert_eq!(backwards.push(aborted(1, -1, 8, 9)), Err(BadIndex::Offsets));
    }

    #[test]
    fn what_overlaps_a_range_is_found() {
        // Range, the producers of what is found, and whether the next segment must be asked.
        let cases: [(i64, i64, &[i64], bool); 11] = [
            (0, 100, &[0, 1, 2, 3], true),
            (0, 32, &[0, 1, 2], false),
            (0, 35, &[0, 1, 2, 3], false),
            (10, 35, &[0, 1, 2, 3], false),
            (11, 35, &[1, 2, 3], false),
            (16, 18, &[], false),
            (20, 25, &[2], false),
            (20, 41, &[2, 3], false),
            (36, 40, &[3], false),
            (36, 100, &[3], true),
            (51, 60, &[], true),
        ];
        for (from, end, producers, more) in cases {
            let mut found = Vec::new();
            let went_on = sample().collect(from, end, &mut found);
            let ids: Vec<i64> = found.iter().map(|aborted| aborted.producer_id).collect();
            assert_eq!((ids.as_slice(), went_on), (producers, more), "{from}..{end}");
        }
    }

    #[test]
    fn nothing_that_overlaps_is_missed() {
        let index = sample();
        for from in 0..60 {
            for end in from + 1..60 {
                let mut found = Vec::new();
                index.collect(from, end, &mut found);
                let overlap = |one: &&AbortedTransaction| one.last_offset >= from && one.first_offset < end;
                let all: Vec<AbortedTransaction> = index.entries().iter().filter(overlap).copied().collect();
                assert_eq!(found, all, "{from}..{end}");
            }
        }
    }

    #[test]
    fn an_index_is_cut_off() {
        for (end, left) in [(51, 4), (50, 3), (36, 3), (35, 2), (11, 1), (10, 0), (0, 0)] {
            let mut index = sample();
            index.truncate(end);
            assert_eq!(index.entries(), &sample().entries()[..left], "{end}");
        }
    }
}
