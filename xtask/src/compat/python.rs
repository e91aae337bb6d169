//! The three Python clients, in one virtual environment.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, process};

pub const KAFKA_PYTHON: Suite = Suite {
    name: "kafka-python",
    about: "kafka-python 3.0.12, a client in Python alone",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(360),
    prepare,
    run: |job| run(job, "test_kafka_python.py"),
};

pub const CONFLUENT: Suite = Suite {
    name: "confluent-kafka",
    about: "confluent-kafka 2.16.1 for Python, on librdkafka",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(360),
    prepare,
    run: |job| run(job, "test_confluent_kafka.py"),
};

pub const AIOKAFKA: Suite = Suite {
    name: "aiokafka",
    about: "aiokafka 0.14.0, asyncio",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(360),
    prepare,
    run: |job| run(job, "test_aiokafka.py"),
};

pub fn prepare(place: &Place) -> Result<(), String> {
    let dir = place.build_dir("python")?;
    let log = place.target.join("logs/pip");
    let requirements = place.tests.join("python/requirements.txt");
    let wanted = fs::read(&requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    // Written last, so that an installation cut short is done again.
    let complete = dir.join("complete.txt");
    if fs::read(&complete).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    process::step(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir),
        &log,
        Duration::from_secs(120),
    )?;
    let mut pip = Command::new(dir.join("bin/pip"));
    pip.args(["install", "--quiet", "--only-binary=:all:", "--no-deps", "-r"]).arg(&requirements);
    process::step(&mut pip, &log, Duration::from_secs(300))?;
    fs::write(&complete, wanted).map_err(|e| format!("{}: {e}", complete.display()))
}

fn run(job: &Job<'_>, program: &str) -> Result<Outcome, String> {
    let mut command = Command::new(job.place.target.join("python/bin/python"));
    // No bytecode into the source tree.
    job.program(command.arg("-B").arg(job.place.tests.join("python").join(program)))
}
