use crate::config::*;
use std::fs;
use std::path::Path;

/// Where resolved configurations are acted on, from the directory of this crate.
const USERS: [&str; 3] = ["../broker/src", "../server/src", "src/config/listening.rs"];

/// Adds the code of a file, or of all below a directory, without comments and tests.
fn gather(path: &Path, into: &mut String) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("it can be listed");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|entry| !entry.ends_with("tests")).for_each(|entry| gather(&entry, into));
    } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
        let text = fs::read_to_string(path).expect("it can be read");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            into.push_str(line);
            into.push('\n');
        }
    }
}

/// Whether a field of that name is looked at.
fn is_used(code: &str, field: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '(');
    code.split(&format!(".{field}")).skip(1).any(|rest| !goes_on(rest))
}

/// A key is honoured because something is done with it, not because there is a field for it.
#[test]
fn every_field_is_used_outside_of_the_catalogue() {
    let mut code = String::new();
    for user in USERS {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(user), &mut code);
    }
    assert!(code.len() > 100_000, "only {} bytes of code were found", code.len());
    let fields = TopicConfig::FIELDS.iter().chain(BrokerConfig::FIELDS);
    let keys = TopicConfig::KEYS.iter().chain(BrokerConfig::KEYS);
    let unused: Vec<_> = fields.zip(keys).filter(|(field, _)| !is_used(&code, field)).collect();
    assert!(unused.is_empty(), "act on them, or take the fields and `honoured` away: {unused:?}");
}

#[test]
fn a_field_is_told_from_others_that_begin_alike() {
    let code = "a.flush_ms_max; b.flush_ms(); c\n    .segment_ms\n    .max(1)";
    assert!(is_used(code, "segment_ms") && is_used(code, "flush_ms_max"));
    assert!(!is_used(code, "flush_ms") && !is_used(code, "segment"));
}
