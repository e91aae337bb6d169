//! Members of one group that are written in different languages.

use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, java, python};

pub const SUITE: Suite = Suite {
    name: "mixed-group",
    about: "a Java and a Python member in one group, of both protocols",
    // Who ends without leaving is missed after so long; who only stalls for some seconds is not.
    settings: &[
        ("group.consumer.min.session.timeout.ms", "12000"),
        ("group.consumer.session.timeout.ms", "12000"),
        ("group.consumer.min.heartbeat.interval.ms", "1000"),
        ("group.consumer.heartbeat.interval.ms", "1000"),
    ],
    fixed: None,
    limit: Duration::from_secs(600),
    prepare,
    run,
};

fn prepare(place: &Place) -> Result<(), String> {
    java::prepare(place).and_then(|()| python::prepare(place))
}

fn run(job: &Job<'_>) -> Result<Outcome, String> {
    let java = java::java(job.place, 128);
    let words = std::iter::once(java.get_program()).chain(java.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = Command::new(job.place.target.join("python/bin/python"));
    command.env("COMPAT_JAVA", serde_json::Value::from(words).to_string());
    // No bytecode into the source tree.
    job.program(command.arg("-B").arg(job.place.tests.join("python/test_mixed_group.py")))
}
