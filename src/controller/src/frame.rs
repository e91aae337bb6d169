//! Commits and file headers: the bytes around records.
//!
//! A commit is a frame: all of its records count, or none. Its header has a checksum of its own, so that its
//! length can be believed when its payload cannot.

use crate::record::Record;

/// Bytes of a file's header.
pub const FILE_HEADER_BYTES: usize = 32;
/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 32;
/// No frame's payload is larger. The largest change allowed stays well below.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// The version of the files' format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const LOG_MAGIC: [u8; 8] = *b"FLUMETAL";
const SNAPSHOT_MAGIC: [u8; 8] = *b"FLUMETAS";
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"FMC1";

/// What a metadata file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Commits, in order.
    Log,
    /// A whole image as records, ended by an empty frame.
    Snapshot,
}

/// The beginning of a metadata file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Log or snapshot.
    pub kind: FileKind,
    /// The format's version.
    pub version: u32,
    /// Log: the offset of the first record. Snapshot: the offset after the last record it covers.
    pub offset: i64,
    /// Log: the controller epoch in which it was begun. Snapshot: that of its image.
    pub epoch: i32,
}

/// Why bytes are not a file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Too short, not ours, or the checksum does not match.
    Damaged,
    /// The header is whole but of a version that this program does not know.
    Version(u32),
}

impl FileHeader {
    /// A header of this program's version.
    pub fn new(kind: FileKind, offset: i64, epoch: i32) -> FileHeader {
        FileHeader { kind, version: FORMAT_VERSION, offset, epoch }
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(match self.kind {
            FileKind::Log => &LOG_MAGIC,
            FileKind::Snapshot => &SNAPSHOT_MAGIC,
        });
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the front of a file.
    pub fn decode(bytes: &[u8]) -> Result<FileHeader, HeaderError> {
        let header: &[u8; FILE_HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
        if crc32c::crc32c(&header[..28]) != u32_at(header, 28) {
            return Err(HeaderError::Damaged);
        }
        let kind = match *header.first_chunk::<8>().ok_or(HeaderError::Damaged)? {
            LOG_MAGIC => FileKind::Log,
            SNAPSHOT_MAGIC => FileKind::Snapshot,
            _ => return Err(HeaderError::Damaged),
        };
        let version = u32_at(header, 8);
        if version != FORMAT_VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(FileHeader { kind, version, offset: i64_at(header, 16), epoch: u32_at(header, 24) as i32 })
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload that follow.
    pub payload_bytes: u32,
    /// The offset of its first record (in a snapshot: the record's place in the snapshot).
    pub base_offset: i64,
    /// The controller epoch in which it was written.
    pub epoch: i32,
    /// How many records the payload is.
    pub records: u32,
    /// CRC32C of the payload.
    pub payload_crc: u32,
}

impl FrameHeader {
    /// Its bytes.
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..4].copy_from_slice(&FRAME_MAGIC);
        bytes[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.base_offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.records.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the front of `bytes`; `None` if there is none, or a damaged one.
    pub fn decode(bytes: &[u8]) -> Option<FrameHeader> {
        let header: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        if header[..4] != FRAME_MAGIC || crc32c::crc32c(&header[..28]) != u32_at(header, 28) {
            return None;
        }
        let payload_bytes = u32_at(header, 4);
        (payload_bytes as usize <= PAYLOAD_BYTES_MAX).then_some(FrameHeader {
            payload_bytes,
            base_offset: i64_at(header, 8),
            epoch: u32_at(header, 16) as i32,
            records: u32_at(header, 20),
            payload_crc: u32_at(header, 24),
        })
    }
}

fn u32_at(bytes: &[u8; 32], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8; 32], at: usize) -> i64 {
    i64::from(u32_at(bytes, at)) | i64::from(u32_at(bytes, at + 4)) << 32
}

/// Bytes of payload in one piece before the next piece is begun.
const PIECE_BYTES: usize = 256 * 1024;

/// Builds a frame record by record, in pieces, so that no poll and no allocation is as large as the frame.
pub(crate) struct FrameBuilder {
    base_offset: i64,
    epoch: i32,
    records: u32,
    crc: u32,
    /// Of the current piece, what the checksum covers.
    summed: usize,
    /// The first begins with room for the header.
    pieces: Vec<Vec<u8>>,
    payload_bytes: usize,
}

impl FrameBuilder {
    pub(crate) fn new(base_offset: i64, epoch: i32) -> FrameBuilder {
        FrameBuilder {
            base_offset,
            epoch,
            records: 0,
            crc: 0,
            summed: FRAME_HEADER_BYTES,
            pieces: vec![vec![0; FRAME_HEADER_BYTES]],
            payload_bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
            self.sum();
            self.pieces.push(Vec::with_capacity(PIECE_BYTES + 4096));
            self.summed = 0;
        }
        if let Some(piece) = self.pieces.last_mut() {
            let before = piece.len();
            record.encode(piece);
            self.payload_bytes += piece.len() - before;
            self.records += 1;
        }
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    fn sum(&mut self) {
        if let Some(piece) = self.pieces.last() {
            self.crc = crc32c::crc32c_append(self.crc, &piece[self.summed..]);
            self.summed = piece.len();
        }
    }

    /// The frame's bytes, in pieces that follow each other.
    pub(crate) fn finish(mut self) -> Vec<Vec<u8>> {
        self.sum();
        assert!(self.payload_bytes <= PAYLOAD_BYTES_MAX, "a commit of {} bytes", self.payload_bytes);
        let header = FrameHeader {
            payload_bytes: self.payload_bytes as u32,
            base_offset: self.base_offset,
            epoch: self.epoch,
            records: self.records,
            payload_crc: self.crc,
        };
        self.pieces[0][..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
        self.pieces
    }
}
