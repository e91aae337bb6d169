//! `cargo xtask sim`: seeds of the simulator, on two processes.
//!
//! `--bugs` looks for every deliberate bug. `--seeds N [--from S]` runs N seeds and ends with `N passed, N failed`;
//! `--seed S [--log]` runs one alone, and what else is given goes to the simulator as it is: `--groups` leaves out the
//! seeds without groups and transactions.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

const PROCESSES: u64 = 2;
const SEEDS: u64 = 100;
/// Seeds of one process: what it may hold on to stays bounded.
const PORTION: u64 = 10;

/// Builds the simulator and runs seeds.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let binary = build()?;
    if arguments.iter().any(|word| ["--seed", "--bugs", "--help"].contains(&word.as_str())) {
        let status = Command::new(&binary).args(arguments).status();
        let status = status.map_err(|error| format!("cannot run {binary}: {error}"))?;
        return if status.success() { Ok(()) } else { Err("the simulator says what failed".to_owned()) };
    }
    let (mut seeds, mut from, mut others) = (SEEDS, 0, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let target = match word.as_str() {
            "--seeds" => &mut seeds,
            "--from" => &mut from,
            _ => {
                others.push(word.clone());
                continue;
            }
        };
        let number = words.next().and_then(|text| text.parse().ok());
        *target = number.ok_or_else(|| format!("{word} needs a number"))?;
    }
    let (passed, failed) = in_parts(&binary, from, seeds, &others)?;
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {seeds} seeds failed")) }
}

/// Builds it in its own profile: optimized, with the broker's assertions, and with panics that can be caught.
fn build() -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo).args(["build", "--quiet", "--profile", "sim", "-p", "sim"]).status();
    let built = built.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.success() {
        return Err("the simulator does not build".to_owned());
    }
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    Ok(format!("{target}/sim/sim"))
}

/// Shares the seeds among processes, a few at a time; adds up what they say at their ends.
fn in_parts(binary: &str, from: u64, seeds: u64, others: &[String]) -> Result<(u64, u64), String> {
    let next = AtomicU64::new(0);
    let worker = || -> Result<(u64, u64), String> {
        let (mut passed, mut failed) = (0, 0);
        loop {
            let begin = next.fetch_add(PORTION, Ordering::Relaxed);
            if begin >= seeds {
                return Ok((passed, failed));
            }
            let count = PORTION.min(seeds - begin);
            let child = Command::new(binary)
                .args(["--from", &(from + begin).to_string(), "--seeds", &count.to_string()])
                .args(others)
                .stdout(Stdio::piped())
                .spawn();
            let (good, bad) = follow(child.map_err(|error| format!("cannot run {binary}: {error}"))?, count);
            passed += good;
            failed += bad;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_fold((0, 0), |(passed, failed), worker| {
            let done = worker.join().map_err(|_| "a reader of the simulator's output failed".to_owned())?;
            done.map(|(good, bad)| (passed + good, failed + bad))
        })
    })
}

/// Passes on what a process prints; its last line says how many seeds passed and failed. A process that ends without
/// it has failed with all that it had.
fn follow(mut child: Child, share: u64) -> (u64, u64) {
    let mut result = None;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let Ok(line) = line else { break };
        match verdict(&line) {
            Some(numbers) => result = Some(numbers),
            None => println!("{line}"),
        }
    }
    // The numbers say more than how it ended.
    let _ = child.wait();
    result.unwrap_or((0, share))
}

fn verdict(line: &str) -> Option<(u64, u64)> {
    let (passed, failed) = line.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_understood() {
        assert_eq!(verdict("12 passed, 3 failed"), Some((12, 3)));
        assert_eq!(verdict("seed 3 failed in start: x"), None);
        assert_eq!(verdict("records: 1 passed, all failed"), None);
    }
}
