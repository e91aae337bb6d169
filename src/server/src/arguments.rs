//! The command line of `flumen`.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A log broker that every Kafka client can use: fast, and every acknowledged record is on disk.
#[derive(Debug, Parser)]
#[command(name = "flumen", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a broker
    Start(Start),
    #[command(flatten)]
    Client(cli::Command),
}

/// Starts a broker and runs until SIGTERM or Ctrl-C. Prints one line when clients can connect.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
The broker runs until Ctrl-C or SIGTERM, and prints a line when clients can connect.
The keys of --config and --set are listed in docs/configuration.md.

Examples:
  flumen start
  flumen start --data /var/lib/flumen --cores 0-3 --config server.properties
  flumen start --listen 0.0.0.0:9092 --set advertised.listeners=PLAINTEXT://broker.example:9092")]
pub(crate) struct Start {
    /// Configuration file: lines of key=value with Kafka's names, as in server.properties
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the data is kept; made if it is not there [default: ./flumen-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address for Kafka clients [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for metrics and health [default: 127.0.0.1:8082]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<SocketAddr>,
    /// Cores to run on, such as 0-3,6 [default: all that the process may use]
    #[arg(long, value_name = "LIST")]
    pub(crate) cores: Option<String>,
    /// Sets a configuration key, over the file; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The commands that do something, in full, each with what stands behind its help.
    fn commands(command: &clap::Command, before: &str) -> Vec<(String, String)> {
        let name = format!("{before}{}", command.get_name());
        if !command.has_subcommands() {
            return vec![(name, command.get_after_help().map(ToString::to_string).unwrap_or_default())];
        }
        let before = format!("{name} ");
        command.get_subcommands().flat_map(|command| commands(command, &before)).collect()
    }

    /// The words of an example from `flumen` on, up to a comment or to what the shell does.
    fn words(line: &str) -> Option<Vec<&str>> {
        let example = &line[line.find("flumen ")?..];
        Some(example.split_whitespace().take_while(|word| !["#", "|", "<"].contains(word)).collect())
    }

    #[test]
    fn the_help_of_every_command_has_examples_that_are_understood() {
        let all = commands(&Arguments::command(), "");
        assert!(all.len() > 10, "{all:?}");
        for (name, help) in all {
            let examples = help.split_once("Examples:\n").map(|(_, examples)| examples).unwrap_or_default();
            let examples: Vec<Vec<&str>> = examples.lines().filter_map(words).collect();
            assert!(!examples.is_empty(), "{name} has no examples");
            for example in examples {
                assert!(example.join(" ").starts_with(&name), "{name} has an example of another command");
                let parsed = Arguments::try_parse_from(example.iter().copied());
                assert!(parsed.is_ok(), "{name}: {example:?} is refused: {parsed:?}");
            }
        }
    }
}
