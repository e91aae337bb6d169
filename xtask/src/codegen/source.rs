//! Kafka's own message definitions, fetched by Maven into a target directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The release whose messages Flumen speaks. A newer one is a decision: it changes what is advertised.
const VERSION: &str = "4.3.1";
/// The jars that hold definitions: requests and responses, then the records that coordinators keep in topics.
const ARTIFACTS: &[&str] =
    &["kafka-clients", "kafka-group-coordinator", "kafka-transaction-coordinator", "kafka-share-coordinator"];
/// Pinned like the artifacts, so that a run is repeatable.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// All message definitions of the pinned release, parsed.
pub fn definitions(scratch: &Path) -> Result<Vec<Value>, String> {
    let mut definitions = Vec::new();
    for artifact in ARTIFACTS {
        let directory = scratch.join(format!("{artifact}-{VERSION}"));
        let messages = directory.join("common/message");
        if !messages.is_dir() {
            unpack(artifact, &directory)?;
        }
        read(&messages, &mut definitions)?;
    }
    Ok(definitions)
}

fn read(messages: &Path, definitions: &mut Vec<Value>) -> Result<(), String> {
    let entries = fs::read_dir(messages).map_err(|error| format!("{}: {error}", messages.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let value = serde_json::from_str(&strip_comments(&text))
                .map_err(|error| format!("{}: {error}", path.display()))?;
            definitions.push(value);
        }
    }
    Ok(())
}

fn unpack(artifact: &str, directory: &Path) -> Result<(), String> {
    let artifact = format!("org.apache.kafka:{artifact}:{VERSION}");
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let status = Command::new("mvn")
        .args(["-q", "-B", &format!("{PLUGIN}:unpack")])
        .arg(format!("-Dartifact={artifact}"))
        .arg("-Dmdep.unpack.includes=common/message/*.json")
        .arg(format!("-DoutputDirectory={}", directory.display()))
        // Without a project the plugin leaves a directory of markers wherever it runs.
        .current_dir(directory)
        .status()
        .map_err(|error| format!("mvn, which fetches {artifact}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("mvn could not fetch and unpack {artifact}")) }
}

/// Drops `//` comments; JSON has none, Kafka's definitions do. A `//` inside a string stays.
fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut escaped = false;
        let mut end = line.len();
        for (at, byte) in line.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'/' if !in_string && line[at..].starts_with("//") => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        out.push_str(&line[..end]);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::strip_comments;

    #[test]
    fn comments_go_and_strings_stay() {
        assert_eq!(strip_comments("// a\n{ \"k\": 1 } // b"), "\n{ \"k\": 1 } \n");
        assert_eq!(strip_comments(r#""http://x \" // y" // z"#), "\"http://x \\\" // y\" \n");
    }
}
