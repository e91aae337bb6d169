//! Accepts and receives that are armed once for many completions, over the seam's single ones.

use crate::armed::{Act, Armed};
use crate::handles::NONE;
use crate::lend::{GROUP, LENT_BYTES};
use crate::ring::{ACCEPTS, Place, RECEIVES, UringDriver};
use crate::socket;
use driver::{Completion, Errno, Handle, Operation, Outcome, Token};
use io_uring::squeue::Flags;
use io_uring::{cqueue, opcode, types};
use memory::Block;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// Connections that are accepted before they are asked for, beside those that one turn brings.
const ACCEPTED_MAX: usize = 64;
/// Blocks that a socket may hold before they are asked for, beside those that one turn brings.
const RECEIVED_MAX: usize = 4;
/// A receive below this is small.
const SMALL_BYTES: usize = 4096;
/// So many small ones in a row make it likely that more will follow.
const SMALL_RECEIVES: u8 = 4;
/// `ECONNABORTED`: the peer was gone before it was accepted.
const ABORTED: Errno = Errno(103);

/// The armed accept of a listening socket.
pub(crate) struct Accepting {
    listener: i32,
    registered: bool,
    pub(crate) armed: Armed<OwnedFd>,
}

/// What has arrived: `block[from..from + length]`; without a block the end of the stream.
#[derive(Debug)]
pub(crate) struct Piece {
    block: Option<Block>,
    from: usize,
    length: usize,
}

/// The armed receive of a socket.
pub(crate) struct Receiving {
    socket: i32,
    registered: bool,
    pub(crate) armed: Armed<Piece>,
    /// Receives into blocks of their own, which begin when the armed one is gone.
    into: VecDeque<Into>,
}

struct Into {
    token: Token,
    block: Block,
    start: usize,
    end: usize,
}

impl Receiving {
    /// Answers receives into blocks of their own from what has arrived.
    fn fill(&mut self, filled: &mut Vec<Completion>) {
        while !self.into.is_empty()
            && let Some(arrived) = self.armed.queue().pop_front()
            && let Some(into) = self.into.pop_front()
        {
            let (outcome, rest) = take_part(arrived, into.block, into.start, into.end);
            if let Some(rest) = rest {
                self.armed.queue().push_front(Ok(rest));
            }
            filled.push(Completion { token: into.token, outcome });
        }
    }
}

/// Copies what fits of what has arrived; gives back what is left.
fn take_part(
    arrived: Result<Piece, Errno>,
    mut block: Block,
    start: usize,
    end: usize,
) -> (Outcome, Option<Piece>) {
    let piece = match arrived {
        Ok(piece) => piece,
        Err(errno) => return (Outcome::Received(Err(errno), Some(block)), None),
    };
    let Some(source) = piece.block else { return (Outcome::Received(Ok(0), Some(block)), None) };
    let count = piece.length.min(end - start);
    block[start..start + count].copy_from_slice(&source[piece.from..piece.from + count]);
    let left = piece.length - count;
    let rest = (left > 0).then_some(Piece { block: Some(source), from: piece.from + count, length: left });
    (Outcome::Received(Ok(count), Some(block)), rest)
}

/// A piece as a receive of the seam gives it: its bytes at the beginning of the block.
fn received(arrived: Result<Piece, Errno>) -> Outcome {
    match arrived {
        Ok(Piece { block: Some(mut block), from, length }) => {
            if from > 0 {
                block.copy_within(from..from + length, 0);
            }
            Outcome::Received(Ok(length), Some(block))
        }
        Ok(Piece { block: None, .. }) => Outcome::Received(Ok(0), None),
        Err(errno) => Outcome::Received(Err(errno), None),
    }
}

impl UringDriver {
    /// Waits for the next connection at the armed accept, and arms it if need be.
    pub(crate) fn accept_next(&mut self, token: Token, listener: Handle) {
        let mut number = self.handles.get(listener.0).accepting;
        if number == NONE {
            let registered = self.handles.is_registered(listener.0);
            let armed = Armed::new(ACCEPTED_MAX);
            number = self.accepting.insert(Accepting { listener: listener.0, registered, armed });
            match self.handles.get_mut(listener.0) {
                Some(info) => info.accepting = number,
                None => log::error!("accepting at {listener:?}, which nobody opened"),
            }
        }
        self.put(token, Place::Accept(token, number));
        self.with_accepting(number, |accepting, acts| accepting.armed.wait(token, acts));
    }

    pub(crate) fn with_accepting(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Accepting, &mut Vec<Act<OwnedFd>>),
    ) {
        let Some(accepting) = self.accepting.get(number) else { return };
        let mut acts = std::mem::take(&mut self.accept_acts);
        change(accepting, &mut acts);
        let (listener, registered, over) =
            (accepting.listener, accepting.registered, accepting.armed.is_over());
        for act in acts.drain(..) {
            match act {
                Act::Arm => {
                    let entry =
                        opcode::AcceptMulti::new(types::Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
                    let flags = if registered { Flags::FIXED_FILE } else { Flags::empty() };
                    self.push(entry.flags(flags).user_data(ACCEPTS | u64::from(number)));
                }
                Act::Cancel => self.cancel_entry(ACCEPTS | u64::from(number)),
                Act::Give(token, arrived) => self.give_connection(token, arrived),
                Act::Close(token) => self.close_now(token, Handle(listener)),
            }
        }
        self.accept_acts = acts;
        if over {
            self.accepting.remove(number);
        }
    }

    fn give_connection(&mut self, token: Token, arrived: Result<OwnedFd, Errno>) {
        let accepted = arrived.and_then(|socket| {
            let peer = socket::peer(&socket).map_err(|_| ABORTED)?;
            socket::set_stream_options(socket.as_raw_fd());
            let handle = Handle(socket.into_raw_fd());
            self.handles.opened(handle.0, &self.ring.submitter());
            Ok((handle, peer))
        });
        self.land(token, Outcome::Accepted(accepted));
    }

    /// A completion of an armed accept.
    pub(crate) fn accepted(&mut self, number: u32, code: i32, flags: u32) {
        let last = !cqueue::more(flags);
        self.with_accepting(number, |accepting, acts| match code {
            0.. => {
                // SAFETY: the kernel just made it for this request, and nobody else owns it.
                let socket = unsafe { OwnedFd::from_raw_fd(code) };
                accepting.armed.arrived(socket, last, acts);
            }
            // Whatever is wrong with the listening socket or the process comes again with the next.
            _ => accepting.armed.failed(Errno(-code), false, acts),
        });
    }

    /// Waits at the socket's armed receive. Gives the operation back if it is to be a single one: only a socket
    /// that keeps receiving little is armed.
    pub(crate) fn receive_next(&mut self, token: Token, socket: Handle) -> bool {
        let info = self.handles.get(socket.0);
        let likely = info.small_receives >= SMALL_RECEIVES;
        let mut number = info.receiving;
        match self.receiving.get(number) {
            Some(receiving) if receiving.armed.is_idle() && !likely => return false,
            None if !likely => return false,
            Some(_) => {}
            None => {
                let registered = self.handles.is_registered(socket.0);
                let armed = Armed::new(RECEIVED_MAX);
                let receiving = Receiving { socket: socket.0, registered, armed, into: VecDeque::new() };
                number = self.receiving.insert(receiving);
                if let Some(info) = self.handles.get_mut(socket.0) {
                    info.receiving = number;
                }
            }
        }
        self.put(token, Place::Receive(token, number));
        self.with_receiving(number, |receiving, acts| receiving.armed.wait(token, acts));
        true
    }

    pub(crate) fn with_receiving(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Receiving, &mut Vec<Act<Piece>>),
    ) {
        let Some(receiving) = self.receiving.get(number) else { return };
        let mut acts = std::mem::take(&mut self.receive_acts);
        change(receiving, &mut acts);
        let (socket, registered) = (receiving.socket, receiving.registered);
        for act in acts.drain(..) {
            match act {
                Act::Arm => {
                    let entry = opcode::RecvMulti::new(types::Fd(socket), GROUP).build();
                    let flags = if registered { Flags::FIXED_FILE } else { Flags::empty() };
                    self.push(entry.flags(flags).user_data(RECEIVES | u64::from(number)));
                }
                Act::Cancel => self.cancel_entry(RECEIVES | u64::from(number)),
                Act::Give(token, arrived) => self.land(token, received(arrived)),
                Act::Close(token) => self.close_now(token, Handle(socket)),
            }
        }
        self.receive_acts = acts;
        self.go_on_into(number);
    }

    /// Lets receives into blocks of their own go on, once the armed receive is gone.
    fn go_on_into(&mut self, number: u32) {
        let Some(receiving) = self.receiving.get(number) else { return };
        let socket = Handle(receiving.socket);
        let begin =
            if receiving.armed.is_idle() { std::mem::take(&mut receiving.into) } else { VecDeque::new() };
        if receiving.armed.is_over() {
            self.receiving.remove(number);
        }
        for Into { token, block, start, end } in begin {
            self.free(token);
            self.begin(token, Operation::ReceiveInto { socket, block, start, end });
        }
    }

    /// A completion of an armed receive. `lent` is the block that it filled.
    pub(crate) fn received(&mut self, number: u32, code: i32, flags: u32, lent: Option<Block>) {
        let last = !cqueue::more(flags);
        let Some(receiving) = self.receiving.get(number) else { return };
        let large = usize::try_from(code).is_ok_and(|count| count >= SMALL_BYTES);
        if large
            && let Some(info) = self.handles.get_mut(receiving.socket)
            && info.receiving == number
        {
            info.small_receives = 0;
        }
        // A block that nobody asked for yet is one that others may need.
        let scarce = self.pool_use.used_bytes() > self.pool.budget_bytes() as u64 / 2;
        let short = self.was_short_of_lent(code);
        let mut filled = Vec::new();
        self.with_receiving(number, |receiving, acts| {
            match code {
                0.. => {
                    let piece = Piece { block: lent, from: 0, length: code as usize };
                    receiving.armed.arrived(piece, last, acts);
                    if large || (scarce && !receiving.armed.queue().is_empty()) {
                        receiving.armed.stop(acts);
                    }
                }
                _ if short => receiving.armed.interrupted(acts),
                _ => {
                    let errno = Errno(-code);
                    // Without a free block the bytes stay in the socket; all other errors are told once.
                    receiving.armed.failed(errno, !matches!(errno, Errno::NOBUFS | Errno::CANCELED), acts);
                }
            }
            receiving.fill(&mut filled);
        });
        self.land_all(filled);
    }

    /// Receives into a block of the submitter's. Gives the operation back if no armed receive is in its way.
    pub(crate) fn receive_into(&mut self, token: Token, operation: Operation) -> Option<Operation> {
        let Operation::ReceiveInto { socket, block, start, end } = operation else { return Some(operation) };
        let again = |block| Some(Operation::ReceiveInto { socket, block, start, end });
        let Some(info) = self.handles.get_mut(socket.0) else { return again(block) };
        info.small_receives = 0;
        let number = info.receiving;
        let Some(receiving) = self.receiving.get(number) else { return again(block) };
        if receiving.armed.is_idle() || start > end || end > block.len() {
            return again(block);
        }
        receiving.into.push_back(Into { token, block, start, end });
        self.put(token, Place::Receive(token, number));
        let mut filled = Vec::new();
        self.with_receiving(number, |receiving, acts| {
            receiving.fill(&mut filled);
            if !receiving.into.is_empty() {
                receiving.armed.stop(acts);
            }
        });
        self.land_all(filled);
        None
    }

    /// An operation at an armed receive is not to wait any longer.
    pub(crate) fn give_up_receiving(&mut self, token: Token, number: u32) {
        let Some(receiving) = self.receiving.get(number) else { return };
        if let Some(at) = receiving.into.iter().position(|into| into.token == token)
            && let Some(into) = receiving.into.remove(at)
        {
            self.land(token, Outcome::Received(Err(Errno::CANCELED), Some(into.block)));
            return;
        }
        self.with_receiving(number, |receiving, acts| {
            receiving.armed.give_up(token, acts);
        });
    }

    fn land_all(&mut self, filled: Vec<Completion>) {
        for Completion { token, outcome } in filled {
            self.land(token, outcome);
        }
    }

    /// Closes a handle, after what is armed on it.
    pub(crate) fn close(&mut self, token: Token, handle: Handle) {
        let info = self.handles.get(handle.0);
        if self.accepting.get(info.accepting).is_some() {
            self.with_accepting(info.accepting, |accepting, acts| accepting.armed.close(token, acts));
        } else if self.receiving.get(info.receiving).is_some() {
            let mut given_up = VecDeque::new();
            self.with_receiving(info.receiving, |receiving, acts| {
                given_up = std::mem::take(&mut receiving.into);
                receiving.armed.close(token, acts);
            });
            for Into { token, block, .. } in given_up {
                self.land(token, Outcome::Received(Err(Errno::CANCELED), Some(block)));
            }
        } else {
            self.close_now(token, handle);
        }
    }

    /// Notes a single receive on a socket.
    pub(crate) fn note_receive(&mut self, socket: Handle, code: i32) {
        let small = usize::try_from(code).is_ok_and(|count| count > 0 && count < SMALL_BYTES);
        if let Some(info) = self.handles.get_mut(socket.0) {
            info.small_receives = if small { info.small_receives.saturating_add(1) } else { 0 };
        }
    }

    /// Takes back all that is armed, for the end of the driver.
    pub(crate) fn end_streams(&mut self) {
        let accepting: Vec<u32> = self.accepting.iter().map(|(number, _)| number).collect();
        for number in accepting {
            self.with_accepting(number, |accepting, acts| accepting.armed.end(acts));
        }
        let receiving: Vec<u32> = self.receiving.iter().map(|(number, _)| number).collect();
        for number in receiving {
            self.with_receiving(number, |receiving, acts| {
                receiving.into.clear();
                receiving.armed.end(acts);
            });
        }
    }
}

const _: () = assert!(SMALL_BYTES < LENT_BYTES);
