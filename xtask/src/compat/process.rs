//! Child processes with a time limit, in a process group of their own.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sends a signal to the process group that `child` leads. The child must not have been waited
/// for yet, or the number could belong to somebody else by now.
pub fn signal_group(child: &Child, signal: &str) {
    // The standard library has no signals; the shell's kill takes a negative number as a group.
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$0\" -- \"-$1\"", signal])
        .arg(child.id().to_string())
        .status();
}

/// Starts a command as the leader of a process group, its output in `<log>.out` and `<log>.err`.
pub fn spawn(command: &mut Command, log: &Path) -> Result<Child, String> {
    let create = |ending: &str| {
        let path = log.with_extension(ending);
        File::create(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdout(create("out")?).stderr(create("err")?).process_group(0);
    command.spawn().map_err(|e| format!("cannot start {program}: {e}"))
}

/// What a finished command said.
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub success: bool,
    /// How it ended, and the end of its standard error: for a failure's message.
    pub why: String,
}

/// Runs a command to its end or to the limit, whichever comes first; then its whole group goes.
pub fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Finished, String> {
    run_watched(command, log, limit, &mut || Ok(()))
}

/// The same, and `watch` is called ten times a second at least. Its error ends the command.
pub fn run_watched(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    watch: &mut dyn FnMut() -> Result<(), String>,
) -> Result<Finished, String> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let mut child = spawn(command.stdin(Stdio::null()), log)?;
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break Some(status);
        }
        if started.elapsed() > limit {
            signal_group(&child, "KILL");
            let _ = child.wait();
            break None;
        }
        if let Err(why) = watch() {
            signal_group(&child, "KILL");
            let _ = child.wait();
            return Err(why);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    };
    let how = match status {
        None => format!("took longer than {} s", limit.as_secs()),
        Some(s) => s.code().map_or_else(|| format!("signal {:?}", s.signal()), |c| format!("exit code {c}")),
    };
    let stdout = read(&log.with_extension("out"));
    let stderr = read(&log.with_extension("err"));
    let success = status.is_some_and(|s| s.success());
    let tail = tail(if stderr.trim().is_empty() { &stdout } else { &stderr }, 8);
    Ok(Finished { stdout, stderr, success, why: format!("{how}: {tail}") })
}

/// Runs a step of the preparation; anything but success is an error that shows the end of the log.
pub fn step(command: &mut Command, log: &Path, limit: Duration) -> Result<String, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let finished = run(command, log, limit)?;
    if finished.success { Ok(finished.stdout) } else { Err(format!("{shown}: {}", finished.why)) }
}

fn read(path: &PathBuf) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// The last lines, joined into one.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}
