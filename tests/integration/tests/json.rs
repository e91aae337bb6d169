//! `--output json`: what each command prints for programs can be parsed, and says what is so.

use crate::{binary, setup};
use integration::{Flumen, Scratch};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// What a command prints with `--output json` when it is given these lines.
fn printed(flumen: &Flumen, words: &str, input: &str) -> String {
    let mut command = Command::new(binary());
    command.args(words.split(' ')).args(["-b", &flumen.address.to_string(), "--output", "json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The one value that is printed.
fn one(flumen: &Flumen, words: &str, input: &str) -> Value {
    let text = printed(flumen, words, input);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words}: {error}: {text}"))
}

/// A value for each line.
fn many(flumen: &Flumen, words: &str) -> Vec<Value> {
    let text = printed(flumen, words, "");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{words}: {error}: {line}"));
    text.lines().map(parse).collect()
}

#[test]
fn what_commands_print_for_programs_is_json_that_tells_what_is_so() {
    let scratch = Scratch::new("json");
    let flumen = setup(&scratch).set("group.initial.rebalance.delay.ms", 0).start();
    let created = one(&flumen, "topic create orders -p 2 -c retention.ms=600000", "");
    assert_eq!((&created["topic"], &created["created"]), (&json!("orders"), &json!(true)));
    assert_eq!((&created["partitions"], &created["replication_factor"]), (&json!(2), &json!(1)));

    let listed = one(&flumen, "topic list", "");
    let expected = json!([{
        "topic": "orders", "id": created["id"], "partitions": 2, "replication_factor": 1, "internal": false,
    }]);
    assert_eq!(listed, expected);

    let produced = one(&flumen, "produce orders -p 1 --key-separator : -H source=test", "a:one\nb:\"two\"\n");
    assert_eq!((&produced["topic"], &produced["records"]), (&json!("orders"), &json!(2)));
    assert!(produced["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{produced}");

    let consumed = many(&flumen, "consume orders --from beginning --until-end");
    for (record, (offset, key, value)) in consumed.iter().zip([(0, "a", "one"), (1, "b", "\"two\"")]) {
        assert!(record["timestamp"].as_i64().is_some_and(|time| time > 0), "{record}");
        let expected = json!({
            "topic": "orders", "partition": 1, "offset": offset, "timestamp": record["timestamp"],
            "key": key, "value": value, "headers": [{ "key": "source", "value": "test" }],
        });
        assert_eq!(*record, expected);
    }
    assert_eq!(consumed.len(), 2);

    let described = one(&flumen, "topic describe orders", "");
    let topic = &described[0];
    assert_eq!((&topic["topic"], &topic["id"]), (&json!("orders"), &created["id"]), "{described}");
    assert!(topic.to_string().contains("600000"), "what is configured: {topic}");
    let partitions = topic["partitions"].as_array().expect("a list");
    assert_eq!(partitions.len(), 2, "{topic}");
    assert!(partitions.iter().zip(0..).all(|(one, number)| one["partition"] == number), "{topic}");

    assert_eq!(many(&flumen, "consume orders --group g --from beginning --until-end").len(), 2);
    let groups = one(&flumen, "group list", "");
    let [group] = &groups.as_array().expect("a list")[..] else { panic!("{groups}") };
    assert_eq!((&group["group"], &group["state"]), (&json!("g"), &json!("Empty")), "{groups}");
    let group = one(&flumen, "group describe g", "");
    assert_eq!((&group["group"], &group["members"]), (&json!("g"), &json!([])), "{group}");
    let offsets = group["offsets"].as_array().expect("a list");
    let read = offsets.iter().find(|one| one["partition"] == 1).expect("what was read");
    assert_eq!((&read["committed"], &read["end_offset"], &read["lag"]), (&json!(2), &json!(2), &json!(0)));

    let deleted = one(&flumen, "topic delete orders", "");
    assert_eq!(deleted, json!({ "topic": "orders", "deleted": true }));
    assert_eq!(one(&flumen, "topic list", ""), json!([]));
    flumen.stop();
}
