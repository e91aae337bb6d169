//! Options that several commands have.

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use client::{Client, ClientOptions};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Which cluster.
#[derive(Clone, Debug, Args)]
pub struct BrokerArgs {
    /// A broker of the cluster; the others are found through it
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub broker: String,
}

impl BrokerArgs {
    /// Connects to the cluster.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(ClientOptions::new(&self.broker))?)
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Format,
}

impl OutputArgs {
    /// True for JSON.
    pub(crate) fn is_json(self) -> bool {
        self.output == Format::Json
    }
}

/// Parses `KEY=VALUE`; the value may be empty and may hold `=`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("KEY=VALUE expected, as in retention.ms=600000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(key_value("a.b=c"), pair("a.b", "c"));
        assert_eq!(key_value("a = b=c "), pair("a", "b=c"));
        assert_eq!(key_value("a="), pair("a", ""));
        assert!(key_value("a").is_err());
        assert!(key_value("=a").is_err());
    }
}
