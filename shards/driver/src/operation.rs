//! Requests to the kernel.

use memory::{Block, Slice};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A file or socket, as the driver that opened it knows it. Plain data: dropping it closes nothing;
/// [`Operation::Close`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub i32);

/// What an opened file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Reading only or writing too.
    pub access: Access,
    /// Create it if it is not there.
    pub create: bool,
    /// With `create`: fail with `EEXIST` if it is there.
    pub exclusive: bool,
    /// Cut it to nothing if it is there.
    pub truncate: bool,
    /// Past the page cache. Where the file system cannot, the driver opens without and says so once.
    pub direct: bool,
}

impl OpenOptions {
    /// An existing file, for reading.
    pub const READ: OpenOptions =
        OpenOptions { access: Access::Read, create: false, exclusive: false, truncate: false, direct: false };
    /// An existing file, for reading and writing.
    pub const WRITE: OpenOptions = OpenOptions { access: Access::ReadWrite, ..OpenOptions::READ };
    /// A file for reading and writing, made if it is not there.
    pub const CREATE: OpenOptions = OpenOptions { create: true, ..OpenOptions::WRITE };

    /// The same past the page cache.
    pub const fn direct(self) -> OpenOptions {
        OpenOptions { direct: true, ..self }
    }
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its size in bytes.
    pub bytes: u64,
    /// A directory and not a file.
    pub is_directory: bool,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The name without its path. Names that are not UTF-8 are left out: none of ours are.
    pub name: String,
    /// A directory and not a file.
    pub is_directory: bool,
}

/// A request to the kernel. It owns its buffers until it completes.
///
/// The comment of each says what it completes with ([`Outcome`](crate::Outcome)).
#[derive(Debug)]
pub enum Operation {
    /// The next connection of a listening socket → `Accepted`.
    Accept { listener: Handle },
    /// A connection to `address` → `Opened`.
    Connect { address: SocketAddr },
    /// What has arrived on a socket, in a block that the driver lends when there is something: an idle
    /// connection holds no memory → `Received`, with zero bytes at the end of the stream; `ENOBUFS`
    /// when the pool is used up.
    Receive { socket: Handle },
    /// What has arrived on a socket, into `block[start..end]` → `Received`.
    ReceiveInto { socket: Handle, block: Block, start: usize, end: usize },
    /// Sends the slices in order, `skip` bytes of them left out at the beginning; may send less → `Sent`.
    Send { socket: Handle, slices: Vec<Slice>, skip: usize },
    /// Ends both directions of a socket, so that operations on it complete → `Done`.
    Shutdown { socket: Handle },
    /// Reads from a file at an offset into the first `length` bytes of `block`; less at its end → `Read`. What a
    /// short read of a direct file leaves behind its end, up to the next multiple of the alignment, is anything.
    Read { file: Handle, offset: u64, block: Block, length: usize },
    /// Writes the whole of `data` at an offset. `durable`: the data is on the device when it completes,
    /// and so is the file's size if it changed → `Written`.
    Write { file: Handle, offset: u64, data: Slice, durable: bool },
    /// Puts what was written to the file, and its size, on the device → `Done`.
    Sync { file: Handle },
    /// Reserves space; the file grows to `offset + bytes` and reads as zeros there → `Done`.
    Allocate { file: Handle, offset: u64, bytes: u64 },
    /// Sets the size of a file → `Done`.
    Truncate { file: Handle, bytes: u64 },
    /// The first byte at or behind an offset that may have been written; what lies before it was only reserved, or
    /// left out, and reads as zeros → `Found`, with `None` if that goes on to the end of the file.
    FindWritten { file: Handle, offset: u64 },
    /// Opens a file → `Opened`.
    Open { path: PathBuf, options: OpenOptions },
    /// Closes a file or socket → `Done`.
    Close { handle: Handle },
    /// Gives a file another name, replacing what has that name → `Done`.
    Rename { from: PathBuf, to: PathBuf },
    /// Removes a file → `Done`.
    Remove { path: PathBuf },
    /// Makes a directory → `Done`; `EEXIST` if it is there.
    MakeDirectory { path: PathBuf },
    /// Removes an empty directory → `Done`.
    RemoveDirectory { path: PathBuf },
    /// Puts a directory's entries on the device: what was created, renamed or removed in it → `Done`.
    SyncDirectory { path: PathBuf },
    /// The names in a directory, sorted → `Listed`.
    ListDirectory { path: PathBuf },
    /// Size and kind of what has this path → `Stat`.
    Stat { path: PathBuf },
}
