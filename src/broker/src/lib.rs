//! THE FRONT DOOR: from a frame to its answer, on the core that has the connection.
//!
//! - [`request`]: the way of every request on one screen: header, version, route, answer.
//! - [`handlers`]: one file an API.
//! - [`response`]: a response as a list of slices: what was encoded, and what is sent from where it lies.
//! - [`broker`]: [`Broker`], what a core knows: the image, its configuration, the ways to the other cores.
//! - [`coordinators`]: the coordinators of groups and transactions, around their pure cores; [`producer_ids`].
//! - [`sharing`]: share groups: records in flight, sessions, durable state, around their pure cores.
//! - [`client_telemetry`]: metrics that clients push; [`connection`]: what is known of a connection.
//! - [`cores`]: what cores ask each other; [`route`]: from a partition's name to its core.
//! - [`publish`]: a new image on its way to every core: which partitions it must make, change, remove.
//! - [`sessions`]: fetch sessions (KIP-227).
//! - [`errors`]: every error of ours and the one Kafka gives for it, in one place.
//! - [`refusal`]: why a wish is refused, as clients are told; [`altering`]: what the two ways of altering
//!   configuration share; [`rules`]: what configuration may be; [`authorized`]: what a client may do, as bits;
//!   [`internal_topics`]: topics that the broker makes for itself; [`features`]: what a cluster agrees on (KIP-584).
//! - [`quotas`]: how much a client may use, how much it did, how long it must wait.
//! - [`metrics`]: what a core counts, and all of it as text; [`space`]: how large the file system is.
//! - [`start`]: bringing a core up: journals, store, image, partitions, listeners.
//!
//! Invariant: a handler never touches a partition or a file: it asks the core that owns the partition, be it its
//! own, and it awaits the answer.

mod altering;
mod authorized;
mod broker;
mod client_telemetry;
mod connection;
mod coordinators;
mod cores;
mod errors;
mod features;
pub mod handlers;
mod internal_topics;
pub mod metrics;
mod producer_ids;
mod publish;
mod quotas;
mod refusal;
mod request;
mod response;
mod route;
mod rules;
mod sessions;
mod sharing;
mod space;
mod start;

pub use broker::{Broker, Identity};
pub use client_telemetry::{TelemetryAnswer, TelemetryQuestion};
pub use coordinators::{GroupQuestion, GroupReply, TransactionQuestion, TransactionReply};
pub use cores::{CoreAnswer, CoreQuestion, Cores};
pub use request::FrontDoor;
pub use rules::Rules;
pub use sharing::{AckItem, FetchWish, Fetched, ShareQuestion, ShareReply, StateAsk, StateGiven};
pub use space::Space;
pub use start::{CoreOptions, Running, StartError, start};
