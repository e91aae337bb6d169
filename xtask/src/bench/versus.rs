//! The run: options, what is built, and what is written at the end.

use super::{
    USAGE,
    history::{self, Origin},
    kafka,
    measure::{self, Spans, number},
    page, picture, plan,
    rows::{ROWS, Row},
    system::{BROKER_CORE, LOAD_CORE, Places, System},
    table::{self, Ceilings},
    turns::{self, Asked},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

struct Options {
    rows: Vec<&'static Row>,
    systems: Vec<System>,
    rounds: u32,
    spans: Spans,
    places: Places,
    build: bool,
    write: bool,
    list: bool,
}

impl Options {
    fn asked(&self) -> Asked<'_> {
        Asked {
            rows: &self.rows,
            systems: &self.systems,
            rounds: self.rounds,
            spans: &self.spans,
            places: &self.places,
        }
    }
}

pub fn run(args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    let asked = options.asked();
    let plan = plan::of(&asked);
    let total: u32 = plan.iter().map(|(_, seconds)| seconds).sum();
    if options.list {
        for (row, seconds) in &plan {
            println!("{:<22} {:>6}  {}", row.name, plan::clock(*seconds), row.title);
        }
        println!("{:<22} {:>6}  with the ceilings", "all of these", plan::clock(total + plan::CEILINGS));
        return Ok(());
    }
    let about = plan::clock(total + plan::CEILINGS);
    println!("about {about} (minutes:seconds) for {} rows, besides building", options.rows.len());
    prepare(&options)?;
    let origin = Origin::here(&options.places.root);
    let before = ceilings(&options.places)?;
    let (results, failures) = turns::all(&asked);
    let ceilings = before.or_better(ceilings(&options.places)?);
    let pictures = picture::all(asked.rows, &results);
    let page = page::text(&asked, &origin, &ceilings, &results) + &picture::markdown(&pictures);
    if options.write && !results.is_empty() {
        let dir = options.places.root.join("docs/benchmarks");
        write(&dir.join("versus.md"), &page)?;
        for picture in &pictures {
            write(&dir.join(&picture.file), &picture.svg)?;
        }
        let history = options.places.root.join("bench/history/versus.jsonl");
        history::append(&history, &origin, &options.spans, options.rounds, &ceilings, &results)?;
    }
    println!("{page}");
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!("{} failed:\n{}", table::counted(failures.len(), "turn"), failures.join("\n")))
}

fn parse(args: &[String]) -> Result<Options, String> {
    let root = crate::root().to_path_buf();
    let mut options = Options {
        rows: ROWS.iter().collect(),
        systems: System::ALL.to_vec(),
        rounds: 2,
        spans: Spans { seconds: 10, kafka_warmup: 120, flumen_warmup: 5, disk: 24 << 30 },
        places: Places { scratch: root.join("target/versus"), root },
        build: true,
        write: true,
        list: false,
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--rows" => options.rows = named(value()?, ROWS.iter().map(|r| (r.name, r)))?,
            "--systems" => options.systems = named(value()?, System::ALL.map(|s| (s.name(), s)))?,
            "--rounds" => options.rounds = count(value()?)?.max(1),
            "--seconds" => options.spans.seconds = count(value()?)?.max(1),
            "--warmup" => options.spans.kafka_warmup = count(value()?)?,
            "--flumen-warmup" => options.spans.flumen_warmup = count(value()?)?,
            "--disk-gb" => options.spans.disk = u64::from(count(value()?)?.max(1)) << 30,
            "--scratch" => options.places.scratch = PathBuf::from(value()?),
            "--no-build" => options.build = false,
            "--no-write" => options.write = false,
            "--list" => options.list = true,
            other => return Err(format!("unknown option {other}\n{USAGE}")),
        }
    }
    Ok(options)
}

/// A number among the options.
pub fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

/// The things that a list separated by commas names.
pub fn named<T: Copy>(
    list: &str,
    known: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<Vec<T>, String> {
    let known: Vec<(&str, T)> = known.into_iter().collect();
    let find = |name: &str| {
        let found = known.iter().find(|(n, _)| *n == name).map(|(_, thing)| *thing);
        found.ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(n, _)| *n).collect();
            format!("{name:?} is none of {}", names.join(", "))
        })
    };
    list.split(',').map(find).collect()
}

/// Whether any row that was asked for runs one of these systems.
fn wants(options: &Options, which: impl Fn(System) -> bool) -> bool {
    let chosen = |s: &System| options.systems.contains(s) && which(*s);
    options.rows.iter().any(|row| row.systems.iter().any(chosen))
}

fn prepare(options: &Options) -> Result<(), String> {
    let scratch = &options.places.scratch;
    fs::create_dir_all(scratch).map_err(|e| format!("making {}: {e}", scratch.display()))?;
    if options.build {
        build(&options.places, wants(options, |s| !s.is_kafka()))?;
    }
    if wants(options, System::is_kafka) { kafka::fetch(&options.places) } else { Ok(()) }
}

/// Builds the load tool, and Flumen too if it is wanted.
pub fn build(places: &Places, flumen: bool) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "load", "--bin", "flumen-load"]);
    if flumen {
        cargo.args(["-p", "server", "--bin", "flumen"]);
    }
    let status = cargo.current_dir(&places.root).status();
    if status.map_err(|e| format!("starting cargo: {e}"))?.success() {
        Ok(())
    } else {
        Err("the build failed".into())
    }
}

impl Ceilings {
    /// What `flumen-load ceiling` reports.
    fn of(json: &Value) -> Ceilings {
        let best = |list: &Value, name: &str| {
            list.as_array().into_iter().flatten().filter_map(|l| l[name].as_f64()).fold(0.0, f64::max)
        };
        let lone_echo = &json["lone_echo"]["latency_us"];
        Ceilings {
            device_mb_per_s: number(&json["durable_write"]["mb_per_s"]),
            device_p50: number(&json["durable_4k_us"]["p50"]),
            device_p99: number(&json["durable_4k_us"]["p99"]),
            loopback_mb_per_s: best(&json["loopback"], "mb_per_s"),
            echo_per_s: best(&json["echo"], "requests_per_s"),
            lone_echo_p50: number(&lone_echo["p50"]),
            lone_echo_p99: number(&lone_echo["p99"]),
        }
    }

    /// The better of two measurements: a ceiling is what the machine can do.
    fn or_better(self, other: Ceilings) -> Ceilings {
        Ceilings {
            device_mb_per_s: self.device_mb_per_s.max(other.device_mb_per_s),
            device_p50: self.device_p50.min(other.device_p50),
            device_p99: self.device_p99.min(other.device_p99),
            loopback_mb_per_s: self.loopback_mb_per_s.max(other.loopback_mb_per_s),
            echo_per_s: self.echo_per_s.max(other.echo_per_s),
            lone_echo_p50: self.lone_echo_p50.min(other.lone_echo_p50),
            lone_echo_p99: self.lone_echo_p99.min(other.lone_echo_p99),
        }
    }
}

fn ceilings(places: &Places) -> Result<Ceilings, String> {
    let measure = |depth: &str| {
        let mut load = Command::new(places.load());
        load.args(["ceiling", "--output", "json", "--core", LOAD_CORE, "--peer-core", BROKER_CORE]);
        load.args(["--depth", depth, "--seconds", "2", "--dir"]).arg(&places.scratch);
        load.stdout(Stdio::piped()).stderr(Stdio::piped());
        measure::finish(load.spawn().map_err(|e| format!("starting flumen-load: {e}"))?)
    };
    Ok(Ceilings::of(&measure("1")?).or_better(Ceilings::of(&measure("4")?)))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|e| format!("making {}: {e}", dir.display()))?;
    fs::write(path, text).map_err(|e| format!("writing {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arguments(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_best_of_each_ceiling_counts() {
        let report = |echo: f64, p50: f64, p99: f64| {
            Ceilings::of(&json!({
                "durable_write": {"mb_per_s": 2000.0}, "durable_4k_us": {"p50": 80.0, "p99": 140.0},
                "loopback": [{"mb_per_s": 1000.0}, {"mb_per_s": 5000.0}],
                "echo": [{"requests_per_s": echo}, {"requests_per_s": echo / 2.0}],
                "lone_echo": {"bytes": 1100, "latency_us": {"p50": p50, "p99": p99}},
            }))
        };
        let ceilings = report(9e5, 30.0, 50.0).or_better(report(8e5, 25.0, 60.0));
        assert_eq!((ceilings.device_mb_per_s, ceilings.loopback_mb_per_s), (2000.0, 5000.0));
        assert_eq!((ceilings.device_p50, ceilings.device_p99, ceilings.echo_per_s), (80.0, 140.0, 9e5));
        assert_eq!((ceilings.lone_echo_p50, ceilings.lone_echo_p99), (25.0, 50.0));
    }

    #[test]
    fn options_are_understood_or_refused() {
        let options = parse(&arguments("--rows bulk,one --systems kafka --rounds 3 --disk-gb 2")).unwrap();
        assert_eq!(options.rows.iter().map(|r| r.name).collect::<Vec<_>>(), ["bulk", "one"]);
        assert_eq!((options.systems, options.rounds, options.spans.disk), (vec![System::Kafka], 3, 2 << 30));
        let default = parse(&[]).unwrap();
        let whole: u32 = plan::of(&default.asked()).iter().map(|(_, seconds)| seconds).sum();
        assert!((65..95).contains(&((whole + plan::CEILINGS) / 60)), "{} minutes", whole / 60);
        for wrong in ["--rows bulky", "--systems redpanda", "--rounds x", "--rounds", "--fast"] {
            assert!(parse(&arguments(wrong)).is_err(), "{wrong}");
        }
    }
}
