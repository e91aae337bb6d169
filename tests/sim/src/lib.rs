//! The simulator: the whole broker, front door included, on the seeded driver, with clients that know what they were
//! promised.
//!
//! - [`run()`]: a seed from start to end; [`plan`]: what a seed stands for.
//! - [`node`]: the broker's machine; [`tamper`]: deliberate bugs below it.
//! - [`clients`]: producers, consumers, an admin; [`wire`]: their connections; [`record`]: what they write.
//! - [`coordination`]: what a seed with groups and transactions stands for, with the [`variety`] of its groups;
//!   [`patterns`]: topics that groups come to read; [`shares`]: what the share group is given;
//!   [`judge`]: their history under the [`checker`].
//! - [`proof`]: that each deliberate bug is found.
//! - [`control`]: what the run tells its clients; [`book`]: all that they were told, with the rules that
//!   show at once; [`check`]: those that need a whole log.
//!
//! # What is checked
//! What was acknowledged with acks 1 or all is there after every restart, at its offset, once and in order. What a
//! consumer was ever shown stays: records, high watermarks, topics. Logs have no holes, idempotent producers no
//! gaps, batches are whole. Topics, their ids and partition counts are as acknowledged. When faults end,
//! everybody gets on, and everything that was begun comes to its end.
//!
//! One seed in three has groups and transactions. What their clients do becomes a history, which is judged at the end
//! as a whole by the rules of the crate [`checker`]: no write is lost, nothing aborted is read, nothing is consumed
//! twice, committed offsets stay, a partition has one owner. Some members are static: one that comes back has what it
//! had, and whoever had its instance id before it is fenced. Some groups subscribe to a pattern, and come to have all
//! topics that match it. The members of some change between the classic and the consumer protocol while others live.
//! In some seeds a share group reads along: it is given every record, and what it is done with never again.
//! In every second of these seeds the coordinators' logs are compacted all the time.

mod book;
mod check;
mod clients;
mod control;
mod coordination;
mod judge;
mod node;
mod patterns;
mod plan;
pub mod proof;
mod record;
mod run;
mod shares;
mod tamper;
mod variety;
mod wire;

pub use book::Counts;
pub use coordination::coordinates;
pub use run::{Failure, Report, RunOptions, run};
pub use tamper::{BUGS, Bug};
