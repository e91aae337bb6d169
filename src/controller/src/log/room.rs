//! Space that is reserved behind the last commit, so that changes go on for a while when the device is full.
//!
//! The file is longer than what was written to it: behind the last commit it reads as zeros. A commit that finds room
//! there needs none of the device. The last part is kept for what must go on to the end: deletions of topics, which
//! make room, and the registration of a node that starts.

use super::MetadataLog;
use driver::Errno;
use executor::io;

/// So much is reserved behind the last commit whenever the device gives it.
const RESERVE_BYTES: u64 = 1 << 20;
/// Of that, what other changes leave alone: some 10,000 deletions. When no more than this is left, more is asked for.
const KEPT_BYTES: u64 = RESERVE_BYTES / 2;
/// A file ends at a multiple of this.
const ALIGN: u64 = 4096;
/// A file system that reserves nothing: each write finds room, or does not.
const UNKNOWN: u64 = u64::MAX;

impl MetadataLog {
    /// Reserves more if little is left; an error: what is left is for what must go on.
    pub(crate) async fn keep_room(&mut self) -> Result<(), Errno> {
        self.room_for(0, false).await
    }

    /// Makes sure of room for so many bytes; with `urgent` in what is kept, too. An error has changed nothing that
    /// counts: zeros behind the last commit, at most.
    pub(super) async fn room_for(&mut self, bytes: u64, urgent: bool) -> Result<(), Errno> {
        let needed = self.end + bytes;
        if needed + KEPT_BYTES <= self.reserved {
            return Ok(());
        }
        if self.claim((needed + RESERVE_BYTES).next_multiple_of(ALIGN)).await.is_ok() {
            return Ok(());
        }
        self.claim(if urgent { needed } else { needed + KEPT_BYTES }).await
    }

    /// Reserves what of the file's first `upto` bytes is not.
    pub(super) async fn claim(&mut self, upto: u64) -> Result<(), Errno> {
        if upto <= self.reserved {
            return Ok(());
        }
        // From the beginning: a file that was copied may have holes.
        match io::allocate(self.file, 0, upto).await {
            Ok(()) => self.reserved = upto,
            Err(errno) if errno.is_out_of_space() => {
                self.give_back(upto).await;
                return Err(errno);
            }
            Err(_) => self.reserved = UNKNOWN,
        }
        Ok(())
    }

    /// A claim up to there failed. On many file systems it has taken all that the device had: of a large one that goes
    /// back, for the records of topics need it.
    async fn give_back(&mut self, upto: u64) {
        let kept = self.reserved.max(self.end + 2 * RESERVE_BYTES);
        if upto > kept {
            // If this fails, too, commits to come have it.
            let _ = io::truncate(self.file, kept).await;
        }
    }

    /// The file was cut back to its last commit.
    pub(super) async fn lost_room(&mut self) {
        if self.reserved != UNKNOWN {
            self.reserved = self.end;
            // Before others take it. Without success changes are refused, as they would be anyway.
            let _ = self.keep_room().await;
        }
    }
}
