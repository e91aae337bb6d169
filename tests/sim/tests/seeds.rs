//! A few seeds for `cargo test`; `cargo xtask sim` runs more of them.

use sim::{RunOptions, run};

#[test]
fn twenty_seeds_break_no_rule() {
    let (mut acknowledged, mut crashes, mut failures) = (0, 0, Vec::new());
    let (mut committed, mut in_v2, mut offsets, mut cleaner_runs) = (0, 0, 0, 0);
    for seed in 0..20 {
        match run(seed, &RunOptions::default()) {
            Ok(report) => {
                acknowledged += report.counts.acknowledged;
                crashes += report.counts.crashes;
                committed += report.counts.committed;
                in_v2 += report.counts.committed_v2;
                cleaner_runs += report.counts.cleaner_runs;
                offsets += report.counts.offsets;
            }
            Err(failure) => failures.push(format!("seed {seed} in {}: {}", failure.when, failure.what)),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}\nrun one again: cargo xtask sim --seed N --log");
    assert!(acknowledged > 10_000 && crashes > 10, "{acknowledged} records and {crashes} crashes say little");
    let enough = committed > 50 && offsets > 50;
    assert!(enough, "{committed} transactions and {offsets} commits of offsets say little");
    let in_v1 = committed - in_v2;
    assert!(in_v1 > 10 && in_v2 > 10, "{in_v1} transactions in V1 and {in_v2} in V2 say little");
    assert!(cleaner_runs > 10, "{cleaner_runs} runs of the cleaner say little");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [2, 4, 6, 7, 24] {
        let result = || match run(seed, &RunOptions { log_lines: 200, bug: None }) {
            Ok(report) => (report.trace_hash, report.log),
            Err(failure) => (0, failure.log),
        };
        let (first, again) = (result(), result());
        assert_eq!(first, again, "seed {seed}");
        assert!(first.1.len() == 200);
    }
    let hash = |seed| run(seed, &RunOptions::default()).map(|report| report.trace_hash).ok();
    assert_ne!(hash(2), hash(6));
}
