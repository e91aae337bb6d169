//! Deliberate bugs are found: a checker that finds nothing proves nothing.

use crate::coordination::coordinates;
use crate::run::{RunOptions, run};
use crate::tamper::Bug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds in which a bug must be found.
const SEEDS: usize = 40;

/// The first seed in which a bug shows, and how; `None` if it does in none of 40.
///
/// A seed counts only if it passes without the bug: else something else may have been found.
pub fn find(bug: Bug) -> Option<(u64, String)> {
    let all = (0..).filter(|seed| !bug.needs_coordination() || coordinates(*seed));
    all.take(SEEDS).find_map(|seed| {
        let what = shows(seed, Some(bug))?;
        shows(seed, None).is_none().then_some((seed, what))
    })
}

/// A run in which the bug shows: a rule is broken, or the broker itself says so and gives up.
fn shows(seed: u64, bug: Option<Bug>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, &RunOptions { log_lines: 0, bug }))) {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure.what),
        Err(_) => Some("a panic".to_owned()),
    }
}
