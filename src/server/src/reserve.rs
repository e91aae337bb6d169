//! Space on the data directory's disk that is kept for the day on which the disk is full.
//!
//! A broker that ended on a full disk must write before it can serve again: what its journals hold goes into segments,
//! and a checkpoint is made. Without room it could not start, and nobody could delete the topics or records that make
//! room. So a file `reserve` lies beside the data. A start that finds less room than that removes it, and goes on in
//! its place; it is made again when there is plenty of room.

use rustix::fs::{FallocateFlags, fallocate};
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// It is made where so many times its size is free: a small disk is not taken up by what is kept of it.
const PLENTY: u64 = 4;

/// The file that keeps the space.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    /// The file system keeps no space; it is not asked again and again.
    refused: Cell<bool>,
}

impl Reserve {
    /// Of a data directory. 0 bytes keep nothing.
    pub(crate) fn new(data: &Path, bytes: u64) -> Reserve {
        Reserve { path: data.join("reserve"), bytes, refused: Cell::new(false) }
    }

    /// At a start, before anything is written: gives the space up if `usable`, the bytes that are free, are fewer.
    pub(crate) fn at_start(&self, usable: Option<u64>) {
        let there = self.kept();
        let changed = there.is_some_and(|kept| kept != self.bytes);
        let short = usable.is_some_and(|usable| usable < self.bytes);
        if there.is_none() || !(changed || short) {
            return;
        }
        match fs::remove_file(&self.path) {
            Ok(()) if short => log::warn!(
                "the disk is nearly full: {} bytes are free; started in the space that {} kept ({} bytes). Make room: \
                 delete topics or records, shorten retention, or enlarge the disk",
                usable.unwrap_or_default(),
                self.path.display(),
                there.unwrap_or_default()
            ),
            Ok(()) => {}
            Err(error) => log::warn!("cannot remove {}: {error}", self.path.display()),
        }
    }

    /// Makes the file if it is not there and there is plenty of room.
    pub(crate) fn keep(&self, usable: Option<u64>) {
        let plenty = usable.is_some_and(|usable| usable >= self.bytes.saturating_mul(PLENTY));
        if self.bytes == 0 || self.refused.get() || !plenty || self.kept() == Some(self.bytes) {
            return;
        }
        if let Err(error) = self.make() {
            log::info!("cannot keep {} bytes in {}: {error}", self.bytes, self.path.display());
            // A part of it would be taken for the whole, and keeps nothing that could be relied on.
            let _ = fs::remove_file(&self.path);
            self.refused.set(true);
        }
    }

    fn make(&self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        file.sync_all()
    }

    /// The bytes that are kept now, if any.
    fn kept(&self) -> Option<u64> {
        match fs::metadata(&self.path) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                log::debug!("cannot look at {}: {error}", self.path.display());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 64 << 10;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flumen-reserve-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("made");
        path
    }

    #[test]
    fn it_is_made_where_there_is_plenty_and_given_up_where_there_is_less_than_it_holds() {
        let data = directory("turns");
        let reserve = Reserve::new(&data, BYTES);
        reserve.keep(None);
        reserve.keep(Some(PLENTY * BYTES - 1));
        assert_eq!(reserve.kept(), None);
        reserve.keep(Some(PLENTY * BYTES));
        assert_eq!(reserve.kept(), Some(BYTES));
        reserve.at_start(Some(BYTES));
        reserve.at_start(None);
        assert_eq!(reserve.kept(), Some(BYTES), "there is room");
        reserve.at_start(Some(BYTES - 1));
        assert_eq!(reserve.kept(), None);
        fs::remove_dir_all(data).expect("removed");
    }

    #[test]
    fn another_size_is_another_file_and_none_keeps_none() {
        let data = directory("sizes");
        Reserve::new(&data, BYTES).keep(Some(u64::MAX));
        let larger = Reserve::new(&data, 2 * BYTES);
        larger.at_start(Some(u64::MAX));
        larger.keep(Some(u64::MAX));
        assert_eq!(larger.kept(), Some(2 * BYTES));
        let none = Reserve::new(&data, 0);
        none.at_start(Some(u64::MAX));
        none.keep(Some(u64::MAX));
        assert_eq!(none.kept(), None);
        fs::remove_dir_all(data).expect("removed");
    }
}
