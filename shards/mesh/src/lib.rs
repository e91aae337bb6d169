//! Queues between cores.
//!
//! Every ordered pair of shards has a bounded queue with one producer and one consumer; a shard also sends to
//! itself through one, so that code need not care. [`build`] makes all of them; each core takes its
//! [`Port`]. A full queue is an answer (`Err` with the message given back): the sender waits or
//! slows its own senders down.
//!
//! # Waking
//! A core that looks around by itself is not disturbed. Before it goes to sleep it raises its `sleeping`
//! flag and then looks into its queues once more; a sender puts its message in and then looks at
//! the flag. Both with a full fence in between: so either the sleeper sees the message or the
//! sender sees the flag, and wakes. [`Bell`] is that protocol; `tests/bell.rs` runs every
//! interleaving of it.
//!
//! Invariant: this crate knows nothing of what the messages say.

mod bell;
mod port;

pub use bell::Bell;
pub use port::{Port, build};
