//! Stage 1: connections and frames. What is inside a frame is the broker's business.
//!
//! - [`frames`]: [`FrameReader`]: from a byte stream to frames of four bytes length and content, in place
//!   where they lie in one piece, and never with more memory than has been sent.
//! - [`gathering`]: [`Gathering`]: the memory that requests in parts may hold, together.
//! - [`pipeline`]: [`Pipeline`]: requests of one connection worked on side by side, answered in order.
//! - [`outgoing`]: [`Outgoing`]: what a core copies into sockets in one turn, and what answers hold, together.
//! - [`sending`]: one connection's answers, in parts if they are large.
//! - [`watch`]: [`Watch`](watch::Watch), whether a connection's small answers are taken.
//! - [`connection`]: [`serve`], the life of one connection: read, dispatch, answer, close.
//! - [`listener`]: [`Listener`], accepting, with limits in total and by address that [`Census`] holds for all cores.
//! - [`traffic`]: [`Traffic`] and [`Times`], what is counted and measured of all that.
//! - [`limits`]: every bound of this crate, with its name: [`Limits`] of a connection, and [`Crowd`] of all together.
//!
//! # Back-pressure
//! Nothing here queues without bound. A connection with too many requests in progress is not read; one whose
//! answers do not leave is not read; when the pool has no memory for a frame, its socket waits. Who takes nothing of its
//! answers, large or small, is closed after the time of an idle connection, or earlier while others wait for memory.
//!
//! Invariant: this crate does not depend on the Kafka protocol beyond its length prefix, nor on storage.

mod connection;
mod frames;
mod gathering;
mod limits;
mod listener;
mod outgoing;
mod pipeline;
mod sending;
mod traffic;
mod watch;

pub use connection::{Ended, Requests, serve};
pub use frames::{FrameError, FrameReader};
pub use gathering::Gathering;
pub use limits::{Crowd, Limits};
pub use listener::{Census, ConnectionCounts, Listener};
pub use outgoing::Outgoing;
pub use pipeline::{Answer, Handling, Pipeline};
pub use traffic::{Left, Times, Traffic};
