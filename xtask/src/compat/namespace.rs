//! A network namespace for suites that insist on an address: nobody else's broker can be in
//! the way there, and ours is in nobody's.
//!
//! This program starts itself once more under `unshare`; the inner one starts the broker, runs
//! the suite and writes the outcome as lines on its standard output.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::{Kind, Outcome, Place, ROUNDS, Suite, process, with_broker};

/// Runs a suite, prepared already, in a namespace of its own.
pub fn outside(
    place: &Place,
    suite: &Suite,
    kind: &Kind,
    left_out: &BTreeMap<String, String>,
    everything: bool,
) -> Result<Outcome, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command.arg(me).args([
        "compat",
        "--inside-namespace",
        "--suite",
        suite.name,
        "--broker",
        kind.argument(),
    ]);
    if everything {
        command.arg("--all");
    }
    // The inner one ends by itself at the suite's limit, with a broker that is started before and stopped after it;
    // this is for the case that it does not.
    let limit = suite.limit + Duration::from_secs(240);
    let finished = process::run(
        &mut command,
        &place.target.join("logs").join(format!("{}-namespace", suite.name)),
        limit,
    )?;
    if !finished.success {
        return Err(format!("in a network namespace (unshare --map-root-user --net): {}", finished.why));
    }
    let mut outcome = Outcome::parse(&finished.stdout, &finished.why);
    outcome.finish(left_out);
    Ok(outcome)
}

/// The inner side.
pub fn inside(
    place: &Place,
    suite: &Suite,
    kind: &Kind,
    left_out: BTreeMap<String, String>,
) -> Result<(), String> {
    let outcome = with_broker(place, suite, kind, left_out, ROUNDS)?;
    print!("{}", outcome.lines());
    Ok(())
}
