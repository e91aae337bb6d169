//! Segment files that are open: the ones used last, up to a limit.

use crate::error::StorageError;
use crate::read_cache::ReadCache;
use driver::{Handle, OpenOptions};
use executor::io;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// An open file; closed when the last user has dropped it.
pub(crate) struct OpenFile {
    pub handle: Handle,
    pub path: PathBuf,
    /// No other open file of the store has or had it.
    pub number: u64,
    reads: Rc<ReadCache>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.reads.forget(self.number);
        io::close_detached(self.handle);
    }
}

#[derive(Default)]
struct Inner {
    /// Only looked up, which the drain does for each write: paths are long, and alike up to their ends.
    by_path: HashMap<PathBuf, (u64, Rc<OpenFile>)>,
    by_use: BTreeMap<u64, PathBuf>,
    /// Files that their paths stand for whatever these name meanwhile.
    pinned: BTreeMap<PathBuf, Rc<OpenFile>>,
    uses: u64,
    /// How often a path was forgotten.
    forgotten: u64,
    /// The number of the file that was opened last.
    number: u64,
}

/// The open files of a shard.
pub(crate) struct OpenFiles {
    inner: RefCell<Inner>,
    max: usize,
    direct: bool,
    reads: Rc<ReadCache>,
}

impl OpenFiles {
    /// Up to `max` files; those in use count, but are never closed under their user. What `reads` has of a file goes
    /// when it is closed.
    pub fn new(max: usize, direct: bool, reads: Rc<ReadCache>) -> OpenFiles {
        OpenFiles { inner: RefCell::default(), max: max.max(1), direct, reads }
    }

    /// The file at `path`, opened if it is not.
    pub async fn open(&self, path: &Path, create: bool) -> Result<Rc<OpenFile>, StorageError> {
        let mut options = if create { OpenOptions::CREATE } else { OpenOptions::WRITE };
        options.direct = self.direct;
        loop {
            if let Some(file) = self.inner.borrow_mut().touch(path) {
                return Ok(file);
            }
            let seen = self.inner.borrow().forgotten;
            let handle = io::open(path, options).await.map_err(StorageError::io("open", path))?;
            let file = Rc::new(self.own(handle, path.to_path_buf()));
            let mut inner = self.inner.borrow_mut();
            // Another task may have opened it meanwhile: then both are right, and one is kept.
            if let Some(other) = inner.touch(path) {
                return Ok(other);
            }
            // The path may stand for another file by now.
            if inner.forgotten == seen {
                inner.insert(file.clone(), self.max);
                return Ok(file);
            }
        }
    }

    /// An open file that its path does not stand for.
    pub fn own(&self, handle: Handle, path: PathBuf) -> OpenFile {
        let mut inner = self.inner.borrow_mut();
        inner.number += 1;
        OpenFile { handle, path, number: inner.number, reads: self.reads.clone() }
    }

    /// From now on a file's path stands for this file, though it is given to another.
    pub fn pin(&self, file: Rc<OpenFile>) {
        self.inner.borrow_mut().pinned.insert(file.path.clone(), file);
    }

    /// The path stands for what it names again.
    pub fn unpin(&self, path: &Path) {
        let pinned = self.inner.borrow_mut().pinned.remove(path);
        drop(pinned);
        self.forget(path);
    }

    /// Closes the file at `path` when nobody uses it any more.
    pub fn forget(&self, path: &Path) {
        let mut inner = self.inner.borrow_mut();
        inner.forgotten += 1;
        if let Some((used, _)) = inner.by_path.remove(path) {
            inner.by_use.remove(&used);
        }
    }

    /// Closes all files.
    pub fn clear(&self) {
        let mut inner = std::mem::take(&mut *self.inner.borrow_mut());
        // They are closed in the order of their use.
        while let Some((_, path)) = inner.by_use.pop_first() {
            inner.by_path.remove(&path);
        }
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        // Not in the order of their hashes, which is another each time.
        self.clear();
    }
}

impl Inner {
    fn touch(&mut self, path: &Path) -> Option<Rc<OpenFile>> {
        if let Some(file) = self.pinned.get(path) {
            return Some(file.clone());
        }
        self.uses += 1;
        let (used, file) = self.by_path.get_mut(path)?;
        let path = self.by_use.remove(used)?;
        *used = self.uses;
        self.by_use.insert(self.uses, path);
        Some(file.clone())
    }

    fn insert(&mut self, file: Rc<OpenFile>, max: usize) {
        while self.by_path.len() >= max {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.by_path.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, file.path.clone());
        self.by_path.insert(file.path.clone(), (self.uses, file));
    }
}
