//! Judges what the clients of a Kafka-like log were told: a history goes in, anomalies with their evidence come out.
//!
//! - [`History`], [`Operation`], [`Action`]: what clients asked for, when, and what came of it.
//! - [`check`] with [`Rules`]: the judgement; [`Verdict`], [`Anomaly`], [`Kind`]: what it says.
//!
//! Inside:
//! - `index`: who wrote what, which offset has which value, what became of each transaction.
//! - `logs`: what single values and offsets tell: lost, aborted, twice, at two offsets, skipped.
//! - `order`: what the sequence of one client's polls and sends tells.
//! - `cycles`: who must come before whom; `graph`: the cycles in it.
//! - `groups`: who has which partition; `offsets`: what was committed of them.
//!
//! It knows no broker and no protocol: the simulator, a cluster or Kafka itself can be judged by it. The anomalies
//! are those that Jepsen looks for in Kafka and Redpanda, under its names; the version order of a partition is not
//! searched for, as Elle must, but read from the offsets.
//!
//! # What counts as an error
//! Always errors: [`Kind::LostWrite`], [`Kind::AbortedRead`], [`Kind::PrecommittedRead`], [`Kind::UnwrittenRead`],
//! [`Kind::Duplicate`], [`Kind::InconsistentOffsets`], polls and sends that go back or skip within one operation,
//! [`Kind::NonmonotonicPoll`], [`Kind::NonmonotonicSend`], [`Kind::PollSkip`], [`Kind::G1c`], and all that concern
//! groups and committed offsets.
//!
//! Kafka promises less than serializability, so some are reported as permitted:
//! - [`Kind::G0`]: the writes of transactions are not isolated from each other. Two producers that write to two
//!   partitions at the same time may find their records in either order in each.
//! - [`Kind::G1cWithWrites`]: a cycle of reads and writes needs a step that the order of offsets alone makes; since
//!   such steps may form cycles among themselves, they prove nothing in company either.
//! - [`Kind::G2`]: nothing that a transaction has read is locked or validated when it commits, and its markers become
//!   visible in one partition after the other, so a reader may see half of it.
//!
//! A transaction whose own records lie apart, with records of others between them, is normal and not looked for.
//! Jepsen permits polls that skip or go back when clients subscribe, since a rebalance may move them; here a
//! rebalance is in the history ([`Action::Assign`], [`Action::Own`]), and sets a client's positions free only for
//! the partitions that it lost or gained. So they are errors.

mod anomaly;
mod cycles;
mod graph;
mod groups;
mod history;
mod index;
mod logs;
mod offsets;
mod order;
#[cfg(test)]
mod tests;

pub use anomaly::{Anomaly, Kind, Rules, Verdict};
pub use history::{
    Action, Commit, Committed, History, NEVER, Offset, Operation, Outcome, Own, Partition, Poll, Read, Send,
    Step, Ticket, Time, Transaction, Value,
};

/// Judges a history.
///
/// The work is about linear in operations and values, times the logarithm of either.
pub fn check(history: &History, rules: &Rules) -> Verdict {
    let index = index::Index::new(history.operations());
    let mut found = Vec::new();
    logs::check(&index, rules, &mut found);
    order::check(&index, &mut found);
    cycles::check(&index, &mut found);
    groups::check(&index, &mut found);
    offsets::check(&index, &mut found);
    let (permitted, errors) = found.into_iter().partition(|one| rules.permitted.contains(&one.kind));
    Verdict { errors, permitted }
}
