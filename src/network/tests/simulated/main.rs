//! Connections on a simulated network.
//!
//! - [`measures`]: what is counted and measured of requests.
//! - [`rig`]: the broker's core, the client's, and the network between them.
//! - [`unread`]: clients that are slow to read, or do not read at all.

mod measures;
mod rig;
mod unread;
