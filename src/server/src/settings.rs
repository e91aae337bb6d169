//! From flags and file to checked settings.
//!
//! A flag is short for a key: `--data` for `flumen.data`, `--listen` for `listeners`, `--http` for
//! `flumen.http.listen`, `--cores` for `flumen.cores`. Flags win over `--set`, which wins over the file.

use crate::arguments::Start;
use model::config::{BrokerConfig, Layers, Settings, read_properties, set_broker};
use std::path::Path;

const DEFAULT_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";
const DEFAULT_HTTP: &str = "127.0.0.1:8082";

/// The settings in force at start, every key known and every value allowed.
pub(crate) fn gather(start: &Start) -> Result<(Settings, BrokerConfig), String> {
    let mut settings = match &start.config {
        Some(path) => read(path)?,
        None => Settings::new(),
    };
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
    set_broker(settings, key, value).map_err(|error| format!("{origin}: {error}"))
}

/// The settings of the configuration file.
fn read(path: &Path) -> Result<Settings, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    read_properties(&text).map_err(|error| format!("{}:{error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_the_file_have_its_name_and_what_is_right_is_under_set_and_flags() {
        let path = std::env::temp_dir().join(format!("flumen-settings-{}", std::process::id()));
        let mut start =
            Start { config: Some(path.clone()), set: vec!["num.partitions=7".into()], ..Start::default() };
        std::fs::write(&path, "num.partitions=3\nflumen.data=/a\n").expect("written");
        let (_, config) = gather(&start).expect("good");
        assert_eq!((config.data.as_str(), config.num_partitions), ("/a", 7));
        std::fs::write(&path, "\nnum.partition=3\n").expect("written");
        let error = gather(&start).expect_err("unknown");
        assert!(error.starts_with(&format!("{}:2: ", path.display())), "{error}");
        std::fs::remove_file(&path).expect("ours");
        let error = gather(&start).expect_err("no file");
        assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
        start.config = None;
        start.set = vec!["num.partition=7".into()];
        assert!(gather(&start).expect_err("unknown").starts_with("--set: "));
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
