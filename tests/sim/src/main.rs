//! `sim`: runs seeds. `sim --help` says how.

use sim::{BUGS, Bug, Counts, Failure, Report, RunOptions, coordinates, proof, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const USAGE: &str =
    "usage: sim [--seeds N] [--from S] [--groups] [--bug NAME] | --seed S [--log [LINES]] [--bug NAME] | --bugs
  --seeds N    run N seeds, 100 if not given
  --from S     the first of them, 0 if not given
  --groups     of these only the ones with groups and transactions: one in three
  --seed S     run this one alone
  --log        print what happened in it, line by line: the last LINES, 1000000 if not given
  --bug NAME   run with a deliberate bug, which is to be found; --bug list names them
  --bugs       look for every deliberate bug: each must be found";
const LOG_LINES: usize = 1_000_000;
/// Bugs that are looked for at once.
const THREADS: usize = 2;
/// Characters that are shown of how a bug was found.
const SHOWN: usize = 200;

struct Arguments {
    from: u64,
    seeds: u64,
    /// Only those with groups and transactions.
    groups: bool,
    options: RunOptions,
}

/// Looks for every deliberate bug, two at a time.
fn look_for_bugs() -> ExitCode {
    let (next, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let look = || {
        while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
            match proof::find(*bug) {
                Some((seed, what)) => {
                    println!("{bug}: found in seed {seed}: {}", what.chars().take(SHOWN).collect::<String>());
                }
                None => {
                    missed.fetch_add(1, Ordering::Relaxed);
                    println!("{bug}: NOT FOUND");
                }
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(look))));
    let missed = missed.into_inner();
    println!("{} found, {missed} missed", BUGS.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "--bugs") {
        return look_for_bugs();
    }
    let arguments = match parse(std::env::args().skip(1).collect()) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if arguments.options.log_lines > 0 {
        show_broker_log();
    }
    let (mut passed, mut failed, mut total) = (0, 0, Counts::default());
    let seeds = arguments.from..arguments.from + arguments.seeds;
    for seed in seeds.filter(|seed| !arguments.groups || coordinates(*seed)) {
        match run_caught(seed, &arguments.options) {
            Ok(report) => {
                passed += 1;
                total.add(&report.counts);
                report.log.iter().for_each(|line| println!("{line}"));
                if arguments.seeds == 1 {
                    println!(
                        "seed {seed}: trace {:016x}, {:?}, {}",
                        report.trace_hash, report.time, report.counts
                    );
                }
            }
            Err(failure) => {
                failed += 1;
                failure.log.iter().for_each(|line| println!("{line}"));
                println!("seed {seed} failed in {}: {}", failure.when, failure.what);
                println!("  again: cargo xtask sim --seed {seed} --log{}", bug(&arguments.options));
            }
        }
    }
    println!("{total}");
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bug(options: &RunOptions) -> String {
    options.bug.map(|bug| format!(" --bug {bug}")).unwrap_or_default()
}

/// A panic of the broker is a failure of its seed, where panics unwind.
fn run_caught(seed: u64, options: &RunOptions) -> Result<Report, Failure> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, options))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            Err(Failure { what: format!("a panic: {text}"), when: "the run".to_owned(), log: Vec::new() })
        }
    }
}

fn parse(words: Vec<String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { from: 0, seeds: 100, groups: false, options: RunOptions::default() };
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let number = |text: Option<String>| {
            let number = text.and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))
        };
        match word.as_str() {
            "--seeds" => arguments.seeds = number(words.next())?,
            "--from" => arguments.from = number(words.next())?,
            "--groups" => arguments.groups = true,
            "--seed" => (arguments.from, arguments.seeds) = (number(words.next())?, 1),
            "--log" => {
                let lines = words.peek().and_then(|text| text.parse().ok());
                arguments.options.log_lines = lines.unwrap_or(LOG_LINES);
                if lines.is_some() {
                    words.next();
                }
            }
            "--bug" => {
                let name = words.next().unwrap_or_default();
                let names: Vec<String> = BUGS.iter().map(Bug::to_string).collect();
                let found = BUGS.iter().find(|bug| bug.to_string() == name);
                arguments.options.bug = Some(*found.ok_or_else(|| format!("bugs: {}", names.join(", ")))?);
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(arguments)
}

/// What the broker would log, on standard error.
fn show_broker_log() {
    struct Lines;
    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            eprintln!("{:5} {}: {}", record.level(), record.target(), record.args());
        }
        fn flush(&self) {}
    }
    static LINES: Lines = Lines;
    if log::set_logger(&LINES).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}
