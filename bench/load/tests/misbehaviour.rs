//! What the tool reports about brokers that stall, lie and break: a load tool that does not
//! notice is worse than none.

#[allow(dead_code)] // the faults that other tests need
mod fake;

use clap::Parser;
use fake::{Fault, start};
use load::{
    args::{Cli, Command},
    run::{self, Finished, Verdict},
};
use std::time::Duration;

fn drive(fault: Fault, line: &str) -> Finished {
    let address = start(fault);
    let words = ["flumen-load"].into_iter().chain(line.split_whitespace()).chain(["-b", &address]);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Produce(args) => run::produce(&args, false).unwrap(),
        Command::EndToEnd(args) => run::produce(&args, true).unwrap(),
        _ => panic!("not a workload of this test"),
    }
}

// Long enough that a machine which is away for most of a second leaves some of it.
const CLOSED: &str =
    "produce --record-bytes 50 --records-per-batch 3 --connections 2 --inflight 2 --seconds 1";
const READ: &str =
    "produce --record-bytes 50 --connections 1 --inflight 2 --seconds 1 --consumers 2 --fan-out --check";

#[test]
fn an_honest_broker_is_proven_honest() {
    let run = drive(Fault::None, READ);
    assert!(run.good());
    let (produced, consumed) = (run.producing.unwrap(), run.consuming.unwrap());
    assert!(produced.flow.total.records > 100);
    assert_eq!(run.arrived, Some((produced.flow.total.records, Verdict::Exact)));
    assert_eq!(consumed.flow.total.records, 2 * produced.flow.total.records);
    // Two consumers have read the same batches that were produced.
    assert_eq!(consumed.flow.digest, produced.flow.digest.wrapping_mul(2));
}

/// Whether one of some runs was quick outside of the stall: one in which the machine itself was away was not, and a tool
/// that makes all requests slow is never quick.
fn is_quick_once(mut run: impl FnMut() -> bool) -> bool {
    (0..10).any(|_| run())
}

#[test]
fn a_stall_is_seen_by_every_request_that_was_due_in_it() {
    let open = "produce --record-bytes 50 --connections 4 --inflight 0 --rate 1000 --seconds 1";
    let quick = is_quick_once(|| {
        let run = drive(Fault::Stall(300, Duration::from_millis(400)), open);
        let latency = &run.producing.as_ref().unwrap().flow.latency;
        assert!(run.good());
        assert_eq!(latency.count(), 1000);
        // 400 of 1,000 requests were due while nothing moved: they waited 200 ms on average. A tool
        // that waits for answers would have seen four slow requests.
        assert!(latency.micros(0.95) > 250_000.0, "p95 {}", latency.micros(0.95));
        assert!(latency.micros(0.75) > 50_000.0, "p75 {}", latency.micros(0.75));
        println!("p40 {}", latency.micros(0.4));
        latency.micros(0.4) < 20_000.0
    });
    assert!(quick, "what was not due in the stall is slow each time");
}

#[test]
fn end_to_end_latency_contains_the_stall_too() {
    let open = "end-to-end --record-bytes 50 --connections 2 --inflight 0 --rate 500 --seconds 1 --check";
    let quick = is_quick_once(|| {
        let run = drive(Fault::Stall(100, Duration::from_millis(300)), open);
        assert!(run.good());
        let latency = run.consuming.unwrap().end_to_end.unwrap();
        assert_eq!(latency.count(), 500);
        assert!(latency.micros(1.0) > 290_000.0, "the slowest {}", latency.micros(1.0));
        println!("p30 {}", latency.micros(0.3));
        latency.micros(0.3) < 50_000.0
    });
    assert!(quick, "what was not due in the stall is slow each time");
}

#[test]
fn a_forgotten_batch_is_wrong() {
    let run = drive(Fault::Forget(10), CLOSED);
    assert!(!run.good());
    let acknowledged = run.producing.unwrap().flow.total.records;
    assert_eq!(run.arrived, Some((acknowledged - 3, Verdict::Wrong)));
}

#[test]
fn a_batch_stored_twice_is_wrong() {
    let run = drive(Fault::Duplicate(10), CLOSED);
    assert!(!run.good() && matches!(run.arrived, Some((_, Verdict::Wrong))));
}

#[test]
fn a_refusal_is_counted_by_its_code_and_not_as_acknowledged() {
    let run = drive(Fault::Refuse(10, 56), CLOSED);
    assert!(!run.good());
    let flow = run.producing.unwrap().flow;
    assert_eq!(flow.errors.into_iter().collect::<Vec<_>>(), [(56, 1)]);
    assert_eq!(run.arrived, Some((flow.total.records, Verdict::Exact)));
}

#[test]
fn a_damaged_batch_is_found_by_its_checksum() {
    let run = drive(Fault::Damage(10), READ);
    assert!(!run.good());
    assert_eq!(run.consuming.unwrap().corrupt, 2, "both consumers read it");
}

#[test]
fn a_lost_connection_leaves_requests_unanswered_and_the_rest_goes_on() {
    let run = drive(Fault::HangUp(10), CLOSED);
    assert!(!run.good());
    assert_eq!(run.outcome.lost_connections, 1);
    assert!((1..=2).contains(&run.outcome.unanswered));
    assert!(matches!(run.arrived, Some((_, Verdict::AtLeast))));
    let flow = run.producing.unwrap().flow;
    assert!(flow.total.requests > 50, "the other connection went on");
}

#[test]
fn a_run_ends_when_its_requests_are_answered() {
    for pace in ["--inflight 2", "--inflight 0 --rate 1000"] {
        let line = format!("produce --record-bytes 50 --connections 2 --seconds 20 --requests 25 {pace}");
        let run = drive(Fault::None, &line);
        assert!(run.good(), "{pace}");
        assert_eq!(run.producing.unwrap().flow.total.requests, 25, "{pace}");
        assert!(run.outcome.seconds < 10.0, "{pace}: {} s", run.outcome.seconds);
    }
}

#[test]
fn batches_with_keys_of_their_own_arrive_as_they_were_sent() {
    let line = "produce --record-bytes 50 --records-per-batch 3 --keyed --keys 7 --connections 1 --inflight 2 \
                --seconds 1 --consumers 1 --check";
    let run = drive(Fault::None, line);
    assert!(run.good());
    assert_eq!(run.consuming.unwrap().flow.digest, run.producing.unwrap().flow.digest);
}
