//! Kafka Streams: the word count of `tests/compat/streams-wordcount`, in Scala, under both guarantees and bad days.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, java, process};

pub const SUITE: Suite = Suite {
    name: "streams",
    about: "a word count in Scala with Kafka Streams 4.3.1: guarantees, kills, lost state, standby tasks",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(1200),
    prepare,
    run,
};

/// The jars of Streams and of the Scala compiler, the program, and the Java program that drives it.
fn prepare(place: &Place) -> Result<(), String> {
    java::prepare(place)?;
    java::copy_jars(place, "streams-wordcount")?;
    let dir = place.build_dir("streams-wordcount")?;
    let (source, classes) = (place.tests.join("streams-wordcount/WordCount.scala"), dir.join("classes"));
    let wanted = fs::read(&source).map_err(|e| format!("{}: {e}", source.display()))?;
    // Written last, so that a compilation cut short is done again.
    let complete = dir.join("complete.scala");
    if fs::read(&complete).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    fs::create_dir_all(&classes).map_err(|e| format!("{}: {e}", classes.display()))?;
    let mut compiler = Command::new("java");
    compiler.args(["-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp"]).arg(dir.join("libs/*"));
    compiler.args(["scala.tools.nsc.Main", "-usejavacp", "-nowarn", "-d"]).arg(&classes).arg(&source);
    process::step(&mut compiler, &place.target.join("logs/scalac"), Duration::from_secs(300))?;
    fs::write(&complete, wanted).map_err(|e| format!("{}: {e}", complete.display()))
}

fn run(job: &Job<'_>) -> Result<Outcome, String> {
    let dir = job.place.target.join("streams-wordcount");
    let mut command = java::java(job.place, 512);
    command.arg(format!("-Dwordcount={0}/classes:{0}/libs/*", dir.display()));
    job.controlling_program(command.arg("Streams"))
}
