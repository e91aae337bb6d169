//! A record as text.

use crate::failure::Failure;
use crate::output::{Output, headers_json, put_bytes};
use crate::timestamp;
use client::ConsumedRecord;
use serde_json::{Map, Value, json};

/// How records are printed.
pub(super) enum Printer {
    /// The value, byte for byte, with the key before it if there is a separator; null is printed as nothing.
    Value { key_separator: Option<String> },
    /// Everything, for people.
    Details,
    /// Everything, for programs: an object a line.
    Json,
}

impl Printer {
    pub fn print(
        &self,
        output: &mut Output,
        topic: &str,
        record: &ConsumedRecord<'_>,
    ) -> Result<(), Failure> {
        match self {
            Printer::Value { key_separator } => {
                if let Some(separator) = key_separator {
                    output.bytes(record.key.unwrap_or_default())?;
                    output.bytes(separator.as_bytes())?;
                }
                output.bytes(record.value.unwrap_or_default())?;
                output.bytes(b"\n")
            }
            Printer::Details => output.line(details(record)),
            Printer::Json => output.json(&to_json(topic, record)),
        }
    }
}

fn details(record: &ConsumedRecord<'_>) -> String {
    let mut line = format!(
        "{}:{} {} key={}",
        record.partition,
        record.offset,
        timestamp::format(record.timestamp),
        shown(record.key),
    );
    for header in record.headers {
        line += &format!(" {}={}", String::from_utf8_lossy(header.key), shown(header.value));
    }
    line += " value=";
    line += &shown(record.value);
    line
}

/// Text in quotes, with escapes; what is not UTF-8 as its bytes.
fn shown(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("\"{}\"", bytes.escape_ascii()),
        },
    }
}

fn to_json(topic: &str, record: &ConsumedRecord<'_>) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(topic));
    object.insert("partition".to_owned(), json!(record.partition));
    object.insert("offset".to_owned(), json!(record.offset));
    object.insert("timestamp".to_owned(), json!(record.timestamp));
    put_bytes(&mut object, "key", record.key);
    put_bytes(&mut object, "value", record.value);
    object.insert("headers".to_owned(), headers_json(record.headers));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::record_batch::Headers;

    #[test]
    fn everything_is_shown() {
        let record = ConsumedRecord {
            partition: 3,
            offset: 42,
            timestamp: 951_782_400_000,
            key: None,
            value: Some(b"a\n\"b\""),
            headers: Headers::default(),
        };
        assert_eq!(details(&record), r#"3:42 2000-02-29T00:00:00.000Z key=null value="a\n\"b\"""#);
        let json = to_json("t", &record);
        assert_eq!(json["value"], "a\n\"b\"");
        assert_eq!(json["key"], Value::Null);
        assert_eq!((&json["partition"], &json["offset"]), (&json!(3), &json!(42)));
        assert_eq!(shown(Some(&[0xff, b'a'])), r#""\xffa""#);
    }
}
