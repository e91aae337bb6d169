//! franz-go's own tests, compiled from the published module.
//!
//! Only tests that need a broker are run; `tests/compat/franz-go/tests.txt` names them. The
//! others pass without one and would tell nothing about us.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Job, Outcome, Place, Suite, process};

pub const SUITE: Suite = Suite {
    name: "franz-go",
    about: "the tests of franz-go 1.22.2 that need a broker",
    settings: &[],
    fixed: None,
    limit: Duration::from_secs(600),
    prepare,
    run,
};

fn prepare(place: &Place) -> Result<(), String> {
    let binary = place.build_dir("franz-go")?.join("kgo.test");
    let mut go = Command::new("go");
    go.args(["test", "-c", "-mod=readonly", "-o"]).arg(&binary).arg("github.com/twmb/franz-go/pkg/kgo");
    go.current_dir(place.tests.join("franz-go"));
    process::step(&mut go, &place.target.join("logs/go"), Duration::from_secs(600)).map(drop)
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
    let names = || text.split_whitespace().filter(|n| n.starts_with("Test"));
    let chosen: Vec<_> = names().filter(|n| !job.left_out.contains_key(*n)).collect();

    let mut command = Command::new(job.place.target.join("franz-go/kgo.test"));
    command.args(["-test.v", "-test.count=1"]).arg(format!("-test.run=^({})$", chosen.join("|")));
    command.arg(format!("-test.timeout={}s", job.limit.as_secs().saturating_sub(10)));
    command.env("KGO_SEEDS", &job.address).env("KGO_TEST_RF", "1").env("KGO_LOG_LEVEL", "none");
    // The ETL tests' number of records; their default of 500,000 takes half a minute more.
    command.env("KGO_TEST_RECORDS", "50000").current_dir(&job.scratch);
    let finished = process::run(&mut command, &job.logs.join("tests"), job.limit)?;

    let mut outcome = read(&finished.stdout);
    for name in names().filter(|n| job.left_out.contains_key(*n)) {
        outcome.leave_out(name);
    }
    for name in chosen {
        let seen = |n: &str| n == name;
        if !outcome.passed.iter().any(|n| seen(n)) && !outcome.failed.iter().any(|(n, _)| seen(n)) {
            outcome.fail(name, format!("did not run to its end: {}", finished.why));
        }
    }
    if !finished.success && outcome.failed.is_empty() {
        outcome.fail("program", finished.why);
    }
    Ok(outcome)
}

/// Reads the lines `--- PASS: Name (0.01s)`; those of subtests are indented. A test that skips
/// itself has failed: it found something missing, and what may be missing stands in the
/// left-out file.
fn read(output: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in output.lines() {
        let Some((verdict, rest)) = line.trim_start().strip_prefix("--- ").and_then(|l| l.split_once(": "))
        else {
            continue;
        };
        let name = rest.split_whitespace().next().unwrap_or(rest);
        match verdict {
            "PASS" => outcome.pass(name),
            "SKIP" => outcome.fail(name, "skipped itself"),
            _ => outcome.fail(name, message(output, name)),
        }
    }
    // Without this the ETL tests pass although they did not compare what they consumed.
    if output.contains("skipping validation") {
        outcome.fail("validation", "a test logged that it skipped its validation");
    }
    outcome
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

    #[test]
    fn verdicts_and_messages_are_read() {
        let outcome = read(OUTPUT);
        assert_eq!(outcome.passed, ["TestB", "TestB/sub"]);
        let failed = [("TestA", "a_test.go:1: wrong"), ("TestC", "skipped itself")];
        assert_eq!(outcome.failed, failed.map(|(name, why)| (name.to_owned(), why.to_owned())));
    }
}
