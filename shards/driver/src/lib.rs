//! THE SEAM: what the kernel can do for us, in operations and completions.
//!
//! - [`operation`]: [`Operation`], a request to the kernel. It owns its buffers.
//! - [`completion`]: [`Completion`], the answer. It gives the buffers back.
//! - [`sleeping`]: [`Sleeping`], how a core goes to sleep and others know that they must wake it.
//! - [`Driver`]: who carries operations out: `uring` on a real kernel, `sim` in a seeded world.
//!
//! A driver belongs to one core, and so do the handles it gives out. Above the seam nothing calls the operating
//! system for I/O or time; below it nothing knows of logs or brokers. What production and simulation
//! differ in is which driver lies under the executor, and nothing else.
//!
//! # Rules for both sides
//! - `submit` never blocks and never fails: an operation that cannot be carried out completes with an error.
//! - Every operation completes exactly once, also when it is cancelled (`ECANCELED`, unless it was done before).
//! - Completions of different operations come in any order. Who needs one order submits one after the other.
//! - A write or sync that failed has an unknown effect. The driver does not try again.
//! - Buffers, offsets and lengths of direct files must be multiples of [`Capabilities::direct_alignment`].

mod completion;
mod operation;
// Under loom `mesh` has it: this crate has no loom to build it with.
#[cfg(not(loom))]
mod sleeping;

pub use completion::{Completion, Errno, Outcome};
pub use operation::{Access, DirectoryEntry, Handle, Metadata, OpenOptions, Operation};
#[cfg(not(loom))]
pub use sleeping::Sleeping;

use base::Instant;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Names an operation between submission and completion. Chosen by the submitter, whose low 32 bits are a
/// slot number: unique among the operations under way, and dense from 0, so that a driver may index by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// How long a turn of the driver may wait when nothing has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until this instant ([`Instant::NEVER`]: without end), a completion, or a wake from another core.
    Until(Instant),
}

/// Wakes a driver that waits. Any core, and any thread that is no core, may call it, at any time.
pub trait Wake: Send + Sync {
    /// Ends the current or the next wait of the driver this belongs to.
    fn wake(&self);
}

/// What a driver found that it can do, for the start-up line and for those who must align.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The driver's name: `io_uring`, `sim`.
    pub driver: &'static str,
    /// Direct I/O: alignment in bytes of buffers, offsets and lengths. 4,096 satisfies every device met.
    pub direct_alignment: usize,
    /// Optional features: name, and why it is off if it is (`None`: in use).
    pub features: Vec<(&'static str, Option<String>)>,
}

/// Carries out operations for one core.
pub trait Driver {
    /// Starts an operation. It is handed to the kernel at the next [`turn`](Driver::turn) at the latest.
    fn submit(&mut self, token: Token, operation: Operation);

    /// Asks to end an operation early. It still completes, done or with `ECANCELED`.
    fn cancel(&mut self, token: Token);

    /// Hands over what was submitted, waits if told to and nothing is there, and appends what has completed.
    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>);

    /// Monotonic time now.
    fn now(&self) -> Instant;

    /// The wall clock, in milliseconds since 1970-01-01 UTC. It may jump in both directions.
    fn wall_clock_ms(&self) -> i64;

    /// A random number: from the operating system, or from the seed.
    fn random(&mut self) -> u64;

    /// Wakes this driver from elsewhere.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Opens a listening socket; with `share_port`, several cores may listen on one address and the kernel
    /// deals connections out. Returns the address with the port filled in. For start-up: may block.
    fn listen(&mut self, address: SocketAddr, share_port: bool) -> io::Result<(Handle, SocketAddr)>;

    /// What this driver found at start.
    fn capabilities(&self) -> &Capabilities;
}
