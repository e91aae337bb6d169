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
