//! `cargo xtask kill9`: the release build under load, killed again and again.
//!
//! The workload and its judge are those of `tests/integration`, which every `cargo test` runs for a few rounds; here
//! they run for as many as are asked for, against the binary as it is shipped.

use std::process::Command;

const USAGE: &str = "cargo xtask kill9 [--rounds N] [--seed N]   (50 rounds, and a seed that is printed)";

/// Runs the command with the arguments after its name.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (mut rounds, mut seed) = (50_u32, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().and_then(|text| text.parse::<u64>().ok());
        match (word.as_str(), value) {
            ("--rounds", Some(count)) => {
                rounds = u32::try_from(count).map_err(|_| format!("{count} rounds are too many"))?;
            }
            ("--seed", Some(number)) => seed = Some(number),
            _ => return Err(format!("usage: {USAGE}")),
        }
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    succeed(Command::new(&cargo).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "server",
        "--bin",
        "flumen",
    ]))?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let binary = std::path::absolute(target).map_err(|error| error.to_string())?.join("release/flumen");
    let mut test = Command::new(&cargo);
    test.args(["test", "--quiet", "--package", "server", "--test", "integration"]);
    test.args(["--", "--nocapture", "kill9::"]);
    test.env("FLUMEN_BINARY", binary).env("FLUMEN_KILL9_ROUNDS", rounds.to_string());
    if let Some(seed) = seed {
        test.env("FLUMEN_KILL9_SEED", seed.to_string());
    }
    succeed(&mut test)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} ended with {status}")),
    }
}
