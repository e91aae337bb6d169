//! The `flumen` binary: the only crate that chooses the io_uring driver.
//!
//! - [`arguments`]: the command line.
//! - [`settings`]: from flags and file to checked settings.
//! - [`directory`]: the data directory: lock, format version, who the node is.
//! - [`host`]: cores, limits: what the machine gives.
//! - [`run`]: a thread a core, from start to stop.
//! - [`logging`]: a line an event, on standard error.

mod arguments;
mod directory;
mod host;
mod logging;
mod reserve;
mod run;
mod settings;
mod shown;

use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match arguments::Arguments::parse().command {
        arguments::Command::Client(command) => cli::run(command),
        arguments::Command::Start(start) => {
            logging::begin();
            match run::run(&start) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    // If nobody reads it, the exit code must do.
                    let _ = writeln!(io::stderr(), "flumen: {why}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
