//! What passes through a core's connections, counted on it and readable on any thread.

use base::Instant;
use base::metrics::{Counter, Gauge};
use std::time::Duration;

/// A core's connections in numbers.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes received, length prefixes included; those of a frame count when it is whole.
    pub received_bytes: Counter,
    /// Bytes of answers that were handed to the socket.
    pub sent_bytes: Counter,
    /// Bytes of answers that are ready and that sockets have not taken.
    pub unsent_bytes: Gauge,
    /// Connections now.
    pub connections: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed at once, since there were too many.
    pub turned_away: Counter,
    /// Connections closed for what they sent.
    pub refused: Counter,
    /// Connections closed since they were silent for too long.
    pub idle_closed: Counter,
    /// Connections closed since they read nothing of their answers while others waited for memory.
    pub unread_closed: Counter,
}

/// When a request passed which point on its way through this core.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The whole frame was there.
    pub arrived: Instant,
    /// Its turn came among the requests of its connection.
    pub begun: Instant,
    /// It had run as far as it could at once.
    pub executed: Instant,
    /// Its answer was there.
    pub ready: Instant,
}

impl Times {
    /// Waiting for requests before it on its connection.
    pub fn queue(&self) -> Duration {
        self.begun.since(self.arrived)
    }

    /// The first run: decoding, routing, asking the cores; for many requests that is all.
    pub fn execute(&self) -> Duration {
        self.executed.since(self.begun)
    }

    /// From there to the answer: other cores, the device, a long poll.
    pub fn wait(&self) -> Duration {
        self.ready.since(self.executed)
    }

    /// From the answer to its last byte in the socket: answers before it, a peer that reads slowly.
    pub fn send(&self, sent: Instant) -> Duration {
        sent.since(self.ready)
    }
}

/// A request that has left the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// As [`Requests::begin`](crate::Requests::begin) named its kind.
    pub kind: u16,
    /// Its way here.
    pub times: Times,
    /// It closed the connection.
    pub closed: bool,
}
