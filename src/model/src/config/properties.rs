//! The configuration file: a pair of key and value a line (`docs/decisions/properties.md`).
//!
//! It is read as Java's `Properties.load` reads it, in three steps: lines end at `\n`, `\r` or both; those that end
//! in a backslash are put together; each of what results is parted where its key ends, and loses its escapes. Java takes
//! a key without a value as well, and halves of a surrogate pair. Neither is meant by anybody, so both are refused.

use super::layers::Settings;
use super::value::{ConfigError, Shown};
use super::{Scope, require};
use std::fmt;
use std::str::Chars;

/// White space of the format, which knows no other.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

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
    /// A `\u` without four hexadecimal digits behind it.
    NoCode,
    /// A `\u` with the one half of a surrogate pair, without the other.
    HalfPair,
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
            Misread::NoCode => {
                out.write_str(r"\u must have four hexadecimal digits behind it; write \\ for a backslash")
            }
            Misread::HalfPair => {
                out.write_str(r"\u with half of a surrogate pair; write both halves, or the character itself")
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

/// Reads a broker's configuration file in Java's properties format: a pair a line, parted by `=`, `:` or white space;
/// `#` and `!` begin comments; a backslash at the end of a line goes on in the next, and else takes the meaning of the
/// character behind it away, or gives it one (`\t`, `\n`, `\r`, `\f`, `\u` and four hexadecimal digits). White space
/// around a value does not count. Of a key that is set twice the last value counts.
///
/// # Errors
/// The first line that is no pair or has an escape without a meaning, or whose key or value is refused.
pub fn read_properties(text: &str) -> Result<Settings, PropertiesError> {
    let mut settings = Settings::new();
    for pair in pairs(text) {
        let Pair { line, key, value } = pair?;
        // Kafka, too, drops what is around a value, however it was written, when it comes to read it.
        set_broker(&mut settings, &key, value.trim())
            .map_err(|error| PropertiesError { line, what: Misread::Refused(error) })?;
    }
    Ok(settings)
}

/// A key and its value, as they are meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The number, from 1, of the first line that has any of it.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// The pairs of a file in their order, character by character what Java makes of them.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Result<Pair, PropertiesError>> {
    logical_lines(text).into_iter().map(|(line, whole)| match parted(&whole) {
        Ok((key, value)) => Ok(Pair { line, key, value }),
        Err(what) => Err(PropertiesError { line, what }),
    })
}

/// What lines say once each that goes on has the next one behind it, with the number of the first; without comments and
/// lines that say nothing. White space in front of a line is gone, an escape is still one.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut first, mut whole) = (0, String::new());
    let mut lines = natural_lines(text).enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        // Behind what goes on, a blank line is the end and a comment none, unless only a backslash was there yet.
        if whole.is_empty() {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            first = index + 1;
        }
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let goes_on = backslashes % 2 == 1;
        whole.push_str(&line[..line.len() - usize::from(goes_on)]);
        if !goes_on || lines.peek().is_none() {
            found.push((first, std::mem::take(&mut whole)));
        }
    }
    found
}

/// The lines of a text without their ends: `\n`, `\r`, or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, end) = rest.split_at(rest.find(['\n', '\r']).unwrap_or(rest.len()));
        let next = end.strip_prefix("\r\n").or_else(|| end.strip_prefix(['\n', '\r']));
        rest = next.unwrap_or_default();
        Some(line)
    })
}

/// Key and value of a line, without escapes. The key ends at the first separator that has no backslash, and the value
/// begins behind it and the white space on both of its sides.
fn parted(line: &str) -> Result<(String, String), Misread> {
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.map_or(line.len(), |(at, _)| at));
    let rest = rest.trim_start_matches(BLANKS);
    let value = match rest.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start_matches(BLANKS),
        None if rest.is_empty() => {
            let word = key.split_whitespace().next().unwrap_or_default();
            return Err(Misread::NoPair(word.to_owned()));
        }
        None => rest,
    };
    Ok((unescaped(key)?, unescaped(value)?))
}

/// What a key or a value with escapes means.
fn unescaped(text: &str) -> Result<String, Misread> {
    let mut meant = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            meant.push(c);
            continue;
        }
        // A line that ends in a backslash has lost it.
        let Some(c) = chars.next() else { break };
        meant.push(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'u' => character(&mut chars)?,
            other => other,
        });
    }
    Ok(meant)
}

/// The character whose code is behind a `\u`: one above 0xffff is two of them, the halves of its surrogate pair.
fn character(chars: &mut Chars<'_>) -> Result<char, Misread> {
    let unit = code_unit(chars)?;
    let mut second = None;
    if (0xd800..0xdc00).contains(&unit)
        && let Some(behind) = chars.as_str().strip_prefix("\\u")
    {
        *chars = behind.chars();
        second = Some(code_unit(chars)?);
    }
    // Of two that are no pair, the first is the mistake.
    let mut decoded = char::decode_utf16([unit].into_iter().chain(second));
    decoded.next().and_then(Result::ok).ok_or(Misread::HalfPair)
}

/// Four hexadecimal digits, of either case.
fn code_unit(chars: &mut Chars<'_>) -> Result<u16, Misread> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(Misread::NoCode)?;
        unit = unit * 16 + digit as u16;
    }
    Ok(unit)
}
