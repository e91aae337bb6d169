//! The cluster's metadata: records in a log, applied to an image that every core reads.
//!
//! A change goes: [`Controller::submit`] → validated against the image ([`changes`], pure) → records appended
//! durably as one commit ([`log`](mod@log)) → applied to a new image ([`image`]) → published → answered. There is one
//! writer, so no two changes are judged by the same state.
//!
//! - [`record`]: the records and their bytes. [`frame`]: commits, each whole or not at all.
//! - [`quota`]: client quotas: whom they are for, what they limit.
//! - [`image`]: [`Image`], immutable, shared by all cores; cheap to make anew from the last one.
//! - [`log`](mod@log), [`snapshot`]: the files under `<data>/metadata`; `docs/formats/metadata.md` has them to the byte.
//! - [`controller`]: [`Controller`], the front; group commit, publication, snapshots in the background.
//! - [`changes`]: what may be asked for, and Kafka's rules for each.
//! - [`placement`]: which nodes hold a partition, and which core of a node.
//! - [`inspect`]: reading the files' bytes without a broker, damaged ones too.
//! - `writer`, `sorted`, `codec`, `ids`, `error`: one commit after the other, maps that share, numbers and texts
//!   in bytes, ids made of chance, what can go wrong.
//!
//! This crate knows no wire protocol, no partition's data and no thread: it runs on one core (the first), and
//! does its I/O through the executor. What a configuration key means it asks [`changes::ConfigRules`].

pub mod changes;
mod codec;
pub mod controller;
mod error;
pub mod frame;
mod ids;
pub mod image;
pub mod inspect;
mod log;
pub mod placement;
pub mod quota;
pub mod record;
mod snapshot;
mod sorted;
#[cfg(test)]
mod testing;
mod writer;

pub use changes::{Change, Outcome};
pub use controller::{Controller, Options};
pub use error::{ControlError, ErrorKind, MetadataError};
pub use image::{Image, Node, Partition, Topic};
pub use quota::{ClientQuotas, QuotaEntity, QuotaKey, QuotaLimit, QuotaPart};
pub use record::{Endpoint, Record, Resource, ResourceKind};
