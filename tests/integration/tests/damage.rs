//! Bytes on disk that are others than were written, before the end of what was durable.

use crate::setup;
use client::Client;
use integration::records::{Read, client, create, end, patient, plain_producer, read_into, write};
use integration::{Flumen, Scratch, files_below};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RECORDS: usize = 200;

/// A value that is found in a file by its number.
fn value(number: usize) -> Vec<u8> {
    format!("<record {number:06}>").into_bytes().repeat(60)
}

/// Writes records one by one, each acknowledged.
fn fill(client: &mut Client, topic: &str) {
    let mut producer = plain_producer(client, topic);
    for number in 0..RECORDS {
        write(client, &mut producer, 0, &value(number)).expect("acknowledged");
    }
}

/// A client that does not try for long what is an error for good, although Kafka calls it one to try again after.
fn hasty(flumen: &Flumen) -> Client {
    client(flumen.address, Duration::from_millis(500))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Where a record lies in one of these files.
fn locate(files: &[PathBuf], number: usize) -> Option<(PathBuf, usize)> {
    files.iter().find_map(|file| {
        let at = find(&fs::read(file).expect("a file"), &value(number))?;
        Some((file.clone(), at))
    })
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[at] ^= 0x10;
    fs::write(file, bytes).expect("written");
}

/// Checks that the log names what an operator needs, and returns the line.
fn reported(flumen: &Flumen, file: &Path, partition: bool) -> String {
    let line = flumen.until_logged("damaged: ");
    assert!(line.contains(" ERROR "), "{line}");
    assert!(line.contains(&file.display().to_string()), "the file: {line}");
    assert!(line.contains(" at byte "), "the place in it: {line}");
    assert!(line.contains("offsets "), "which offsets are affected, or that it is not known: {line}");
    assert!(line.contains("choices: "), "what can be done: {line}");
    assert!(!partition || line.contains("; partition "), "the partition: {line}");
    line
}

/// Reads from the beginning: everything before `damaged` is there, then comes an error, and behind it the rest can be
/// read. Nothing is served that was not written.
fn assert_a_hole(client: &mut Client, topic: &str, damaged: usize) {
    let mut records: Vec<Read> = Vec::new();
    let error = read_into(client, topic, 0, 0, &mut records).expect_err("the damage is not passed over");
    println!("reading up to the damage ends with: {error}");
    assert_eq!(records.len(), damaged, "everything before the damage, and nothing else");
    read_into(client, topic, 0, damaged as i64 + 1, &mut records).expect("what is behind it");
    assert_eq!(records.len(), RECORDS - 1, "everything but the damaged record");
    for record in records {
        assert!(record.value == value(record.offset as usize), "offset {}", record.offset);
    }
}

#[test]
fn damage_in_a_segment_is_reported_and_never_served_or_cut() {
    const DAMAGED: usize = 90;
    let scratch = Scratch::new("segment");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "hurt", 1, &[]);
    fill(&mut client, "hurt");
    flumen.stop();
    let segments = files_below(&scratch.join("data").join("topics"), ".log");
    let (file, at) = locate(&segments, DAMAGED).expect("a clean stop has drained everything");
    flip(&file, at + 300);
    let length = fs::metadata(&file).expect("there").len();
    let flumen = setup(&scratch).start();
    let mut client = hasty(&flumen);
    assert_eq!(end(&mut client, "hurt", 0).expect("an end"), RECORDS as i64, "nothing was cut");
    assert_a_hole(&mut client, "hurt", DAMAGED);
    let line = reported(&flumen, &file, true);
    assert!(line.contains(&format!("offsets {DAMAGED} to before {}", DAMAGED + 1)), "{line}");
    // A look at the damage changes nothing, and neither does a restart.
    flumen.stop();
    assert!(fs::metadata(&file).expect("there").len() >= length, "nothing was cut");
    let flumen = setup(&scratch).start();
    assert_a_hole(&mut hasty(&flumen), "hurt", DAMAGED);
    assert!(flumen.log_with("damaged: ").len() < 4, "one line for one place, however often it is read");
    flumen.stop();
}

#[test]
fn damage_in_a_segment_is_found_after_kill_9_too() {
    const DAMAGED: usize = 20;
    let scratch = Scratch::new("segment-killed");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "hurt", 1, &[]);
    fill(&mut client, "hurt");
    // A clean stop first: so the record is surely in its segment, and in no journal that is replayed.
    flumen.stop();
    setup(&scratch).start().kill();
    let segments = files_below(&scratch.join("data").join("topics"), ".log");
    let (file, at) = locate(&segments, DAMAGED).expect("a clean stop has drained everything");
    flip(&file, at + 300);
    let flumen = setup(&scratch).start();
    let mut client = hasty(&flumen);
    assert_eq!(end(&mut client, "hurt", 0).expect("an end"), RECORDS as i64, "nothing was cut");
    assert_a_hole(&mut client, "hurt", DAMAGED);
    reported(&flumen, &file, true);
    flumen.stop();
}

#[test]
fn a_segment_that_lost_its_end_is_reported() {
    let scratch = Scratch::new("short");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "hurt", 1, &[]);
    fill(&mut client, "hurt");
    flumen.stop();
    let segments = files_below(&scratch.join("data").join("topics"), ".log");
    let (file, at) = locate(&segments, 150).expect("a clean stop has drained everything");
    fs::File::options().write(true).open(&file).and_then(|file| file.set_len(at as u64)).expect("cut");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    assert_eq!(
        end(&mut client, "hurt", 0).expect("an end"),
        RECORDS as i64,
        "the offsets are not given again"
    );
    let mut records = Vec::new();
    read_into(&mut client, "hurt", 0, 0, &mut records).expect_err("the loss is not passed over");
    assert_eq!(records.len(), 150);
    let line = reported(&flumen, &file, true);
    assert!(line.contains(&format!("to before {RECORDS}")), "{line}");
    flumen.stop();
}

#[test]
fn damage_in_a_journal_is_reported_and_never_served_or_passed_over() {
    damage_a_journal(RECORDS / 2);
}

#[test]
fn damage_at_the_beginning_of_a_journal_loses_nothing_behind_it() {
    damage_a_journal(0);
}

#[test]
fn a_damaged_checkpoint_ends_the_start_with_the_choices_and_is_left_alone() {
    let scratch = Scratch::new("checkpoint");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "whole", 1, &[]);
    fill(&mut client, "whole");
    flumen.kill();
    let file = scratch.join("data").join("checkpoint");
    let (path, whole) = (file.display().to_string(), fs::read(&file).expect("a start writes it"));
    let mut flipped = whole.clone();
    flipped[16] ^= 0x10;
    for (damaged, what) in [(&whole[..20], "shorter"), (&flipped[..], "checksum")] {
        fs::write(&file, damaged).expect("written");
        let line = setup(&scratch).refusal();
        for word in [path.as_str(), what, "Choices: ", "from a copy", "flumen log dump"] {
            assert!(line.contains(word), "'{word}' is missing: {line}");
        }
        assert_eq!(fs::read(&file).expect("there"), damaged);
    }
    // The first choice.
    fs::write(&file, whole).expect("written");
    let flumen = setup(&scratch).start();
    assert_eq!(end(&mut patient(flumen.address), "whole", 0).expect("an end"), RECORDS as i64);
    flumen.stop();
}

/// Damages the first record from `first` on that is in the journal alone, with others behind it.
fn damage_a_journal(first: usize) {
    // Whether the drain was faster than the kill is the machine's choice: some tries may be needed.
    for attempt in 0..20 {
        let scratch = Scratch::new("journal");
        let flumen = setup(&scratch).start();
        let mut client = patient(flumen.address);
        create(&mut client, "hurt", 1, &[]);
        fill(&mut client, "hurt");
        flumen.kill();
        let segments = files_below(&scratch.join("data").join("topics"), ".log");
        let journals = files_below(&scratch.join("data"), ".journal");
        let alone = (first..RECORDS - 3).find(|&number| locate(&segments, number).is_none());
        let Some(damaged) = alone else { continue };
        println!("attempt {attempt}: record {damaged} is in the journal alone");
        let (file, at) = locate(&journals, damaged).expect("acknowledged, so it is in one of them");
        flip(&file, at + 300);
        let first = setup(&scratch).start();
        reported(&first, &file, false);
        judge_journal(&first, damaged);
        first.stop();
        // What has been reported is not forgotten by another start.
        judge_journal(&setup(&scratch).start(), damaged);
        return;
    }
    panic!("the drain was always faster");
}

fn judge_journal(flumen: &Flumen, damaged: usize) {
    let mut client = hasty(flumen);
    assert_eq!(
        end(&mut client, "hurt", 0).expect("an end"),
        RECORDS as i64,
        "acknowledged offsets stay given"
    );
    let mut records: Vec<Read> = Vec::new();
    read_into(&mut client, "hurt", 0, 0, &mut records).expect_err("the damage is not passed over");
    assert_eq!(records.len(), damaged, "everything before the damage");
    assert!(records.iter().all(|record| record.value == value(record.offset as usize)));
    let line = flumen.until_logged("damaged: ");
    assert!(line.contains("choices: "), "{line}");
}
