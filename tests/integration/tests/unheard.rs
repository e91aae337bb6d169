//! Whoever reads what `flumen` prints goes away: no command and no broker minds.

use crate::{binary, setup};
use integration::records::{create, patient, plain_producer, read_all, write};
use integration::{Flumen, Scratch, closed_pipe, eventually, host};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// Runs a command whose output nobody reads; it must end well and without a word.
fn assert_quiet(flumen: &Flumen, line: &str) {
    let mut command = Command::new(binary());
    command.args(line.split(' ')).args(["-b", &flumen.address.to_string()]);
    let output = command.stdout(closed_pipe()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{line}");
}

#[test]
fn commands_end_quietly_when_their_reader_is_gone() {
    let scratch = Scratch::new("unheard-commands");
    let flumen = setup(&scratch).start();
    let mut client = patient(flumen.address);
    create(&mut client, "orders", 1, &[]);
    let mut producer = plain_producer(&mut client, "orders");
    write(&mut client, &mut producer, 0, b"one").expect("acknowledged");
    for line in [
        "topic list",
        "topic list --output json",
        "topic describe orders",
        "consume orders --from beginning --until-end",
        // It would go on for ever: the first record finds nobody to read it.
        "consume orders --from beginning",
        "group list --output json",
        "topic delete orders",
    ] {
        assert_quiet(&flumen, line);
    }
    let topics = client.metadata(None).expect("metadata").topics;
    assert!(!topics.contains_key("orders"), "what was asked for is done all the same");
    flumen.stop();
}

#[test]
fn a_broker_serves_though_nobody_reads_its_log() {
    let scratch = Scratch::new("unheard-broker");
    let address = host::steady_port();
    let mut flumen = setup(&scratch).listen(address).unheard().spawn();
    flumen.address = address;
    eventually("the broker listens", Duration::from_secs(30), || {
        let ended = flumen.try_wait();
        assert!(ended.is_none(), "it ended with {ended:?}");
        TcpStream::connect(address).ok()
    });
    let mut client = patient(address);
    create(&mut client, "orders", 1, &[]);
    let mut producer = plain_producer(&mut client, "orders");
    write(&mut client, &mut producer, 0, b"one").expect("acknowledged");
    assert_eq!(read_all(&mut client, "orders", 0).len(), 1);
    // The last that it logs is its end, which must be a success.
    flumen.stop();
}
