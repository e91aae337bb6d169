//! Nothing but tests: the codec of `kafka-wire` against two foreign ones.
//!
//! A crate of its own, so that only its tests pay for the foreign codecs. Each message of each API and version
//! is made up, encoded by ours, decoded and encoded again by theirs: the bytes must be the same, and theirs
//! must have consumed all of them. The same with messages of nothing but defaults.
//!
//! - `tests/kafka_protocol.rs`: the crate kafka-protocol; its holes are listed there, to the version.
//! - `tests/record_batch.rs`: record batches, against kafka-protocol.
//! - `tests/kafka_wire.rs`: the crate of our codec's own name on crates.io, which covers everything.
