//! Reading a file through a window: large aligned reads under small requests.

use crate::error::StorageError;
use crate::read_cache::Reader;
use driver::{Handle, OpenOptions};
use executor::io;
use memory::{Pool, Slice};
use std::path::{Path, PathBuf};

/// How much is read at once, unless more is wanted or less is there.
pub(crate) const READ_BYTES: usize = 256 << 10;
const ALIGN: u64 = 4096;
/// A batch that takes more than such a part of the memory is not held before it is known to be one.
const LARGE_PART: usize = 8;

/// A part of a file in memory, moved as it is read. The handle stays its owner's.
pub(crate) struct Window {
    handle: Handle,
    path: PathBuf,
    pool: Pool,
    /// Where the readable part of the file ends.
    pub limit: u64,
    buffer: Option<(u64, Slice)>,
    /// Where it looks before it reads.
    pub cached: Option<Reader>,
    /// Bytes read so far by itself.
    pub read_bytes: u64,
}

impl Window {
    /// A window on the first `limit` bytes of a file.
    pub fn new(handle: Handle, path: &Path, pool: Pool, limit: u64) -> Window {
        Window { handle, path: path.to_path_buf(), pool, limit, buffer: None, cached: None, read_bytes: 0 }
    }

    /// `bytes` at `position`, if they are in memory at hand.
    pub fn here(&self, position: u64, bytes: usize) -> Option<&[u8]> {
        let (start, slice) = self.buffer.as_ref()?;
        let from = usize::try_from(position.checked_sub(*start)?).ok()?;
        let end = position.checked_add(bytes as u64)?;
        if end > self.limit { None } else { slice.get(from..from.checked_add(bytes)?) }
    }

    /// So many bytes are a large part of the memory.
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes > self.pool.budget_bytes() / LARGE_PART
    }

    /// What comes next is read from the file.
    pub fn forget(&mut self) {
        self.buffer = None;
    }

    /// `bytes` at `position`, or as many as there are before the limit and the file's end.
    pub async fn at(&mut self, position: u64, bytes: usize) -> Result<Slice, StorageError> {
        let wanted = (bytes as u64).min(self.limit.saturating_sub(position)) as usize;
        if let Some((start, slice)) = &self.buffer
            && *start <= position
            && position + wanted as u64 <= start + slice.len() as u64
        {
            let from = (position - start) as usize;
            return Ok(slice.slice(from..from + wanted));
        }
        self.buffer = None;
        let cached = match self.cached.as_ref().filter(|_| wanted > 0) {
            Some(reader) => reader.at(position, wanted, self.limit).await?,
            None => None,
        };
        self.hold(cached, position, wanted).await
    }

    /// The same in parts, one after another as they lie in memory: over the end of what is cached or read in one piece
    /// nothing is copied together, or read again.
    pub async fn parts(
        &mut self,
        position: u64,
        bytes: usize,
        parts: &mut Vec<Slice>,
    ) -> Result<(), StorageError> {
        let wanted = (bytes as u64).min(self.limit.saturating_sub(position));
        let (mut at, end) = (position, position + wanted);
        while at < end {
            let part = self.some(at, (end - at) as usize).await?;
            if part.is_empty() {
                break;
            }
            at += part.len() as u64;
            parts.push(part);
        }
        Ok(())
    }

    /// Of the bytes that are wanted at `position`, which lie before the limit, as many as lie in one piece; none only
    /// behind the file's end.
    pub async fn some(&mut self, position: u64, wanted: usize) -> Result<Slice, StorageError> {
        if let Some((start, slice)) = &self.buffer
            && *start <= position
            && position < start + slice.len() as u64
        {
            return Ok(cut(*start, slice, position, wanted));
        }
        self.buffer = None;
        let cached = match &self.cached {
            Some(reader) => reader.some(position, wanted, self.limit).await?,
            None => None,
        };
        self.hold(cached, position, wanted).await
    }

    /// Keeps what was found, or else reads from the file, and cuts out of it what is wanted.
    async fn hold(
        &mut self,
        cached: Option<(u64, Slice)>,
        position: u64,
        wanted: usize,
    ) -> Result<Slice, StorageError> {
        let (start, slice) = match cached {
            Some(found) => found,
            None => self.read(position, wanted).await?,
        };
        let part = cut(start, &slice, position, wanted);
        self.buffer = Some((start, slice));
        Ok(part)
    }

    /// Reads from the file: where that begins, at or before `position`, and what is there.
    async fn read(&mut self, position: u64, wanted: usize) -> Result<(u64, Slice), StorageError> {
        let start = position / ALIGN * ALIGN;
        let needed = ((position + wanted as u64).next_multiple_of(ALIGN) - start) as usize;
        let there = (self.limit.next_multiple_of(ALIGN).saturating_sub(start)) as usize;
        let mut length = needed.max(READ_BYTES).min(there.max(needed));
        let block = loop {
            match self.pool.take(length) {
                Some(block) => break block,
                // Memory is short: what was read before goes, and then what is needed at once will do.
                None if self.cached.as_ref().is_some_and(Reader::give_back) => {}
                None if length > needed => length = needed,
                None => return Err(StorageError::OutOfMemory { bytes: length }),
            }
        };
        let (result, block) = io::read(self.handle, start, block, length).await;
        let count = result.map_err(StorageError::io("read", &self.path))?;
        self.read_bytes += count as u64;
        let count = (count as u64).min(self.limit.saturating_sub(start)) as usize;
        Ok((start, block.freeze(count)))
    }
}

/// Of what begins at `start`, as much as is there of what is wanted at `position`, which is not before that.
fn cut(start: u64, slice: &Slice, position: u64, wanted: usize) -> Slice {
    let from = ((position - start) as usize).min(slice.len());
    slice.slice(from..(from + wanted).min(slice.len()))
}

/// The whole of a small file; `None` if it is not there. A file larger than `max` is refused.
pub(crate) async fn read_file(path: &Path, pool: &Pool, max: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let bytes = match io::stat(path).await {
        Ok(found) => found.bytes,
        Err(driver::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(StorageError::io("stat", path)(errno)),
    };
    if bytes > max {
        return Err(StorageError::Format { path: path.to_path_buf(), what: "larger than it can be" });
    }
    let handle = io::open(path, OpenOptions::READ).await.map_err(StorageError::io("open", path))?;
    let mut window = Window::new(handle, path, pool.clone(), bytes);
    let mut whole = Vec::new();
    let result = loop {
        match window.at(whole.len() as u64, READ_BYTES).await {
            Ok(part) if part.is_empty() => break Ok(()),
            Ok(part) => whole.extend_from_slice(&part),
            Err(error) => break Err(error),
        }
    };
    let _ = io::close(handle).await;
    result.map(|()| Some(whole))
}

/// Writes a small file of a log's directory so that after a crash there is the old one or the new one, whole.
/// A sync that fails may have cost other names there, of segments that the drain has begun: it is a failed sync
/// for want of room, too.
pub(crate) async fn replace_file(path: &Path, bytes: Vec<u8>) -> Result<(), StorageError> {
    put_file(path, bytes).await?;
    let directory = path.parent().unwrap_or(Path::new("."));
    io::sync_directory(directory).await.map_err(StorageError::sync(directory))
}

/// The same, but that the new one stays is the caller's to see to: its directory is not synced.
pub(crate) async fn put_file(path: &Path, bytes: Vec<u8>) -> Result<(), StorageError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    let options = OpenOptions { truncate: true, ..OpenOptions::CREATE };
    let handle = io::open(&new, options).await.map_err(StorageError::io("create", &new))?;
    let mut result = match bytes.is_empty() {
        true => Ok(()),
        false => io::write(handle, 0, Slice::from(bytes), false).await.0,
    };
    if result.is_ok() {
        result = io::sync(handle).await;
    }
    let _ = io::close(handle).await;
    result.map_err(StorageError::io("write", &new))?;
    io::rename(&new, path).await.map_err(StorageError::io("rename", &new))
}
