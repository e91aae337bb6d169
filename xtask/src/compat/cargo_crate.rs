//! Test binaries of published crates: fetched from the registry, copied so that they can be
//! built, and run one by one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Job, Outcome, Place, process};

/// A crate whose integration tests are a suite.
pub struct Published {
    pub name: &'static str,
    pub version: &'static str,
    /// The integration tests to build and run, without `.rs`.
    pub tests: &'static [&'static str],
    /// Whether the tests inside the library are run too; their file is `lib`.
    pub unit_tests: bool,
}

/// Without debug information the target directory is a third of the size. In every call the
/// same, since a change builds everything anew.
const PROFILE: [(&str, &str); 2] = [("CARGO_PROFILE_TEST_DEBUG", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0")];

/// One binary may take so long; the tests that have not ended by then have failed, and the other binaries still run.
const BINARY_LIMIT: Duration = Duration::from_secs(150);

impl Published {
    /// Fetches the crate and builds its tests. A lock file in `tests/compat/<name>` replaces the
    /// published one.
    pub fn prepare(&self, place: &Place) -> Result<(), String> {
        let dir = place.build_dir(self.name)?;
        let log = |what: &str| place.target.join(format!("logs/{}-{what}", self.name));
        let source = dir.join("src");
        let complete = dir.join("complete.txt");
        if fs::read_to_string(&complete).ok().as_deref() != Some(self.version) {
            let _ = fs::remove_dir_all(&source);
            let published = registry_copy(self.name, self.version, &dir.join("fetch"), &log("fetch"))?;
            copy_writable(&published, &source)?;
            make_standalone(&source)?;
            write(&complete, self.version)?;
        }
        let lock = place.tests.join(self.name).join("Cargo.lock");
        if lock.exists() {
            fs::copy(&lock, source.join("Cargo.lock")).map_err(|e| format!("{}: {e}", lock.display()))?;
        }
        let mut cargo = self.cargo(&source, &dir);
        cargo.args(["--message-format=json"]);
        let messages = process::step(&mut cargo, &log("build"), Duration::from_secs(2400))?;
        write(&dir.join("binaries.txt"), &self.binaries(&messages)?)
    }

    fn cargo(&self, source: &Path, dir: &Path) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--locked", "--no-run", "--quiet", "--target-dir"]).arg(dir.join("target"));
        if self.unit_tests {
            cargo.arg("--lib");
        }
        for test in self.tests {
            cargo.args(["--test", test]);
        }
        cargo.envs(PROFILE).current_dir(source);
        cargo
    }

    /// Lines of `test path` from cargo's messages.
    fn binaries(&self, messages: &str) -> Result<String, String> {
        let mut lines = String::new();
        for message in messages.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok()) {
            let target = &message["target"];
            if let (Some(name), Some(path)) = (target["name"].as_str(), message["executable"].as_str()) {
                if self.unit_tests && name == self.name && target["kind"][0] == "lib" {
                    lines += &format!("lib {path}\n");
                } else if self.tests.contains(&name) {
                    lines += &format!("{name} {path}\n");
                }
            }
        }
        let expected = self.tests.len() + usize::from(self.unit_tests);
        if lines.lines().count() == expected {
            return Ok(lines);
        }
        Err(format!("{}: {expected} test binaries expected, built: {lines}", self.name))
    }

    /// Runs every binary. Where a test fails that is in `racy`, up to four times more, and once is
    /// enough for that test. Tests are named `file::test`.
    pub fn run(&self, job: &Job<'_>, envs: &[(&str, &str)], racy: &[&str]) -> Result<Outcome, String> {
        let dir = job.place.target.join(self.name);
        let list = fs::read_to_string(dir.join("binaries.txt")).map_err(|e| format!("binaries.txt: {e}"))?;
        let end = Instant::now() + job.limit;
        let mut outcome = Outcome::default();
        for (file, path) in list.lines().filter_map(|l| l.split_once(' ')) {
            let binary = Binary { job, file, path, envs, directory: &dir.join("src") };
            if let Err(why) = binary.run(end, racy, &mut outcome) {
                outcome.fail(file, why);
            }
        }
        Ok(outcome)
    }
}

/// Where the registry's copy of a crate lies, found through a package in `scratch` that depends on it.
pub fn registry_copy(name: &str, version: &str, scratch: &Path, log: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(scratch.join("src")).map_err(|e| format!("{}: {e}", scratch.display()))?;
    write(&scratch.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\n{name} = {{ version = \"={version}\", default-features = false }}\n"
    );
    write(&scratch.join("Cargo.toml"), &manifest)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1"]).current_dir(scratch);
    let text = process::step(&mut cargo, log, Duration::from_secs(300))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.find(|p| p["name"] == name).and_then(|p| p["manifest_path"].as_str());
    let manifest = found.ok_or_else(|| format!("cargo metadata does not name {name}"))?;
    Ok(Path::new(manifest).parent().unwrap_or(Path::new("/")).to_path_buf())
}

struct Binary<'a> {
    job: &'a Job<'a>,
    file: &'a str,
    path: &'a str,
    envs: &'a [(&'a str, &'a str)],
    /// Cargo runs tests in the package's directory.
    directory: &'a Path,
}

impl Binary<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.path);
        command.envs(self.envs.iter().copied()).current_dir(self.directory);
        command
    }

    fn run(&self, end: Instant, racy: &[&str], outcome: &mut Outcome) -> Result<(), String> {
        let log = self.job.logs.join(self.file);
        let left = || end.saturating_duration_since(Instant::now()).min(BINARY_LIMIT);
        let listed = process::step(self.command().args(["--list", "--format=terse"]), &log, left())?;
        let mut command = self.command();
        command.arg("--exact");
        let mut expected = BTreeSet::new();
        for test in listed.lines().filter_map(|l| l.strip_suffix(": test")) {
            let name = format!("{}::{test}", self.file);
            if self.job.left_out.contains_key(&name) {
                command.args(["--skip", test]);
                outcome.leave_out(&name);
            } else {
                expected.insert(test.to_owned());
            }
        }
        if expected.is_empty() {
            return Ok(());
        }
        let finished = process::run(&mut command, &log, left())?;
        for test in expected {
            let name = format!("{}::{test}", self.file);
            let mut verdict = verdict(&finished.stdout, &test);
            let mut tries = 1;
            while verdict == Some("FAILED") && racy.contains(&name.as_str()) && tries < 5 {
                // With the others beside it, as the first time: alone it meets an idle broker.
                let again = process::run(
                    &mut command,
                    &self.job.logs.join(format!("{}-{tries}", self.file)),
                    left(),
                )?;
                if self::verdict(&again.stdout, &test) == Some("ok") {
                    verdict = Some("ok");
                }
                tries += 1;
            }
            match verdict {
                Some("ok") => outcome.pass(&name),
                Some("FAILED") => outcome.fail(&name, panic_message(&finished.stdout, &test)),
                Some(other) => outcome.fail(&name, other),
                None => outcome.fail(&name, format!("did not run to its end: {}", finished.why)),
            }
        }
        Ok(())
    }
}

/// What follows `test NAME ... `.
fn verdict<'a>(output: &'a str, test: &str) -> Option<&'a str> {
    let start = format!("test {test} ... ");
    output.lines().find_map(|l| l.strip_prefix(&start)).map(str::trim)
}

/// The line after `thread 'NAME' panicked at …`.
fn panic_message(output: &str, test: &str) -> String {
    let heading = format!("---- {test} stdout ----");
    let mut lines =
        output.lines().skip_while(|l| *l != heading).skip(1).skip_while(|l| !l.contains("panicked at"));
    lines.nth(1).unwrap_or("no message").to_owned()
}

/// The registry's files may be read-only; the copy is not.
fn copy_writable(from: &Path, to: &Path) -> Result<(), String> {
    let mut copy = Command::new("cp");
    copy.args(["-r", "--no-preserve=mode"]).arg(from).arg(to);
    process::step(&mut copy, &to.with_extension("copy"), Duration::from_secs(60)).map(drop)
}

/// Keeps the copy from being taken for a part of our workspace, and from choosing a compiler
/// that would have to be downloaded.
fn make_standalone(source: &Path) -> Result<(), String> {
    let _ = fs::remove_file(source.join("rust-toolchain.toml"));
    let manifest = source.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    write(&manifest, &(text + "\n[workspace]\n"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
