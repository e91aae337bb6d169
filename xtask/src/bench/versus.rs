//! The run: options, turns, and what is written at the end.

use super::{
    USAGE,
    history::{self, Origin},
    kafka,
    measure::{self, Figures, Spans},
    picture,
    rows::{Kind, ROWS, Row},
    system::{BROKER_CORE, LOAD_CORE, Places, System},
    table::{self, Ceilings, Results},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

struct Options {
    rows: Vec<&'static Row>,
    systems: Vec<System>,
    rounds: usize,
    spans: Spans,
    places: Places,
    build: bool,
    write: bool,
}

pub fn run(args: &[String]) -> Result<(), String> {
    if args.iter().any(|a| a == "--list") {
        for row in ROWS {
            println!("{:<18} {}", row.name, row.title);
        }
        return Ok(());
    }
    let options = parse(args)?;
    prepare(&options)?;
    let origin = Origin::here(&options.places);
    let before = ceilings(&options.places)?;
    let (results, failures) = all_turns(&options);
    let ceilings = before.or_better(ceilings(&options.places)?);
    let page = page(&options, &origin, &ceilings, &results);
    if options.write && !results.is_empty() {
        let dir = options.places.root.join("docs/benchmarks");
        write(&dir.join("versus.md"), &page)?;
        pictures(&dir, &options.rows, &results)?;
        let history = options.places.root.join("bench/history/versus.jsonl");
        history::append(&history, &origin, &options.spans, options.rounds, &ceilings, &results)?;
    }
    println!("{page}");
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!("{} turns failed:\n{}", failures.len(), failures.join("\n")))
}

fn parse(args: &[String]) -> Result<Options, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut options = Options {
        rows: ROWS.iter().collect(),
        systems: System::ALL.to_vec(),
        rounds: 2,
        spans: Spans { seconds: 20, kafka_warmup: 120, flumen_warmup: 5, disk: 24 << 30 },
        places: Places { scratch: root.join("target/versus"), root },
        build: true,
        write: true,
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--rows" => options.rows = named(value()?, ROWS.iter().map(|r| (r.name, r)))?,
            "--systems" => options.systems = named(value()?, System::ALL.map(|s| (s.name(), s)))?,
            "--rounds" => options.rounds = count(value()?)?.max(1) as usize,
            "--seconds" => options.spans.seconds = count(value()?)?.max(1),
            "--warmup" => options.spans.kafka_warmup = count(value()?)?,
            "--flumen-warmup" => options.spans.flumen_warmup = count(value()?)?,
            "--disk-gb" => options.spans.disk = u64::from(count(value()?)?.max(1)) << 30,
            "--scratch" => options.places.scratch = PathBuf::from(value()?),
            "--no-build" => options.build = false,
            "--no-write" => options.write = false,
            other => return Err(format!("unknown option {other}\n{USAGE}")),
        }
    }
    Ok(options)
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

/// The things that a list separated by commas names.
fn named<T: Copy>(list: &str, known: impl IntoIterator<Item = (&'static str, T)>) -> Result<Vec<T>, String> {
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
    let mut packages = vec!["-p", "load", "--bin", "flumen-load"];
    if wants(options, |s| !s.is_kafka()) {
        packages.extend(["-p", "server", "--bin", "flumen"]);
    }
    if options.build {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release"]).args(packages).current_dir(&options.places.root);
        let status = cargo.status();
        if !status.map_err(|e| format!("starting cargo: {e}"))?.success() {
            return Err("the build failed".into());
        }
    }
    if wants(options, System::is_kafka) { kafka::fetch(&options.places) } else { Ok(()) }
}

/// Runs every turn, a row at a time, the systems taking turns in each round. A turn that fails
/// costs its own figures, not the run.
fn all_turns(options: &Options) -> (Results, Vec<String>) {
    let mut failures = Vec::new();
    let mut results = Results::new();
    for row in &options.rows {
        let mut rounds: BTreeMap<System, Vec<Figures>> = BTreeMap::new();
        let mut half = None;
        for round in 1..=options.rounds {
            for &system in row.systems.iter().filter(|s| options.systems.contains(s)) {
                print!("{} round {round} {}: ", row.name, system.name());
                match measure::turn(row, system, &options.spans, &options.places, &mut half) {
                    Ok(figures) => {
                        println!("{}", brief(row, &figures));
                        rounds.entry(system).or_default().push(figures);
                    }
                    Err(why) => {
                        println!("failed: {why}");
                        failures.push(format!("{} {}: {why}", row.name, system.name()));
                    }
                }
            }
        }
        results.extend(rounds.into_iter().map(|(system, all)| ((row.name, system), table::median(&all))));
    }
    (results, failures)
}

fn brief(row: &Row, figures: &Figures) -> String {
    let shown = row.shown.iter().filter_map(|metric| {
        let value = figures.values.get(*metric)?;
        Some(format!("{} {}", table::label(metric), table::digits(*value)))
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl Ceilings {
    /// The better of two measurements: a ceiling is what the machine can do.
    fn or_better(self, other: Ceilings) -> Ceilings {
        Ceilings {
            device_mb_per_s: self.device_mb_per_s.max(other.device_mb_per_s),
            device_p50: self.device_p50.min(other.device_p50),
            device_p99: self.device_p99.min(other.device_p99),
            loopback_mb_per_s: self.loopback_mb_per_s.max(other.loopback_mb_per_s),
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
    let of = |json: &Value| Ceilings {
        device_mb_per_s: json["durable_write"]["mb_per_s"].as_f64().unwrap_or(0.0),
        device_p50: json["durable_4k_us"]["p50"].as_f64().unwrap_or(0.0),
        device_p99: json["durable_4k_us"]["p99"].as_f64().unwrap_or(0.0),
        loopback_mb_per_s: json["loopback"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|l| l["mb_per_s"].as_f64())
            .fold(0.0, f64::max),
    };
    Ok(of(&measure("1")?).or_better(of(&measure("4")?)))
}

fn page(options: &Options, origin: &Origin, ceilings: &Ceilings, results: &Results) -> String {
    let mut out = String::from("# Flumen and Kafka\n\n");
    let _ = writeln!(
        out,
        "Written by `cargo xtask bench versus` on {}, commit {}: {} cores of {}, {} GB, Linux {}. Kafka {} \
         and Flumen in turns, {} rounds of {} s, each turn on an empty directory; Kafka under full load for \
         {} s before it is measured, Flumen for {} s. The broker has core {BROKER_CORE}, the load core \
         {LOAD_CORE}. Latency is counted from the time at which a request was due. Read the ratios: the \
         absolute figures are about this machine.\n",
        origin.date,
        origin.commit,
        origin.cores,
        origin.processor,
        origin.memory_gb,
        origin.kernel,
        kafka::VERSION,
        options.rounds,
        options.spans.seconds,
        options.spans.kafka_warmup,
        options.spans.flumen_warmup,
    );
    let _ = writeln!(
        out,
        "*Others' cores* is what other programs, the kernel's own threads and the host took: near 0 in a run that \
         counts. Ceilings of the same run: durable direct writes of 1 MiB {} MB/s; a lone durable write of 4 KiB {} µs \
         p50, {} µs p99; loopback {} MB/s.\n",
        table::digits(ceilings.device_mb_per_s),
        table::digits(ceilings.device_p50),
        table::digits(ceilings.device_p99),
        table::digits(ceilings.loopback_mb_per_s),
    );
    out + &table::markdown(&options.rows, results, ceilings)
}

fn pictures(dir: &Path, rows: &[&Row], results: &Results) -> Result<(), String> {
    let mut bars = Vec::new();
    for row in rows {
        let curves: Vec<(System, &Figures)> =
            row.systems.iter().filter_map(|s| Some((*s, results.get(&(row.name, *s))?))).collect();
        let drawn = match row.kind {
            Kind::First => picture::seconds(row.title, &curves),
            Kind::Steady | Kind::Half if row.shown.contains(&"p99.9") => picture::latency(row.title, &curves),
            _ => None,
        };
        if let Some(svg) = drawn {
            write(&dir.join(format!("versus-{}.svg", row.name)), &svg)?;
        }
        let first = row.shown[0];
        if matches!(first, "mb_per_s" | "requests_per_s" | "consumed_mb_per_s") {
            let value = |f: &Figures| f.values.get(first).copied();
            bars.push((row.name, curves.iter().filter_map(|(s, f)| Some((*s, value(f)?))).collect()));
        }
    }
    match picture::bars("Throughput, as a multiple of the first system of each row", &bars) {
        Some(svg) => write(&dir.join("versus-throughput.svg"), &svg),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|e| format!("making {}: {e}", dir.display()))?;
    fs::write(path, text).map_err(|e| format!("writing {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_understood_or_refused() {
        let options = parse(&arguments("--rows bulk,one --systems kafka --rounds 3 --disk-gb 2")).unwrap();
        assert_eq!(options.rows.iter().map(|r| r.name).collect::<Vec<_>>(), ["bulk", "one"]);
        assert_eq!((options.systems, options.rounds, options.spans.disk), (vec![System::Kafka], 3, 2 << 30));
        for wrong in ["--rows bulky", "--systems redpanda", "--rounds x", "--rounds", "--fast"] {
            assert!(parse(&arguments(wrong)).is_err(), "{wrong}");
        }
    }
}
