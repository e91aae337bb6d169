//! An operation under way: everything that the kernel looks at while it works.

use crate::arena::Arena;
use crate::lend::{GROUP, LENT_BYTES};
use crate::socket::{RawAddress, stream_socket};
use driver::{Access, Errno, Handle, OpenOptions, Operation, Outcome, Token};
use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use memory::{Block, Slice};
use std::ffi::CString;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Vectors in one send; the kernel's limit.
const VECTORS_MAX: usize = 1024;
/// The largest single transfer: the kernel cuts longer ones at 2 GiB less a page.
const TRANSFER_MAX: usize = 1 << 30;

/// What is kept while the kernel works. Boxed, so that addresses inside stay put.
pub(crate) enum State {
    Accept(RawAddress),
    Connect(RawAddress, Option<OwnedFd>),
    /// From the lending ring, or, without one, `polled` first and then into a block of the pool.
    Receive {
        socket: Handle,
        polled: bool,
        block: Option<Block>,
    },
    ReceiveInto {
        block: Block,
    },
    /// `vectors` of the slices without their first `skip` bytes; none of a lone one.
    Send {
        slices: Vec<Slice>,
        skip: usize,
        vectors: Vec<libc::iovec>,
        header: libc::msghdr,
    },
    Read {
        file: Handle,
        offset: u64,
        block: Block,
        length: usize,
        done: usize,
    },
    Write {
        file: Handle,
        offset: u64,
        data: Slice,
        done: usize,
        durable: bool,
    },
    Open {
        path: CString,
        options: OpenOptions,
    },
    /// `Done` at once; the paths are only kept.
    Plain {
        _paths: [Option<CString>; 2],
    },
    SyncDirectory {
        path: CString,
        open: Option<OwnedFd>,
    },
}

// SAFETY: the raw pointers in it point to memory that it owns. It stays on its core anyway.
unsafe impl Send for State {}

/// An operation under way.
pub(crate) struct Flight {
    pub(crate) token: Token,
    pub(crate) state: State,
    /// Its handle is in the ring's table of files.
    pub(crate) registered: bool,
    /// Nobody waits for it any more, and its handle may be closed at any time.
    pub(crate) cancelled: bool,
}

/// What the driver has that entries make use of.
pub(crate) struct Kit {
    /// A ring of lent blocks.
    pub(crate) lending: bool,
    /// Registered buffers.
    pub(crate) arena: Arena,
    /// The file system does direct I/O as callers do it.
    pub(crate) direct: bool,
}

/// What becomes of a flight after a completion.
pub(crate) enum Next {
    /// It has landed.
    Land(Outcome),
    /// It goes on with another request.
    Go(Entry),
}

fn path(path: PathBuf) -> Result<CString, Errno> {
    CString::new(path.into_os_string().into_vec()).map_err(|_| Errno::INVAL)
}

fn result(code: i32) -> Result<usize, Errno> {
    if code < 0 { Err(Errno(-code)) } else { Ok(code as usize) }
}

fn fd(handle: Handle) -> types::Fd {
    types::Fd(handle.0)
}

fn at_cwd() -> types::Fd {
    types::Fd(libc::AT_FDCWD)
}

/// Takes an operation in; its first entry is made by [`Flight::entry`]. An operation that cannot begin lands
/// at once.
pub(crate) fn begin(token: Token, operation: Operation, kit: &Kit) -> Result<Box<Flight>, Outcome> {
    let plain = || State::Plain { _paths: [None, None] };
    let state = match operation {
        Operation::Accept { .. } => State::Accept(RawAddress::empty()),
        Operation::Connect { address } => match stream_socket(address) {
            Ok(socket) => State::Connect(RawAddress::new(address), Some(socket)),
            Err(error) => return Err(Outcome::Opened(Err(error.into()))),
        },
        Operation::Receive { socket } => State::Receive { socket, polled: kit.lending, block: None },
        Operation::ReceiveInto { block, start, end, .. } if start > end || end > block.len() => {
            return Err(Outcome::Received(Err(Errno::INVAL), Some(block)));
        }
        Operation::ReceiveInto { block, .. } => State::ReceiveInto { block },
        Operation::Send { slices, skip, .. } => send(slices, skip),
        Operation::Read { file, offset, block, length } => {
            let length = length.min(block.len());
            State::Read { file, offset, block, length, done: 0 }
        }
        Operation::Write { file, offset, data, durable } => {
            State::Write { file, offset, data, done: 0, durable }
        }
        Operation::Open { path: name, options } => match path(name) {
            Ok(path) => {
                let direct = options.direct && kit.direct;
                State::Open { path, options: OpenOptions { direct, ..options } }
            }
            Err(errno) => return Err(Outcome::Opened(Err(errno))),
        },
        Operation::Rename { from, to } => match (path(from), path(to)) {
            (Ok(from), Ok(to)) => State::Plain { _paths: [Some(from), Some(to)] },
            _ => return Err(Outcome::Done(Err(Errno::INVAL))),
        },
        Operation::Remove { path: name }
        | Operation::MakeDirectory { path: name }
        | Operation::RemoveDirectory { path: name } => match path(name) {
            Ok(path) => State::Plain { _paths: [Some(path), None] },
            Err(errno) => return Err(Outcome::Done(Err(errno))),
        },
        Operation::SyncDirectory { path: name } => match path(name) {
            Ok(path) => State::SyncDirectory { path, open: None },
            Err(errno) => return Err(Outcome::Done(Err(errno))),
        },
        Operation::Shutdown { .. }
        | Operation::Sync { .. }
        | Operation::Allocate { .. }
        | Operation::Truncate { .. }
        | Operation::Close { .. } => plain(),
        Operation::FindWritten { .. } | Operation::ListDirectory { .. } | Operation::Stat { .. } => {
            unreachable!("the ring answers these itself")
        }
    };
    Ok(Box::new(Flight { token, state, registered: false, cancelled: false }))
}

/// What is left of the slices after the skipped bytes, as far as one send takes it.
pub(crate) fn vectors(slices: &[Slice], skip: usize) -> Vec<libc::iovec> {
    let mut skip = skip;
    let mut vectors = Vec::with_capacity(slices.len().min(VECTORS_MAX));
    for slice in slices {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        let rest = &slice[skipped..];
        if !rest.is_empty() && vectors.len() < VECTORS_MAX {
            vectors.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
        }
    }
    vectors
}

/// A message header that says nothing yet.
pub(crate) fn no_header() -> libc::msghdr {
    // SAFETY: plain integers and pointers, for which zeros are values.
    unsafe { std::mem::zeroed() }
}

pub(crate) fn send(slices: Vec<Slice>, skip: usize) -> State {
    let vectors = if slices.len() == 1 { Vec::new() } else { vectors(&slices, skip) };
    State::Send { slices, skip, vectors, header: no_header() }
}

/// The request of a send. What it points to is kept by the state.
fn send_entry(
    socket: Handle,
    (slices, skip): (&[Slice], usize),
    vectors: &mut [libc::iovec],
    header: &mut libc::msghdr,
) -> Entry {
    let (start, length) = match (slices, &*vectors) {
        ([slice], _) => {
            let rest = &slice[skip.min(slice.len())..];
            (rest.as_ptr(), rest.len())
        }
        (_, [one]) => (one.iov_base.cast_const().cast(), one.iov_len),
        _ => {
            header.msg_iov = vectors.as_mut_ptr();
            header.msg_iovlen = vectors.len();
            return opcode::SendMsg::new(fd(socket), header).flags(libc::MSG_NOSIGNAL as u32).build();
        }
    };
    let length = length.min(TRANSFER_MAX) as u32;
    opcode::Send::new(fd(socket), start, length).flags(libc::MSG_NOSIGNAL).build()
}

/// What an operation's entry needs beside its state, read before the state takes the operation in.
pub(crate) enum Target {
    None,
    Handle(Handle),
    Range(Handle, usize, usize),
    Space(Handle, u64, u64),
    Kind(Kind),
}

/// Which plain operation on handles or paths.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Shutdown(Handle),
    Sync(Handle),
    Close(Handle),
    Truncate(Handle, u64),
    Rename,
    Remove,
    MakeDirectory,
    RemoveDirectory,
}

pub(crate) fn target(operation: &Operation) -> Target {
    match *operation {
        Operation::Accept { listener } => Target::Handle(listener),
        Operation::Send { socket, .. } => Target::Handle(socket),
        Operation::ReceiveInto { socket, start, end, .. } => Target::Range(socket, start, end),
        Operation::Allocate { file, offset, bytes } => Target::Space(file, offset, bytes),
        Operation::Shutdown { socket } => Target::Kind(Kind::Shutdown(socket)),
        Operation::Sync { file } => Target::Kind(Kind::Sync(file)),
        Operation::Close { handle } => Target::Kind(Kind::Close(handle)),
        Operation::Truncate { file, bytes } => Target::Kind(Kind::Truncate(file, bytes)),
        Operation::Rename { .. } => Target::Kind(Kind::Rename),
        Operation::Remove { .. } => Target::Kind(Kind::Remove),
        Operation::MakeDirectory { .. } => Target::Kind(Kind::MakeDirectory),
        Operation::RemoveDirectory { .. } => Target::Kind(Kind::RemoveDirectory),
        _ => Target::None,
    }
}

/// The handle that an operation's requests name.
pub(crate) fn handle(operation: &Operation) -> Option<Handle> {
    match *operation {
        Operation::Accept { listener } => Some(listener),
        Operation::Receive { socket }
        | Operation::ReceiveInto { socket, .. }
        | Operation::Send { socket, .. }
        | Operation::Shutdown { socket } => Some(socket),
        Operation::Read { file, .. }
        | Operation::Write { file, .. }
        | Operation::Sync { file }
        | Operation::Allocate { file, .. }
        | Operation::Truncate { file, .. } => Some(file),
        _ => None,
    }
}

impl Flight {
    /// The first request of the operation.
    pub(crate) fn entry(&mut self, target: Target, kit: &Kit) -> Entry {
        match (&mut self.state, target) {
            (State::Accept(raw), Target::Handle(listener)) => {
                let storage = (&raw mut raw.storage).cast();
                opcode::Accept::new(fd(listener), storage, &raw mut raw.length)
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            }
            (State::Connect(raw, Some(socket)), _) => {
                let storage = (&raw const raw.storage).cast();
                opcode::Connect::new(types::Fd(socket.as_raw_fd()), storage, raw.length).build()
            }
            (State::Receive { socket, polled: true, .. }, _) => {
                // The length bounds what one receive takes; the buffer is chosen when data is there.
                opcode::Recv::new(fd(*socket), std::ptr::null_mut(), LENT_BYTES as u32)
                    .buf_group(GROUP)
                    .build()
                    .flags(Flags::BUFFER_SELECT)
            }
            (State::Receive { socket, .. }, _) => {
                opcode::PollAdd::new(fd(*socket), libc::POLLIN as u32).build()
            }
            (State::ReceiveInto { block }, Target::Range(socket, start, end)) => {
                let part = &mut block[start..end];
                let length = part.len().min(TRANSFER_MAX) as u32;
                opcode::Recv::new(fd(socket), part.as_mut_ptr(), length).build()
            }
            (State::Send { slices, skip, vectors, header }, Target::Handle(socket)) => {
                send_entry(socket, (slices.as_slice(), *skip), vectors, header)
            }
            (State::Read { .. }, _) => self.read_entry(kit),
            (State::Write { .. }, _) => self.write_entry(kit),
            (State::Open { path, options }, _) => {
                let mut flags = libc::O_CLOEXEC;
                flags |= if options.access == Access::Read { libc::O_RDONLY } else { libc::O_RDWR };
                for (wanted, flag) in [
                    (options.create, libc::O_CREAT),
                    (options.create && options.exclusive, libc::O_EXCL),
                    (options.truncate, libc::O_TRUNC),
                    (options.direct, libc::O_DIRECT),
                ] {
                    flags |= if wanted { flag } else { 0 };
                }
                opcode::OpenAt::new(at_cwd(), path.as_ptr()).flags(flags).mode(0o644).build()
            }
            (State::SyncDirectory { path, .. }, _) => {
                let flags = libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_RDONLY;
                opcode::OpenAt::new(at_cwd(), path.as_ptr()).flags(flags).build()
            }
            (State::Plain { .. }, Target::Space(file, offset, bytes)) => {
                opcode::Fallocate::new(fd(file), bytes).offset(offset).build()
            }
            (State::Plain { _paths: paths }, Target::Kind(kind)) => plain_entry(kind, paths),
            _ => unreachable!("a state and a target of different operations"),
        }
    }

    fn read_entry(&mut self, kit: &Kit) -> Entry {
        let State::Read { file, offset, block, length, done } = &mut self.state else {
            unreachable!("only reads continue so")
        };
        let part = &mut block[*done..*length];
        let count = part.len().min(TRANSFER_MAX) as u32;
        let at = *offset + *done as u64;
        match kit.arena.index(part.as_ptr(), part.len()) {
            Some(buffer) => {
                opcode::ReadFixed::new(fd(*file), part.as_mut_ptr(), count, buffer).offset(at).build()
            }
            None => opcode::Read::new(fd(*file), part.as_mut_ptr(), count).offset(at).build(),
        }
    }

    fn write_entry(&mut self, kit: &Kit) -> Entry {
        let State::Write { file, offset, data, done, durable } = &mut self.state else {
            unreachable!("only writes continue so")
        };
        let part = &data[*done..];
        let count = part.len().min(TRANSFER_MAX) as u32;
        let flags = if *durable { libc::RWF_DSYNC } else { 0 };
        let at = *offset + *done as u64;
        match kit.arena.index(part.as_ptr(), part.len()) {
            Some(buffer) => opcode::WriteFixed::new(fd(*file), part.as_ptr(), count, buffer)
                .offset(at)
                .rw_flags(flags as _)
                .build(),
            None => {
                opcode::Write::new(fd(*file), part.as_ptr(), count).offset(at).rw_flags(flags as _).build()
            }
        }
    }

    /// Takes in a completion. `lent` is the block that the kernel chose, if it did.
    pub(crate) fn complete(
        &mut self,
        code: i32,
        lent: Option<Block>,
        kit: &Kit,
        take: impl FnOnce() -> Option<Block>,
    ) -> Next {
        match &mut self.state {
            State::Accept(raw) => Next::Land(Outcome::Accepted(result(code).map(|fd| {
                crate::socket::set_stream_options(fd as i32);
                let unknown = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
                (Handle(fd as i32), raw.decode().unwrap_or(unknown))
            }))),
            State::Connect(_, socket) => Next::Land(Outcome::Opened(match (result(code), socket.take()) {
                (Ok(_), Some(socket)) => {
                    crate::socket::set_stream_options(socket.as_raw_fd());
                    Ok(Handle(socket.into_raw_fd()))
                }
                (Err(errno), _) => Err(errno),
                (Ok(_), None) => Err(Errno::BADF),
            })),
            State::Receive { socket, polled, block } => {
                if *polled || code < 0 {
                    let block = lent.or_else(|| block.take());
                    return Next::Land(Outcome::Received(result(code), block));
                }
                *polled = true;
                let Some(mut taken) = take() else {
                    return Next::Land(Outcome::Received(Err(Errno::NOBUFS), None));
                };
                let entry = opcode::Recv::new(fd(*socket), taken.as_mut_ptr(), LENT_BYTES as u32).build();
                *block = Some(taken);
                Next::Go(entry)
            }
            State::Read { .. } => self.complete_read(result(code), kit),
            State::Write { .. } => self.complete_write(result(code), kit),
            State::Open { options, .. } => {
                if code == -libc::EINVAL && options.direct {
                    warn_not_direct();
                    options.direct = false;
                    return Next::Go(self.entry(Target::None, kit));
                }
                Next::Land(Outcome::Opened(result(code).map(|fd| Handle(fd as i32))))
            }
            State::SyncDirectory { open, .. } => match result(code) {
                Ok(number) if open.is_none() => {
                    use std::os::fd::FromRawFd;
                    // SAFETY: the kernel just opened it for this flight alone.
                    let directory = unsafe { OwnedFd::from_raw_fd(number as i32) };
                    let entry = opcode::Fsync::new(types::Fd(directory.as_raw_fd())).build();
                    *open = Some(directory);
                    Next::Go(entry)
                }
                other => Next::Land(Outcome::Done(other.map(|_| ()))),
            },
            State::Plain { .. } => Next::Land(Outcome::Done(result(code).map(|_| ()))),
            State::ReceiveInto { .. } | State::Send { .. } => self.land_with_buffers(code),
        }
    }

    fn complete_read(&mut self, result: Result<usize, Errno>, kit: &Kit) -> Next {
        let State::Read { length, done, .. } = &mut self.state else {
            unreachable!("only reads continue so")
        };
        match result {
            Ok(count) => {
                *done += count;
                // A read that ends off a sector has met the end of the file.
                if count > 0 && *done < *length && *done % 512 == 0 {
                    return Next::Go(self.read_entry(kit));
                }
                let done = *done;
                self.land_read(Ok(done))
            }
            Err(Errno(libc::EINTR | libc::EAGAIN)) => Next::Go(self.read_entry(kit)),
            Err(errno) => self.land_read(Err(errno)),
        }
    }

    fn complete_write(&mut self, result: Result<usize, Errno>, kit: &Kit) -> Next {
        let State::Write { data, done, .. } = &mut self.state else {
            unreachable!("only writes continue so")
        };
        match result {
            Ok(0) if !data.is_empty() => self.land_write(Err(Errno::NOSPC)),
            Ok(count) => {
                *done += count;
                if *done < data.len() {
                    return Next::Go(self.write_entry(kit));
                }
                self.land_write(Ok(()))
            }
            Err(Errno(libc::EINTR | libc::EAGAIN)) => Next::Go(self.write_entry(kit)),
            Err(errno) => self.land_write(Err(errno)),
        }
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Plain { _paths: [None, None] })
    }

    fn land_read(&mut self, result: Result<usize, Errno>) -> Next {
        match self.take_state() {
            State::Read { block, .. } => Next::Land(Outcome::Read(result, block)),
            _ => unreachable!("only reads land so"),
        }
    }

    fn land_write(&mut self, result: Result<(), Errno>) -> Next {
        match self.take_state() {
            State::Write { data, .. } => Next::Land(Outcome::Written(result, data)),
            _ => unreachable!("only writes land so"),
        }
    }

    fn land_with_buffers(&mut self, code: i32) -> Next {
        Next::Land(match self.take_state() {
            State::ReceiveInto { block } => Outcome::Received(result(code), Some(block)),
            State::Send { slices, .. } => Outcome::Sent(result(code), slices),
            _ => unreachable!("only receives and sends land so"),
        })
    }
}

fn plain_entry(kind: Kind, paths: &[Option<CString>; 2]) -> Entry {
    let name = |index: usize| paths[index].as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
    match kind {
        Kind::Shutdown(socket) => opcode::Shutdown::new(fd(socket), libc::SHUT_RDWR).build(),
        // Data and size; times may come later.
        Kind::Sync(file) => opcode::Fsync::new(fd(file)).flags(types::FsyncFlags::DATASYNC).build(),
        Kind::Close(handle) => opcode::Close::new(fd(handle)).build(),
        Kind::Truncate(file, bytes) => opcode::Ftruncate::new(fd(file), bytes).build(),
        Kind::Rename => opcode::RenameAt::new(at_cwd(), name(0), at_cwd(), name(1)).build(),
        Kind::Remove => opcode::UnlinkAt::new(at_cwd(), name(0)).build(),
        Kind::MakeDirectory => opcode::MkDirAt::new(at_cwd(), name(0)).mode(0o755).build(),
        Kind::RemoveDirectory => opcode::UnlinkAt::new(at_cwd(), name(0)).flags(libc::AT_REMOVEDIR).build(),
    }
}

fn warn_not_direct() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        log::warn!(
            "the file system of the data directory has no direct I/O: data goes through the page cache, at more CPU"
        );
    });
}
