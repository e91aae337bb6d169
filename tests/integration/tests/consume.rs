//! `flumen consume --group`, the command as a user calls it.

use crate::{binary, setup};
use client::Client;
use integration::records::{create, end, patient, plain_producer, write};
use integration::{Flumen, Scratch, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PARTITIONS: i32 = 4;
const LONG: Duration = Duration::from_secs(60);

fn consume(flumen: &Flumen, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["consume", "orders", "-b", &flumen.address.to_string(), "--group", "g"]).args(more);
    command
}

/// What it prints, line by line, when it ends well.
fn lines(command: &mut Command) -> Vec<String> {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn fill(client: &mut Client, numbers: std::ops::Range<i32>) {
    let mut producer = plain_producer(client, "orders");
    for number in numbers {
        let value = number.to_string();
        write(client, &mut producer, number % PARTITIONS, value.as_bytes()).expect("acknowledged");
    }
}

fn numbers(range: std::ops::Range<i32>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

fn state(client: &mut Client) -> String {
    let groups = client.groups().expect("a list");
    groups.into_iter().find(|group| group.group == "g").map_or_else(String::new, |group| group.state)
}

fn members(client: &mut Client) -> usize {
    let groups = client.groups().expect("a list");
    let group = groups.into_iter().find(|group| group.group == "g");
    group.map_or(0, |group| client.group_members(&group).expect("members").len())
}

/// What the group has committed, over all partitions.
fn committed(client: &mut Client) -> i64 {
    client.group_offsets("g").expect("offsets").values().sum()
}

fn interrupt(child: Child) {
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is our child and runs");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_group_goes_on_where_it_has_left_off() {
    let scratch = Scratch::new("consume-group");
    let flumen = setup(&scratch).set("group.initial.rebalance.delay.ms", 0).start();
    let mut client = patient(flumen.address);
    create(&mut client, "orders", PARTITIONS, &[]);
    fill(&mut client, 0..100);
    // Nothing is committed: what is there does not count, unless it is asked for.
    assert!(lines(&mut consume(&flumen, &["--until-end"])).is_empty());
    assert_eq!(committed(&mut client), 0);
    let first = lines(&mut consume(&flumen, &["--from", "beginning", "--count", "30"]));
    let rest = lines(&mut consume(&flumen, &["--from", "beginning", "--until-end"]));
    assert_eq!((first.len(), rest.len()), (30, 70), "no record twice");
    assert_eq!(first.into_iter().chain(rest).collect::<BTreeSet<_>>(), numbers(0..100));
    assert_eq!((state(&mut client).as_str(), committed(&mut client)), ("Empty", 100));
    fill(&mut client, 100..110);
    let next = lines(&mut consume(&flumen, &["--from", "beginning", "--until-end"]));
    assert_eq!(next.into_iter().collect::<BTreeSet<_>>(), numbers(100..110), "`beginning` is for new groups");
    flumen.stop();
}

#[test]
fn members_share_the_partitions_and_leave_when_they_are_interrupted() {
    let scratch = Scratch::new("consume-members");
    let flumen = setup(&scratch).set("group.initial.rebalance.delay.ms", 0).start();
    let mut client = patient(flumen.address);
    create(&mut client, "orders", PARTITIONS, &[]);
    let spawn = || {
        let mut command = consume(&flumen, &["--from", "beginning"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
    };
    let (one, two) = (spawn(), spawn());
    eventually("two members", LONG, || {
        (members(&mut client) == 2 && state(&mut client) == "Stable").then_some(())
    });
    fill(&mut client, 0..40);
    eventually("all is read and committed", LONG, || (committed(&mut client) == 40).then_some(()));
    interrupt(one);
    eventually("the other alone", LONG, || {
        (members(&mut client) == 1 && state(&mut client) == "Stable").then_some(())
    });
    fill(&mut client, 40..80);
    eventually("all is read by the other", LONG, || (committed(&mut client) == 80).then_some(()));
    interrupt(two);
    // At once, and not only when the session has ended.
    assert_eq!((members(&mut client), state(&mut client).as_str()), (0, "Empty"));
    let ends: i64 = (0..PARTITIONS).map(|id| end(&mut client, "orders", id).expect("an end")).sum();
    assert_eq!(ends, 80);
    flumen.stop();
}
