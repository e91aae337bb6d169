//! The simulator: the whole broker, front door included, on the seeded driver, with clients that know what they were
//! promised.
//!
//! - [`run()`]: a seed from start to end; [`plan`]: what a seed stands for.
//! - [`node`]: the broker's machine; [`tamper`]: deliberate bugs below it.
//! - [`clients`]: producers, consumers, an admin; [`wire`]: their connections; [`record`]: what they write.
//! - [`control`]: what the run tells its clients; [`book`]: all that they were told, with the rules that
//!   show at once; [`check`]: those that need a whole log.
//!
//! # What is checked
//! What was acknowledged with acks 1 or all is there after every restart, at its offset, once and in order. What a
//! consumer was ever shown stays: records, high watermarks, topics. Logs have no holes, idempotent producers no
//! gaps, batches are whole. Topics, their ids and partition counts are as acknowledged. When faults end,
//! everybody gets on, and everything that was begun comes to its end.

mod book;
mod check;
mod clients;
mod control;
mod node;
mod plan;
mod record;
mod run;
mod tamper;
mod wire;

pub use book::Counts;
pub use run::{Failure, Report, RunOptions, run};
pub use tamper::{BUGS, Bug};
