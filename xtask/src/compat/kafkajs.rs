//! kafkajs, the client for Node in JavaScript alone.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, process};

pub const SUITE: Suite = Suite {
    name: "kafkajs",
    about: "kafkajs 2.2.4 for Node",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(360),
    prepare,
    run,
};

fn prepare(place: &Place) -> Result<(), String> {
    let dir = place.build_dir("kafkajs")?;
    let lock = "package-lock.json";
    let same = |name: &str| {
        let ours = fs::read(place.tests.join("kafkajs").join(name)).ok();
        ours.is_some() && ours == fs::read(dir.join(name)).ok()
    };
    if !same(lock) || !dir.join("node_modules/.package-lock.json").exists() {
        for name in ["package.json", lock] {
            let from = place.tests.join("kafkajs").join(name);
            fs::copy(&from, dir.join(name)).map_err(|e| format!("{}: {e}", from.display()))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&dir);
        process::step(&mut npm, &place.target.join("logs/npm"), Duration::from_secs(300))?;
    }
    // Node looks for packages beside the program and above it, so the program goes to them.
    let program = place.tests.join("kafkajs/test_kafkajs.js");
    fs::copy(&program, dir.join("test_kafkajs.js"))
        .map(drop)
        .map_err(|e| format!("{}: {e}", program.display()))
}

fn run(job: &Job<'_>) -> Result<Outcome, String> {
    let mut command = Command::new("node");
    command.arg(job.place.target.join("kafkajs/test_kafkajs.js")).env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    job.program(&mut command)
}
