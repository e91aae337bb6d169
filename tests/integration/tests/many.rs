//! Ten thousand partitions in one request, and those who work meanwhile.

use crate::setup;
use integration::Scratch;
use integration::records::{create, latency, patient, plain_producer, write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 10_000;
/// No record may wait for so long, unless the machine lets some wait nearly as long that have nothing beside them.
const TOO_LONG: Duration = Duration::from_secs(1);
/// Nor may cores be held as often as if each portion of the work held one; what the machine takes from them is not the
/// work's.
const LONG_POLLS: f64 = 50.0;
/// A machine that is away for a second, or a disk, keeps a record waiting as well, but not each time.
const TRIES: usize = 3;

#[test]
fn ten_thousand_partitions_in_one_request_keep_nobody_waiting_and_are_all_there() {
    let hurt: Vec<String> = (0..TRIES).map_while(|_| create_beside_others().err()).collect();
    assert!(hurt.len() < TRIES, "others wait each time: {hurt:#?}");
}

/// Creates them, and tells whether others had to wait.
fn create_beside_others() -> Result<(), String> {
    let scratch = Scratch::new("many");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "busy", 4, &[]);
    let (held, began) = (flumen.metric("flumen_core_long_polls_total"), Instant::now());
    let (quiet, slow) = latency(&mut client, "busy", 4, 200).expect("it serves");
    let quiet_for = began.elapsed().as_secs_f64();
    let held_quietly = flumen.metric("flumen_core_long_polls_total") - held;
    let held = held + held_quietly;
    let (address, over) = (flumen.address, Arc::new(AtomicBool::new(false)));
    let seen = over.clone();
    let beside = thread::spawn(move || {
        let mut client = patient(address);
        let mut times = Vec::new();
        while !seen.load(Ordering::Relaxed) {
            times.push(latency(&mut client, "busy", 4, 20).expect("others are served"));
        }
        times
    });
    let began = Instant::now();
    create(&mut client, "many", PARTITIONS, &[]);
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    let times = beside.join().expect("no panic");
    let held = flumen.metric("flumen_core_long_polls_total") - held;
    let slowest = times.iter().map(|(_, slowest)| *slowest).max().expect("at least one round");
    println!(
        "{PARTITIONS} partitions in {took:?}; beside it {} records, the slowest in {slowest:?}, {quiet:?} before; \
         {held} runs of tasks above 5 ms, {held_quietly} in the {quiet_for:.1} s before",
        20 * times.len()
    );
    // All are there, and can be written to on every core: partitions in a row are on different ones.
    assert_eq!(client.topic("many").expect("the topic").partitions.len(), PARTITIONS as usize);
    assert_eq!(flumen.metric("flumen_partitions"), f64::from(PARTITIONS + 4));
    let mut producer = plain_producer(&mut client, "many");
    for partition in (0..8).chain((8..PARTITIONS - 8).step_by(997)).chain(PARTITIONS - 8..PARTITIONS) {
        write(&mut client, &mut producer, partition, b"value").expect("acknowledged");
    }
    flumen.stop();
    if slowest >= TOO_LONG.max(10 * slow) {
        return Err(format!("a record took {slowest:?}, {slow:?} before"));
    }
    let noise = 3.0 * held_quietly * took.as_secs_f64() / quiet_for;
    if held >= LONG_POLLS + noise {
        return Err(format!("{held} times a core was held, {noise} would be the machine's"));
    }
    Ok(())
}
