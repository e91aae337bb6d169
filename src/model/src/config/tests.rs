//! The catalogue against the facts of Kafka 4.3.1, and the rules of parsing and resolving.

mod describing;
mod listening;
mod parsing;
mod properties;
mod reading;
mod resolving;
mod tables;

use super::Settings;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The rows of a fixture, split at tabs.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect()
}
