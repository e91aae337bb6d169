//! The built `flumen` on the real kernel: a module for each row of the table of bad input and bad days.
//!
//! Every test starts brokers of its own on free ports and in directories of its own, and ends only what it
//! started. What needs privileges is done in namespaces that need none.
//!
//! Two rows are the simulator's (tests/sim) and not here: an EIO of the device's own making, of which
//! `disk::a_failed_write_takes_the_log_offline` shows the consequences by a write that the kernel refuses, and
//! clocks that jump, which would jump for everyone on this machine: what a jump does to a log is in
//! `shards/storage/src/tests/clock.rs`.

mod commands;
mod connections;
mod consume;
mod damage;
mod decisions;
mod disk;
mod disk_commits;
mod dump;
mod dynamic;
mod epochs;
mod full;
mod groups;
mod hostile;
mod idle;
mod json;
mod kill9;
mod large;
mod many;
mod quotas;
mod recompress;
mod restart;
mod shards;
mod share;
mod start;
mod strain;
mod telemetry;
mod transactions;
mod unheard;

use integration::{Scratch, Setup};
use std::path::PathBuf;

/// The binary under test: what cargo built, or what `FLUMEN_BINARY` names, such as a release build.
fn binary() -> PathBuf {
    std::env::var_os("FLUMEN_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_flumen").into(), PathBuf::from)
}

/// A broker in a directory below `scratch`.
fn setup(scratch: &Scratch) -> Setup {
    Setup::new(binary(), scratch.join("data"))
}
