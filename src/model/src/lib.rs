//! The nouns that every part of Flumen shares: ids, offsets, epochs, and the configuration catalogue.
//!
//! - [`id`]: [`TopicId`], [`PartitionId`], [`TopicPartition`], [`ShardId`], [`NodeId`]; [`IdHashing`] for tables of them.
//! - [`log`]: [`Offset`], [`LeaderEpoch`], [`ProducerId`].
//! - [`NodeFile`]: `node.toml` of a data directory, as text.
//! - [`config`]: every configuration that Kafka 4 lists, and Flumen's own.
//!
//! Model knows no I/O and no wire format.

pub mod config;
mod id;
mod log;
mod node_file;

pub use id::{IdHasher, IdHashing, NodeId, PartitionId, ShardId, TopicId, TopicPartition};
pub use log::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
pub use node_file::{NodeFile, NodeFileError};
