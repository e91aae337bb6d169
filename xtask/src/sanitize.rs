//! `cargo xtask sanitize`: the crates with unsafe code under AddressSanitizer and ThreadSanitizer.
//!
//! Their unit and contract tests run one by one, built by the nightly toolchain with the sanitizer in every crate but
//! the standard library. What ThreadSanitizer therefore says of the test harness's own channel is left out.

use crate::ci::wait;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The crates that may have unsafe code, as `cargo xtask tidy` knows them too.
const PACKAGES: &[&str] = &["memory", "mesh", "uring", "schedule"];
/// Named so that build scripts and macros are built without the flags.
const PLATFORM: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
/// Building and running under one sanitizer takes no longer.
const LIMIT: Duration = Duration::from_secs(600);

/// A sanitizer: what builds it in, and what it is told when it runs.
struct Sanitizer {
    name: &'static str,
    flags: &'static str,
    variable: &'static str,
    options: &'static str,
}

const SANITIZERS: &[Sanitizer] = &[
    Sanitizer {
        name: "address",
        flags: "-Zsanitizer=address",
        variable: "ASAN_OPTIONS",
        // A driver that goes leaks what the kernel still looks at, and a test sees that it does.
        options: "detect_leaks=0:strict_string_checks=1",
    },
    Sanitizer {
        name: "thread",
        flags: "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        variable: "TSAN_OPTIONS",
        options: "halt_on_error=0:second_deadlock_stack=1",
    },
];

/// The harness's results and closures cross threads over a channel and a counter of the standard library, whose
/// ordering ThreadSanitizer does not see. Each pattern names a type of the harness: one that matched a function under which
/// our tests run would hide all that they do.
const SUPPRESSIONS: &str =
    "race:Channel<test::event::CompletedTest>\nrace:Mutex<core::option::Option<test::run_test\n";

const USAGE: &str = "usage: cargo xtask sanitize [address|thread]";

/// Runs the command. The last line on standard output is `N passed, N failed`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let chosen: Vec<&Sanitizer> = match arguments {
        [] => SANITIZERS.iter().collect(),
        [name] => vec![SANITIZERS.iter().find(|one| one.name == name).ok_or(USAGE)?],
        _ => return Err(USAGE.into()),
    };
    let (mut passed, mut failed, mut broken) = (0, 0, Vec::new());
    for sanitizer in chosen {
        let started = Instant::now();
        let result = execute(sanitizer);
        let totals = totals(sanitizer);
        passed += totals.0;
        failed += totals.1;
        let told = result.as_ref().map_or_else(String::as_str, |()| "passed");
        let seconds = started.elapsed().as_secs_f64();
        println!("{}: {} passed, {} failed, {told} in {seconds:.0} s", sanitizer.name, totals.0, totals.1);
        if result.is_err() || totals.0 == 0 {
            broken.push(sanitizer.name);
        }
    }
    println!("{passed} passed, {failed} failed");
    if broken.is_empty() { Ok(()) } else { Err(format!("failed under: {}", broken.join(", "))) }
}

fn place(sanitizer: &Sanitizer) -> std::path::PathBuf {
    crate::root().join("target/sanitize").join(sanitizer.name)
}

/// Where the tests' words go.
fn log(sanitizer: &Sanitizer) -> std::path::PathBuf {
    place(sanitizer).join("tests.log")
}

/// Builds and runs the tests; what they say is in the log, and its end is shown if they fail.
fn execute(sanitizer: &Sanitizer) -> Result<(), String> {
    let place = place(sanitizer);
    let told = |error: std::io::Error| format!("{}: {error}", place.display());
    fs::create_dir_all(&place).map_err(told)?;
    let suppressions = place.join("suppressions");
    fs::write(&suppressions, SUPPRESSIONS).map_err(told)?;
    let options = match sanitizer.name {
        "thread" => format!("{}:suppressions={}", sanitizer.options, suppressions.display()),
        _ => sanitizer.options.to_owned(),
    };
    let log = File::create(log(sanitizer)).map_err(told)?;
    let mut command = Command::new("cargo");
    // Not the toolchain and settings of the cargo that runs this.
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command.args([
        "+nightly",
        "test",
        "--locked",
        "--no-fail-fast",
        "--lib",
        "--tests",
        "--target",
        PLATFORM,
    ]);
    command.arg("--target-dir").arg(&place);
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    command.args(["--", "--test-threads=1"]);
    command.env("RUSTFLAGS", sanitizer.flags).env(sanitizer.variable, options);
    command.current_dir(crate::root()).stdin(Stdio::null()).process_group(0);
    command.stderr(log.try_clone().map_err(told)?).stdout(log);
    let mut child = command.spawn().map_err(|error| format!("FAILED: cannot start cargo: {error}"))?;
    let result = match wait(&mut child, LIMIT) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("FAILED ({status}); the nightly toolchain is needed")),
        None => Err(format!("FAILED: took longer than {} minutes", LIMIT.as_secs() / 60)),
    };
    if result.is_err() {
        show_end(sanitizer);
    }
    result
}

fn show_end(sanitizer: &Sanitizer) {
    let text = fs::read_to_string(log(sanitizer)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(80)..] {
        println!("  {line}");
    }
}

/// Tests that passed and failed, by the log.
fn totals(sanitizer: &Sanitizer) -> (u64, u64) {
    sum(&fs::read_to_string(log(sanitizer)).unwrap_or_default())
}

fn sum(text: &str) -> (u64, u64) {
    let results = text.lines().filter(|line| line.starts_with("test result: "));
    let before = |line: &str, word: &str| -> u64 {
        let end = line.find(word).unwrap_or(0);
        line[..end].split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    results.fold((0, 0), |(passed, failed), line| {
        (passed + before(line, " passed"), failed + before(line, " failed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed_over_programs() {
        let text = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\
                    warning: x\ntest result: FAILED. 12 passed; 2 failed; 0 ignored\n";
        assert_eq!(sum(text), (15, 2));
        assert_eq!(sum(""), (0, 0));
    }

    #[test]
    fn every_crate_with_unsafe_code_is_there() {
        let map = fs::read_to_string(crate::root().join("ARCHITECTURE.md")).expect("the map");
        let marked = map.lines().filter(|line| line.contains("**(unsafe)**"));
        let paths = marked.filter_map(|line| line.split('`').nth(1));
        let names: Vec<&str> = paths.filter_map(|path| path.rsplit('/').next()).collect();
        assert!(!names.is_empty() && names.iter().all(|name| PACKAGES.contains(name)), "{names:?}");
    }
}
