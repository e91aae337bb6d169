//! Answers of the kernel.

use crate::{DirectoryEntry, Handle, Metadata, Token};
use memory::{Block, Slice};
use std::fmt;
use std::net::SocketAddr;

/// The raw error number of the kernel, kept as it came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file or directory.
    pub const NOENT: Errno = Errno(2);
    /// Input/output error: the device failed.
    pub const IO: Errno = Errno(5);
    /// Already exists.
    pub const EXIST: Errno = Errno(17);
    /// Not a directory.
    pub const NOTDIR: Errno = Errno(20);
    /// Is a directory.
    pub const ISDIR: Errno = Errno(21);
    /// Invalid argument.
    pub const INVAL: Errno = Errno(22);
    /// No space left on device.
    pub const NOSPC: Errno = Errno(28);
    /// Read-only file system.
    pub const ROFS: Errno = Errno(30);
    /// Too many open files.
    pub const MFILE: Errno = Errno(24);
    /// Bad handle.
    pub const BADF: Errno = Errno(9);
    /// Directory not empty.
    pub const NOTEMPTY: Errno = Errno(39);
    /// Broken pipe: the peer no longer reads.
    pub const PIPE: Errno = Errno(32);
    /// Connection reset by peer.
    pub const CONNRESET: Errno = Errno(104);
    /// No buffer space: the pool is used up.
    pub const NOBUFS: Errno = Errno(105);
    /// Connection refused.
    pub const CONNREFUSED: Errno = Errno(111);
    /// Cancelled.
    pub const CANCELED: Errno = Errno(125);

    /// The device, or the space on it, is at fault, and not what was asked.
    pub fn is_out_of_space(self) -> bool {
        // ENOSPC and EDQUOT.
        matches!(self.0, 28 | 122)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&std::io::Error::from_raw_os_error(self.0), out)
    }
}

impl std::error::Error for Errno {}

impl From<std::io::Error> for Errno {
    /// An error without a number becomes `EIO`: something is wrong below us.
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(Errno::IO.0))
    }
}

/// What an operation came to.
#[derive(Debug)]
pub enum Outcome {
    /// Done, nothing more to say.
    Done(Result<(), Errno>),
    /// A connection was accepted, and who is at its other end.
    Accepted(Result<(Handle, SocketAddr), Errno>),
    /// A file or connection was opened.
    Opened(Result<Handle, Errno>),
    /// Bytes arrived: how many, and the block they are in (from `start` of a `ReceiveInto`). The block comes
    /// back with an error too, if the submitter gave it.
    Received(Result<usize, Errno>, Option<Block>),
    /// Bytes were sent: how many, after the skipped ones. The slices come back.
    Sent(Result<usize, Errno>, Vec<Slice>),
    /// Bytes were read: how many.
    Read(Result<usize, Errno>, Block),
    /// All was written, or nothing is known. A short write that could not be completed is `ENOSPC`
    /// or what the kernel said of the rest.
    Written(Result<(), Errno>, Slice),
    /// The names in a directory.
    Listed(Result<Vec<DirectoryEntry>, Errno>),
    /// What a path names.
    Stat(Result<Metadata, Errno>),
    /// Where the next byte is that may have been written.
    Found(Result<Option<u64>, Errno>),
}

/// The answer to one operation.
#[derive(Debug)]
pub struct Completion {
    /// The operation's name.
    pub token: Token,
    /// What it came to.
    pub outcome: Outcome,
}
