//! Kafka's own tools and clients, on the Java virtual machine.
//!
//! A virtual machine costs about a second to start, so one of them calls the tools' `main`
//! methods one after the other, with `System.out` and `exit` replaced.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, franz_go, process};

pub const TOOLS: Suite = Suite {
    name: "java-tools",
    about: "the command line tools of Apache Kafka 4.3.1",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(600),
    prepare,
    run: |job| run(job, "Tools"),
};

pub const CLIENTS: Suite = Suite {
    name: "java-clients",
    about: "producer, consumer and admin client of Apache Kafka 4.3.1",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(600),
    prepare,
    run: |job| run(job, "Clients"),
};

pub const INTERNAL_TOPICS: Suite = Suite {
    name: "internal-topics",
    about: "readers of __consumer_offsets and __transaction_state: Kafka's formatters, franz-go's decoders",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(480),
    prepare: |place| prepare(place).and_then(|()| franz_go::prepare_reader(place)),
    run: |job| {
        let mut command = java(job.place, 512);
        command.arg(format!("-Dreader={}", job.place.target.join("franz-go/offsets").display()));
        job.program(command.arg("Internals"))
    },
};

pub const SEGMENTS: Suite = Suite {
    name: "segments",
    about: "segment files: read by Kafka's DumpLogSegments, moved under Kafka 4.3.1, and moved here from it",
    settings: &[("log.cleaner.backoff.ms", "200")],
    fixed: None,
    limit: Duration::from_secs(720),
    prepare,
    run: |job| controlling(job, "Segments"),
};

pub const COPIER: Suite = Suite {
    name: "copier",
    about: "Kafka's TransactionalMessageCopier and its VerifiableConsumer under kill -9: see --rounds",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(1200),
    prepare,
    run: |job| controlling(job, "Copier"),
};

const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const SOURCES: &[&str] = &[
    "Administration.java",
    "Brokers.java",
    "Clients.java",
    "Compat.java",
    "Copier.java",
    "Features.java",
    "Groups.java",
    "Hanging.java",
    "Internals.java",
    "Member.java",
    "Program.java",
    "Segments.java",
    "Streams.java",
    "Telemetry.java",
    "Tools.java",
    "TransactionTools.java",
    "Transactions.java",
];

/// The jars of Kafka 4.3.1, which hold a broker too.
pub fn jars(place: &Place) -> Result<(), String> {
    copy_jars(place, "java")
}

/// The jars that `tests/compat/<name>/pom.xml` names, in `libs` of the build directory of that name.
pub fn copy_jars(place: &Place, name: &str) -> Result<(), String> {
    let dir = place.build_dir(name)?;
    let sources = place.tests.join(name);
    let libs = dir.join("libs");
    // Written last, so that a copy cut short is done again.
    let complete = dir.join("complete.xml");
    let pom = fs::read(sources.join("pom.xml")).map_err(|e| format!("pom.xml: {e}"))?;
    if fs::read(&complete).ok().as_ref() != Some(&pom) {
        let _ = fs::remove_dir_all(&libs);
        let mut maven = Command::new("mvn");
        maven
            .args(["-q", "-B", PLUGIN])
            .arg(format!("-DoutputDirectory={}", libs.display()))
            .current_dir(&sources);
        let log = place.target.join(format!("logs/maven-{name}"));
        process::step(&mut maven, &log, Duration::from_secs(600))?;
        fs::write(&complete, pom).map_err(|e| format!("{}: {e}", complete.display()))?;
    }
    Ok(())
}

/// The jars and our classes.
pub fn prepare(place: &Place) -> Result<(), String> {
    jars(place)?;
    let (dir, sources) = (place.target.join("java"), place.tests.join("java"));
    let mut compiler = Command::new("javac");
    compiler.arg("-cp").arg(dir.join("libs/*")).arg("-d").arg(dir.join("classes"));
    compiler.args(SOURCES.iter().map(|s| sources.join(s)));
    process::step(&mut compiler, &place.target.join("logs/javac"), Duration::from_secs(120)).map(drop)
}

/// A virtual machine with Kafka's jars and our classes, its log on standard error.
pub fn java(place: &Place, megabytes: u32) -> Command {
    let dir: PathBuf = place.target.join("java");
    let mut command = Command::new("java");
    command.arg(format!("-Xmx{megabytes}m")).arg("-XX:TieredStopAtLevel=1");
    command
        .arg(format!("-Dlog4j2.configurationFile={}", place.tests.join("java/log4j2.properties").display()));
    command.arg("-cp").arg(format!("{0}/classes:{0}/libs/*", dir.display()));
    command
}

fn run(job: &Job<'_>, class: &str) -> Result<Outcome, String> {
    let mut command = java(job.place, 512);
    if let Some(http) = &job.http {
        command.arg(format!("-Dhttp={http}"));
    }
    job.program(command.arg(class))
}

/// The same for a program that stops and starts brokers, and may look into their files.
fn controlling(job: &Job<'_>, class: &str) -> Result<Outcome, String> {
    let mut command = java(job.place, 512);
    if let Some(data) = &job.data {
        command.arg(format!("-Ddata={}", data.display()));
    }
    job.controlling_program(command.arg(class))
}
