//! `cargo xtask codegen`: from Kafka's message definitions to the Rust code of `src/kafka-wire/src/messages`.
//!
//! - [`source`]: the definitions, out of a pinned jar from Maven Central; they are not ours and not committed.
//! - [`schema`]: one definition as a typed tree, version ranges already narrowed to what can occur.
//! - [`emit`], [`decode`], [`encode`], [`fill`]: the tree as Rust.
//! - [`table`]: what concerns all messages: module list, API table, dispatch by key.
//!
//! The output is committed, so that building Flumen needs neither Java nor a network.

mod decode;
mod emit;
mod encode;
mod fill;
mod schema;
mod source;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schema::{Kind, Message};

/// Messages that are neither request nor response and that brokers or clients need all the same.
const DATA_MESSAGES: &[&str] = &["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"];

/// Generates, or with `--check` compares with what is committed.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask codegen [--check]".into()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent directory")?;
    let definitions = source::definitions(&root.join("target/codegen"))?;
    let messages = select(definitions)?;
    let files = render(&messages)?;
    let formatted = format(root, &files)?;
    let committed = root.join("src/kafka-wire/src/messages");
    if check { compare(&committed, &formatted) } else { write(&committed, &formatted) }
}

/// The messages of APIs that brokers serve, the records of coordinators, and [`DATA_MESSAGES`], by name.
fn select(definitions: Vec<serde_json::Value>) -> Result<Vec<Message>, String> {
    let mut all = BTreeMap::new();
    for definition in &definitions {
        if let Some(message) = Message::parse(definition)? {
            all.insert(message.name.clone(), message);
        }
    }
    let served: Vec<i16> =
        all.values().filter(|message| message.on_brokers).filter_map(Message::key).collect();
    all.retain(|name, message| match message.key() {
        Some(key) => served.contains(&key),
        None => message.kind != Kind::Data || DATA_MESSAGES.contains(&name.as_str()),
    });
    for name in DATA_MESSAGES {
        all.contains_key(*name).then_some(()).ok_or_else(|| format!("the jar has no {name}"))?;
    }
    let count = |kind: fn(&Kind) -> bool| all.values().filter(|message| kind(&message.kind)).count();
    let (requests, responses) =
        (count(|kind| matches!(kind, Kind::Request(_))), count(|kind| matches!(kind, Kind::Response(_))));
    if requests != responses || requests != served.len() {
        return Err(format!("{requests} requests, {responses} responses, {} served APIs", served.len()));
    }
    Ok(all.into_values().collect())
}

/// File name to content.
type Files = BTreeMap<String, String>;

fn render(messages: &[Message]) -> Result<Files, String> {
    let mut files = Files::new();
    for message in messages {
        files.insert(format!("{}.rs", emit::snake_case(&message.name)), emit::message(message));
    }
    files.insert("mod.rs".into(), table::modules(messages));
    files.insert("api_key.rs".into(), table::api_keys(messages)?);
    Ok(files)
}

/// Runs rustfmt over the files, in a scratch directory.
fn format(root: &Path, files: &Files) -> Result<Files, String> {
    let scratch = root.join("target/codegen/messages");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    }
    write(&scratch, files)?;
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .arg(scratch.join("mod.rs"))
        .status()
        .map_err(|error| format!("rustfmt: {error}"))?;
    if !status.success() {
        return Err("rustfmt refused the generated code".into());
    }
    read(&scratch)
}

fn read(directory: &Path) -> Result<Files, String> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let mut files = Files::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let path: PathBuf = entry.map_err(failed(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        files.insert(name.to_owned(), fs::read_to_string(&path).map_err(failed(&path))?);
    }
    Ok(files)
}

/// Makes `directory` hold exactly `files`; touches only what differs, for the sake of incremental builds.
fn write(directory: &Path, files: &Files) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let before = read(directory)?;
    for name in before.keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(directory.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    for (name, content) in files.iter().filter(|(name, content)| before.get(*name) != Some(content)) {
        fs::write(directory.join(name), content).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn compare(directory: &Path, files: &Files) -> Result<(), String> {
    let committed = read(directory)?;
    let stale: Vec<&str> = committed
        .keys()
        .chain(files.keys())
        .filter(|name| committed.get(*name) != files.get(*name))
        .map(String::as_str)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if stale.is_empty() {
        println!("{} generated files are current", files.len());
        return Ok(());
    }
    Err(format!("not what the generator gives, run `cargo xtask codegen`: {}", stale.join(", ")))
}
