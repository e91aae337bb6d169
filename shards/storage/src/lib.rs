//! The log on disk: one store a shard.
//!
//! - [`store`]: [`Store`], which opens, stops and holds the partitions of one shard.
//! - [`partition`]: [`Partition`], a log: append, read, offsets.
//! - [`journal`]: small appends of all partitions, durable in one write.
//! - [`drain`]: from the journal into segments, in the background.
//! - [`unsynced`]: what is written and not synced.
//! - [`full`]: who waits for room on the device.
//! - [`segment`]: the files that hold a partition's batches.
//! - [`cache`]: the memory that serves what was written last.
//! - [`read_cache`]: the memory of what was read from segments, and reading ahead.
//! - [`upkeep`]: old segments are deleted, in the background.
//! - [`cleaner`]: compaction, in the background.
//! - [`recompress`]: batches of another codec than `compression.type` names are compressed anew.
//! - [`recover()`]: what a start does before any partition is opened.
//! - [`told`]: how far a long replay has come.
//! - [`checkpoint`]: where partitions stood, so that a start looks at few files.
//! - [`inspect`]: what is in the files, from plain bytes.
//! - [`validate`]: what a produced batch must be like.
//! - [`producers`]: what idempotent producers have written; [`epochs`]: where a partition's leader epochs began.
//! - [`transactions`]: open and aborted transactions, and the markers that end them.
//! - [`config`], [`error`], [`stats`]: what a store may be told, what can go wrong, what is counted.
//! - [`batch`], [`window`], [`open_files`], [`done`]: heads of batches, files read, files open, waits for an end.
//!
//! The formats are described to the byte in `docs/formats`, the ways of old segments in `docs/log-cleaning.md`. Storage
//! speaks to files through the executor's operations only, so that the same code runs in the simulator; it knows
//! neither connections nor requests. Everything of a store lives on one core.
//!
//! # The way of a record
//! [`Partition::append`] validates a batch, gives it its offsets and copies it into the commit that is being
//! built. The committer writes the commit to the journal; when the device has it, the partition's high
//! watermark moves and [`Store::committed`] goes on. Readers get the same memory. With
//! [`Durability::Memory`] that is so before the commit is written, which waits a little for more. Later the drain
//! writes the batch to its segment; after a sync the journal's file may be used anew, and when memory
//! is needed the batch is read from the segment.

mod batch;
mod cache;
mod checkpoint;
mod cleaner;
mod config;
mod done;
mod drain;
mod epochs;
mod error;
mod full;
pub mod inspect;
mod journal;
mod open_files;
mod partition;
mod producers;
mod read_cache;
mod recompress;
mod recover;
mod segment;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod told;
pub mod transactions;
mod unsynced;
mod upkeep;
mod validate;
mod window;

pub use compression::{Compression, Target as CompressionTarget};
pub use config::{CleanerOptions, Durability, LogConfig, StoreOptions, TimestampType};
pub use error::{AppendError, Damage, ReadError, StorageError};
pub use partition::{
    AppendContext, Appended, Offsets, Partition, PartitionSpec, ReadBound, ReadResult, Ticket,
    TimestampOffset,
};
pub use producers::ProducerDescription;
pub use recover::{Recovered, recover};
pub use stats::{Latency, StoreStats};
pub use store::Store;
pub use validate::Origin;
