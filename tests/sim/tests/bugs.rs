//! Deliberate bugs below the broker and in its clients are found. Those in groups and transactions take longer:
//! `cargo xtask sim --bugs` looks for all of them.

use sim::{BUGS, proof};

/// Looks for each second of the bugs, beginning with the `first`: the two halves run side by side.
fn found(first: usize) {
    let mut missed = Vec::new();
    for bug in BUGS.iter().filter(|bug| !bug.needs_coordination()).skip(first).step_by(2) {
        match proof::find(*bug) {
            Some((seed, what)) => println!("{bug}: seed {seed}: {what}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn every_deliberate_bug_below_the_broker_is_found() {
    found(0);
}

#[test]
fn every_other_deliberate_bug_below_the_broker_is_found() {
    found(1);
}
