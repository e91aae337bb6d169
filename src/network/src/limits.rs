//! The bounds of connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a connection may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame in bytes: `socket.request.max.bytes`.
    pub frame_bytes_max: usize,
    /// Requests of one connection that are worked on at a time.
    pub requests_in_progress_max: usize,
    /// Bytes of answers that a connection's socket has not taken; with so many no other of its requests is begun, and of
    /// those in work only the first goes on.
    pub unsent_bytes_max: usize,
    /// A connection without any traffic for that long is closed: `connections.max.idle.ms`.
    pub idle_max: Duration,
    /// How long a frame that has begun may wait for memory before its connection is given up, so that those
    /// who hold parts of frames cannot lock each other out for ever; and how long a peer may take nothing of its answers
    /// while others wait for memory, up to twice that where they are small.
    pub memory_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes_max: 100 << 20,
            requests_in_progress_max: 32,
            unsent_bytes_max: 1 << 20,
            idle_max: Duration::from_secs(600),
            memory_wait_max: Duration::from_secs(10),
        }
    }
}

/// How many connections there may be at a time, of all cores together. What is set holds for those who come from then
/// on; nobody who is there has to go.
#[derive(Debug)]
pub struct Crowd {
    total: Cell<usize>,
    of_address: Cell<usize>,
    of_addresses: RefCell<BTreeMap<IpAddr, usize>>,
}

impl Default for Crowd {
    /// As many as like to come.
    fn default() -> Crowd {
        Crowd {
            total: Cell::new(usize::MAX),
            of_address: Cell::new(usize::MAX),
            of_addresses: RefCell::default(),
        }
    }
}

impl Crowd {
    /// Sets the most connections in total (`max.connections`), from one address (`max.connections.per.ip`), and from
    /// addresses with a limit of their own (`max.connections.per.ip.overrides`).
    pub fn limit(&self, total: usize, of_address: usize, of_addresses: BTreeMap<IpAddr, usize>) {
        self.total.set(total);
        self.of_address.set(of_address);
        self.of_addresses.replace(of_addresses);
    }

    /// The most in total.
    pub(crate) fn total(&self) -> usize {
        self.total.get()
    }

    /// The most from this address.
    pub(crate) fn of_address(&self, address: IpAddr) -> usize {
        self.of_addresses.borrow().get(&address).copied().unwrap_or(self.of_address.get())
    }
}
