//! `flumen group` and `flumen topic alter`, the commands as a user calls them.

use crate::{binary, setup};
use integration::records::{create, patient, plain_producer, write};
use integration::{Flumen, Scratch, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn command(broker: &Flumen, words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(words).args(["-b", &broker.address.to_string()]);
    command
}

fn output(broker: &Flumen, words: &[&str]) -> Output {
    command(broker, words).output().expect("it runs")
}

/// What a command prints that ends well.
fn said(broker: &Flumen, words: &[&str]) -> String {
    let output = output(broker, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The one line with which a command refuses.
fn refusal(broker: &Flumen, words: &[&str]) -> String {
    let output = output(broker, words);
    let lines = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{words:?}: {lines}");
    assert!(lines.starts_with("flumen: ") && lines.lines().count() == 1, "{words:?}: {lines}");
    lines
}

/// The numbers under a key of JSON with a line for each value.
fn numbers(json: &str, key: &str) -> Vec<i64> {
    let key = format!("\"{key}\": ");
    let values = json.lines().filter_map(|line| line.trim().strip_prefix(&key));
    values.map(|value| value.trim_end_matches(',').parse().expect("a number")).collect()
}

fn lag(broker: &Flumen) -> Vec<i64> {
    numbers(&said(broker, &["group", "describe", "g", "--output", "json"]), "lag")
}

fn groups(broker: &Flumen) -> Vec<String> {
    said(broker, &["group", "list"]).lines().map(str::to_owned).collect()
}

/// A broker with 100 records in the only partition of a topic.
fn with_orders(scratch: &Scratch) -> Flumen {
    let flumen = setup(scratch).set("group.initial.rebalance.delay.ms", 0).start();
    let mut client = patient(flumen.address);
    create(&mut client, "orders", 1, &[]);
    let mut producer = plain_producer(&mut client, "orders");
    for number in 0..100 {
        write(&mut client, &mut producer, 0, number.to_string().as_bytes()).expect("acknowledged");
    }
    flumen
}

const TO_EARLIEST: [&str; 7] = ["group", "reset", "g", "--topic", "orders", "--to", "earliest"];
const BACK: [&str; 8] = ["group", "reset", "g", "--topic", "orders", "--to", "earliest", "--execute"];
const CONSUME: [&str; 6] = ["consume", "orders", "--group", "g", "--from", "beginning"];

#[test]
fn a_group_is_described_reset_listed_and_deleted() {
    let scratch = Scratch::new("commands-group");
    let flumen = with_orders(&scratch);
    let read = said(&flumen, &[&CONSUME[..], &["--count", "30"]].concat());
    assert_eq!(read.lines().count(), 30);
    assert_eq!((groups(&flumen), lag(&flumen)), (vec!["g".to_owned()], vec![70]));
    let table = said(&flumen, &["group", "describe", "g"]);
    let row = table.lines().find(|line| line.starts_with("orders")).expect("a row for its topic");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["orders", "0", "30", "100", "70"]);
    let shown = said(&flumen, &TO_EARLIEST);
    assert!(shown.contains("--execute does it"), "{shown}");
    assert_eq!(lag(&flumen), [70], "it is only shown");
    said(&flumen, &BACK);
    assert_eq!(lag(&flumen), [100]);
    said(&flumen, &["group", "reset", "g", "--topic", "orders", "--to", "42", "-p", "0", "--execute"]);
    assert_eq!(lag(&flumen), [58]);
    let rest = said(&flumen, &[&CONSUME[..], &["--until-end"]].concat());
    assert_eq!((rest.lines().next(), rest.lines().count()), (Some("42"), 58), "it goes on there");
    assert_eq!(said(&flumen, &["group", "delete", "g"]).trim(), "Deleted group g.");
    assert_eq!(groups(&flumen), Vec::<String>::new());
    assert!(refusal(&flumen, &["group", "describe", "g"]).contains("there is no group g"));
    refusal(&flumen, &["group", "delete", "g"]);
    flumen.stop();
}

#[test]
fn a_group_with_a_member_is_neither_reset_nor_deleted() {
    let scratch = Scratch::new("commands-used");
    let flumen = with_orders(&scratch);
    let mut consume = command(&flumen, &CONSUME);
    let member = consume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let described = |flumen: &Flumen| output(flumen, &["group", "describe", "g", "--output", "json"]);
    eventually("its member has read and committed all", LONG, || {
        let output = described(&flumen);
        let json = String::from_utf8(output.stdout).expect("text");
        let stable = json.contains("\"state\": \"Stable\"");
        (output.status.success() && stable && numbers(&json, "lag") == [0]).then_some(())
    });
    let refused = refusal(&flumen, &BACK);
    assert!(refused.contains("in use"), "{refused}");
    let refused = refusal(&flumen, &["group", "delete", "g"]);
    assert!(refused.contains("stop the group's consumers first"), "{refused}");
    assert_eq!((groups(&flumen), lag(&flumen)), (vec!["g".to_owned()], vec![0]), "nothing has changed");
    kill_process(Pid::from_child(&member), Signal::INT).expect("it is our child and runs");
    let ended = member.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    said(&flumen, &BACK);
    assert_eq!(lag(&flumen), [100], "when it has left, both are possible");
    said(&flumen, &["group", "delete", "g"]);
    assert_eq!(groups(&flumen), Vec::<String>::new());
    flumen.stop();
}

#[test]
fn a_topic_is_given_partitions_and_values_and_loses_them_again() {
    let scratch = Scratch::new("commands-topic");
    let flumen = setup(&scratch).start();
    said(&flumen, &["topic", "create", "t", "--partitions", "1"]);
    let described = || said(&flumen, &["topic", "describe", "t"]);
    let before = described();
    assert!(before.contains("\n1 partition, ") && !before.contains("retention.ms"), "{before}");
    said(&flumen, &["topic", "alter", "t", "--partitions", "4", "--config", "retention.ms=1"]);
    let altered = described();
    assert!(altered.contains("\n4 partitions, "), "{altered}");
    assert!(altered.contains("\n  retention.ms = 1  (topic)\n"), "{altered}");
    let fewer = refusal(&flumen, &["topic", "alter", "t", "--partitions", "2"]);
    assert!(fewer.contains("partitions can only be added"), "{fewer}");
    refusal(&flumen, &["topic", "alter", "t", "--config", "retention.ms=soon"]);
    assert_eq!(described(), altered, "what is refused changes nothing");
    said(&flumen, &["topic", "alter", "t", "--delete-config", "retention.ms"]);
    let reset = described();
    assert!(reset.contains("\n4 partitions, ") && !reset.contains("retention.ms"), "{reset}");
    flumen.stop();
}
