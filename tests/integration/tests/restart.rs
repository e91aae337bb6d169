//! Clean stops, and starts on other numbers of cores.

use crate::setup;
use integration::records::{create, patient, plain_producer, read_all, write};
use integration::{Flumen, Scratch, host};
use rustix::process::{Pid, Signal, kill_process};

const PARTITIONS: i32 = 8;

#[test]
fn another_number_of_cores_finds_all_data() {
    let cores = host::cores();
    // With one core only the restarts are left of it.
    let one = cores[0].to_string();
    let two = cores.get(1).map_or(one.clone(), |second| format!("{one},{second}"));
    let scratch = Scratch::new("cores");
    let mut expected = vec![Vec::new(); PARTITIONS as usize];
    // Stopped cleanly and killed, in turns.
    let starts = [(&one, true), (&two, true), (&one, false), (&two, false), (&one, true)];
    for (round, (list, clean)) in starts.into_iter().enumerate() {
        let flumen = setup(&scratch).cores(list.as_str()).start();
        let mut client = patient(flumen.address);
        if round == 0 {
            create(&mut client, "moved", PARTITIONS, &[]);
        }
        let mut producer = plain_producer(&mut client, "moved");
        for number in 0..10 * PARTITIONS {
            let partition = number % PARTITIONS;
            // Each tenth is large, and does not go through the journal.
            let bytes = if number % 10 == 3 { 100_000 } else { 50 };
            let value = format!("{round}-{number}-").into_bytes().repeat(bytes / 5);
            write(&mut client, &mut producer, partition, &value).expect("acknowledged");
            expected[partition as usize].push(value);
        }
        for (partition, expected) in expected.iter().enumerate() {
            let found = read_all(&mut client, "moved", partition as i32);
            let values: Vec<_> = found.into_iter().map(|record| record.value).collect();
            assert!(values == *expected, "partition {partition} on cores {list}, round {round}");
        }
        match clean {
            true => drop(flumen.stop()),
            false => drop(flumen.kill()),
        }
    }
}

/// A broker with a hundred acknowledged records, and the client that stays connected to it.
fn with_records(scratch: &Scratch) -> (Flumen, impl Sized) {
    let flumen = setup(scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "calm", 4, &[]);
    let mut producer = plain_producer(&mut client, "calm");
    for number in 0..100 {
        write(&mut client, &mut producer, number % 4, b"x").expect("acknowledged");
    }
    (flumen, client)
}

#[test]
fn signals_that_come_together_are_one_clean_stop() {
    let scratch = Scratch::new("together");
    let (flumen, _client) = with_records(&scratch);
    let broker = Pid::from_raw(flumen.id() as i32).expect("a process");
    kill_process(broker, Signal::INT).expect("it runs");
    // And another at once, which the kernel does not take for the same.
    let lines = flumen.stop();
    assert!(lines.iter().any(|line| line.ends_with("stopped")), "{lines:#?}");
}

#[test]
fn a_clean_stop_leaves_nothing_to_replay() {
    let scratch = Scratch::new("clean");
    let (flumen, _client) = with_records(&scratch);
    flumen.stop();
    let flumen = setup(&scratch).start();
    let line = flumen.until_logged("recovered: epoch 2");
    assert!(line.contains(" 0 commits"), "{line}");
    assert_eq!(read_all(&mut patient(flumen.address), "calm", 1).len(), 25);
    flumen.stop();
}

#[test]
fn a_topic_with_the_longest_name_is_drained_and_recovered() {
    let scratch = Scratch::new("long-name");
    let name = "n".repeat(249);
    let mut values = Vec::new();
    // The third finds what was drained at a clean stop and what is only in the journal.
    for clean in [true, false, true] {
        let flumen = setup(&scratch).start();
        let mut client = patient(flumen.address);
        if values.is_empty() {
            create(&mut client, &name, 1, &[]);
        }
        let mut producer = plain_producer(&mut client, &name);
        for size in [10, 100_000] {
            let value = vec![values.len() as u8; size];
            write(&mut client, &mut producer, 0, &value).expect("acknowledged");
            values.push(value);
        }
        let found: Vec<_> = read_all(&mut client, &name, 0).into_iter().map(|record| record.value).collect();
        assert!(found == values, "{} of {} records", found.len(), values.len());
        match clean {
            true => drop(flumen.stop()),
            false => drop(flumen.kill()),
        }
    }
}
