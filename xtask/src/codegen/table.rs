//! What concerns all messages: the module list, dispatch by API key, the table of APIs.

use std::fmt::Write;

use super::emit::{HEADER, borrows, snake_case};
use super::schema::{Kind, Message, Versions};

/// What a broker advertises where the definitions say something else: key, versions, why.
///
/// Versions that are refused with an error all the same have no message code.
const ADVERTISED: &[(i16, Versions)] = &[
    // librdkafka before 2.11.1 takes a missing version 0 for a broker without gzip, snappy and lz4.
    (0, Versions { min: 0, max: 13 }),
];

/// `messages/mod.rs`.
pub fn modules(messages: &[Message]) -> String {
    let mut out = format!("{HEADER}//! One module a message, named after it.\n\n");
    out.push_str("// An index of structs needs no more words than their names and versions.\n");
    out.push_str("#![allow(missing_docs)]\n\n");
    out.push_str("pub(crate) mod api_key;\n");
    for message in messages {
        _ = writeln!(out, "pub mod {};", snake_case(&message.name));
    }
    out.push_str(PRELUDE);
    dispatch(&mut out, messages, "with_request", |kind| matches!(kind, Kind::Request(_)));
    dispatch(&mut out, messages, "with_response", |kind| matches!(kind, Kind::Response(_)));
    records(&mut out, messages);
    out
}

/// A macro that calls a generic function with each type of record and its versions: for tests.
fn records(out: &mut String, messages: &[Message]) {
    let mut calls = String::new();
    for message in messages {
        if let Kind::RecordKey(_) | Kind::RecordValue(_) | Kind::Data = message.kind {
            let lifetime = if borrows(message, &message.name) { "<'_>" } else { "" };
            let (module, Versions { min, max }) = (snake_case(&message.name), message.versions);
            _ = writeln!(
                calls,
                "        $call::<$crate::messages::{module}::{}{lifetime}>({min}..={max});",
                message.name
            );
        }
    }
    _ = write!(
        out,
        "\n/// Calls a function that is generic over the message, with each that is no request or response.\n\
         #[cfg(test)]\nmacro_rules! with_each_record {{\n    ($call:ident) => {{\n{calls}    }};\n}}\n\
         #[cfg(test)]\npub(crate) use with_each_record;\n"
    );
}

/// What every message module uses, or may use.
const PRELUDE: &str = "\n\
    pub(crate) mod prelude {\n\
    pub(crate) use crate::error::check_version;\n\
    #[cfg(any(test, feature = \"fill\"))]\n\
    pub(crate) use crate::fill::{self, Fill};\n\
    pub(crate) use crate::{Bytes, Decode, Encode, Reader, Records, Str, Uuid, WireError, Writer};\n\
    #[cfg(any(test, feature = \"fill\"))]\n\
    pub(crate) use base::Random;\n\
    }\n";

/// A macro that calls a generic function with the message type of an API key.
fn dispatch(out: &mut String, messages: &[Message], name: &str, kind: fn(Kind) -> bool) {
    let mut arms = String::new();
    let mut chosen: Vec<(i16, &Message)> = messages
        .iter()
        .filter(|message| kind(message.kind))
        .filter_map(|message| Some((message.key()?, message)))
        .collect();
    chosen.sort_by_key(|&(key, _)| key);
    for (key, message) in chosen {
        let lifetime = if borrows(message, &message.name) { "<'_>" } else { "" };
        let module = snake_case(&message.name);
        _ = writeln!(
            arms,
            "            {key} => $call::<$crate::messages::{module}::{}{lifetime}>($($argument),*),",
            message.name
        );
    }
    _ = write!(
        out,
        "\n/// Calls a function that is generic over the message, with the one of an API key.\n\
         macro_rules! {name} {{\n    \
         ($key:expr, $call:ident($($argument:expr),*), $unknown:expr) => {{\n        match $key {{\n{arms}            \
         _ => $unknown,\n        }}\n    }};\n}}\npub(crate) use {name};\n"
    );
}

/// `messages/api_key.rs`.
pub fn api_keys(messages: &[Message]) -> Result<String, String> {
    let mut apis = Vec::new();
    for message in messages {
        if let Kind::Request(key) = message.kind {
            let name = message.name.strip_suffix("Request").ok_or("a request not named so")?;
            apis.push((key, name, message));
        }
    }
    apis.sort_by_key(|&(key, ..)| key);
    let mut out =
        format!("{HEADER}//! The APIs that brokers serve, as a table.\n\nuse crate::ApiVersions;\n\n");
    out.push_str("/// What a request asks for.\n");
    out.push_str("#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n");
    out.push_str("#[repr(i16)]\n#[allow(missing_docs)]\npub enum ApiKey {\n");
    for (key, name, _) in &apis {
        _ = writeln!(out, "{name} = {key},");
    }
    out.push_str("}\n\nimpl ApiKey {\n/// The API's name in the protocol.\n");
    out.push_str("pub fn name(self) -> &'static str {\nmatch self {\n");
    for (_, name, _) in &apis {
        _ = writeln!(out, "ApiKey::{name} => {name:?},");
    }
    out.push_str("}\n}\n}\n\n/// Every API with the versions that Kafka 4.3 advertises, by ascending key.\n");
    _ = writeln!(out, "pub static API_VERSIONS: [ApiVersions; {}] = [", apis.len());
    for (key, name, message) in &apis {
        let Versions { min, max } = advertised(*key, message);
        let flexible = message.flexible.map_or("None".into(), |flexible| format!("Some({})", flexible.min));
        _ = writeln!(
            out,
            "ApiVersions {{ key: ApiKey::{name}, min: {min}, max: {max}, flexible_from: {flexible} }},"
        );
    }
    out.push_str("];\n");
    Ok(out)
}

fn advertised(key: i16, message: &Message) -> Versions {
    if let Some((_, versions)) = ADVERTISED.iter().find(|(other, _)| *other == key) {
        return *versions;
    }
    let Versions { min, max } = message.versions;
    Versions { min, max: if message.latest_unstable { max - 1 } else { max } }
}
