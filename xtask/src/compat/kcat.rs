//! kcat, the C client's command line tool, as the distribution packages it.

use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, process};

pub const SUITE: Suite = Suite {
    name: "kcat",
    about: "kcat of the distribution (librdkafka): metadata, produce, consume, query",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(360),
    prepare,
    run,
};

fn prepare(place: &Place) -> Result<(), String> {
    let log = place.target.join("logs/kcat-install");
    if process::step(Command::new("kcat").arg("-V"), &log, Duration::from_secs(60)).is_ok() {
        return Ok(());
    }
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "kcat"]).env("DEBIAN_FRONTEND", "noninteractive");
    process::step(&mut apt, &log, Duration::from_secs(300))
        .map(drop)
        .map_err(|e| format!("kcat is missing and could not be installed: {e}"))
}

fn run(job: &Job<'_>) -> Result<Outcome, String> {
    let mut command = Command::new("python3");
    command.arg(job.place.tests.join("kcat/test_kcat.py")).env("PYTHONPATH", job.place.tests.join("python"));
    job.program(&mut command)
}
