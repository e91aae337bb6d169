//! A blocking Kafka client for the command line and for tests.
//!
//! It is no rival of the clients that applications use: no transactions, one thread. What it does,
//! it does against any Kafka broker: negotiates versions, asks each partition's leader at the address that the
//! cluster advertises, tries again where Kafka says that one may, and gives up at a deadline.
//!
//! - [`Client`]: a cluster: metadata, connections, retries. Start here.
//! - [`admin`]: topics, partitions, configurations.
//! - [`groups`]: consumer groups, their members and offsets, seen from outside.
//! - [`Member`]: a member of a consumer group.
//! - [`Producer`]: batches by partition, several requests in flight, idempotent where the broker can.
//! - [`Consumer`]: records from offsets, by long polls.
//! - [`OffsetAt`]: where a partition begins, ends, or was at a time.
//! - [`compression`]: the codecs of record batches.
//! - [`ClientError`]: what can go wrong.
//!
//! It knows nothing of terminals and of how people are told: that is the command line's.

pub mod admin;
mod cluster;
mod connection;
mod consumer;
mod error;
pub mod groups;
mod member;
mod metadata;
mod offsets;
mod partitioner;
mod producer;

pub use cluster::{Client, ClientOptions};
pub use compression;
pub use consumer::{ConsumedRecord, Consumer, FetchOptions, PartitionPosition};
pub use error::ClientError;
pub use member::{Member, MemberOptions, Part};
pub use metadata::{Broker, Metadata, PartitionMetadata, TopicMetadata};
pub use offsets::{OffsetAt, PartitionOffset};
pub use producer::{Acks, ProduceOptions, Producer, ProducerTotals};
