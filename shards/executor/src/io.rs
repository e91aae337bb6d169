//! The driver's operations as futures.
//!
//! Buffers go in and come back with the result. Dropping a future whose operation waits for a peer cancels
//! it; dropping any other lets it run to its end unseen. Either way the kernel keeps the buffers
//! until it is done with them.

use crate::core::with_current;
use crate::ops::waits_for_a_peer;
use driver::{DirectoryEntry, Errno, Handle, Metadata, OpenOptions, Operation, Outcome, Token};
use memory::{Block, Slice};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An operation under way.
struct Pending {
    token: Token,
    cancel: bool,
    done: bool,
}

impl Pending {
    fn new(operation: Operation) -> Pending {
        let cancel = waits_for_a_peer(&operation);
        let token = with_current(|executor| executor.submit(operation));
        Pending { token, cancel, done: false }
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let polled = with_current(|executor| executor.poll_operation(self.token, context));
        self.done = polled.is_ready();
        polled
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Without an executor there is nobody left to tell.
            crate::core::try_with_current(|executor| executor.abandon(self.token, self.cancel));
        }
    }
}

/// A driver that answers another kind than was asked breaks the contract of the seam.
fn mismatch(outcome: Outcome) -> ! {
    panic!("the driver completed an operation with an outcome of another kind: {outcome:?}")
}

async fn done(operation: Operation) -> Result<(), Errno> {
    match Pending::new(operation).await {
        Outcome::Done(result) => result,
        other => mismatch(other),
    }
}

async fn opened(operation: Operation) -> Result<Handle, Errno> {
    match Pending::new(operation).await {
        Outcome::Opened(result) => result,
        other => mismatch(other),
    }
}

/// The next connection of a listening socket.
pub async fn accept(listener: Handle) -> Result<(Handle, SocketAddr), Errno> {
    match Pending::new(Operation::Accept { listener }).await {
        Outcome::Accepted(result) => result,
        other => mismatch(other),
    }
}

/// A connection to `address`.
pub async fn connect(address: SocketAddr) -> Result<Handle, Errno> {
    opened(Operation::Connect { address }).await
}

/// What arrives next, in a block that the driver lends: its first so many bytes. `None` at the end of the
/// stream.
pub async fn receive(socket: Handle) -> Result<Option<(Block, usize)>, Errno> {
    match Pending::new(Operation::Receive { socket }).await {
        Outcome::Received(Ok(0), _) => Ok(None),
        Outcome::Received(Ok(length), Some(block)) => Ok(Some((block, length))),
        Outcome::Received(Err(errno), _) => Err(errno),
        other => mismatch(other),
    }
}

/// What arrives next, into `block[start..end]`; how many bytes, zero at the end of the stream.
pub async fn receive_into(
    socket: Handle,
    block: Block,
    start: usize,
    end: usize,
) -> (Result<usize, Errno>, Option<Block>) {
    match Pending::new(Operation::ReceiveInto { socket, block, start, end }).await {
        Outcome::Received(result, block) => (result, block),
        other => mismatch(other),
    }
}

/// Sends the slices in order, without the first `skip` bytes: as much as the socket takes at once. How many bytes that
/// was, and the slices back.
pub async fn send(socket: Handle, slices: Vec<Slice>, skip: usize) -> (Result<usize, Errno>, Vec<Slice>) {
    match Pending::new(Operation::Send { socket, slices, skip }).await {
        Outcome::Sent(result, back) => (result, back),
        other => mismatch(other),
    }
}

/// Sends all slices, in order.
pub async fn send_all(socket: Handle, slices: Vec<Slice>) -> Result<(), Errno> {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let (mut slices, mut sent, mut skip) = (slices, 0, 0);
    while sent < total {
        let (result, back) = send(socket, slices, skip).await;
        let count = result?;
        sent += count;
        slices = back;
        skip += count;
        // What is sent is freed early: a slow reader must not hold what it already has.
        let gone = slices
            .iter()
            .scan(0, |end, slice| {
                *end += slice.len();
                Some(*end)
            })
            .take_while(|end| *end <= skip)
            .count();
        skip -= slices.drain(..gone).map(|slice| slice.len()).sum::<usize>();
    }
    Ok(())
}

/// Ends both directions of a socket.
pub async fn shutdown(socket: Handle) -> Result<(), Errno> {
    done(Operation::Shutdown { socket }).await
}

/// Reads up to `length` bytes at an offset into a block; fewer at the file's end.
pub async fn read(file: Handle, offset: u64, block: Block, length: usize) -> (Result<usize, Errno>, Block) {
    match Pending::new(Operation::Read { file, offset, block, length }).await {
        Outcome::Read(result, block) => (result, block),
        other => mismatch(other),
    }
}

/// Starts a write at once, before the future is first polled: the order of calls is the order of submission.
pub fn write(
    file: Handle,
    offset: u64,
    data: Slice,
    durable: bool,
) -> impl Future<Output = (Result<(), Errno>, Slice)> {
    let pending = Pending::new(Operation::Write { file, offset, data, durable });
    async move {
        match pending.await {
            Outcome::Written(result, slice) => (result, slice),
            other => mismatch(other),
        }
    }
}

/// Puts what was written to the file on the device.
pub async fn sync(file: Handle) -> Result<(), Errno> {
    done(Operation::Sync { file }).await
}

/// Reserves space; the file grows, and reads as zeros there.
pub async fn allocate(file: Handle, offset: u64, bytes: u64) -> Result<(), Errno> {
    done(Operation::Allocate { file, offset, bytes }).await
}

/// Sets a file's size.
pub async fn truncate(file: Handle, bytes: u64) -> Result<(), Errno> {
    done(Operation::Truncate { file, bytes }).await
}

/// The first byte at or behind an offset that may have been written; `None`: what is there up to the file's end was only
/// reserved, or left out, and reads as zeros.
pub async fn find_written(file: Handle, offset: u64) -> Result<Option<u64>, Errno> {
    match Pending::new(Operation::FindWritten { file, offset }).await {
        Outcome::Found(result) => result,
        other => mismatch(other),
    }
}

/// Opens a file.
pub async fn open(path: impl Into<PathBuf>, options: OpenOptions) -> Result<Handle, Errno> {
    opened(Operation::Open { path: path.into(), options }).await
}

/// Closes a file or socket.
pub async fn close(handle: Handle) -> Result<(), Errno> {
    done(Operation::Close { handle }).await
}

/// Closes a file or socket without waiting for it; for `Drop`. Does nothing outside of an executor.
pub fn close_detached(handle: Handle) {
    crate::core::try_with_current(|executor| executor.submit_detached(Operation::Close { handle }));
}

/// Gives a file another name.
pub async fn rename(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Result<(), Errno> {
    done(Operation::Rename { from: from.into(), to: to.into() }).await
}

/// Removes a file.
pub async fn remove(path: impl Into<PathBuf>) -> Result<(), Errno> {
    done(Operation::Remove { path: path.into() }).await
}

/// Makes a directory.
pub async fn make_directory(path: impl Into<PathBuf>) -> Result<(), Errno> {
    done(Operation::MakeDirectory { path: path.into() }).await
}

/// Makes a directory and those above it, as far as they are not there, and puts their names on the device.
pub async fn make_directories(path: &Path) -> Result<(), Errno> {
    let mut missing = Vec::new();
    let mut at = path;
    loop {
        match stat(at).await {
            Ok(found) if found.is_directory => break,
            Ok(_) => return Err(Errno::NOTDIR),
            Err(Errno::NOENT) => missing.push(at.to_path_buf()),
            Err(errno) => return Err(errno),
        }
        match at.parent() {
            Some(parent) if parent.as_os_str().is_empty() => break,
            Some(parent) => at = parent,
            None => break,
        }
    }
    for directory in missing.into_iter().rev() {
        match make_directory(&directory).await {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let parent = directory.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(parent).await?;
    }
    Ok(())
}

/// Puts the names of a directory and of those above it up to `root` on the device, whoever made them: that one is there
/// does not say so, for its maker may have ended, or failed, or not come so far yet. One that was removed needs none.
pub async fn sync_names(path: &Path, root: &Path) -> Result<(), Errno> {
    for above in path.ancestors().skip(1).take_while(|above| above.starts_with(root)) {
        match sync_directory(above).await {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Removes an empty directory.
pub async fn remove_directory(path: impl Into<PathBuf>) -> Result<(), Errno> {
    done(Operation::RemoveDirectory { path: path.into() }).await
}

/// Puts a directory's entries on the device.
pub async fn sync_directory(path: impl Into<PathBuf>) -> Result<(), Errno> {
    done(Operation::SyncDirectory { path: path.into() }).await
}

/// The names in a directory, sorted.
pub async fn list_directory(path: impl Into<PathBuf>) -> Result<Vec<DirectoryEntry>, Errno> {
    match Pending::new(Operation::ListDirectory { path: path.into() }).await {
        Outcome::Listed(result) => result,
        other => mismatch(other),
    }
}

/// Size and kind of what a path names.
pub async fn stat(path: impl Into<PathBuf>) -> Result<Metadata, Errno> {
    match Pending::new(Operation::Stat { path: path.into() }).await {
        Outcome::Stat(result) => result,
        other => mismatch(other),
    }
}
