//! Metrics that clients push (KIP-714), as pure code: which clients shall push what and how often, when a push is
//! taken, and what is in it. `docs/operations/client-telemetry.md` says how to use it.
//!
//! - [`subscription`]: [`Subscriptions`], what was configured, and which clients it is for; [`Selector`].
//! - [`instance`]: [`Instances`], the clients that are known: bounded, and each bound to its interval.
//! - [`otlp`]: [`otlp::decode()`], the OpenTelemetry protobuf of a push, with bounds.
//! - [`series`]: [`Series`], a pushed number with its name and labels in Prometheus' form.
//!
//! Invariant: there is no clock, no I/O and no randomness in here; time comes in as milliseconds.

pub mod instance;
pub mod otlp;
pub mod series;
pub mod subscription;

mod proto;

pub use instance::{Instances, Push};
pub use series::{Owner, Series, SeriesKind, SeriesSet};
pub use subscription::{Client, Selector, SelectorError, Subscribed, Subscriptions};
