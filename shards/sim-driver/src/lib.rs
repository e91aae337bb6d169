//! The driver of the simulator: a seeded world under the seam.
//!
//! - [`world`]: [`World`], made by a seed: machines, a network, one clock; what can be done to them.
//! - [`run`]: [`World::run`], which turns executors until all are idle and then moves the clock to what comes next.
//! - [`core`](mod@core): the [`Driver`](driver::Driver) of one core in a world.
//! - [`state`]: the queue of events, and operations between their beginning and their end.
//! - [`disk`], [`file`](mod@file), [`content`], [`work`]: a machine's file system and what a crash leaves of it.
//! - [`network`][]: sockets.
//! - [`options`], [`trace`]: what kind of world it is; what happened in it.
//!
//! # What is modelled
//! An operation on a disk has its effect at its end, a random time after it began, so that operations under way
//! at one time take effect in any order. A crash keeps what was made durable. Every other write is
//! found whole, not at all, or in part by sectors of 512 bytes, and a write that was under way is
//! treated like one that was not synced. A sync covers what had completed when it began. Sizes that
//! were not synced are kept or lost from the end backwards; names as
//! [`DirectoryLoss`] says.
//!
//! Nothing here reads a clock or a random device, and nothing depends on addresses in memory: equal seeds and
//! equal programs give equal traces. A program that iterates over a `HashMap` with the standard hasher
//! is not an equal program.
//!
//! # What is not
//! One flush that covers several files: a sync covers its file alone. Hard and symbolic links. Opening a
//! directory (`EISDIR`). A limit on the connections waiting at a listener.

mod content;
mod core;
mod disk;
mod file;
mod network;
mod options;
mod run;
mod state;
mod trace;
mod work;
mod world;

pub use file::Fates;
pub use options::{DirectoryLoss, DiskFaults, DiskOptions, Latency, NetworkOptions, WorldOptions};
pub use run::RunError;
pub use world::{Connection, DiskFault, Files, NodeId, Rot, World};
