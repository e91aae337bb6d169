//! Single pieces: runs `cargo bench -p micro` and keeps what criterion found.

use super::{
    USAGE,
    history::{self, Origin},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Debug, Default, PartialEq)]
struct Options {
    comparators: bool,
    bench: Option<String>,
    no_write: bool,
}

pub fn run(args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    let root = crate::root();
    // Only what this run finds: criterion compares with what lies there, and leaves it.
    let home = root.join("target/micro");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| format!("emptying {}: {e}", home.display()))?;
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "-p", "micro"]).current_dir(root).env("CRITERION_HOME", &home);
    if options.comparators {
        cargo.args(["--features", "comparators"]);
    }
    match &options.bench {
        Some(name) => cargo.args(["--bench", name]),
        None => cargo.arg("--benches"),
    };
    let status = cargo.status().map_err(|e| format!("starting cargo: {e}"))?;
    let mut results = results(&home)?;
    results.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    for one in &results {
        println!("{}", shown(one));
    }
    if !options.no_write {
        let origin = Origin::here(root);
        let lines = results.into_iter().map(|one| {
            let mut line = origin.to_json();
            line.extend(one.as_object().cloned().unwrap_or_default());
            Value::Object(line)
        });
        history::append_lines(&root.join("bench/history/micro.jsonl"), lines)?;
    }
    if status.success() { Ok(()) } else { Err("a benchmark failed".into()) }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(name) = args.next() {
        match name.as_str() {
            "--comparators" => options.comparators = true,
            "--no-write" => options.no_write = true,
            "--bench" => {
                let bench = args.next().ok_or_else(|| format!("--bench needs a value\n{USAGE}"))?;
                options.bench = Some(bench.clone());
            }
            other => return Err(format!("unknown option {other}\n{USAGE}")),
        }
    }
    Ok(options)
}

/// Every result below criterion's directory: a directory `new` holds one, in two files.
fn results(home: &Path) -> Result<Vec<Value>, String> {
    let (mut found, mut open) = (Vec::new(), vec![home.to_path_buf()]);
    while let Some(dir) = open.pop() {
        let failed = |e: std::io::Error| format!("reading {}: {e}", dir.display());
        if dir.file_name().is_some_and(|name| name == "new") && dir.join("estimates.json").exists() {
            found.push(result(&read(&dir.join("benchmark.json"))?, &read(&dir.join("estimates.json"))?));
            continue;
        }
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // Nothing was measured at all.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
            Err(e) => return Err(failed(e)),
        };
        for entry in entries {
            let path: PathBuf = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("reading {}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// A result as a line: nanoseconds an iteration, and what that is in bytes or elements a second.
fn result(benchmark: &Value, estimates: &Value) -> Value {
    let median = estimates["median"]["point_estimate"].as_f64().unwrap_or(0.0);
    let interval = &estimates["median"]["confidence_interval"];
    let mut line = json!({
        "name": benchmark["full_id"], "median_ns": median,
        "low_ns": interval["lower_bound"], "high_ns": interval["upper_bound"],
    });
    for (unit, name) in [("Bytes", "bytes_per_s"), ("Elements", "elements_per_s")] {
        if let Some(amount) = benchmark["throughput"][unit].as_f64().filter(|_| median > 0.0) {
            line[name] = json!((amount / median * 1e9).round());
        }
    }
    line
}

fn shown(line: &Value) -> String {
    let name = line["name"].as_str().unwrap_or_default();
    let figure = |field: &str| line[field].as_f64().map(super::table::digits);
    let rate = match (figure("bytes_per_s"), figure("elements_per_s")) {
        (Some(bytes), _) => format!("{bytes} bytes/s"),
        (None, Some(elements)) => format!("{elements}/s"),
        (None, None) => String::new(),
    };
    format!("{name:<44} {:>12} ns  {rate}", figure("median_ns").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_wherever_criterion_puts_them() {
        let home = std::env::temp_dir().join(format!("flumen-micro-{}", std::process::id()));
        let dir = home.join("crc32c/crc32c/1024/new");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(home.join("crc32c/crc32c/1024/base")).unwrap();
        let benchmark = json!({"full_id": "crc32c/crc32c/1024", "throughput": {"Bytes": 1024}});
        let bounds = json!({"lower_bound": 63.0, "upper_bound": 65.0});
        let estimates = json!({"median": {"point_estimate": 64.0, "confidence_interval": bounds}});
        fs::write(dir.join("benchmark.json"), benchmark.to_string()).unwrap();
        fs::write(dir.join("estimates.json"), estimates.to_string()).unwrap();
        let found = results(&home).unwrap();
        fs::remove_dir_all(&home).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["median_ns"], &found[0]["bytes_per_s"]), (&json!(64.0), &json!(16e9)));
        assert!(shown(&found[0]).contains("16,000,000,000 bytes/s"));
        assert!(results(&home).unwrap().is_empty());
    }

    #[test]
    fn options_are_understood_or_refused() {
        let of = |text: &str| parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let wanted = Options { comparators: true, bench: Some("crc".into()), no_write: false };
        assert_eq!(of("--comparators --bench crc"), Ok(wanted));
        assert!(of("--bench").is_err() && of("--fast").is_err());
    }
}
