//! The journal's bytes. `docs/formats/journal.md` is the description; this is the code of it.
//!
//! Decoders take any bytes and answer with a value or an error: they never panic and never allocate.

use crate::batch::array;
use model::{PartitionId, TopicId, TopicPartition};

/// Everything in a journal begins at multiples of this.
pub const BLOCK_BYTES: u64 = 4096;
/// Bytes of a commit before its first entry.
pub const COMMIT_HEADER_BYTES: usize = 64;
/// Bytes of an entry before its payload.
pub const ENTRY_HEADER_BYTES: usize = 12;
/// Bytes of a declaration's payload.
pub const DECLARE_BYTES: usize = 28;

/// `FLMF`, little-endian.
const FILE_MAGIC: u32 = u32::from_le_bytes(*b"FLMF");
/// `FLMC`, little-endian.
const COMMIT_MAGIC: u32 = u32::from_le_bytes(*b"FLMC");
const VERSION: u16 = 1;
const FILE_HEADER_BYTES: usize = 56;
/// A flag of the file header.
const FLAG_RELAXED: u16 = 1;

/// What is wrong with bytes that should be a part of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFormatError {
    /// Not the beginning of what was expected: nothing was ever written here, or something else.
    Magic,
    /// Written by a newer version.
    Version(u16),
    /// Lengths that contradict each other or the bytes there are.
    Length,
    /// The checksum is another.
    Checksum,
    /// An entry that no version writes.
    Entry,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// The first block of a journal file: which of the shard's files it is in the order of their use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Counts the uses of files, over all files of the shard; never the same twice within an epoch.
    pub file_sequence: u64,
    /// Which start of the broker wrote it.
    pub epoch: u64,
    /// No commit in this file has a lower sequence.
    pub sequence_min: u64,
    /// Size of the file.
    pub file_bytes: u64,
    /// Everything up to this commit was in synced segments when the file was taken into use. What the file
    /// held before is among it, and may be written over.
    pub drained_through: u64,
    /// Nobody waits for the device: a power loss may take any of the commits, and what lay before an append in its
    /// segment by a direct write.
    pub relaxed: bool,
}

impl FileHeader {
    /// Writes the header into the first block; what is behind it is zeroed.
    pub fn encode(&self, block: &mut [u8]) {
        block.fill(0);
        block[..4].copy_from_slice(&FILE_MAGIC.to_le_bytes());
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[10..12].copy_from_slice(&(u16::from(self.relaxed) * FLAG_RELAXED).to_le_bytes());
        block[16..24].copy_from_slice(&self.file_sequence.to_le_bytes());
        block[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        block[32..40].copy_from_slice(&self.sequence_min.to_le_bytes());
        block[40..48].copy_from_slice(&self.file_bytes.to_le_bytes());
        block[48..56].copy_from_slice(&self.drained_through.to_le_bytes());
        let crc = crc32c::crc32c(&block[8..FILE_HEADER_BYTES]);
        block[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header in the first bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<FileHeader, JournalFormatError> {
        let header = bytes.get(..FILE_HEADER_BYTES).ok_or(JournalFormatError::Length)?;
        if u32_at(header, 0) != FILE_MAGIC {
            return Err(JournalFormatError::Magic);
        }
        if u32_at(header, 4) != crc32c::crc32c(&header[8..]) {
            return Err(JournalFormatError::Checksum);
        }
        let version = u16::from_le_bytes(array(header, 8));
        if version != VERSION {
            return Err(JournalFormatError::Version(version));
        }
        Ok(FileHeader {
            file_sequence: u64_at(header, 16),
            epoch: u64_at(header, 24),
            sequence_min: u64_at(header, 32),
            file_bytes: u64_at(header, 40),
            drained_through: u64_at(header, 48),
            relaxed: u16::from_le_bytes(array(header, 10)) & FLAG_RELAXED != 0,
        })
    }
}

/// What a commit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    /// Bytes of header and entries, without the zeros up to the next block.
    pub length: u32,
    /// How many entries there are.
    pub entries: u32,
    /// One more than the commit before, within an epoch.
    pub sequence: u64,
    /// Which start of the broker wrote it.
    pub epoch: u64,
    /// The file header's.
    pub file_sequence: u64,
    /// All commits up to this one were on the device when this one was sealed, or all that they hold was. Where nobody
    /// waits for the device, those of them that are known to be.
    pub durable_through: u64,
    /// All that the commits up to this one hold was in synced segments when this one was sealed.
    pub drained_through: u64,
    /// The wall clock, milliseconds since 1970, for people.
    pub wall_clock_ms: i64,
}

impl CommitHeader {
    /// Bytes of the commit on the device.
    pub fn padded_bytes(&self) -> u64 {
        u64::from(self.length).next_multiple_of(BLOCK_BYTES)
    }

    /// Writes the header over the first bytes of `commit`, whose entries are in place, and its checksum.
    pub fn seal(&self, commit: &mut [u8]) {
        let (header, entries) = commit.split_at_mut(COMMIT_HEADER_BYTES);
        self.seal_over(header, &entries[..self.length as usize - COMMIT_HEADER_BYTES]);
    }

    /// Writes the header into the bytes for it, in front of `entries`, and the checksum of both.
    pub fn seal_over(&self, header: &mut [u8], entries: &[u8]) {
        header[..4].copy_from_slice(&COMMIT_MAGIC.to_le_bytes());
        header[8..12].copy_from_slice(&self.length.to_le_bytes());
        header[12..16].copy_from_slice(&self.entries.to_le_bytes());
        header[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        header[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        header[32..40].copy_from_slice(&self.file_sequence.to_le_bytes());
        header[40..48].copy_from_slice(&self.durable_through.to_le_bytes());
        header[48..56].copy_from_slice(&self.drained_through.to_le_bytes());
        header[56..64].copy_from_slice(&self.wall_clock_ms.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[8..COMMIT_HEADER_BYTES]), entries);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header at the beginning of `bytes`, its checksum not looked at: it covers the whole commit.
    pub fn peek(bytes: &[u8]) -> Result<CommitHeader, JournalFormatError> {
        let header = bytes.get(..COMMIT_HEADER_BYTES).ok_or(JournalFormatError::Length)?;
        if u32_at(header, 0) != COMMIT_MAGIC {
            return Err(JournalFormatError::Magic);
        }
        CommitHeader::unchecked(header)
            .filter(|header| header.length as usize >= COMMIT_HEADER_BYTES)
            .ok_or(JournalFormatError::Length)
    }

    /// The numbers where a header should be, whatever they are.
    pub(crate) fn unchecked(bytes: &[u8]) -> Option<CommitHeader> {
        let header = bytes.get(..COMMIT_HEADER_BYTES)?;
        Some(CommitHeader {
            length: u32_at(header, 8),
            entries: u32_at(header, 12),
            sequence: u64_at(header, 16),
            epoch: u64_at(header, 24),
            file_sequence: u64_at(header, 32),
            durable_through: u64_at(header, 40),
            drained_through: u64_at(header, 48),
            wall_clock_ms: i64::from_le_bytes(array(header, 56)),
        })
    }

    /// The commit at the beginning of `bytes`, whole, its checksum checked.
    pub fn verify(bytes: &[u8]) -> Result<CommitHeader, JournalFormatError> {
        let header = CommitHeader::peek(bytes)?;
        let whole = bytes.get(..header.length as usize).ok_or(JournalFormatError::Length)?;
        if u32_at(whole, 4) != crc32c::crc32c(&whole[8..]) {
            return Err(JournalFormatError::Checksum);
        }
        Ok(header)
    }
}

/// Which numbers the kinds of entries have.
mod kind {
    pub const DECLARE: u8 = 1;
    pub const APPEND: u8 = 2;
    pub const LOG_START: u8 = 3;
    pub const DIRECT: u8 = 4;
}

/// One thing that a commit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// From here on, in this file, `number` means this partition and this segment of it.
    Declare {
        /// The number.
        number: u32,
        /// The partition.
        id: TopicPartition,
        /// The first offset of the segment.
        segment: i64,
    },
    /// A record batch, as it lies in the segment at `position`. All of the segment before it was durable,
    /// in the segment or in the journal, when this commit was acknowledged; where nobody waits for the device it
    /// was written.
    Append {
        /// The partition's number.
        number: u32,
        /// The byte in the segment at which it begins.
        position: u32,
        /// The batch.
        batch: &'a [u8],
    },
    /// The partition's records before `offset` are deleted.
    LogStart {
        /// The partition's number.
        number: u32,
        /// The first offset that is left.
        offset: i64,
    },
    /// The segment is durable, by writes that passed the journal, up to `position`.
    Direct {
        /// The partition's number.
        number: u32,
        /// Bytes of the segment that are durable.
        position: u32,
        /// The offset after the last record in them.
        next_offset: i64,
    },
}

fn put_header(out: &mut [u8], kind: u8, number: u32, length: u32, position: u32) {
    out[..4].copy_from_slice(&(u32::from(kind) | number << 8).to_le_bytes());
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[8..12].copy_from_slice(&position.to_le_bytes());
}

impl Entry<'_> {
    /// Bytes of the entry with its header.
    pub fn bytes(&self) -> usize {
        ENTRY_HEADER_BYTES
            + match self {
                Entry::Declare { .. } => DECLARE_BYTES,
                Entry::Append { batch, .. } => batch.len(),
                Entry::LogStart { .. } | Entry::Direct { .. } => 8,
            }
    }

    /// Writes the entry at the beginning of `out`; returns its size.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let payload = (self.bytes() - ENTRY_HEADER_BYTES) as u32;
        match *self {
            Entry::Declare { number, id, segment } => {
                put_header(out, kind::DECLARE, number, payload, 0);
                out[12..28].copy_from_slice(&id.topic.0);
                out[28..32].copy_from_slice(&id.partition.0.to_le_bytes());
                out[32..40].copy_from_slice(&segment.to_le_bytes());
            }
            Entry::Append { number, position, batch } => {
                put_header(out, kind::APPEND, number, payload, position);
                out[ENTRY_HEADER_BYTES..ENTRY_HEADER_BYTES + batch.len()].copy_from_slice(batch);
            }
            Entry::LogStart { number, offset } => {
                put_header(out, kind::LOG_START, number, payload, 0);
                out[12..20].copy_from_slice(&offset.to_le_bytes());
            }
            Entry::Direct { number, position, next_offset } => {
                put_header(out, kind::DIRECT, number, payload, position);
                out[12..20].copy_from_slice(&next_offset.to_le_bytes());
            }
        }
        self.bytes()
    }
}

/// The entries of a commit, in order. Ends after an error.
pub struct Entries<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Entries<'a> {
    /// The entries of a commit that [`CommitHeader::verify`] has accepted.
    pub fn of(commit: &'a [u8], header: &CommitHeader) -> Entries<'a> {
        let rest = commit.get(COMMIT_HEADER_BYTES..header.length as usize).unwrap_or(&[]);
        Entries { rest, left: header.entries }
    }

    /// The entries behind the header of a damaged commit, as far as one follows the other.
    pub(crate) fn of_damaged(bytes: &'a [u8]) -> Entries<'a> {
        Entries { rest: bytes.get(COMMIT_HEADER_BYTES..).unwrap_or(&[]), left: u32::MAX }
    }

    fn next_entry(&mut self) -> Result<Entry<'a>, JournalFormatError> {
        let header = self.rest.get(..ENTRY_HEADER_BYTES).ok_or(JournalFormatError::Entry)?;
        let (first, length, position) = (u32_at(header, 0), u32_at(header, 4), u32_at(header, 8));
        let end = ENTRY_HEADER_BYTES.checked_add(length as usize).ok_or(JournalFormatError::Entry)?;
        let payload = self.rest.get(ENTRY_HEADER_BYTES..end).ok_or(JournalFormatError::Entry)?;
        self.rest = &self.rest[end..];
        let number = first >> 8;
        match (first as u8, payload.len()) {
            (kind::DECLARE, DECLARE_BYTES) => Ok(Entry::Declare {
                number,
                id: TopicPartition {
                    topic: TopicId(array(payload, 0)),
                    partition: PartitionId(i32::from_le_bytes(array(payload, 16))),
                },
                segment: i64::from_le_bytes(array(payload, 20)),
            }),
            (kind::APPEND, _) => Ok(Entry::Append { number, position, batch: payload }),
            (kind::LOG_START, 8) => {
                Ok(Entry::LogStart { number, offset: i64::from_le_bytes(array(payload, 0)) })
            }
            (kind::DIRECT, 8) => {
                Ok(Entry::Direct { number, position, next_offset: i64::from_le_bytes(array(payload, 0)) })
            }
            _ => Err(JournalFormatError::Entry),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, JournalFormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let entry = self.next_entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut bytes = vec![0; COMMIT_HEADER_BYTES];
        for entry in entries {
            let at = bytes.len();
            bytes.resize(at + entry.bytes(), 0);
            assert_eq!(entry.encode(&mut bytes[at..]), entry.bytes());
        }
        let header = CommitHeader {
            length: bytes.len() as u32,
            entries: entries.len() as u32,
            sequence: 7,
            epoch: 2,
            file_sequence: 3,
            durable_through: 5,
            drained_through: 1,
            wall_clock_ms: -1,
        };
        header.seal(&mut bytes);
        bytes
    }

    #[test]
    fn entries_come_back_as_they_went() {
        let id = TopicPartition { topic: TopicId([9; 16]), partition: PartitionId(4) };
        let entries = [
            Entry::Declare { number: 0xff_fffe, id, segment: 1 << 40 },
            Entry::Append { number: 0xff_fffe, position: u32::MAX, batch: b"batch" },
            Entry::LogStart { number: 1, offset: -1 },
            Entry::Direct { number: 2, position: 3, next_offset: 4 },
        ];
        let bytes = commit(&entries);
        let header = CommitHeader::verify(&bytes).expect("whole");
        assert_eq!((header.sequence, header.durable_through, header.padded_bytes()), (7, 5, 4096));
        let back: Result<Vec<_>, _> = Entries::of(&bytes, &header).collect();
        assert_eq!(back.as_deref(), Ok(&entries[..]));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = commit(&[Entry::LogStart { number: 1, offset: 5 }]);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(CommitHeader::verify(&changed).is_err(), "bit {bit}");
        }
        let mut block = vec![1; 4096];
        let header = FileHeader {
            file_sequence: 4,
            epoch: 3,
            sequence_min: 2,
            file_bytes: 1,
            drained_through: 1,
            relaxed: true,
        };
        header.encode(&mut block);
        assert_eq!(FileHeader::decode(&block), Ok(header));
        for bit in 0..FILE_HEADER_BYTES * 8 {
            let mut changed = block.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn no_bytes_make_the_decoders_panic() {
        let mut random = base::Random::new(1);
        let good = commit(&[Entry::Append { number: 1, position: 2, batch: &[3; 50] }]);
        for _ in 0..2000 {
            let mut bytes = good.clone();
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            for _ in 0..random.below(8) {
                let at = random.below(bytes.len().max(1) as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next_u64() as u8;
                }
            }
            let _ = FileHeader::decode(&bytes);
            if let Ok(header) = CommitHeader::peek(&bytes) {
                assert!(Entries::of(&bytes, &header).count() <= bytes.len() + 1);
            }
        }
    }
}
