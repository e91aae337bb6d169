//! Writing results to stdout.
//!
//! Never by `println!`, which panics when a pipe is closed.

use crate::args::OutputArgs;
use crate::failure::Failure;
use client::ClientError;
use kafka_wire::record_batch::{Header, Headers};
use serde_json::{Map, Value, json};
use std::io::{self, BufWriter, StdoutLock, Write};

const BUFFER_BYTES: usize = 256 << 10;

/// Standard output with a large buffer.
pub(crate) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes stdout for the rest of the command.
    pub fn stdout() -> Output {
        Output { writer: BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()) }
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).map_err(Failure::output)
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.bytes(text.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes a value on one line.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value.to_string())
    }

    /// Writes a value over several lines, as people can read it.
    pub fn pretty_json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(format!("{value:#}"))
    }

    /// Writes a table: columns as wide as their widest cell, two spaces between them.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(header[column].len())
            })
            .collect();
        self.row(&widths, header.iter().copied())?;
        rows.iter().try_for_each(|row| self.row(&widths, row.iter().map(String::as_str)))
    }

    fn row<'a>(&mut self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let padded = cells.zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        self.line(line.trim_end())
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(Failure::output)
    }
}

/// Deletes things of a kind, and says so of each.
pub(crate) fn delete_each(
    kind: &str,
    names: &[String],
    form: OutputArgs,
    mut delete: impl FnMut(&str) -> Result<(), ClientError>,
) -> Result<(), Failure> {
    let mut output = Output::stdout();
    for name in names {
        delete(name)?;
        match form.is_json() {
            true => output.json(&json!({ kind: name, "deleted": true }))?,
            false => output.line(format!("Deleted {kind} {name}."))?,
        }
        // What is done is said, though the next may fail.
        output.flush()?;
    }
    Ok(())
}

/// A record's headers. A list, for keys may repeat.
pub(crate) fn headers_json(headers: Headers<'_>) -> Value {
    let one = |header: Header<'_>| {
        let mut object = Map::new();
        put_bytes(&mut object, "key", Some(header.key));
        put_bytes(&mut object, "value", header.value);
        Value::Object(object)
    };
    headers.map(one).collect()
}

/// Puts bytes into an object: as text under `name`, or under `name_base64` if they are not UTF-8.
pub(crate) fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), json!(base64(bytes))),
    };
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let used = digit <= chunk.len();
            text.push(if used { ALPHABET[index as usize] as char } else { '=' });
        }
    }
    text
}

/// A number with a comma between thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of bytes, in decimal units.
pub(crate) fn byte_size(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1000.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_common_one() {
        for (input, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(input.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfb, 0xfe]), "//v+");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(byte_size(999), "999 B");
        assert_eq!(byte_size(1_500_000), "1.5 MB");
    }

    #[test]
    fn bytes_that_are_not_text_are_encoded() {
        let mut object = Map::new();
        put_bytes(&mut object, "key", None);
        put_bytes(&mut object, "value", Some(&[0xff]));
        put_bytes(&mut object, "text", Some("ü\n".as_bytes()));
        let text = Value::Object(object).to_string();
        assert_eq!(text, r#"{"key":null,"text":"ü\n","value_base64":"/w=="}"#);
    }
}
