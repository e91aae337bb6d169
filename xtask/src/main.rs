//! The one door for the developer: `cargo xtask <command>`.
//!
//! Each command is a module of its own; this file only names them.

use std::path::Path;
use std::process::ExitCode;

mod bench;
mod ci;
mod codegen;
mod compat;
mod fuzz;
mod kill9;
mod sanitize;
mod sim;
mod tidy;

/// A command: its name, one line of help, and what it does with the arguments after its name.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "bench",
        help: "`bench versus`: compare with Kafka, see its --list; `bench micro`: single pieces",
        run: bench::run,
    },
    Command { name: "ci", help: "everything besides `cargo test`; see its --list", run: ci::run },
    Command {
        name: "codegen",
        help: "generate the Kafka messages of src/kafka-wire; with --check, only say whether they are current",
        run: codegen::run,
    },
    Command {
        name: "compat",
        help: "run foreign clients against the broker; see its --list",
        run: compat::run,
    },
    Command { name: "fuzz", help: "run the fuzz targets of tests/fuzz; see its --list", run: fuzz::run },
    Command {
        name: "sanitize",
        help: "the crates with unsafe code under AddressSanitizer and ThreadSanitizer: [address|thread]",
        run: sanitize::run,
    },
    Command {
        name: "sim",
        help: "run seeds of the simulator: --seeds N [--from S] [--groups], --seed S --log for one, or --bugs",
        run: sim::run,
    },
    Command { name: "tidy", help: "check the map, layers, unsafe code, calls, sizes, pages", run: tidy::run },
    Command {
        name: "kill9",
        help: "kill the broker under load; --rounds N, 50 if not said",
        run: kill9::run,
    },
];

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = arguments.first().and_then(|name| COMMANDS.iter().find(|command| command.name == name));
    let Some(command) = command else {
        eprintln!("usage: cargo xtask <command>");
        for command in COMMANDS {
            eprintln!("  {:<10} {}", command.name, command.help);
        }
        return ExitCode::from(2);
    };
    match (command.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cargo xtask {}: {why}", command.name);
            ExitCode::FAILURE
        }
    }
}
