//! Deliberate bugs are found: a checker that finds nothing proves nothing.

use sim::{BUGS, Bug, RunOptions, coordinates, run};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds in which a bug must be found.
const SEEDS: usize = 40;

/// A run in which the bug shows: a rule is broken, or the broker itself says so and gives up.
fn shows(seed: u64, bug: Option<Bug>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, &RunOptions { log_lines: 0, bug }))) {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure.what),
        Err(_) => Some("a panic".to_owned()),
    }
}

/// A seed counts only if it passes without the bug: else something else may have been found.
fn found_in(bug: Bug) -> Option<(u64, String)> {
    let all = (0..).filter(|seed| !bug.needs_coordination() || coordinates(*seed));
    all.take(SEEDS).find_map(|seed| {
        let what = shows(seed, Some(bug))?;
        shows(seed, None).is_none().then_some((seed, what))
    })
}

#[test]
fn every_deliberate_bug_is_found() {
    let mut missed = Vec::new();
    for bug in BUGS {
        match found_in(bug) {
            Some((seed, what)) => println!("{bug}: seed {seed}: {what}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}
