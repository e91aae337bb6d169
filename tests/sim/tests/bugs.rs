//! Deliberate bugs below the broker and in its clients are found. Those in groups and transactions take longer:
//! `cargo xtask sim --bugs` looks for all of them.

use sim::{BUGS, proof};

#[test]
fn every_deliberate_bug_below_the_broker_is_found() {
    let mut missed = Vec::new();
    for bug in BUGS.iter().filter(|bug| !bug.needs_coordination()) {
        match proof::find(*bug) {
            Some((seed, what)) => println!("{bug}: seed {seed}: {what}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
