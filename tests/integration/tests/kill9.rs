//! kill -9 at random moments, with producers and a consumer at work.

use crate::setup;
use integration::{Scratch, host, kill9};

/// `cargo xtask kill9 --rounds N` sets how often; a few rounds are part of every test run.
const ROUNDS: u32 = 6;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_comes_twice() {
    let rounds = number("FLUMEN_KILL9_ROUNDS", ROUNDS.into()) as u32;
    let seed = number("FLUMEN_KILL9_SEED", u64::from(std::process::id()));
    println!("kill9: {rounds} rounds, seed {seed}");
    let scratch = Scratch::new("kill9");
    // Journals so small that they come round between two kills, and the drain is always at work.
    let setup = setup(&scratch).listen(host::steady_port()).set("flumen.journal.file.bytes", 1 << 20);
    let report = kill9::run(&setup, rounds, seed);
    println!("kill9: {report:?}");
    assert!(report.acknowledged > u64::from(rounds) * 20, "the producers made progress: {report:?}");
    assert!(report.shown > report.stored / 2, "the watcher kept up: {report:?}");
}
