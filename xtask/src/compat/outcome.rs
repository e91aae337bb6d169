//! What a suite showed, and the file of what it leaves out.
//!
//! Our own test programs speak lines: `begin NAME` and then `ok NAME` or `not ok NAME: why`, or `left out NAME`, and
//! at the end `plan N` with the number of tests. Without the last line the program is taken to have died on the way,
//! in the test that it had begun.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

#[derive(Default)]
pub struct Outcome {
    pub passed: Vec<String>,
    /// Name and what went wrong.
    pub failed: Vec<(String, String)>,
    /// Name and reason.
    pub left_out: Vec<(String, String)>,
}

impl Outcome {
    /// A suite that could not run has failed.
    pub fn could_not_run(why: String) -> Self {
        Self { failed: vec![("could not run".into(), why)], ..Self::default() }
    }

    pub fn pass(&mut self, name: &str) {
        self.passed.push(name.to_owned());
    }

    pub fn fail(&mut self, name: &str, why: impl Into<String>) {
        self.failed.push((name.to_owned(), why.into()));
    }

    /// The reason is filled in by [`Outcome::finish`].
    pub fn leave_out(&mut self, name: &str) {
        self.left_out.push((name.to_owned(), String::new()));
    }

    pub fn add(&mut self, other: Self) {
        self.passed.extend(other.passed);
        self.failed.extend(other.failed);
        self.left_out.extend(other.left_out);
    }

    /// Reads the lines of a test program that ended in such a way. Other lines are ignored: they are its log.
    pub fn parse(output: &str, ended: &str) -> Self {
        let mut outcome = Self::default();
        let mut plan = None;
        let mut running = None;
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("begin ") {
                running = Some(name.trim());
            } else if let Some(name) = line.strip_prefix("ok ") {
                outcome.pass(name.trim());
                running = None;
            } else if let Some(rest) = line.strip_prefix("not ok ") {
                let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
                outcome.fail(name.trim(), why);
                running = None;
            } else if let Some(name) = line.strip_prefix("left out ") {
                outcome.leave_out(name.trim());
            } else if let Some(count) = line.strip_prefix("plan ") {
                plan = count.trim().parse::<usize>().ok();
            }
        }
        let seen = outcome.passed.len() + outcome.failed.len() + outcome.left_out.len();
        match plan {
            Some(n) if n == seen => {}
            Some(n) => outcome.fail("plan", format!("{n} tests announced, {seen} reported")),
            None => {
                let name = running.unwrap_or("plan");
                outcome.fail(name, format!("the program ended early, after {seen} tests: {ended}"));
            }
        }
        outcome
    }

    /// Fills in the reasons, and holds against the left-out file what it names in vain.
    pub fn finish(&mut self, reasons: &BTreeMap<String, String>) {
        for (name, reason) in &mut self.left_out {
            match reasons.get(name) {
                Some(why) => reason.clone_from(why),
                None => self.failed.push((name.clone(), "left out, but left-out.txt gives no reason".into())),
            }
        }
        for name in reasons.keys() {
            if !self.left_out.iter().any(|(n, _)| n == name) {
                self.fail(name, "named in left-out.txt, but the suite has no such test");
            }
        }
        if self.passed.is_empty() && self.failed.is_empty() {
            self.fail("nothing", "not one test ran");
        }
    }

    /// The same lines that [`Outcome::parse`] reads.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for name in &self.passed {
            out += &format!("ok {name}\n");
        }
        for (name, why) in &self.failed {
            out += &format!("not ok {name}: {}\n", why.replace('\n', " | "));
        }
        for (name, _) in &self.left_out {
            out += &format!("left out {name}\n");
        }
        out + &format!("plan {}\n", self.passed.len() + self.failed.len() + self.left_out.len())
    }

    pub fn print(&self, suite: &str, took: Duration) {
        println!(
            "{suite}: {} passed, {} failed, {} left out ({:.0} s)",
            self.passed.len(),
            self.failed.len(),
            self.left_out.len(),
            took.as_secs_f64()
        );
        for (name, why) in &self.failed {
            println!("  FAILED {name}: {why}");
        }
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reason) in &self.left_out {
            by_reason.entry(reason).or_default().push(name);
        }
        for (reason, names) in by_reason {
            println!("  left out, {reason}: {}", names.join(", "));
        }
    }
}

/// Lines of `suite test reason`, the reason with blanks; `#` begins a comment.
pub fn read_left_out(path: &Path) -> Result<Vec<(String, String, String)>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
    lines
        .map(|(number, line)| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.collect::<Vec<_>>().join(" ")) {
                (Some(suite), Some(test), reason) if !reason.is_empty() => {
                    Ok((suite.into(), test.into(), reason))
                }
                _ => Err(format!("{}:{}: expected `suite test reason`", path.display(), number + 1)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|n| ((*n).to_owned(), "a reason".to_owned())).collect()
    }

    fn failures(outcome: &Outcome) -> Vec<&str> {
        outcome.failed.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn lines_are_read_back_as_written() {
        let text = "ok a\nnoise\nnot ok b: why: because\nleft out c\nplan 3\n";
        let outcome = Outcome::parse(text, "");
        assert_eq!(outcome.passed, ["a"]);
        assert_eq!(outcome.failed, [("b".to_owned(), "why: because".to_owned())]);
        assert_eq!(Outcome::parse(&outcome.lines(), "").lines(), outcome.lines());
    }

    #[test]
    fn a_program_that_ends_early_has_failed() {
        assert_eq!(failures(&Outcome::parse("ok a\n", "")), ["plan"]);
        assert_eq!(failures(&Outcome::parse("ok a\nplan 2\n", "")), ["plan"]);
        assert_eq!(failures(&Outcome::parse("ok a\nplan 1\n", "")), [""; 0]);
    }

    #[test]
    fn the_test_in_which_it_ended_is_named() {
        let outcome = Outcome::parse("begin a\nok a\nbegin b\nnot ok b: no\nbegin c\n", "took too long");
        assert_eq!(outcome.passed, ["a"]);
        assert_eq!(failures(&outcome), ["b", "c"]);
        let why = "the program ended early, after 2 tests: took too long";
        assert_eq!(outcome.failed[1].1, why);
        let between = Outcome::parse("begin a\nok a\n", "exit code 1");
        assert_eq!(failures(&between), ["plan"]);
    }

    #[test]
    fn left_out_must_agree_with_the_file() {
        let mut outcome = Outcome::parse("ok a\nleft out b\nplan 2\n", "");
        outcome.finish(&reasons(&["b"]));
        assert_eq!(failures(&outcome), [""; 0]);
        assert_eq!(outcome.left_out, [("b".to_owned(), "a reason".to_owned())]);

        outcome.finish(&reasons(&["b", "gone"]));
        assert_eq!(failures(&outcome), ["gone"]);

        let mut outcome = Outcome::parse("ok a\nleft out b\nplan 2\n", "");
        outcome.finish(&reasons(&[]));
        assert_eq!(failures(&outcome), ["b"]);
    }

    #[test]
    fn a_suite_in_which_nothing_ran_has_failed() {
        let mut outcome = Outcome::parse("left out b\nplan 1\n", "");
        outcome.finish(&reasons(&["b"]));
        assert_eq!(failures(&outcome), ["nothing"]);
    }
}
