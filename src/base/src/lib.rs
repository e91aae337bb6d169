//! Small things that std lacks and every crate may use.
//!
//! - [`time`]: instants and durations as plain nanoseconds, so that a simulator can make them up.
//! - [`metrics`]: counters, gauges and histograms with one writer; [`exposition`]: the text that Prometheus reads.
//! - [`mistakes`]: made on purpose, to prove that they would be found.
//! - [`random`]: one seeded generator; a run is replayed by its seed.
//!
//! Base knows nothing of brokers, disks or networks. If a thing has a domain word in its name,
//! it belongs higher up.

pub mod exposition;
pub mod metrics;
pub mod mistakes;
pub mod random;
pub mod time;

pub use random::Random;
pub use time::Instant;
