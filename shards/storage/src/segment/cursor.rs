//! Walks the batches of a segment's file.

use crate::batch::{BatchError, BatchHeader, CRC_FROM, HEADER_BYTES};
use crate::error::StorageError;
use crate::open_files::OpenFile;
use crate::read_cache::{ReadCache, Reader};
use crate::window::{READ_BYTES, Window};
use memory::{Pool, Slice};
use std::rc::Rc;

/// How much is looked through at once for the beginning of a batch.
const SEARCH_BYTES: usize = 64 << 10;

/// What is at a place in a file.
pub(crate) enum Found<Bytes = Slice> {
    /// A batch, whole and with the right CRC.
    Batch(BatchHeader, Bytes),
    /// The limit was reached exactly.
    End,
    /// No batch: why.
    Broken(BatchError),
}

/// A place in a segment's file.
pub(crate) struct Cursor {
    file: Rc<OpenFile>,
    pub window: Window,
    /// The place of the next batch.
    pub position: u64,
}

impl Cursor {
    /// A cursor at `position`; nothing at or behind `limit` is looked at.
    pub fn new(file: Rc<OpenFile>, pool: Pool, position: u64, limit: u64) -> Cursor {
        let window = Window::new(file.handle, &file.path, pool, limit);
        Cursor { file, window, position }
    }

    /// The same, which looks into a cache, and leaves there what it has read.
    pub fn cached(mut self, cache: &Rc<ReadCache>) -> Cursor {
        self.window.cached = Some(Reader::new(cache.clone(), self.file.clone()));
        self
    }

    /// About so many bytes will be read from the position on.
    pub fn wants(&mut self, bytes: usize) {
        if let Some(reader) = &mut self.window.cached {
            reader.wants(self.position, bytes as u64, self.window.limit);
        }
    }

    /// What comes back for more will begin at a place.
    pub fn ends(&self, position: u64) {
        if let Some(reader) = &self.window.cached {
            reader.ends(position);
        }
    }

    /// Reads from the file itself from now on, whatever is known of it.
    pub fn uncached(&mut self) {
        if let Some(reader) = self.window.cached.take() {
            reader.forget();
            self.window.forget();
        }
    }

    /// The header of the batch at the position, not verified, if it is in memory at hand.
    pub fn here(&self) -> Option<Result<BatchHeader, BatchError>> {
        self.window.here(self.position, HEADER_BYTES).map(BatchHeader::parse)
    }

    /// The header of the batch at the position, not verified.
    pub async fn peek(&mut self) -> Result<Result<BatchHeader, BatchError>, StorageError> {
        if let Some(header) = self.here() {
            return Ok(header);
        }
        let bytes = self.window.at(self.position, HEADER_BYTES).await?;
        Ok(BatchHeader::parse(&bytes))
    }

    /// The batch at the position; the cursor then stands behind it.
    pub async fn next(&mut self) -> Result<Found, StorageError> {
        let header = match self.begin().await? {
            Ok(header) => header,
            Err(other) => return Ok(other),
        };
        let bytes = self.window.at(self.position, header.bytes).await?;
        match BatchHeader::verify(&bytes) {
            Ok(header) => {
                self.position += header.bytes as u64;
                Ok(Found::Batch(header, bytes))
            }
            Err(error) => Ok(Found::Broken(error)),
        }
    }

    /// The same with the batch in parts, one after another as they lie in memory, in place of what `parts` had: over
    /// the end of what was read at once nothing is copied together. If it is to be `whole`, that is done.
    pub async fn next_parts(
        &mut self,
        whole: bool,
        parts: &mut Vec<Slice>,
    ) -> Result<Found<()>, StorageError> {
        parts.clear();
        let header = match self.begin().await? {
            Ok(header) => header,
            Err(other) => return Ok(other),
        };
        match whole {
            true => parts.push(self.window.at(self.position, header.bytes).await?),
            false => self.window.parts(self.position, header.bytes, parts).await?,
        }
        Ok(match BatchHeader::verify_parts(parts) {
            Ok(header) => {
                self.position += header.bytes as u64;
                Found::Batch(header, ())
            }
            Err(error) => Found::Broken(error),
        })
    }

    /// The header of a batch for which there is room before the limit; or what is there instead. Whether there is a
    /// batch of its length is found out here where much memory would be needed for it.
    async fn begin<Bytes>(&mut self) -> Result<Result<BatchHeader, Found<Bytes>>, StorageError> {
        if self.position >= self.window.limit {
            return Ok(Err(Found::End));
        }
        let room = self.window.limit - self.position;
        let header = match self.peek().await? {
            Ok(header) => header,
            Err(error) => return Ok(Err(Found::Broken(error))),
        };
        if header.bytes as u64 > room {
            return Ok(Err(Found::Broken(BatchError::Short)));
        }
        if self.window.is_large(header.bytes) {
            return Ok(self.check(&header).await?.map(|()| header).map_err(Found::Broken));
        }
        Ok(Ok(header))
    }

    /// Goes through the batch at the position that a header tells of, and holds little of it at once.
    async fn check(&mut self, header: &BatchHeader) -> Result<Result<(), BatchError>, StorageError> {
        let end = self.position + header.bytes as u64;
        let (mut at, mut crc) = (self.position + CRC_FROM as u64, 0);
        while at < end {
            let wanted = (end - at).min(READ_BYTES as u64) as usize;
            let part = self.window.some(at, wanted).await?;
            if part.is_empty() {
                return Ok(Err(BatchError::Short));
            }
            crc = crc32c::crc32c_append(crc, &part);
            at += part.len() as u64;
        }
        Ok(if crc == header.crc { Ok(()) } else { Err(BatchError::Crc) })
    }

    /// Behind something broken at the position: goes on to the next whole batch, whose first offset must lie in
    /// `from..to`; `None`, and the position stays, if there is none before the limit.
    pub async fn resume(&mut self, from: i64, to: i64) -> Result<Option<BatchHeader>, StorageError> {
        let broken = self.position;
        // A batch with a sane header but other contents tells where its successor is.
        if let Ok(header) = self.peek().await?
            && let Some(found) = self.whole_at(broken + header.bytes as u64, from, to).await?
        {
            return Ok(Some(found));
        }
        let mut at = broken + 1;
        while at + HEADER_BYTES as u64 <= self.window.limit {
            let some = self.window.at(at, SEARCH_BYTES).await?;
            if some.len() < HEADER_BYTES {
                break;
            }
            let likely = |bytes: &[u8]| {
                BatchHeader::parse(bytes).is_ok_and(|header| (from..to).contains(&header.base_offset))
            };
            let last = some.len() - HEADER_BYTES;
            for step in 0..=last {
                // The magic first: most places fail there.
                if some[step + 16] == 2
                    && likely(&some[step..])
                    && let Some(found) = self.whole_at(at + step as u64, from, to).await?
                {
                    return Ok(Some(found));
                }
            }
            at += last as u64 + 1;
        }
        self.position = broken;
        Ok(None)
    }

    /// Goes to a place if a whole batch begins there that is one of the log's own: something sane follows on it,
    /// which a batch inside of a record's value has not.
    async fn whole_at(&mut self, at: u64, from: i64, to: i64) -> Result<Option<BatchHeader>, StorageError> {
        let back = std::mem::replace(&mut self.position, at);
        if at < self.window.limit
            && let Found::Batch(header, _) = self.next().await?
            && (from..to).contains(&header.base_offset)
        {
            let follows = self.position >= self.window.limit
                || self.peek().await?.is_ok_and(|next| next.base_offset > header.last_offset());
            if follows {
                self.position = at;
                return Ok(Some(header));
            }
        }
        self.position = back;
        Ok(None)
    }

    /// Goes past a batch whose header was just peeked at.
    pub fn skip(&mut self, header: &BatchHeader) {
        self.position += header.bytes as u64;
    }
}
