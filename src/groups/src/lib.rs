//! Consumer groups and committed offsets: the coordinator of one partition of `__consumer_offsets`, as pure code.
//!
//! Requests, time and topics go in; records and answers come out (`docs/groups.md` has the states, and what is
//! durable before which answer). There is no clock, no I/O and no randomness in here.
//!
//! For the shell:
//! - [`Coordinator`]: the state; [`Usage`]: how much it holds.
//! - [`Request`], [`Context`]: what goes in. [`Effects`] with [`Record`], [`Answer`], [`Response`]: what comes out.
//! - [`Topics`]: what the coordinator asks of the cluster's metadata, settings of single groups too.
//! - [`Settings`]: what of the broker's configuration it goes by.
//!
//! Inside:
//! - `membership`, `committing`, `admin`: find the group of a request, and hand it on.
//! - `classic`: groups of the classic protocol; `consumer`: those of KIP-848, and changes between the two.
//! - `streams`: groups of KIP-1071, whose members share out tasks.
//! - `share`: share groups (KIP-932): their members; [`SharePlan`]: where they have positions.
//! - `assignors`: server-side assignment. `statics`: members that keep their place (KIP-345).
//! - `offsets`: the store of offsets.
//! - `records`: Kafka's records; `replay`: reading them back.
//! - `sizes`: what fits into a record; `undo`: decisions that turn out not to fit. `scene`, `timers`, `wire`: what the
//!   others work with.

mod admin;
mod assignors;
mod classic;
mod committing;
mod consumer;
mod coordinator;
mod effects;
mod group;
mod membership;
mod offsets;
mod records;
mod replay;
mod request;
mod scene;
mod settings;
mod share;
mod sizes;
mod statics;
mod streams;
mod timers;
mod topics;
mod undo;
mod wire;

#[cfg(test)]
mod tests;

pub use coordinator::{Coordinator, Usage};
pub use effects::{Answer, Effects, Producer, Record, Response, StreamsHeartbeat, Waiter};
pub use records::ReplayError;
pub use request::{Context, Request};
pub use settings::{Assignor, Migration, Settings, StreamsSettings};
pub use share::plan::SharePlan;
pub use streams::configure::InternalTopic;
pub use topics::{Topic, Topics};
