//! What runs pinned to one core, above storage: the loop from mailbox to partition and back.
//!
//! - [`calls`]: [`Calls`], asking another core and getting its answer, in order, bounded, cancellable.
//! - [`operation`]: what a core can be asked to do with its partitions, and what it answers.
//! - [`queue`]: the order of appends that wait.
//! - [`deletions`]: deletions of records that go on though nobody waits for them any more.
//! - [`apart`]: work that goes on whether or not who asked for it looks.
//! - [`service`]: [`Service`], carrying operations out on this core's store.
//!
//! Invariant: this crate knows partitions and offsets, but neither topics' metadata nor the Kafka protocol:
//! whoever asks has resolved names to ids and decoded requests.

mod apart;
mod calls;
mod deletions;
pub mod operation;
mod queue;
mod service;

pub use calls::{Call, Calls, Envelope, QUEUE_CAPACITY, Reply};
pub use operation::{Operation, Outcome, PartitionError, Rare};
pub use service::{Service, Work};
