//! Transactions, commits and rebalances against a broker that is honest, and against one that is not.

#[allow(dead_code)] // the faults that other tests need
mod fake;

use clap::Parser;
use fake::{Fault, start};
use load::{
    args::{Cli, Command},
    commits,
    error::Error,
    rebalance, transact,
};
use serde_json::Value;

fn drive(fault: Fault, line: &str) -> Result<(Value, bool), Error> {
    let address = start(fault);
    let words = ["flumen-load"].into_iter().chain(line.split_whitespace()).chain(["-b", &address]);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Transact(args) => transact::run(&args),
        Command::CommitOffsets(args) => commits::run(&args),
        Command::Rebalance(args) => rebalance::run(&args),
        _ => panic!("not a workload of this test"),
    }
}

// Long enough that a machine which is away for a second leaves some of it.
const ONE: &str = "transact --record-bytes 50 --records-per-batch 3 --transaction-batches 1 --seconds 1.5";
const TIMED: &str = "transact --record-bytes 50 --transaction-ms 20 --seconds 1.5";
const COMMITS: &str = "commit-offsets --partitions 3 --groups 8 --connections 2 --inflight 2 --seconds 1.5";

#[test]
fn transactions_of_one_batch_follow_one_another_and_every_marker_is_there() {
    let (report, good) = drive(Fault::None, ONE).unwrap();
    assert!(good);
    let transactions = report["transactions"]["total_records"].as_u64().unwrap() / 3;
    assert!(transactions > 20, "{transactions}");
    assert_eq!(report["markers"], transactions);
    assert_eq!(report["arrived"]["records"], transactions * 4);
}

#[test]
fn a_transaction_takes_batches_for_its_time() {
    let (report, good) = drive(Fault::None, TIMED).unwrap();
    assert!(good);
    let transactions = report["markers"].as_u64().unwrap();
    let batches = report["produced"]["total_records"].as_u64().unwrap();
    assert!((5..=76).contains(&transactions), "{transactions} transactions of 20 ms in 1.5 s");
    assert!(batches > 5 * transactions, "{batches} batches in {transactions} transactions");
}

#[test]
fn a_batch_that_comes_too_early_is_sent_again() {
    let (report, good) = drive(Fault::Refuse(5, 51), TIMED).unwrap();
    assert!(good);
    assert_eq!(report["retries"], 1);
}

#[test]
fn a_transaction_that_is_refused_ends_the_run() {
    let refused = drive(Fault::Refuse(5, 90), TIMED);
    assert!(matches!(refused, Err(Error::Broker { request: "Produce", code: 90, .. })));
}

#[test]
fn a_missing_marker_and_a_missing_batch_are_wrong() {
    for fault in [Fault::NoMarker(3), Fault::Forget(3)] {
        let (report, good) = drive(fault, ONE).unwrap();
        assert!(!good);
        assert_eq!(report["arrived"]["verdict"], "WRONG", "{fault:?}");
    }
}

#[test]
fn every_group_has_what_it_committed_last() {
    let (report, good) = drive(Fault::None, COMMITS).unwrap();
    assert!(good);
    assert!(report["committed"]["requests"].as_u64().unwrap() > 50);
    assert_eq!(report["groups_with_other_offsets"], 0);
}

#[test]
fn commits_that_are_forgotten_are_missed() {
    let (report, good) = drive(Fault::ForgetCommits(20), COMMITS).unwrap();
    assert!(!good);
    assert_eq!(report["groups_with_other_offsets"], 8);
}

#[test]
fn a_member_that_is_lost_is_told() {
    // The members that share a connection send a heartbeat in turns, all of them within 3 s, and nobody a second one.
    let line = COMMITS.replace("--seconds 1.5", "--seconds 3");
    let (report, good) = drive(Fault::ForgetMember(0), &line).unwrap();
    assert!(!good);
    assert_eq!(report["lost_members"], 1);
}

fn rebalances(protocol: &str, fault: Fault) {
    let line =
        format!("rebalance --partitions 12 --members 7 --heartbeat-ms 20 --seconds 4 --protocol {protocol}");
    let (report, good) = drive(fault, &line).unwrap();
    assert!(good, "{report}");
    assert!(report["changes"].as_u64().unwrap() >= 1);
    assert!(report["formed_ms"].as_f64().unwrap() > 0.0);
    // Everybody learns of a change by a heartbeat, at the latest after one interval.
    let join_us = report["join_us"]["p50"].as_f64().unwrap();
    assert!((500.0..1_000_000.0).contains(&join_us), "{join_us} µs");
}

#[test]
fn a_classic_group_settles_after_each_change() {
    rebalances("classic", Fault::None);
}

#[test]
fn a_classic_member_that_is_forgotten_joins_again() {
    rebalances("classic", Fault::ForgetMember(9));
}

#[test]
fn a_group_of_the_consumer_protocol_settles_after_each_change() {
    rebalances("consumer", Fault::None);
}
