//! `cargo xtask compat`: foreign Kafka clients against a broker.
//!
//! Each suite is a client somebody else wrote, at a pinned version, driven by its own tests or
//! by a program in `tests/compat/<suite>`. It gets a broker, a port and a directory of its own.
//! What a suite leaves out, and why, stands in `tests/compat/left-out.txt`; deleting a line
//! there switches the test on.
//!
//! The bar is Apache Kafka: `--broker kafka` runs the same suites against it, so that a test
//! that fails there too is seen to be no fault of ours.

mod ahead;
mod broker;
mod cargo_crate;
mod control;
mod franz_go;
mod java;
mod kafkajs;
mod kcat;
mod mixed;
mod namespace;
mod outcome;
mod process;
mod python;
mod rdkafka;
mod rskafka;
mod streams;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ahead::Ahead;
use broker::{Broker, Kind};
pub use cargo_crate::registry_copy;
use control::Control;
use outcome::Outcome;

/// One foreign client.
pub struct Suite {
    pub name: &'static str,
    pub about: &'static str,
    /// Broker settings on top of the reference ones.
    pub settings: &'static [(&'static str, &'static str)],
    /// The port and host name that the tests insist on. Such a suite runs in a network namespace.
    pub fixed: Option<(&'static str, u16)>,
    /// How long the tests may take, without what `prepare` builds: five times what they do, or more, since other work
    /// may run beside them. Only what hangs takes so long.
    pub limit: Duration,
    /// Downloads and builds; the only stage that needs a network.
    pub prepare: fn(&Place) -> Result<(), String>,
    pub run: fn(&Job<'_>) -> Result<Outcome, String>,
}

/// The order is the order of the run: the cheap ones first.
const SUITES: &[&Suite] = &[
    &kcat::SUITE,
    &java::TOOLS,
    &java::CLIENTS,
    &python::KAFKA_PYTHON,
    &python::CONFLUENT,
    &python::AIOKAFKA,
    &kafkajs::SUITE,
    &mixed::SUITE,
    &java::INTERNAL_TOPICS,
    &java::SEGMENTS,
    &java::COPIER,
    &streams::SUITE,
    &franz_go::SUITE,
    &rdkafka::SUITE,
    &rskafka::SUITE,
];

/// Where things lie.
#[derive(Clone)]
pub struct Place {
    /// `tests/compat`
    pub tests: PathBuf,
    /// `target/compat`
    pub target: PathBuf,
    /// The root of the repository.
    pub root: PathBuf,
}

impl Place {
    fn find() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf();
        Self { tests: root.join("tests/compat"), target: root.join("target/compat"), root }
    }

    /// The directory for what belongs to one suite's build, made if missing.
    pub fn build_dir(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.target.join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(dir)
    }
}

/// How often suites that go in rounds do so, where `--rounds` does not say.
const ROUNDS: u32 = 20;

/// What a suite's `run` is given.
pub struct Job<'a> {
    pub place: &'a Place,
    pub broker: RefCell<Broker>,
    /// Broker settings on top of the reference ones.
    pub settings: &'static [(&'static str, &'static str)],
    /// `host:port`
    pub address: String,
    /// The broker's data directory, where it is ours to look into.
    pub data: Option<PathBuf>,
    /// `host:port` of the metrics, where the broker shows them.
    pub http: Option<String>,
    /// Test name to reason, from the left-out file.
    pub left_out: BTreeMap<String, String>,
    /// An empty directory, removed afterwards.
    pub scratch: PathBuf,
    /// Where output is kept for reading after a failure.
    pub logs: PathBuf,
    pub limit: Duration,
    /// For suites that do the same again and again.
    pub rounds: u32,
}

impl Job<'_> {
    /// Runs one of our own test programs and reads its lines. It gets as arguments the broker's
    /// address and the names to leave out, with commas between, and in `COMPAT_LOGS` a directory for
    /// the output of what it starts itself.
    pub fn program(&self, command: &mut Command) -> Result<Outcome, String> {
        self.watched(command, &mut || Ok(()))
    }

    /// The same for one that stops, kills and starts brokers.
    pub fn controlling_program(&self, command: &mut Command) -> Result<Outcome, String> {
        let mut control = Control::new(self)?;
        command.env("COMPAT_CONTROL", control.directory()).env("COMPAT_ROUNDS", self.rounds.to_string());
        self.watched(command, &mut || control.serve())
    }

    fn watched(
        &self,
        command: &mut Command,
        watch: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<Outcome, String> {
        let names = self.left_out.keys().map(String::as_str).collect::<Vec<_>>().join(",");
        command.arg(&self.address).arg(names).current_dir(&self.scratch).env("COMPAT_LOGS", &self.logs);
        let finished = process::run_watched(command, &self.logs.join("tests"), self.limit, watch)?;
        let mut outcome = Outcome::parse(&finished.stdout, &finished.why);
        if !finished.success && outcome.failed.is_empty() {
            outcome.fail("program", finished.why);
        }
        Ok(outcome)
    }
}

struct Options {
    broker: Kind,
    suites: Vec<&'static Suite>,
    everything: bool,
    prepare_only: bool,
    rounds: u32,
    /// Set when this process was started inside a namespace to run one suite.
    inside: bool,
}

const USAGE: &str = "\
usage: cargo xtask compat [--broker flumen|kafka|HOST:PORT] [--suite NAME[,NAME]] [--rounds N] [--all] [--prepare] [--list]
  --broker   what to test: target/release/flumen (default), Apache Kafka, or a running broker
  --suite    only these suites
  --rounds   how often suites that go in rounds do so: 20 if not said
  --all      also what tests/compat/left-out.txt leaves out
  --prepare  download and build, run nothing
  --list     name the suites and what each leaves out";

/// Runs the command. An error is one line for the user; the caller exits with 1.
pub fn run(args: &[String]) -> Result<(), String> {
    let place = Place::find();
    let left_out = outcome::read_left_out(&place.tests.join("left-out.txt"))?;
    for (suite, ..) in &left_out {
        if !SUITES.iter().any(|s| s.name == suite) {
            return Err(format!("left-out.txt names the suite {suite}, which there is not"));
        }
    }
    let Some(options) = parse(args, &left_out)? else { return Ok(()) };
    if options.inside {
        let suite = options.suites[0];
        return namespace::inside(
            &place,
            suite,
            &options.broker,
            reasons(&left_out, suite, options.everything),
        );
    }
    options.broker.prepare(&place).map_err(|e| format!("the broker could not be built: {e}"))?;
    let mut total = Outcome::default();
    let ahead = (!options.prepare_only).then(|| Ahead::begin(&place, &options.suites));
    for suite in &options.suites {
        let started = Instant::now();
        let reasons = reasons(&left_out, suite, options.everything);
        let Some(ahead) = &ahead else {
            (suite.prepare)(&place).map_err(|e| format!("{}: {e}", suite.name))?;
            println!("{}: prepared in {:.0} s", suite.name, started.elapsed().as_secs_f64());
            continue;
        };
        let outcome = run_suite(&place, (suite, ahead), &options, reasons);
        outcome.print(suite.name, started.elapsed());
        total.add(outcome);
    }
    if options.prepare_only {
        return Ok(());
    }
    println!("{} passed, {} failed", total.passed.len(), total.failed.len());
    if total.failed.is_empty() { Ok(()) } else { Err(format!("{} foreign tests failed", total.failed.len())) }
}

fn parse(args: &[String], left_out: &[(String, String, String)]) -> Result<Option<Options>, String> {
    let mut options = Options {
        broker: Kind::Flumen,
        suites: SUITES.to_vec(),
        everything: false,
        prepare_only: false,
        rounds: ROUNDS,
        inside: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value\n{USAGE}"));
        match arg.as_str() {
            "--broker" => options.broker = Kind::parse(value()?)?,
            "--suite" => options.suites = value()?.split(',').map(named).collect::<Result<_, _>>()?,
            "--rounds" => options.rounds = rounds(value()?)?,
            "--all" => options.everything = true,
            "--prepare" => options.prepare_only = true,
            "--inside-namespace" => options.inside = true,
            "--list" => {
                list(left_out);
                return Ok(None);
            }
            _ => return Err(format!("unknown argument {arg}\n{USAGE}")),
        }
    }
    Ok(Some(options))
}

fn rounds(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|&rounds| rounds > 0)
        .ok_or_else(|| format!("--rounds {text}: no number of rounds"))
}

fn named(name: &str) -> Result<&'static Suite, String> {
    SUITES.iter().find(|s| s.name == name).copied().ok_or_else(|| {
        let names: Vec<_> = SUITES.iter().map(|s| s.name).collect();
        format!("no suite is named {name}; there are {}", names.join(", "))
    })
}

fn list(left_out: &[(String, String, String)]) {
    for suite in SUITES {
        println!("{}: {}", suite.name, suite.about);
        for (_, test, reason) in left_out.iter().filter(|(s, ..)| s == suite.name) {
            println!("  left out {test}: {reason}");
        }
    }
}

/// What a suite leaves out; nothing with `--all`.
fn reasons(
    left_out: &[(String, String, String)],
    suite: &Suite,
    everything: bool,
) -> BTreeMap<String, String> {
    let ours = left_out.iter().filter(|(s, ..)| s == suite.name && !everything);
    ours.map(|(_, test, reason)| (test.clone(), reason.clone())).collect()
}

/// Prepares and runs one suite. Whatever keeps it from running is a failed test of that suite.
fn run_suite(
    place: &Place,
    (suite, ahead): (&'static Suite, &Ahead),
    options: &Options,
    left_out: BTreeMap<String, String>,
) -> Outcome {
    let kind = &options.broker;
    let result = ahead.prepare(place, suite).and_then(|()| match (suite.fixed, kind) {
        (Some(_), Kind::Flumen | Kind::Kafka) => {
            namespace::outside(place, suite, kind, &left_out, options.everything)
        }
        _ => with_broker(place, suite, kind, left_out, options.rounds),
    });
    result.unwrap_or_else(Outcome::could_not_run)
}

/// Starts the broker, runs the suite against it and stops it.
fn with_broker(
    place: &Place,
    suite: &Suite,
    kind: &Kind,
    left_out: BTreeMap<String, String>,
    rounds: u32,
) -> Result<Outcome, String> {
    let logs = place.target.join("logs").join(suite.name);
    let scratch = place.target.join("run").join(suite.name);
    for dir in [&logs, &scratch] {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let broker = Broker::start(kind, place, suite, &scratch, &logs)?;
    let job = Job {
        place,
        address: broker.address.clone(),
        data: broker.data.clone(),
        http: broker.http.clone(),
        broker: RefCell::new(broker),
        settings: suite.settings,
        left_out,
        scratch: scratch.clone(),
        logs: logs.clone(),
        limit: suite.limit,
        rounds,
    };
    let result = (suite.run)(&job);
    let stopped = job.broker.borrow_mut().stop();
    let _ = fs::remove_dir_all(&scratch);
    let mut outcome = match result {
        Ok(mut outcome) => {
            outcome.finish(&job.left_out);
            outcome
        }
        // Not the last word: that the broker had died may be why.
        Err(why) => Outcome::could_not_run(format!("{why} (output: {})", logs.display())),
    };
    if let Err(why) = stopped {
        outcome.failed.push(("the broker".into(), why));
    }
    Ok(outcome)
}
