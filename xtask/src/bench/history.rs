//! Lines that later runs can be seen beside: machine, kernel, commit, date and every figure.

use super::{
    kafka::VERSION,
    measure::Spans,
    table::{self, Ceilings, Results},
};
use serde_json::{Map, Value, json};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// What a run was made on and with.
#[derive(Debug, Clone)]
pub struct Origin {
    pub date: String,
    pub commit: String,
    pub kernel: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gb: f64,
}

impl Origin {
    /// What every line of a history begins with.
    pub fn to_json(&self) -> Map<String, Value> {
        let fields = json!({
            "date": self.date, "commit": self.commit, "kernel": self.kernel, "processor": self.processor,
            "cores": self.cores, "memory_gb": self.memory_gb,
        });
        fields.as_object().cloned().unwrap_or_default()
    }

    /// The words in which a page tells it.
    pub fn words(&self) -> String {
        let Origin { date, commit, kernel, processor, cores, memory_gb } = self;
        let cores = table::counted(*cores, "core");
        format!(
            "{date}, commit {commit}: {cores} of {processor}, {memory_gb} GB, Linux {kernel}, Kafka {VERSION}"
        )
    }

    pub fn here(root: &Path) -> Origin {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, v)| v).trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
        Origin {
            date: date(SystemTime::now()),
            commit: commit(root),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, |n| n.get()),
            memory_gb: (kib / 1e6 * 10.0).round() / 10.0,
        }
    }
}

/// The checked-out commit, with a mark if there are changes on top of it.
fn commit(root: &Path) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(root).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|s| !s.is_empty());
    if changed { format!("{head}+changes") } else { head }
}

/// A time as `2026-01-31T23:59:59Z`.
fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Counting years from March puts the leap day at the end: then month lengths repeat.
    let from_march = days + 719_468;
    let (era, day) = (from_march / 146_097, from_march % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Appends a run to the history.
pub fn append(
    path: &Path,
    origin: &Origin,
    spans: &Spans,
    rounds: u32,
    ceilings: &Ceilings,
    results: &Results,
) -> Result<(), String> {
    append_lines(path, [line(origin, spans, rounds, ceilings, results)])
}

/// All figures, by the names of rows or tools, and of systems.
pub fn by_name(results: &Results) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for ((name, system), figures) in results {
        let one = all.entry((*name).to_owned()).or_insert_with(|| json!({}));
        one[system.name()] = json!(figures.values);
    }
    Value::Object(all)
}

/// A run as a line of the history. What is told of runs in future comes under further names, which older lines lack.
fn line(origin: &Origin, spans: &Spans, rounds: u32, ceilings: &Ceilings, results: &Results) -> Value {
    let mut line = origin.to_json();
    let run = json!({
        "kafka": VERSION, "rounds": rounds, "seconds": spans.seconds,
        "kafka_warmup_s": spans.kafka_warmup, "flumen_warmup_s": spans.flumen_warmup,
        "device_mb_per_s": ceilings.device_mb_per_s, "device_4k_p50_us": ceilings.device_p50,
        "device_4k_p99_us": ceilings.device_p99, "loopback_mb_per_s": ceilings.loopback_mb_per_s,
        "echo_per_s": ceilings.echo_per_s, "lone_echo_p50_us": ceilings.lone_echo_p50,
        "lone_echo_p99_us": ceilings.lone_echo_p99,
        "rows": by_name(results),
    });
    line.extend(run.as_object().cloned().unwrap_or_default());
    Value::Object(line)
}

/// Appends lines to a history.
pub fn append_lines(path: &Path, lines: impl IntoIterator<Item = Value>) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("writing {}: {e}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut file = File::options().create(true).append(true).open(path).map_err(failed)?;
    for line in lines {
        writeln!(file, "{line}").map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{measure::Figures, system::System};
    use std::time::Duration;

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_line_has_the_ceilings_and_the_rows() {
        let origin = Origin {
            date: date(UNIX_EPOCH),
            commit: "c".into(),
            kernel: "k".into(),
            processor: "p".into(),
            cores: 2,
            memory_gb: 1.0,
        };
        let spans = Spans { seconds: 10, kafka_warmup: 120, flumen_warmup: 5, disk: 1 << 30 };
        let mut figures = Figures::default();
        figures.set("p50", 50.0);
        let results = Results::from([(("one", System::FlumenRelaxed), figures)]);
        let ceilings =
            Ceilings { device_p50: 80.0, lone_echo_p50: 25.0, lone_echo_p99: 60.0, ..Ceilings::default() };
        let line = line(&origin, &spans, 2, &ceilings, &results);
        assert_eq!((&line["lone_echo_p50_us"], &line["lone_echo_p99_us"]), (&json!(25.0), &json!(60.0)));
        assert_eq!((&line["device_4k_p50_us"], &line["rounds"]), (&json!(80.0), &json!(2)));
        assert_eq!((&line["date"], &line["seconds"]), (&json!("1970-01-01T00:00:00Z"), &json!(10)));
        assert_eq!(line["rows"]["one"]["flumen-relaxed"]["p50"], 50.0);
    }
}
