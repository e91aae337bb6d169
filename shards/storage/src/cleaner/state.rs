//! How far a log was compacted: `cleaner-state` in its directory. `docs/formats/segment.md` has the bytes.

use crate::batch::array;
use crate::error::StorageError;
use crate::window::{read_file, replace_file};
use memory::Pool;
use std::path::Path;

/// The file's name.
pub(crate) const FILE: &str = "cleaner-state";

const MAGIC: u32 = u32::from_le_bytes(*b"FLMC");
const VERSION: u32 = 1;
const BYTES: usize = 32;

/// How far a log was compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CleanerState {
    /// All segments below this first offset of a segment were synced and whole, and may have been rewritten since:
    /// places in them that others name count no more.
    pub boundary: i64,
    /// The first offset that no compaction has gone through.
    pub first_dirty: i64,
}

impl CleanerState {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.boundary.to_le_bytes());
        out.extend_from_slice(&self.first_dirty.to_le_bytes());
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// What a file's bytes say; `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<CleanerState> {
        let right = bytes.len() == BYTES
            && u32::from_le_bytes(array(bytes, 0)) == MAGIC
            && u32::from_le_bytes(array(bytes, 4)) == crc32c::crc32c(&bytes[8..])
            && u32::from_le_bytes(array(bytes, 8)) == VERSION;
        right.then(|| CleanerState {
            boundary: i64::from_le_bytes(array(bytes, 16)),
            first_dirty: i64::from_le_bytes(array(bytes, 24)),
        })
    }

    /// The state of the log in a directory; `None`: it was never compacted. A damaged file is warned of, and says
    /// nothing but that.
    pub async fn read(directory: &Path, pool: &Pool) -> Result<Option<CleanerState>, StorageError> {
        let path = directory.join(FILE);
        let bytes = match read_file(&path, pool, 4096).await {
            Err(StorageError::Format { .. }) => Some(Vec::new()),
            read => read?,
        };
        Ok(bytes.map(|bytes| {
            CleanerState::decode(&bytes).unwrap_or_else(|| {
                log::warn!("{}: damaged; the log is compacted from its start again", path.display());
                CleanerState::default()
            })
        }))
    }

    /// Puts the state in place, durably.
    pub async fn write(&self, directory: &Path) -> Result<(), StorageError> {
        replace_file(&directory.join(FILE), self.encode()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_every_changed_bit_is_noticed() {
        let state = CleanerState { boundary: 7, first_dirty: 1 << 40 };
        let bytes = state.encode();
        assert_eq!(CleanerState::decode(&bytes), Some(state));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(CleanerState::decode(&changed), None, "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| CleanerState::decode(&bytes[..length]).is_none()));
    }
}
