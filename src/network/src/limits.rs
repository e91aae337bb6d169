//! The bounds of connections.

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
    /// Connections of all cores at a time: `max.connections`.
    pub connections_max: usize,
    /// Connections from one address at a time, on all cores: `max.connections.per.ip`.
    pub connections_per_address_max: usize,
    /// How long a frame that has begun may wait for memory before its connection is given up, so that those
    /// who hold parts of frames cannot lock each other out for ever; and how long a peer may take nothing of its answers
    /// while others wait for memory.
    pub memory_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes_max: 100 << 20,
            requests_in_progress_max: 32,
            unsent_bytes_max: 1 << 20,
            idle_max: Duration::from_secs(600),
            connections_max: usize::MAX,
            connections_per_address_max: usize::MAX,
            memory_wait_max: Duration::from_secs(10),
        }
    }
}
