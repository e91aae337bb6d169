//! Flumen's load tool: drives any broker that speaks the Kafka protocol, from one spinning thread.
//!
//! It is built so that one client core can outrun a broker on another core: record batches are
//! made once and only a correlation id (and, where asked for, a sequence or a time stamp) is
//! written into each request; sockets are non-blocking and polled without sleeping; answers are
//! parsed in place.
//!
//! Latency is counted from the moment at which a request was *due*, not from when it was sent,
//! so that a stall of the broker is seen by every request that it delayed (the opposite is known
//! as coordinated omission). Every run ends with a proof that what was acknowledged is there:
//! the log end offsets, and on the consuming side the checksum of every batch.
//!
//! Two loops drive the connections: [`engine`] where requests are alike and leave by the clock or as fast as they
//! are answered, [`actors`] where a client holds a conversation (transactions, groups). [`turns`] is what they share.
//!
//! - [`args`]: the command line. [`run`]: sets runs up, and proves at their end what was acknowledged.
//! - [`producer`], [`consumer`], [`idle`]: connections that produce, that consume, that do nothing.
//! - [`transact`], [`commits`], [`rebalance`]: transactions, commits of offsets, a large group that changes.
//! - [`cross`], [`ceiling`], [`echo`], [`lone`]: what crossing cores costs, and what this machine can do at most.
//! - [`admin`], [`coordinators`]: calls around a run, one at a time.
//! - [`connection`], [`wire`], [`requests`], [`groups`], [`batch`], [`keys`]: bytes, and which go out.
//! - [`stats`], [`meter`], [`report`]: what is counted, what was used, what is printed. [`os`], [`error`]: the rest.
//!
//! The protocol is encoded by hand, without the broker's own codec, so that a mistake there
//! cannot hide itself here.

pub mod actors;
pub mod admin;
pub mod args;
pub mod batch;
pub mod ceiling;
pub mod commits;
pub mod connection;
pub mod consumer;
pub mod coordinators;
pub mod cross;
pub mod echo;
pub mod engine;
pub mod error;
pub mod groups;
pub mod idle;
pub mod keys;
pub mod lone;
pub mod meter;
pub mod os;
pub mod producer;
pub mod rebalance;
pub mod report;
pub mod requests;
pub mod run;
pub mod stats;
pub mod transact;
pub mod turns;
pub mod wire;
