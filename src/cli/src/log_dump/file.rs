//! A file that is read at positions.

use super::DumpError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An open file and its length at that time.
pub(super) struct DumpFile {
    file: File,
    length: u64,
}

impl DumpFile {
    pub fn open(path: &Path) -> io::Result<DumpFile> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok(DumpFile { file, length: metadata.len() }),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads what there is, up to the length of `into`; says how much.
    pub fn read_up_to(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < into.len() {
            match self.file.read_at(&mut into[have..], position + have as u64) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(have)
    }

    /// Reads up to `length` bytes into `into`, which then has as many as there are.
    pub fn read(&self, position: u64, length: usize, into: &mut Vec<u8>) -> Result<(), DumpError> {
        into.resize(length, 0);
        let have = self.read_up_to(position, into).map_err(|error| DumpError::Read { position, error })?;
        into.truncate(have);
        Ok(())
    }
}
