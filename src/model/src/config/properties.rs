//! The configuration file: a pair of key and value a line (`docs/decisions/properties.md`).

use super::layers::Settings;
use super::value::{ConfigError, Shown};
use super::{Scope, require};
use std::fmt;

/// Why a configuration file is refused: the line, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertiesError {
    /// Counted from 1; of a pair that goes on over several lines, the first.
    pub line: usize,
    /// What is wrong there.
    pub what: Misread,
}

/// What is wrong with a line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// Nothing parts a key from a value. Only the first word is kept: the rest may be a secret.
    NoPair(String),
    /// There is no such key, or it does not allow the value.
    Refused(ConfigError),
}

impl std::error::Error for PropertiesError {}

impl fmt::Display for PropertiesError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.line)?;
        match &self.what {
            Misread::NoPair(word) => {
                write!(out, "what begins with {} is no pair; write it as key=value", Shown(word))
            }
            Misread::Refused(error) => write!(out, "{error}"),
        }
    }
}

/// Sets a broker's key, whatever it was set to before.
///
/// # Errors
/// There is no such key, or it does not allow the value: nothing has changed then.
pub fn set_broker(settings: &mut Settings, key: &str, value: &str) -> Result<(), ConfigError> {
    require(Scope::Broker, key)?.parse(value)?;
    settings.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// Reads a broker's configuration file in the properties format: a pair a line, parted by `=` or `:`; `#` and `!` begin
/// comments; a backslash at the end goes on in the next line. Of a key that is set twice the last value counts.
///
/// # Errors
/// The first line that is no pair, or whose key or value is refused.
pub fn read_properties(text: &str) -> Result<Settings, PropertiesError> {
    let mut settings = Settings::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut whole = line.trim().to_owned();
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        while whole.ends_with('\\') {
            whole.pop();
            whole.push_str(lines.next().map_or("", |(_, next)| next.trim()));
        }
        let wrong = |what| PropertiesError { line: number + 1, what };
        let Some((key, value)) = whole.split_once(['=', ':']) else {
            let word = whole.split_whitespace().next().unwrap_or_default();
            return Err(wrong(Misread::NoPair(word.to_owned())));
        };
        set_broker(&mut settings, key.trim(), value.trim()).map_err(|error| wrong(Misread::Refused(error)))?;
    }
    Ok(settings)
}
