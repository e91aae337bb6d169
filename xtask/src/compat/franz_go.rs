//! franz-go's own tests, compiled from the published modules: of the client and of its admin package.
//!
//! All of them run. Those that need a broker are named in `tests/compat/franz-go/tests.txt`, so that none
//! of them can go missing; the others pass without one.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, process};

const LIMIT: Duration = Duration::from_secs(600);

pub const SUITE: Suite = Suite {
    name: "franz-go",
    about: "the tests of franz-go 1.22.2 and of its kadm 1.19.0",
    settings: &[],
    fixed: None,
    limit: LIMIT,
    prepare,
    run,
};

/// A package whose tests are run.
struct Package {
    /// Below `github.com/twmb/franz-go/pkg`.
    name: &'static str,
    /// Stands before the names of its tests, in what is told and in the left-out file.
    prefix: &'static str,
    limit: Duration,
}

const KGO: Package = Package { name: "kgo", prefix: "", limit: LIMIT };
/// None of its tests asks a broker.
const KADM: Package = Package { name: "kadm", prefix: "kadm/", limit: Duration::from_secs(60) };

fn prepare(place: &Place) -> Result<(), String> {
    let dir = place.build_dir("franz-go")?;
    for Package { name, .. } in [KGO, KADM] {
        let mut go = Command::new("go");
        go.args(["test", "-c", "-mod=readonly", "-o"]).arg(dir.join(format!("{name}.test")));
        go.arg(format!("github.com/twmb/franz-go/pkg/{name}")).current_dir(place.tests.join("franz-go"));
        process::step(&mut go, &place.target.join(format!("logs/go-{name}")), Duration::from_secs(600))?;
    }
    Ok(())
}

/// The program in `tests/compat/franz-go/offsets`, which decodes `__consumer_offsets`.
pub fn prepare_reader(place: &Place) -> Result<(), String> {
    let binary = place.build_dir("franz-go")?.join("offsets");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&binary).arg("./offsets");
    go.current_dir(place.tests.join("franz-go"));
    process::step(&mut go, &place.target.join("logs/go-offsets"), Duration::from_secs(300)).map(drop)
}

fn run(job: &Job<'_>) -> Result<Outcome, String> {
    let list = job.place.tests.join("franz-go/tests.txt");
    let text = fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
    let mut outcome = run_package(job, &KGO, text.split_whitespace().collect())?;
    outcome.add(run_package(job, &KADM, BTreeSet::new())?);
    Ok(outcome)
}

/// Runs a package's tests, except for what is left out. Each that the program lists must have come to an
/// end, and so must the ones that are `wanted`.
fn run_package(job: &Job<'_>, package: &Package, wanted: BTreeSet<&str>) -> Result<Outcome, String> {
    let Package { name, prefix, limit } = *package;
    let binary = job.place.target.join(format!("franz-go/{name}.test"));
    let mut lister = Command::new(&binary);
    lister.arg("-test.list=^Test").current_dir(&job.scratch);
    let listed = process::step(&mut lister, &job.logs.join(format!("{name}-list")), Duration::from_secs(60))?;
    let listed = listed.lines().map(str::trim).filter(|line| line.starts_with("Test"));
    let (left_out, chosen): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .chain(listed)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .partition(|test| job.left_out.contains_key(&format!("{prefix}{test}")));

    let mut finder = Command::new("go");
    finder
        .args(["list", "-mod=readonly", "-f", "{{.Dir}}"])
        .arg(format!("github.com/twmb/franz-go/pkg/{name}"));
    finder.current_dir(job.place.tests.join("franz-go"));
    let sources = process::step(&mut finder, &job.logs.join(format!("{name}-dir")), Duration::from_secs(60))?;

    let mut command = Command::new(&binary);
    command.args(["-test.v", "-test.count=1"]);
    command.arg(format!("-test.timeout={}s", limit.as_secs().saturating_sub(10)));
    if !left_out.is_empty() {
        command.arg(format!("-test.skip=^({})$", left_out.join("|")));
    }
    command.env("KGO_SEEDS", &job.address).env("KGO_TEST_RF", "1").env("KGO_LOG_LEVEL", "none");
    // The ETL tests' number of records; their default of 500,000 takes half a minute more.
    // Where their sources are, as `go test` has it: one of them reads its package's.
    command.env("KGO_TEST_RECORDS", "50000").current_dir(sources.trim());
    let finished = process::run(&mut command, &job.logs.join(name), limit)?;

    let mut outcome = read(&finished.stdout, prefix);
    for test in left_out {
        outcome.leave_out(&format!("{prefix}{test}"));
    }
    let running = running(&finished.stderr);
    for name in chosen {
        let test = format!("{prefix}{name}");
        if !outcome.passed.contains(&test) && !outcome.failed.iter().any(|(failed, _)| *failed == test) {
            outcome.fail(&test, unended(name, &running, &finished.why));
        }
    }
    if outcome.passed.is_empty() || !finished.success && outcome.failed.is_empty() {
        outcome.fail(&format!("{prefix}program"), finished.why);
    }
    Ok(outcome)
}

/// Reads the lines `--- PASS: Name (0.01s)`; those of subtests are indented. A test that skips
/// itself has failed: it found something missing, and what may be missing stands in the
/// left-out file.
fn read(output: &str, prefix: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in output.lines() {
        let Some((verdict, rest)) = line.trim_start().strip_prefix("--- ").and_then(|l| l.split_once(": "))
        else {
            continue;
        };
        let test = rest.split_whitespace().next().unwrap_or(rest);
        let name = format!("{prefix}{test}");
        match verdict {
            "PASS" => outcome.pass(&name),
            "SKIP" => outcome.fail(&name, "skipped itself"),
            _ => outcome.fail(&name, message(output, test)),
        }
    }
    // Without this the ETL tests pass although they did not compare what they consumed.
    if output.contains("skipping validation") {
        outcome.fail("validation", "a test logged that it skipped its validation");
    }
    outcome
}

/// What ran when the program's own time was up, tests and subtests, and for how long: Go tells it before its stacks.
fn running(stderr: &str) -> Vec<(&str, &str)> {
    let lines = stderr.lines().skip_while(|line| line.trim() != "running tests:").skip(1);
    lines.map_while(|line| line.trim().strip_suffix(')')?.split_once(" (")).collect()
}

/// Why a test has no verdict. It hung, or it waited for those that did, or the program ended otherwise.
fn unended(test: &str, running: &[(&str, &str)], why: &str) -> String {
    let own = running.iter().filter(|(name, _)| name.split('/').next() == Some(test));
    let own: Vec<String> = own.map(|(name, took)| format!("{name} after {took}")).collect();
    match (own.is_empty(), running.is_empty()) {
        (false, _) => format!("still ran when the time was up: {}", own.join(", ")),
        (true, false) => "was not run to its end before the time was up".into(),
        (true, true) => format!("did not run to its end: {why}"),
    }
}

/// The last lines that a test logged, like `file_test.go:12: what`. Tests run in parallel; a line
/// `=== RUN Name`, `=== CONT Name` or `=== NAME Name` says whose output follows.
fn message(output: &str, name: &str) -> String {
    let mut current = "";
    let mut logged = Vec::new();
    for line in output.lines() {
        if let Some(header) = line.strip_prefix("=== ") {
            current = header.split_whitespace().nth(1).unwrap_or("");
        } else if current == name && line.contains("_test.go:") {
            logged.push(line.trim());
        }
    }
    if logged.is_empty() { "no message".into() } else { logged[logged.len().saturating_sub(3)..].join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
=== RUN   TestA
=== PAUSE TestA
=== RUN   TestB
=== CONT  TestA
    a_test.go:1: wrong
=== NAME  TestB
    b_test.go:2: fine
--- PASS: TestB (0.01s)
    --- PASS: TestB/sub (0.00s)
--- FAIL: TestA (0.02s)
--- SKIP: TestC (0.00s)
";

    const TOO_LONG: &str = "\
panic: test timed out after 9m50s
\trunning tests:
\t\tTestA (9m49s)
\t\tTestB/sub (1m2s)

goroutine 1 [running]:
main.main (x)
";

    #[test]
    fn what_ran_when_the_time_was_up_is_named() {
        let running = running(TOO_LONG);
        assert_eq!(running, [("TestA", "9m49s"), ("TestB/sub", "1m2s")]);
        assert_eq!(unended("TestB", &running, ""), "still ran when the time was up: TestB/sub after 1m2s");
        assert_eq!(unended("TestC", &running, "why"), "was not run to its end before the time was up");
        assert_eq!(unended("TestC", &[], "why"), "did not run to its end: why");
    }

    #[test]
    fn verdicts_and_messages_are_read() {
        let outcome = read(OUTPUT, "");
        assert_eq!(outcome.passed, ["TestB", "TestB/sub"]);
        let failed = [("TestA", "a_test.go:1: wrong"), ("TestC", "skipped itself")];
        assert_eq!(outcome.failed, failed.map(|(name, why)| (name.to_owned(), why.to_owned())));
    }
}
