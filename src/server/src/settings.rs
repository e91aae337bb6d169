//! From flags and file to checked settings.
//!
//! A flag is short for a key: `--data` for `flumen.data`, `--listen` for `listeners`, `--http` for
//! `flumen.http.listen`, `--cores` for `flumen.cores`. Flags win over `--set`, which wins over the file.

use crate::arguments::Start;
use model::config::{BrokerConfig, Layers, Scope, Settings, require};
use std::path::Path;

const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";
const DEFAULT_HTTP: &str = "127.0.0.1:8082";

/// The settings in force at start, every key known and every value allowed.
pub(crate) fn gather(start: &Start) -> Result<(Settings, BrokerConfig), String> {
    let mut settings = Settings::new();
    if let Some(path) = &start.config {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        read_properties(path, &text, &mut settings)?;
    }
    for pair in &start.set {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("--set {pair}: write it as --set key=value"))?;
        insert("--set", key.trim(), value.trim(), &mut settings)?;
    }
    let flags = [
        ("flumen.data", start.data.as_ref().map(|path| path.display().to_string())),
        ("listeners", start.listen.map(|address| format!("PLAINTEXT://{address}"))),
        ("flumen.http.listen", start.http.map(|address| address.to_string())),
        ("flumen.cores", start.cores.clone()),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            insert("flag", key, &value, &mut settings)?;
        }
    }
    settings.entry("listeners".to_owned()).or_insert_with(|| DEFAULT_LISTENERS.to_owned());
    settings.entry("flumen.http.listen".to_owned()).or_insert_with(|| DEFAULT_HTTP.to_owned());
    let config = BrokerConfig::resolve(&Layers::fixed(&settings)).map_err(|error| error.to_string())?;
    Ok((settings, config))
}

fn insert(origin: &str, key: &str, value: &str, settings: &mut Settings) -> Result<(), String> {
    let known = require(Scope::Broker, key).map_err(|error| format!("{origin}: {error}"))?;
    known.parse(value).map_err(|error| format!("{origin}: {error}"))?;
    settings.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// Reads the properties format: a pair a line, parted by `=` or `:`; `#` and `!` begin comments; a backslash
/// at the end goes on in the next line.
fn read_properties(path: &Path, text: &str, settings: &mut Settings) -> Result<(), String> {
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
        let origin = format!("{}:{}", path.display(), number + 1);
        let Some((key, value)) = whole.split_once(['=', ':']) else {
            return Err(format!("{origin}: '{whole}' is no pair; write it as key=value"));
        };
        insert(&origin, key.trim(), value.trim(), settings)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::new();
        read_properties(Path::new("f"), text, &mut settings).map(|()| settings)
    }

    #[test]
    fn properties_are_read_as_kafka_writes_them() {
        let text = "# a comment\n\nnum.partitions = 3\n! another\nlog.retention.ms:5\nlisteners=PLAINTEXT://\\\n  :9092\n";
        let settings = read(text).expect("good");
        let value = |key: &str| settings.get(key).map(String::as_str);
        assert_eq!(value("num.partitions"), Some("3"));
        assert_eq!(value("log.retention.ms"), Some("5"));
        assert_eq!(value("listeners"), Some("PLAINTEXT://:9092"));
    }

    #[test]
    fn mistakes_name_their_place_and_the_nearest_key() {
        let error = read("\nnum.partition=3").expect_err("unknown");
        assert!(error.starts_with("f:2: ") && error.contains("num.partitions"), "{error}");
        let error = read("num.partitions=many").expect_err("no number");
        assert!(error.starts_with("f:1: ") && error.contains("many"), "{error}");
        assert!(read("just words").expect_err("no pair").contains("key=value"));
    }

    #[test]
    fn flags_win_over_set_and_set_over_the_defaults() {
        let mut start =
            Start { set: vec!["flumen.data=/a".into(), "num.partitions=7".into()], ..Start::default() };
        let (settings, config) = gather(&start).expect("good");
        assert_eq!((config.data.as_str(), config.num_partitions), ("/a", 7));
        assert_eq!(settings.get("listeners").map(String::as_str), Some(DEFAULT_LISTENERS));
        start.data = Some("/b".into());
        start.listen = Some("127.0.0.1:1234".parse().expect("an address"));
        let (_, config) = gather(&start).expect("good");
        assert_eq!((config.data.as_str(), config.listeners[0].port), ("/b", 1234));
    }
}
