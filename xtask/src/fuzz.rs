//! `cargo xtask fuzz`: the fuzz targets of `tests/fuzz`, with AddressSanitizer.
//!
//! The targets are laid out as `cargo fuzz` wants them and run under it too. This command needs only the nightly
//! toolchain: it gives the compiler the same flags, and so spares a fresh machine the build of `cargo-fuzz`.
//!
//! What a run adds to the corpus goes to `target/fuzz/corpus`; what is committed in `tests/fuzz/corpus` is made by
//! `--corpus` and only read otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::Instant;

/// Coverage for libFuzzer and the sanitizer: what `cargo fuzz` passes.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1";
/// Named so that build scripts, which run here, are built without the flags above.
const PLATFORM: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
/// What an input may take: memory in MiB, and time in seconds.
const MEMORY_MIB_MAX: u32 = 1024;
const INPUT_SECONDS_MAX: u32 = 10;

const USAGE: &str = "\
usage: cargo xtask fuzz [--seconds N] [TARGET]... | --list | --corpus
  --seconds  how long each target runs (default 60), as many at once as there are cores
  --list     name the targets
  --corpus   make tests/fuzz/corpus again";

struct Options {
    seconds: u32,
    targets: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let place = crate::root().join("tests/fuzz");
    let known = targets(&place)?;
    match arguments {
        [flag] if flag == "--list" => {
            known.iter().for_each(|target| println!("{target}"));
            return Ok(());
        }
        [flag] if flag == "--corpus" => return corpus(&place),
        _ => {}
    }
    let options = parse(arguments, &known)?;
    build(&place)?;
    let failed = fuzz_all(&place, &options);
    println!("{} passed, {} failed", options.targets.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Runs the targets, as many at once as there are cores, and says of each how it ended. Those that failed, in their
/// order.
fn fuzz_all<'a>(place: &Path, options: &'a Options) -> Vec<&'a str> {
    let workers = available_parallelism().map_or(1, usize::from).min(options.targets.len());
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work_off = || {
        while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let result = fuzz(place, target, options.seconds);
            let said = result.as_ref().map_or_else(|why| format!("FAILED: {why}"), Clone::clone);
            println!("{target}: {said} in {:.0} s", started.elapsed().as_secs_f64());
            if result.is_err() {
                failed.lock().expect("no worker panics with it").push(target.as_str());
            }
        }
    };
    scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work_off);
        }
    });
    let mut failed = failed.into_inner().expect("no worker panics with it");
    failed.sort_unstable();
    failed
}

fn parse(arguments: &[String], known: &[String]) -> Result<Options, String> {
    let mut options = Options { seconds: 60, targets: Vec::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let value = arguments.next().and_then(|value| value.parse().ok()).filter(|seconds| *seconds > 0);
            options.seconds = value.ok_or(USAGE)?;
        } else if known.contains(argument) {
            options.targets.push(argument.clone());
        } else {
            return Err(format!("{argument} is no target: {}\n{USAGE}", known.join(", ")));
        }
    }
    if options.targets.is_empty() {
        options.targets = known.to_vec();
    }
    Ok(options)
}

/// The targets, by the files that hold them.
fn targets(place: &Path) -> Result<Vec<String>, String> {
    let directory = place.join("fuzz_targets");
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut targets: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned())).collect();
    targets.sort();
    Ok(targets)
}

fn cargo(place: &Path) -> Command {
    // Not the toolchain and settings of the cargo that runs this.
    let mut command = Command::new("cargo");
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command.arg("+nightly").current_dir(place).stdin(Stdio::null());
    command
}

fn build(place: &Path) -> Result<(), String> {
    let mut command = cargo(place);
    command.args(["build", "--release", "--locked", "--bins", "--target", PLATFORM, "--target-dir"]);
    command.arg(crate::root().join("target/fuzz")).env("RUSTFLAGS", RUSTFLAGS);
    succeed(command, "cargo +nightly build")
}

/// Makes the committed corpus again, from messages made up with fixed seeds.
fn corpus(place: &Path) -> Result<(), String> {
    let mut command = cargo(place);
    command.args(["test", "--locked", "--test", "corpus", "--target-dir"]);
    command.arg(crate::root().join("target/fuzz-corpus")).args(["--", "--ignored", "make"]);
    succeed(command, "cargo +nightly test")
}

fn succeed(mut command: Command, what: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{what} failed ({status}); the nightly toolchain is needed"))
    }
}

/// Runs one target; what it says is kept in a file. The result is libFuzzer's last figure.
fn fuzz(place: &Path, target: &str, seconds: u32) -> Result<String, String> {
    let output = crate::root().join("target/fuzz");
    let found: PathBuf = output.join("corpus").join(target);
    let artifacts = place.join("artifacts").join(target);
    for directory in [&found, &artifacts] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let log = output.join(format!("{target}.log"));
    let file = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = Command::new(output.join(PLATFORM).join("release").join(target));
    command.arg(&found).arg(place.join("corpus").join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    command
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .args(["-malloc_limit_mb=256", "-print_final_stats=1"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status();
    let status = status.map_err(|error| error.to_string())?;
    let said = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let done = said.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or("ended early");
    // A target that ran no input proves nothing.
    if status.success() && !done.starts_with("Done 0 ") && said.contains("Done ") {
        return Ok(done.to_owned());
    }
    let reason =
        said.lines().find(|line| line.contains("ERROR") || line.contains("panicked at")).unwrap_or(done);
    Err(format!("{reason} (all of it: {}; the input: {})", log.display(), artifacts.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let known = vec!["a".to_owned(), "b".to_owned()];
        let read = |line: &str| {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            parse(&arguments, &known).map(|options| (options.seconds, options.targets.join(" ")))
        };
        assert_eq!(read(""), Ok((60, "a b".into())));
        assert_eq!(read("b --seconds 5"), Ok((5, "b".into())));
        assert!(read("--seconds 0").is_err() && read("--seconds").is_err() && read("c").is_err());
    }

    #[test]
    fn every_target_has_its_binary_and_a_corpus() {
        let place = crate::root().join("tests/fuzz");
        let manifest = fs::read_to_string(place.join("Cargo.toml")).unwrap();
        let targets = targets(&place).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let corpus = fs::read_dir(place.join("corpus").join(&target)).map(Iterator::count);
            assert!(corpus.as_ref().is_ok_and(|count| *count > 0), "{target}: {corpus:?}");
        }
    }
}
