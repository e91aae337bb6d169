//! A blocking Kafka client for the command line and for tests.
//!
//! It is no rival of the clients that applications use: no groups, no transactions, one thread. What it does,
//! it does against any Kafka broker: negotiates versions, asks each partition's leader at the address that the
//! cluster advertises, tries again where Kafka says that one may, and gives up at a deadline.
//!
//! - [`Client`]: a cluster: metadata, connections, retries. Start here.
//! - [`admin`]: topics, partitions, configurations.
//! - [`Producer`]: batches by partition, several requests in flight, idempotent where the broker can.
//! - [`Consumer`]: records from offsets, by long polls.
//! - [`OffsetAt`]: where a partition begins, ends, or was at a time.
//! - [`compression`]: the codecs of record batches.
//! - [`ClientError`]: what can go wrong.
//!
//! It knows nothing of terminals and of how people are told: that is the command line's.
//!
//! # Dependencies
//! The four codecs that Kafka knows, all in Rust, so that no C compiler is asked for more than the rest asks:
//!
//! | crate | for | kept by | taken | pulls in |
//! |---|---|---|---|---|
//! | `flate2`, with `miniz_oxide` | gzip | the rust-lang organisation | 1.1.11 | crc32fast, cfg-if, miniz_oxide, adler2, simd-adler32 |
//! | `snap` | Snappy | BurntSushi | 1.1.2 | nothing |
//! | `lz4_flex`, its safe code only | LZ4 frames | PSeitz | 0.14.0, July 2026 | twox-hash |
//! | `ruzstd` | zstd | KillingSpark | 0.9.1; 0.9.0 is of July 2026 | the same twox-hash |

pub mod admin;
mod cluster;
pub mod compression;
mod connection;
mod consumer;
mod error;
mod metadata;
mod offsets;
mod partitioner;
mod producer;

pub use cluster::{Client, ClientOptions};
pub use consumer::{ConsumedRecord, Consumer, FetchOptions, PartitionPosition};
pub use error::ClientError;
pub use metadata::{Broker, Metadata, PartitionMetadata, TopicMetadata};
pub use offsets::{OffsetAt, PartitionOffset};
pub use producer::{Acks, ProduceOptions, Producer, ProducerTotals};
