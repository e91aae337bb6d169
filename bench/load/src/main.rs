//! `flumen-load`: see the library's text.

use clap::Parser;
use load::{
    args::{Cli, Command, Common, Output},
    ceiling, commits, cross,
    error::Error,
    idle, os, rebalance, report, run, transact,
};
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("flumen-load: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command and prints its result. `false` when it ended but not as it must.
fn execute(command: Command) -> Result<bool, Error> {
    match command {
        Command::Produce(args) => {
            run::settle(args.common.core)?;
            finished(&args.common, &run::produce(&args, false)?)
        }
        Command::EndToEnd(args) => {
            run::settle(args.common.core)?;
            finished(&args.common, &run::produce(&args, true)?)
        }
        Command::Consume(args) => {
            run::settle(args.common.core)?;
            finished(&args.common, &run::consume(&args)?)
        }
        Command::Transact(args) => {
            run::settle(args.common.core)?;
            judged(&args.common, transact::run(&args)?)
        }
        Command::CommitOffsets(args) => {
            run::settle(args.common.core)?;
            judged(&args.common, commits::run(&args)?)
        }
        Command::Rebalance(args) => {
            run::settle(args.common.core)?;
            judged(&args.common, rebalance::run(&args)?)
        }
        Command::Connect(args) => {
            run::settle(args.common.core)?;
            let result = idle::run(&args)?;
            print(&args.common, &result);
            Ok(result["connections"] == result["alive_at_end"])
        }
        Command::Create(args) => {
            run::settle(args.common.core)?;
            print(&args.common, &json!({"workload": "create", "partitions": run::create(&args)?}));
            Ok(true)
        }
        Command::Alter(args) => {
            run::settle(args.common.core)?;
            print(&args.common, &json!({"workload": "alter", "exists": run::alter(&args)?}));
            Ok(true)
        }
        Command::Ready(args) => {
            run::settle(args.common.core)?;
            let (at, records) = run::ready(&args)?;
            print(&args.common, &json!({"workload": "ready", "at_ns": at as u64, "records": records}));
            Ok(true)
        }
        Command::Evict { dir } => {
            let (files, bytes) = os::evict(&dir)?;
            println!("{files} files, {bytes} bytes");
            Ok(true)
        }
        Command::Cross(args) => {
            run::settle(args.common.core)?;
            print(&args.common, &cross::run(&args)?);
            Ok(true)
        }
        Command::Ceiling(args) => {
            run::settle(args.common.core)?;
            print(&args.common, &ceiling::run(&args)?);
            Ok(true)
        }
    }
}

fn finished(common: &Common, run: &run::Finished) -> Result<bool, Error> {
    match common.output {
        Output::Json => println!("{}", report::to_json(run)),
        Output::Text => print!("{}", report::to_text(run)),
    }
    Ok(run.good())
}

fn judged(common: &Common, (result, good): (Value, bool)) -> Result<bool, Error> {
    print(common, &result);
    Ok(good)
}

/// Prints an object on one line, or one member a line without histogram curves.
fn print(common: &Common, value: &Value) {
    if common.output == Output::Json {
        println!("{value}");
        return;
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        println!("{name}: {}", without_curves(member.clone()));
    }
}

fn without_curves(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("curve");
        object.values_mut().for_each(|member| *member = without_curves(member.take()));
    }
    value
}
