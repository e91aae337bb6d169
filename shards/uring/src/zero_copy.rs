//! Sending without a copy (`SEND_ZC`).
//!
//! Such a send completes twice: once when the socket has taken the bytes, once when the network no longer looks at
//! them. The operation ends at the first, so that the next send can follow; what it sent is kept alive here
//! until the second. The kernel says there whether it had to copy after all, as it does on the loopback:
//! then the socket's next sends are plain ones, and only now and then another is tried.

use crate::flight;
use crate::ring::{Place, SENDS, UringDriver};
use driver::{Errno, Handle, Operation, Outcome, Token};
use io_uring::squeue::{Entry, Flags};
use io_uring::{cqueue, opcode, types};
use memory::Slice;

/// Bytes of a send from which pinning pages costs less than copying them.
const BYTES_MIN: usize = 32 * 1024;
/// Large sends with a copy after one that the kernel copied anyway.
const COPIED_SENDS: u16 = 1024;

/// The part of the pool that may wait for the network at one time: a peer that does not read must not hold what others
/// need.
const POOL_PART: usize = 8;

/// `IORING_SEND_ZC_REPORT_USAGE`.
const REPORT_USAGE: u16 = 1 << 3;
/// `IORING_NOTIF_USAGE_ZC_COPIED`, as the result of a notification.
const COPIED: u32 = 1 << 31;

/// A send that the kernel, or the network below it, may still look at.
pub(crate) struct ZeroCopySend {
    socket: i32,
    /// Taken when the operation ends.
    token: Option<Token>,
    slices: Vec<Slice>,
    skip: usize,
    bytes: usize,
    vectors: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl ZeroCopySend {
    fn new(socket: i32, token: Token, slices: Vec<Slice>, skip: usize, bytes: usize) -> Box<ZeroCopySend> {
        let (vectors, header) = (flight::vectors(&slices, skip), flight::no_header());
        Box::new(ZeroCopySend { socket, token: Some(token), slices, skip, bytes, vectors, header })
    }

    /// Its request. It points into this box.
    fn entry(&mut self) -> Entry {
        let socket = types::Fd(self.socket);
        if let [one] = self.vectors.as_slice()
            && let Ok(length) = u32::try_from(one.iov_len)
        {
            return opcode::SendZc::new(socket, one.iov_base.cast(), length)
                .flags(libc::MSG_NOSIGNAL)
                .zc_flags(REPORT_USAGE)
                .build();
        }
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
        opcode::SendMsgZc::new(socket, &raw const self.header)
            .flags(libc::MSG_NOSIGNAL as u32)
            .ioprio(REPORT_USAGE)
            .build()
    }
}

impl UringDriver {
    /// Sends without a copy if that is worth it; gives the operation back if not.
    pub(crate) fn send_zero_copy(&mut self, token: Token, operation: Operation) -> Option<Operation> {
        let Operation::Send { socket, slices, skip } = operation else { return Some(operation) };
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>().saturating_sub(skip);
        let room = (self.pool.budget_bytes() / POOL_PART).saturating_sub(self.zero_copy_bytes);
        let info = self.handles.get_mut(socket.0).filter(|_| (BYTES_MIN..=room).contains(&bytes));
        let wanted = info.is_some_and(|info| {
            let copied = info.copied_sends;
            info.copied_sends = copied.saturating_sub(1);
            copied == 0
        });
        if !wanted {
            return Some(Operation::Send { socket, slices, skip });
        }
        let mut send = ZeroCopySend::new(socket.0, token, slices, skip, bytes);
        self.zero_copy_bytes += bytes;
        let flags = if self.handles.is_registered(socket.0) { Flags::FIXED_FILE } else { Flags::empty() };
        let entry = send.entry().flags(flags);
        let number = self.zero_copies.insert(send);
        self.put(token, Place::ZeroCopy(token, number));
        self.push(entry.user_data(SENDS | u64::from(number)));
        None
    }

    /// A completion of a send without a copy: its end, or the network's.
    pub(crate) fn sent(&mut self, number: u32, code: i32, flags: u32) {
        if cqueue::notif(flags) {
            let Some(send) = self.forget_zero_copy(number) else { return };
            if was_copied(code) {
                self.send_copies(send.socket);
            }
            return;
        }
        let Some(send) = self.zero_copies.get(number) else { return };
        let Some(token) = send.token.take() else { return };
        let (socket, skip) = (send.socket, send.skip);
        let slices = send.slices.clone();
        if !cqueue::more(flags) {
            self.forget_zero_copy(number);
        }
        if code < 0 && wants_copy(Errno(-code)) {
            self.send_copies(socket);
            self.free(token);
            self.begin(token, Operation::Send { socket: Handle(socket), slices, skip });
            return;
        }
        let sent = if code < 0 { Err(Errno(-code)) } else { Ok(code as usize) };
        self.land(token, Outcome::Sent(sent, slices));
    }

    fn forget_zero_copy(&mut self, number: u32) -> Option<Box<ZeroCopySend>> {
        let send = self.zero_copies.remove(number)?;
        self.zero_copy_bytes -= send.bytes;
        Some(send)
    }

    fn send_copies(&mut self, socket: i32) {
        if let Some(info) = self.handles.get_mut(socket) {
            info.copied_sends = COPIED_SENDS;
        }
    }
}

/// Whether a notification says that the bytes were copied.
fn was_copied(result: i32) -> bool {
    result as u32 & COPIED != 0
}

/// Errors of sending without a copy that a plain send does not have: no locked memory left, or a socket that cannot.
fn wants_copy(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOMEM | libc::ENOBUFS | libc::EOPNOTSUPP | libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_it_did() {
        assert!(was_copied(i32::MIN) && !was_copied(0));
        assert!(wants_copy(Errno(libc::ENOMEM)) && wants_copy(Errno::NOBUFS));
        assert!(!wants_copy(Errno::PIPE) && !wants_copy(Errno::CANCELED));
    }
}
