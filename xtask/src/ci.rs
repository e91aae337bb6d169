//! `cargo xtask ci`: all that must hold besides `cargo test`. Each step is a program of its own with a time limit;
//! all run, whatever failed before, and the last lines say what did.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One step.
struct Step {
    name: &'static str,
    about: &'static str,
    /// `cargo` and these arguments.
    cargo: &'static [&'static str],
    /// Set for the program: name and value.
    environment: &'static [(&'static str, &'static str)],
    limit: Duration,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// In the order of the run: what says most per second comes first.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "rustfmt leaves every file as it is",
        cargo: &["fmt", "--all", "--check"],
        environment: &[],
        limit: minutes(2),
    },
    Step {
        name: "tidy",
        about: "the map, layers, unsafe code, calls, sizes, pages",
        cargo: &["xtask", "tidy"],
        environment: &[],
        limit: minutes(5),
    },
    Step {
        name: "clippy",
        about: "no warning in any target",
        cargo: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--keep-going",
            "--",
            "-D",
            "warnings",
        ],
        environment: &[],
        limit: minutes(15),
    },
    Step {
        name: "codegen",
        about: "the generated messages are what the generator gives (needs Maven)",
        cargo: &["xtask", "codegen", "--check"],
        environment: &[],
        limit: minutes(5),
    },
    Step {
        name: "loom",
        about: "every interleaving of what two cores share",
        cargo: &[
            "test",
            "--locked",
            "--release",
            "-p",
            "mesh",
            "--test",
            "bell",
            "--target-dir",
            "target/loom",
        ],
        environment: &[("RUSTFLAGS", "--cfg loom")],
        limit: minutes(10),
    },
    Step {
        name: "sim",
        about: "the whole broker on the seeded driver, 200 seeds",
        cargo: &["xtask", "sim", "--seeds", "200"],
        environment: &[],
        limit: minutes(20),
    },
    Step {
        name: "sim-bugs",
        about: "every deliberate bug is found by the simulator's checkers",
        cargo: &["xtask", "sim", "--bugs"],
        environment: &[],
        limit: minutes(15),
    },
    Step {
        name: "fuzz",
        about: "every fuzz target for a short while, with AddressSanitizer (needs the nightly toolchain)",
        cargo: &["xtask", "fuzz", "--seconds", "10"],
        environment: &[],
        limit: minutes(15),
    },
    Step {
        name: "sanitize",
        about: "the crates with unsafe code under AddressSanitizer and ThreadSanitizer (needs the nightly toolchain)",
        cargo: &["xtask", "sanitize"],
        environment: &[],
        limit: minutes(15),
    },
    Step {
        name: "compat",
        about: "foreign clients against the broker",
        cargo: &["xtask", "compat", "--rounds", "3"],
        environment: &[],
        // Its suites have limits of their own, and say what hung.
        limit: minutes(60),
    },
];

const USAGE: &str = "usage: cargo xtask ci [--only STEP[,STEP]] [--list]";

/// Runs the steps. The last line on standard output is `N passed, N failed`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let steps: Vec<&Step> = match arguments {
        [] => STEPS.iter().collect(),
        [flag] if flag == "--list" => {
            STEPS.iter().for_each(|step| println!("{:<8} {}", step.name, step.about));
            return Ok(());
        }
        [flag, names] if flag == "--only" => names.split(',').map(named).collect::<Result<_, _>>()?,
        _ => return Err(USAGE.into()),
    };
    let mut results = Vec::new();
    for step in steps {
        println!("== {}: {}", step.name, step.about);
        let started = Instant::now();
        let result = execute(step);
        let seconds = started.elapsed().as_secs_f64();
        println!("== {}: {} in {seconds:.0} s", step.name, told(&result));
        results.push((step.name, seconds, result));
    }
    println!("== summary");
    for (name, seconds, result) in &results {
        println!("{name:<8} {seconds:>5.0} s  {}", told(result));
    }
    let failed: Vec<&str> =
        results.iter().filter(|(.., result)| result.is_err()).map(|(name, ..)| *name).collect();
    println!("{} passed, {} failed", results.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn told(result: &Result<(), String>) -> &str {
    result.as_ref().map_or_else(String::as_str, |()| "passed")
}

fn named(name: &str) -> Result<&'static Step, String> {
    let known = || STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
    STEPS
        .iter()
        .find(|step| step.name == name)
        .ok_or_else(|| format!("no step is named {name}; there are {}", known()))
}

/// Runs a step's program to its end or to its limit. An error is one line.
fn execute(step: &Step) -> Result<(), String> {
    let _ = std::io::stdout().flush();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(step.cargo).envs(step.environment.iter().copied()).current_dir(crate::root());
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    let mut child = child.map_err(|error| format!("FAILED: cannot start cargo: {error}"))?;
    match wait(&mut child, step.limit) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("FAILED ({status}): cargo {}", step.cargo.join(" "))),
        None => Err(format!("FAILED: took longer than {} minutes", step.limit.as_secs() / 60)),
    }
}

/// Waits up to `limit`; then ends the whole group that the child leads.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        sleep(Duration::from_millis(50));
    }
    // The child has not been waited for, so the number of its group is still its own. The standard library has no
    // signals; the shell's kill takes a negative number as a group.
    let group = child.id().to_string();
    let _ = Command::new("sh").args(["-c", "kill -s KILL -- \"-$0\"", &group]).status();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_by_name_and_have_one_each() {
        for step in STEPS {
            assert_eq!(named(step.name).map(|found| found.about), Ok(step.about));
        }
        assert!(named("nothing").is_err_and(|why| why.contains("clippy")));
    }

    #[test]
    fn every_xtask_step_is_a_command() {
        let commands: Vec<&str> = crate::COMMANDS.iter().map(|command| command.name).collect();
        for step in STEPS.iter().filter(|step| step.cargo[0] == "xtask") {
            assert!(commands.contains(&step.cargo[1]), "{}", step.cargo[1]);
        }
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", "sleep 600 & wait"]).process_group(0).spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(200)), None);
        let mut quick = Command::new("true").process_group(0).spawn().unwrap();
        assert!(wait(&mut quick, minutes(1)).is_some_and(|status| status.success()));
    }
}
