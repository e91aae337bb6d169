//! Share groups' records in flight and their durable state (KIP-932), as pure code.
//!
//! A share group hands single records out to its members and waits for their acknowledgements. Two sides of that are
//! here, each without clock, I/O or randomness; `docs/share-groups.md` has the states, and what is durable before
//! which answer.
//!
//! Beside the log of a partition:
//! - [`SharePartition`]: the records of one partition that one group has in flight: acquired, acknowledged, released.
//! - [`sessions`]: which partitions a member asks for, as the member's requests build it up.
//!
//! Beside `__share_group_state`:
//! - [`StateCoordinator`]: the state of all share partitions that one partition of that topic keeps.
//! - `records`: Kafka's records in it; `kept`: what they add up to.
//!
//! Inside:
//! - `runs`: neighbouring records of equal state, kept as one.
//! - `acquire`, `acknowledge`: how a share partition changes. [`Write`]: what of it has to be made durable.

mod acknowledge;
mod acquire;
mod kept;
mod partition;
mod records;
mod runs;
pub mod sessions;
mod state;

#[cfg(test)]
mod tests;

pub use acknowledge::{AckBatch, AckType};
pub use acquire::{Acquired, Found, Wish};
pub use kept::StateBatch;
pub use partition::{Limits, SharePartition};
pub use records::{Record, ReplayError};
pub use state::{Loaded, StateCoordinator, StateKey, StateWrite, Summary};

use kafka_wire::ErrorCode;

/// What must be durable before a change of a share partition counts: it is on its way until
/// [`SharePartition::written`] is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The number of the change.
    pub ticket: u64,
    /// Where the group's position will be when the change counts.
    pub start_offset: i64,
    /// How many offsets from there on are done with.
    pub complete_count: i32,
    /// The records that change, in order.
    pub batches: Vec<StateBatch>,
}

/// Why something is not done, as Kafka names it.
pub type Refused = ErrorCode;
