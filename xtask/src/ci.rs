//! `cargo xtask ci`: all that must hold besides `cargo test`. Each step is a program of its own with a time limit;
//! all run, whatever failed before, and the last lines say what did.
//!
//! In two lanes. Foreign clients spend most of their time waiting, for sessions to end and brokers to start; what needs
//! only the processor, and no clock, uses it meanwhile and gives way to them. What such a step says is shown when it has
//! ended.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{scope, sleep};
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
    lane: Lane,
}

/// Which other steps a step runs beside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    /// It has the processor first.
    First,
    /// It runs when nothing else does, so that its limit is of a time in which the others may be done.
    Aside,
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
        lane: Lane::First,
    },
    Step {
        name: "tidy",
        about: "the map, layers, unsafe code, calls, sizes, pages",
        cargo: &["xtask", "tidy"],
        environment: &[],
        limit: minutes(5),
        lane: Lane::First,
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
        lane: Lane::First,
    },
    Step {
        name: "codegen",
        about: "the generated messages are what the generator gives (needs Maven)",
        cargo: &["xtask", "codegen", "--check"],
        environment: &[],
        limit: minutes(5),
        lane: Lane::First,
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
        limit: minutes(40),
        lane: Lane::Aside,
    },
    Step {
        name: "sim",
        about: "the whole broker on the seeded driver, 200 seeds",
        cargo: &["xtask", "sim", "--seeds", "200"],
        environment: &[],
        limit: minutes(40),
        lane: Lane::Aside,
    },
    Step {
        name: "sim-bugs",
        about: "every deliberate bug is found by the simulator's checkers",
        cargo: &["xtask", "sim", "--bugs"],
        environment: &[],
        limit: minutes(40),
        lane: Lane::Aside,
    },
    Step {
        name: "fuzz",
        about: "every fuzz target for a short while, with AddressSanitizer (needs the nightly toolchain)",
        cargo: &["xtask", "fuzz", "--seconds", "10"],
        environment: &[],
        limit: minutes(40),
        lane: Lane::Aside,
    },
    Step {
        name: "sanitize",
        about: "the crates with unsafe code under AddressSanitizer and ThreadSanitizer (needs the nightly toolchain)",
        cargo: &["xtask", "sanitize"],
        environment: &[],
        limit: minutes(15),
        lane: Lane::First,
    },
    Step {
        name: "compat",
        about: "foreign clients against the broker",
        cargo: &["xtask", "compat", "--rounds", "3"],
        environment: &[],
        // Its suites have limits of their own, and say what hung.
        limit: minutes(80),
        lane: Lane::First,
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
    let results = run_lanes(&steps);
    println!("== summary");
    for (name, seconds, result) in &results {
        println!("{name:<8} {seconds:>5.0} s  {}", told(result));
    }
    let failed: Vec<&str> =
        results.iter().filter(|(.., result)| result.is_err()).map(|(name, ..)| *name).collect();
    println!("{} passed, {} failed", results.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// A step's name, its seconds, and how it ended.
type Done = (&'static str, f64, Result<(), String>);

/// Runs the steps of both lanes, and tells how they ended in the order in which they are given.
fn run_lanes(steps: &[&'static Step]) -> Vec<Done> {
    let of = |lane: Lane| steps.iter().copied().filter(move |step| step.lane == lane);
    let mut results: Vec<Done> = scope(|scope| {
        let aside = scope.spawn(|| {
            give_way();
            of(Lane::Aside).map(run_aside).collect::<Vec<Done>>()
        });
        let mut results: Vec<Done> = of(Lane::First).map(run_first).collect();
        results.extend(aside.join().expect("a step that fails is a result"));
        results
    });
    let place = |done: &Done| steps.iter().position(|step| step.name == done.0);
    results.sort_by_key(place);
    results
}

fn run_first(step: &'static Step) -> Done {
    println!("== {}: {}", step.name, step.about);
    let started = Instant::now();
    let result = execute(step, Stdio::inherit(), Stdio::inherit());
    let seconds = started.elapsed().as_secs_f64();
    println!("== {}: {} in {seconds:.0} s", step.name, told(&result));
    (step.name, seconds, result)
}

/// The same; what it says goes to a file first, and is shown in one piece.
fn run_aside(step: &'static Step) -> Done {
    let started = Instant::now();
    let log = log_of(step);
    let result = output_to(&log).and_then(|(out, errors)| execute(step, out, errors));
    let seconds = started.elapsed().as_secs_f64();
    let said = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let said = if said.is_empty() || said.ends_with('\n') { said } else { said + "\n" };
    let (name, about, told) = (step.name, step.about, told(&result));
    print!("== {name}, aside: {about}\n{said}== {name}: {told} in {seconds:.0} s\n");
    (name, seconds, result)
}

fn log_of(step: &Step) -> PathBuf {
    crate::root().join("target/ci").join(format!("{}.log", step.name))
}

/// One file for both outputs of a program.
fn output_to(log: &PathBuf) -> Result<(Stdio, Stdio), String> {
    let told = |error: std::io::Error| format!("FAILED: {}: {error}", log.display());
    fs::create_dir_all(log.parent().unwrap_or(log)).map_err(told)?;
    let out = File::create(log).map_err(told)?;
    let errors = out.try_clone().map_err(told)?;
    Ok((out.into(), errors.into()))
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
fn execute(step: &Step, out: Stdio, errors: Stdio) -> Result<(), String> {
    let _ = std::io::stdout().flush();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(step.cargo).envs(step.environment.iter().copied()).current_dir(crate::root());
    let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0).spawn();
    let mut child = child.map_err(|error| format!("FAILED: cannot start cargo: {error}"))?;
    match wait(&mut child, step.limit) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("FAILED ({status}): cargo {}", step.cargo.join(" "))),
        None => Err(format!("FAILED: took longer than {} minutes", step.limit.as_secs() / 60)),
    }
}

/// This thread, and what it starts, run when nothing else does. Without `renice` they are as any other.
pub(crate) fn give_way() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else { return };
    let Some(number) = thread.file_name() else { return };
    let mut renice = Command::new("renice");
    let _ = renice.args(["-n", "19", "-p"]).arg(number).stdout(Stdio::null()).stderr(Stdio::null()).status();
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
    fn steps_of_both_lanes_run_and_are_told_of_in_their_order() {
        fn step(name: &'static str, lane: Lane, arguments: &'static [&'static str]) -> &'static Step {
            let (limit, environment) = (minutes(1), &[]);
            Box::leak(Box::new(Step { name, about: "", cargo: arguments, environment, limit, lane }))
        }
        let bad = &["no-such-command"];
        let steps = [
            step("test-1", Lane::First, &["--version"]),
            step("test-2", Lane::Aside, bad),
            step("test-3", Lane::Aside, &["--version"]),
            step("test-4", Lane::First, bad),
        ];
        let done = run_lanes(&steps);
        let fine: Vec<(&str, bool)> = done.iter().map(|(name, _, result)| (*name, result.is_ok())).collect();
        assert_eq!(fine, [("test-1", true), ("test-2", false), ("test-3", true), ("test-4", false)]);
        let said = fs::read_to_string(log_of(steps[2])).expect("its output");
        assert!(said.starts_with("cargo "), "{said}");
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
