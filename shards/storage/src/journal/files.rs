//! The journal's files: their number, sizes and names never change.
//!
//! A file is used from its second block on. When it is full the next one follows, whose header was put on the
//! device before. A file is free again when all that its commits hold is in synced segments.

use super::format::{BLOCK_BYTES, FileHeader};
use crate::config::{Durability, StoreOptions};
use crate::error::StorageError;
use driver::{Handle, OpenOptions};
use executor::io;
use memory::{Pool, Slice};
use model::ShardId;
use std::path::{Path, PathBuf};

/// How much of a new file is zeroed in one write.
const ZERO_BYTES: usize = 1 << 20;

/// `<data>/shard-<n>/journal`.
pub(crate) fn journal_directory(data: &Path, shard: ShardId) -> PathBuf {
    data.join(format!("shard-{shard}")).join("journal")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    /// Its header is on the device, or on the way there.
    Next {
        file_sequence: u64,
        ready: bool,
    },
    Current {
        file_sequence: u64,
    },
    /// No commit is added any more.
    Full,
}

struct Slot {
    handle: Handle,
    path: PathBuf,
    used: Use,
    /// The last commit that it has held when it was full, whatever it is used for now.
    last: u64,
}

/// The files of one shard's journal.
pub(crate) struct JournalFiles {
    slots: Vec<Slot>,
    current: Option<usize>,
    file_bytes: u64,
    epoch: u64,
    next_file_sequence: u64,
    header_block: Slice,
    /// Nobody waits for what is written to them.
    relaxed: bool,
}

/// A header that must be written before its file may be used.
pub(crate) struct Activation {
    slot: usize,
    pub handle: Handle,
    pub path: PathBuf,
    pub header: FileHeader,
}

impl JournalFiles {
    /// Opens the files, makes those that are missing and zeroes them, and removes what a larger number of
    /// files left. The journal must hold nothing: recovery has emptied it.
    pub async fn open(options: &StoreOptions, epoch: u64) -> Result<JournalFiles, StorageError> {
        let directory = journal_directory(&options.data, options.shard);
        io::make_directories(&directory).await.map_err(StorageError::io("make", &directory))?;
        io::sync_names(&directory, &options.data).await.map_err(StorageError::io("sync", &directory))?;
        let mut slots = Vec::new();
        for slot in 0..options.journal_files.max(2) {
            let path = directory.join(format!("{slot}.journal"));
            let handle = open_file(&path, options).await?;
            slots.push(Slot { handle, path, used: Use::Free, last: 0 });
        }
        io::sync_directory(&directory).await.map_err(StorageError::io("sync", &directory))?;
        let block = options.pool.take(BLOCK_BYTES as usize);
        let block = block.ok_or(StorageError::OutOfMemory { bytes: BLOCK_BYTES as usize })?;
        Ok(JournalFiles {
            slots,
            current: None,
            file_bytes: options.journal_file_bytes,
            epoch,
            next_file_sequence: 1,
            header_block: block.freeze(BLOCK_BYTES as usize),
            relaxed: options.durability == Durability::Memory,
        })
    }

    /// No files: what is left of a journal that was closed.
    pub fn closed() -> JournalFiles {
        JournalFiles {
            slots: Vec::new(),
            current: None,
            file_bytes: 0,
            epoch: 0,
            next_file_sequence: 0,
            header_block: Slice::from(Vec::new()),
            relaxed: false,
        }
    }

    /// The file that commits go to, and its place in the order of use.
    pub fn current(&self) -> Option<(Handle, u64)> {
        let slot = &self.slots[self.current?];
        match slot.used {
            Use::Current { file_sequence } => Some((slot.handle, file_sequence)),
            _ => None,
        }
    }

    /// Whether nobody waits for what is written to them.
    pub fn is_relaxed(&self) -> bool {
        self.relaxed
    }

    /// Those that may hold a commit behind `synced_through`, whatever they are used for now.
    pub fn behind(&self, synced_through: u64) -> Vec<(Handle, PathBuf)> {
        let may_hold = |slot: &&Slot| matches!(slot.used, Use::Current { .. }) || slot.last > synced_through;
        self.slots.iter().filter(may_hold).map(|slot| (slot.handle, slot.path.clone())).collect()
    }

    /// The path of the current file, for messages.
    pub fn current_path(&self) -> PathBuf {
        self.current.map(|slot| self.slots[slot].path.clone()).unwrap_or_default()
    }

    /// Goes on to the next file, if it is ready. `last` is the last commit of the one before.
    pub fn advance(&mut self, last: u64) -> bool {
        let next = self.slots.iter().position(|slot| matches!(slot.used, Use::Next { ready: true, .. }));
        let Some(next) = next else { return false };
        if let Some(current) = self.current {
            self.slots[current].used = Use::Full;
            self.slots[current].last = last;
        }
        if let Use::Next { file_sequence, .. } = self.slots[next].used {
            self.slots[next].used = Use::Current { file_sequence };
        }
        self.current = Some(next);
        true
    }

    /// There are files of which everything up to commit `drained` is all they hold.
    pub fn may_recycle(&self, drained: u64) -> bool {
        self.slots.iter().any(|slot| slot.used == Use::Full && slot.last <= drained)
    }

    /// Frees the files of which everything up to commit `drained` is all they hold.
    pub fn recycle(&mut self, drained: u64) {
        for slot in &mut self.slots {
            if slot.used == Use::Full && slot.last <= drained {
                slot.used = Use::Free;
            }
        }
    }

    /// No file is free, and some would be after a sync of what they hold.
    pub fn is_running_out(&self) -> bool {
        let free = self.slots.iter().any(|slot| slot.used == Use::Free);
        !free && self.slots.iter().any(|slot| slot.used == Use::Full)
    }

    /// A file is ready, or about to be, for when the current one is full.
    pub fn has_next(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.used, Use::Next { .. }))
    }

    /// Chooses a free file as the next one. `sequence_min`: no commit in it will have a lower sequence;
    /// `drained_through`: up to where everything is in synced segments.
    pub fn prepare(&mut self, sequence_min: u64, drained_through: u64) -> Option<Activation> {
        if self.has_next() {
            return None;
        }
        let slot = self.slots.iter().position(|slot| slot.used == Use::Free)?;
        let file_sequence = self.next_file_sequence;
        self.next_file_sequence += 1;
        self.slots[slot].used = Use::Next { file_sequence, ready: false };
        let header = FileHeader {
            file_sequence,
            epoch: self.epoch,
            sequence_min,
            file_bytes: self.file_bytes,
            drained_through,
            relaxed: self.relaxed,
        };
        let Slot { handle, path, .. } = &self.slots[slot];
        Some(Activation { slot, handle: *handle, path: path.clone(), header })
    }

    /// The block that headers are written from, filled with one.
    pub fn header_block(&mut self, header: &FileHeader) -> Option<Slice> {
        let empty = Slice::from(Vec::new());
        let mut block = std::mem::replace(&mut self.header_block, empty).try_into_block().ok()?;
        header.encode(&mut block[..BLOCK_BYTES as usize]);
        Some(block.freeze(BLOCK_BYTES as usize))
    }

    /// The header of an activation is on the device.
    pub fn activated(&mut self, activation: &Activation, block: Slice) {
        let file_sequence = activation.header.file_sequence;
        self.slots[activation.slot].used = Use::Next { file_sequence, ready: true };
        self.header_block = block;
    }

    /// Closes all files.
    pub async fn close(&mut self) {
        for slot in self.slots.drain(..) {
            let _ = io::close(slot.handle).await;
        }
        self.current = None;
    }
}

async fn open_file(path: &Path, options: &StoreOptions) -> Result<Handle, StorageError> {
    let mut open = OpenOptions::CREATE;
    open.direct = options.direct;
    let handle = io::open(path, open).await.map_err(StorageError::io("open", path))?;
    let bytes = io::stat(path).await.map_err(StorageError::io("stat", path))?.bytes;
    if bytes != options.journal_file_bytes {
        // Written, not only reserved: a durable write into written extents changes no metadata.
        io::truncate(handle, 0).await.map_err(StorageError::io("truncate", path))?;
        zero(handle, path, options.journal_file_bytes, &options.pool).await?;
    }
    Ok(handle)
}

async fn zero(handle: Handle, path: &Path, bytes: u64, pool: &Pool) -> Result<(), StorageError> {
    let size = ZERO_BYTES.min(bytes as usize);
    let mut block = pool.take(size).ok_or(StorageError::OutOfMemory { bytes: size })?;
    block.fill(0);
    let zeros = block.freeze(size);
    let mut at = 0;
    while at < bytes {
        let part = zeros.slice(0..size.min((bytes - at) as usize));
        let length = part.len() as u64;
        let (result, _) = io::write(handle, at, part, false).await;
        result.map_err(StorageError::io("write", path))?;
        at += length;
    }
    io::sync(handle).await.map_err(StorageError::io("sync", path))
}
