//! Stage 8: what can be seen of a broker over HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! - [`Bound`]: the port, taken before anything else is started, so that one that is in use ends the start.
//! - [`Source`]: what this crate asks of the broker. It is read from the HTTP thread while the cores work, so it
//!   must not make a core wait.
//! - [`pulse`]: whether the cores turn.
//!
//! One thread of its own, pinned nowhere, does all of it; no core of the broker ever serves HTTP.
//!
//! # Bounds
//! Connections are limited in number, a request's head in size and in the time it may take, and bodies are not read.
//!
//! # Dependencies
//! `axum` and `tokio` are kept by the tokio-rs project, `hyper` and `hyper-util` by hyperium; all four have releases
//! every few months. They are used without their default features: a current-thread runtime, HTTP/1 only. What they
//! pull in besides is small crates of the same two projects (tower, mio, http, matchit). hyper is driven here
//! directly rather than through `axum::serve`, since that has no limit on connections and no time limit on heads.
//!
//! Invariant: this crate knows nothing of Kafka, storage or cores; the server gives it a [`Source`].

pub mod pulse;
mod serve;

pub use pulse::Beat;
pub use serve::{Bound, HttpError, Source};
