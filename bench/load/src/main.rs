//! `flumen-load`: see the library's text.

use clap::Parser;
use load::{
    args::{Cli, Command, Output},
    ceiling, commits, cross,
    error::Error,
    idle, os, rebalance, report, run, transact,
};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    match execute(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            // If nobody listens there, the exit code must do.
            let _ = writeln!(io::stderr(), "flumen-load: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command and prints its result. `false` when it ended but not as it must.
fn execute(command: &Command) -> Result<bool, Error> {
    let mut output = Output::Text;
    if let Some(common) = command.common() {
        run::settle(common.core)?;
        output = common.output;
    }
    let (result, good) = match command {
        Command::Produce(args) => return finished(output, &run::produce(args, false)?),
        Command::EndToEnd(args) => return finished(output, &run::produce(args, true)?),
        Command::Consume(args) => return finished(output, &run::consume(args)?),
        Command::Transact(args) => transact::run(args)?,
        Command::CommitOffsets(args) => commits::run(args)?,
        Command::Rebalance(args) => rebalance::run(args)?,
        Command::Connect(args) => {
            let result = idle::run(args)?;
            let good = result["connections"] == result["alive_at_end"];
            (result, good)
        }
        Command::Create(args) => (json!({"workload": "create", "partitions": run::create(args)?}), true),
        Command::Alter(args) => (json!({"workload": "alter", "exists": run::alter(args)?}), true),
        Command::Ready(args) => {
            let (at, records) = run::ready(args)?;
            (json!({"workload": "ready", "at_ns": at as u64, "records": records}), true)
        }
        Command::Evict { dir } => {
            let (files, bytes) = os::evict(dir)?;
            say(&format!("{files} files, {bytes} bytes\n"))?;
            return Ok(true);
        }
        Command::Cross(args) => (cross::run(args)?, true),
        Command::Ceiling(args) => (ceiling::run(args)?, true),
    };
    say(&shown(output, &result))?;
    Ok(good)
}

fn finished(output: Output, run: &run::Finished) -> Result<bool, Error> {
    say(&match output {
        Output::Json => format!("{}\n", report::to_json(run)),
        Output::Text => report::to_text(run),
    })?;
    Ok(run.good())
}

/// An object on one line, or one member a line without histogram curves.
fn shown(output: Output, value: &Value) -> String {
    match output {
        Output::Json => format!("{value}\n"),
        Output::Text => {
            let members = value.as_object().into_iter().flatten();
            members.map(|(name, member)| format!("{name}: {}\n", without_curves(member.clone()))).collect()
        }
    }
}

fn without_curves(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("curve");
        object.values_mut().for_each(|member| *member = without_curves(member.take()));
    }
    value
}

/// Writes to standard output. Whoever reads no further there has what they want: that is no failure, and no panic
/// as `println!` makes of it.
fn say(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Io("writing to standard output".into(), e))
        }
        _ => Ok(()),
    }
}
