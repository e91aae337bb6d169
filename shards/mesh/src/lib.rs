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
//! sender sees the flag, and wakes. [`Sleeping`] is that protocol, whose first half `executor` calls and whose second
//! half [`Bell`] calls; `tests/bell.rs` runs every interleaving of both.
//!
//! # The queues
//! A queue is a ring of `rtrb`, which cannot be built over loom's atomics. Its README says how its tests run under
//! Miri and ThreadSanitizer; ours, in which a thread sends through a queue that is full again and again, run under
//! AddressSanitizer and ThreadSanitizer in `cargo xtask sanitize`. What is relied on here (a full queue gives the
//! message back; what is taken out is whole and in order; an emptied place is used again) `tests/bell.rs` has as a
//! model with the orderings of `rtrb`, which loom runs alone and below the sleeping protocol.
//!
//! Invariant: this crate knows nothing of what the messages say.

mod bell;
mod port;
/// The same source as `driver`'s, over loom's atomics.
#[cfg(loom)]
#[path = "../../driver/src/sleeping.rs"]
mod sleeping;

pub use bell::Bell;
#[cfg(not(loom))]
pub use driver::Sleeping;
pub use port::{Port, build};
#[cfg(loom)]
pub use sleeping::Sleeping;
