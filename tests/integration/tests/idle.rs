//! What cores do without work, by each setting of `flumen.idle`: a broker that serves and stops, and whose cores slept
//! or did not.

use crate::setup;
use integration::records::{create, latency, patient, read_all};
use integration::{Flumen, Scratch, eventually, host};
use std::time::Duration;

const PARTITIONS: i32 = 4;
const RECORDS: u32 = 40;
/// More turns than cores make that have nothing to do and sleep.
const MANY_TURNS: f64 = 10_000.0;

/// Produces and fetches.
fn serve(flumen: &Flumen) {
    let mut client = patient(flumen.address);
    create(&mut client, "any", PARTITIONS, &[]);
    let (median, slowest) = latency(&mut client, "any", PARTITIONS, RECORDS).expect("it serves");
    println!("a record takes {median:?}, slowest {slowest:?}");
    let read: usize = (0..PARTITIONS).map(|partition| read_all(&mut client, "any", partition).len()).sum();
    assert_eq!(read, RECORDS as usize);
}

fn slept(flumen: &Flumen) -> f64 {
    flumen.metric("flumen_core_parked_seconds_total")
}

/// On all cores: requests cross them, and wake those that sleep.
fn serves_and_sleeps(policy: &str) {
    let scratch = Scratch::new(&format!("idle-{policy}"));
    let flumen = setup(&scratch).set("flumen.idle", policy).start();
    serve(&flumen);
    eventually("a core sleeps that has nothing to do", Duration::from_secs(20), || {
        (slept(&flumen) > 0.0).then_some(())
    });
    flumen.stop();
}

#[test]
fn cores_that_park_serve_and_sleep_in_between() {
    serves_and_sleeps("park");
}

#[test]
fn cores_that_spin_serve_and_sleep_when_their_time_is_over() {
    serves_and_sleeps("spin");
}

#[test]
fn a_core_that_polls_serves_and_never_sleeps() {
    let scratch = Scratch::new("idle-poll");
    // One core, the last: it takes all of it, and other tests run beside this one.
    let core = host::cores().pop().expect("a core");
    let flumen = setup(&scratch).cores(core.to_string()).set("flumen.idle", "poll").start();
    serve(&flumen);
    let turns = || flumen.metric("flumen_core_turns_total");
    let before = turns();
    eventually("it turns though nobody asks anything", Duration::from_secs(20), || {
        (turns() > before + MANY_TURNS).then_some(())
    });
    assert_eq!(slept(&flumen), 0.0);
    flumen.stop();
}
