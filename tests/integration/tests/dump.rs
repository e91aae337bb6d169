//! `flumen log dump` of a whole data directory.

use crate::{binary, setup};
use client::{ProduceOptions, Producer};
use integration::records::{create, patient, write};
use integration::{Scratch, files_below};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn every_file_that_a_clean_stop_leaves_is_known_and_whole() {
    let scratch = Scratch::new("dump");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "dumped", 2, &[]);
    // Idempotent: so that there are producers to be remembered.
    let mut producer = Producer::open(&mut client, "dumped", ProduceOptions::default()).expect("a producer");
    for number in 0..100 {
        write(&mut client, &mut producer, number % 2, &[number as u8; 2000]).expect("acknowledged");
    }
    flumen.stop();
    let dump = |files: &[PathBuf]| {
        let mut command = Command::new(binary());
        command.args(["log", "dump", "--output", "json"]).args(files).output().expect("it runs")
    };
    let mut files = files_below(&scratch.join("data"), "");
    let output = dump(&files);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stderr));
    let parse = |line| serde_json::from_str(line).expect("an object");
    let objects: Vec<Value> = text.lines().map(parse).collect();
    let begun: Vec<&Value> = objects.iter().filter(|object| object.get("file").is_some()).collect();
    assert_eq!(begun.len(), files.len());
    let kinds: BTreeSet<&str> = begun.iter().filter_map(|object| object["kind"].as_str()).collect();
    for kind in [
        "segment",
        "offset index",
        "time index",
        "producers",
        "journal",
        "checkpoint",
        "metadata log",
        "whose the data directory is",
        "lock for one broker at a time",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    let batches = objects.iter().filter(|object| object.get("batch").is_some()).count();
    assert_eq!(batches, 100, "each record was a batch of its own");
    // What does not belong there is told of.
    let stranger = scratch.join("data").join("notes.txt");
    fs::write(&stranger, "hello").expect("written");
    files.push(stranger);
    let output = dump(&files);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("1 flaw in 1 of the files"), "{told}");
}
