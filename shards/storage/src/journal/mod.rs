//! The journal of a shard: one place to which small appends of all its partitions go, durable in one write.
//!
//! - [`format`]: the bytes.
//! - [`files`]: the fixed set of files, recycled in place.
//! - [`building`]: gathering appends into commits.
//! - [`committer`]: the task that writes commits and acknowledges them in order.
//! - [`ahead`]: reading a file of it from front to back.
//! - [`scan`]: what a journal holds after a crash, and where it ends.

mod ahead;
mod building;
pub(crate) mod committer;
mod files;
pub mod format;
pub(crate) mod scan;

pub(crate) use building::{Journal, Lack, Pending};
pub(crate) use files::JournalFiles;
