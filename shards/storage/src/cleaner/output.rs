//! The file that a group of segments is rewritten into.

use super::CleanError;
use super::swap::{CLEANED, name};
use crate::batch::BatchHeader;
use crate::drain::ALIGN;
use crate::error::StorageError;
use crate::open_files::OpenFile;
use crate::partition::Log;
use crate::segment::Segment;
use crate::segment::index::Index;
use crate::store::Shared;
use driver::OpenOptions;
use executor::io;
use memory::Block;
use std::rc::Rc;

const BLOCK_BYTES: usize = 256 << 10;

/// A file that is being written.
pub(crate) struct Output {
    file: OpenFile,
    base: i64,
    end: i64,
    interval_bytes: u32,
    /// Absent only while it is written from.
    block: Option<Block>,
    filled: usize,
    /// Bytes written before those in the block.
    at: u64,
    index: Index,
    first_timestamp: i64,
}

impl Output {
    /// A new file for the offsets from `base` on to before `end`.
    pub async fn create(
        shared: &Rc<Shared>,
        log: &Rc<Log>,
        base: i64,
        end: i64,
    ) -> Result<Output, CleanError> {
        let block = shared.options.pool.take(BLOCK_BYTES);
        let block = block.ok_or(StorageError::OutOfMemory { bytes: BLOCK_BYTES })?;
        // Whoever deletes the partition must find the file: it is made when nobody does.
        let _writing = log.writer.take(1).await;
        if log.state.borrow().deleted {
            return Err(CleanError::Ended);
        }
        let path = log.directory.join(name(base, end, CLEANED));
        let options = OpenOptions { truncate: true, direct: shared.options.direct, ..OpenOptions::CREATE };
        let handle = io::open(&path, options).await.map_err(StorageError::io("create", &path))?;
        let interval_bytes = log.config.borrow().index_interval_bytes;
        Ok(Output {
            file: shared.files.own(handle, path),
            base,
            end,
            interval_bytes,
            block: Some(block),
            filled: 0,
            at: 0,
            index: Index::default(),
            first_timestamp: -1,
        })
    }

    /// Adds a batch; returns how many bytes were written to the device.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<u64, CleanError> {
        let position = self.at + self.filled as u64;
        let header = BatchHeader::parse(bytes).ok();
        let fits = u32::try_from(position + bytes.len() as u64).is_ok();
        let Some(header) = header.filter(|_| fits) else {
            return Err(CleanError::Ended);
        };
        if position == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.index.push(self.base, position as u32, &header, self.interval_bytes);
        let (mut rest, mut written) = (bytes, 0);
        while !rest.is_empty() {
            let Some(block) = &mut self.block else { return Err(CleanError::Ended) };
            let count = rest.len().min(block.len() - self.filled);
            block[self.filled..self.filled + count].copy_from_slice(&rest[..count]);
            self.filled += count;
            rest = &rest[count..];
            if self.filled == block.len() {
                written += self.write_block().await?;
            }
        }
        Ok(written)
    }

    /// Writes what is in the block, zeros behind it up to a block boundary.
    async fn write_block(&mut self) -> Result<u64, CleanError> {
        let Some(mut block) = self.block.take() else { return Err(CleanError::Ended) };
        let padded = self.filled.next_multiple_of(ALIGN);
        block[self.filled..padded].fill(0);
        let (result, data) = io::write(self.file.handle, self.at, block.freeze(padded), false).await;
        self.block = data.try_into_block().ok();
        result.map_err(StorageError::io("write", &self.file.path))?;
        self.at += self.filled as u64;
        self.filled = 0;
        Ok(padded as u64)
    }

    /// Writes the rest, cuts the file to its size and syncs it; returns the segment that it is now, and how many
    /// bytes were written.
    pub async fn finish(mut self) -> Result<(Segment, u64), CleanError> {
        let written = if self.filled > 0 { self.write_block().await? } else { 0 };
        let path = &self.file.path;
        io::truncate(self.file.handle, self.at).await.map_err(StorageError::io("truncate", path))?;
        io::sync(self.file.handle).await.map_err(StorageError::io("sync", path))?;
        let mut segment = Segment::stored(self.base, self.at as u32, self.end);
        segment.newest = Some(self.index.max_timestamp.map_or(-1, |(timestamp, _)| timestamp));
        segment.first_timestamp = self.first_timestamp;
        segment.index = Some(self.index);
        Ok((segment, written))
    }
}
