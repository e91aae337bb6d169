//! The coordinator of transactions, as pure code: input and time in; records, answers and markers out.
//!
//! - [`Coordinator`]: the transactional ids of one partition of `__transaction_state`.
//! - [`Request`], [`Effects`], [`Answer`], [`MarkerWork`]: what goes in, what comes out, and in which order.
//! - [`Transaction`], [`State`]: what is known of one id, and how it may change (KIP-98, KIP-360, KIP-890).
//! - [`Record`]: its form in the topic, which is Kafka's.
//! - [`partition_of`]: which partition, and so which coordinator, an id belongs to.
//! - [`wire`]: from the protocol's requests and to its responses, with the error that each version is told.
//!
//! It reads no clock, does no I/O and makes no random numbers; its collections are ordered, so that a seed
//! replays. `docs/transactions.md` has the states, what is durable before which answer, and what a crash leaves.
//!
//! # How a shell drives it
//! Make one with the leader epoch, [`Coordinator::replay`] the log, [`Coordinator::loaded`]. From then on, for
//! each [`Effects`]: write the records in one piece; when they are durable, send the answers and begin the
//! markers. If the write fails, drop the coordinator with all that waits on it, answer with
//! [`wire::failed_write`], and load anew. Call [`Coordinator::tick`] at [`Coordinator::next_deadline_ms`].

mod add;
mod coordinator;
mod effects;
mod end;
mod hash;
mod init;
mod inspect;
mod markers;
mod partitions;
mod record;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod transaction;
pub mod wire;

pub use coordinator::{Config, Coordinator, ProducerIds};
pub use effects::{Answer, Effects, Marked, MarkerResult, MarkerWork, Outcome, Stopped};
pub use hash::partition_of;
pub use inspect::{ListFilter, Listed};
pub use partitions::PartitionSet;
pub use record::{Record, ReplayError};
pub use request::{AddPartitions, EndTransaction, InitProducerId, Request};
pub use state::State;
pub use transaction::{NO_EPOCH, NO_PRODUCER, Transaction};

/// Level of `transaction.version` from which each end of a transaction raises the epoch (KIP-890).
pub const EPOCH_BUMP: i16 = 2;
