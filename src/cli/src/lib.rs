//! The client commands of the `flumen` binary.
//!
//! - [`Command`]: what clap parses; [`run`]: what the binary calls. The binary adds `start` itself.
//! - [`topic`]: `flumen topic create|list|describe|alter|delete`.
//! - [`group`]: `flumen group list|describe|reset|delete`.
//! - [`produce`], [`consume`]: records from and to a terminal, a file or a pipe.
//! - [`log_dump`]: `flumen log dump`, what is in files, damaged ones too. No broker is needed.
//! - `output`, `progress`, `failure`: how people and programs are told.
//!
//! The contract with programs: results go to stdout, all else to stderr; `--output json` gives JSON; the exit
//! code is 0 on success, 1 on failure with one line on stderr, 2 on wrong usage. A reader that goes away
//! (`| head`) ends the command without a word.

mod args;
pub mod consume;
mod failure;
pub mod group;
pub mod log_dump;
mod output;
pub mod produce;
mod progress;
mod timestamp;
pub mod topic;

use clap::Subcommand;
use std::process::ExitCode;

/// The client commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, list, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// List, describe, reset and delete consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Write records to a topic: one for each line of standard input
    Produce(produce::ProduceArgs),
    /// Read records of a topic and print them
    Consume(consume::ConsumeArgs),
    /// Look into the files of a data directory
    #[command(subcommand)]
    Log(log_dump::LogCommand),
}

/// Runs a command to its end. Prints what there is to print; the exit code is 0, 1 or 2 as described above.
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Topic(command) => topic::run(command),
        Command::Group(command) => group::run(command),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Log(command) => log_dump::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    #[command(name = "flumen")]
    struct Flumen {
        #[command(subcommand)]
        #[allow(dead_code)]
        command: Command,
    }

    #[test]
    fn the_commands_are_consistent() {
        <Flumen as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_other_programs_rely_on_is_understood() {
        for line in [
            "topic create t",
            "topic create t --partitions 3 --replication-factor 1 --config a=1 --config b=2 -b h:1",
            "topic list --output json",
            "topic describe t --output json",
            "topic alter t --partitions 4 --config a=1 --delete-config b",
            "topic delete t",
            "produce t -b 127.0.0.1:9092",
            "produce t --key-separator : --partition 0 --acks all --compression lz4",
            "produce t --acks 1",
            "consume t --from beginning --count 10",
            "consume t --from end",
            "consume t --from 42 --format json",
            "consume t --from 2026-01-31T12:00:00Z --output json --partition 1",
            "consume t --group g",
            "consume t -g g --from beginning --until-end --count 5",
            "group list --output json",
            "group describe g -b h:1",
            "group reset g --topic t --to earliest",
            "group reset g -t t --to 15m -p 0 -p 1 --execute --output json",
            "group delete g h",
            "log dump a.log b.index --output json",
        ] {
            let parsed = Flumen::try_parse_from(std::iter::once("flumen").chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "topic",
            "topic create",
            "topic create t --partitions 0",
            "topic create t --config novalue",
            "topic alter t",
            "produce",
            "produce t --acks 2",
            "produce t --key-separator=",
            "consume t --from yesterday",
            "consume t --count many",
            "consume t --group g --partition 0",
            "group describe",
            "group reset g --topic t",
            "group reset g --topic t --to yesterday",
            "group delete",
            "log dump",
        ] {
            let parsed = Flumen::try_parse_from(std::iter::once("flumen").chain(line.split(' ')));
            assert_eq!(parsed.unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
