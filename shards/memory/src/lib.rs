//! Aligned memory with a fixed budget.
//!
//! - [`pool`]: [`Pool`], one a shard: an arena mapped at start, cut by a buddy allocator into blocks whose
//!   sizes are powers of two from 4 KiB up. Running out is an answer (`None`), never an abort.
//! - [`block`]: [`Block`], one owner, writable: what the kernel reads into and what commits are built in.
//! - [`slice`]: [`Slice`], many owners, read only: what is written to disk, kept as the tail of a log and sent
//!   to sockets, all without copying.
//! - [`tail`]: [`TailBlock`], filled from its beginning while what is filled is shared already; a [`Gap`] in it is
//!   filled last.
//! - [`ahead`]: which huge pages are made ready on another thread, before the core touches them.
//! - [`buddy`]: the arithmetic of the allocator, without any memory under it.
//!
//! A block may be dropped on another core than its pool's: it then travels home over a lock-free stack. Only
//! the pool's own core takes blocks.
//!
//! Invariant: this crate knows neither files nor sockets; who needs memory asks, and gets it or does not.

mod ahead;
mod block;
mod buddy;
mod pool;
mod slice;
mod tail;

pub use block::Block;
pub use pool::{MemoryError, Pool, PoolUse};
pub use slice::Slice;
pub use tail::{Gap, TailBlock};

/// The smallest block and the alignment of every block: a page, and the strictest direct I/O alignment met.
pub const BLOCK_BYTES_MIN: usize = 4096;
