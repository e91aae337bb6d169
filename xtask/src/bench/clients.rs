//! Kafka and Flumen under clients that others wrote.
//!
//! The brokers are up side by side, as in the rows of [`versus`](super::versus), each warmed up on its topic by the load
//! tool; then tool by tool the systems take turns. The tool has the load's core. A client in Java fills that core before
//! either broker fills its own, so beside what the client got stands what the broker spent on it.

use super::{
    USAGE,
    history::{self, Origin},
    kafka,
    measure::{Figures, Spans},
    rows::{BASE, KB_16, Row},
    stage::Stage,
    system::{BROKER_CORE, LOAD_CORE, Places, System},
    table::{self, Results},
    tools::{self, Tool},
    versus,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The topic of each system, and the load that warms it up.
const ROW: Row = Row { name: "clients", options: KB_16, ..BASE };
/// Bytes that the topics may keep on the disk.
const DISK: u64 = 24 << 30;
/// Ticks of `/proc/PID/stat` a second: 100 on every machine with Linux.
const TICKS_PER_S: f64 = 100.0;

#[derive(Debug)]
struct Options {
    tools: Vec<Tool>,
    systems: Vec<System>,
    rounds: u32,
    warmup: u32,
    places: Places,
    build: bool,
    write: bool,
}

pub fn run(args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    prepare(&options)?;
    let origin = Origin::here(&options.places.root);
    let spans = Spans { seconds: 10, kafka_warmup: options.warmup, flumen_warmup: 5, disk: DISK };
    let (mut stage, failed) = Stage::start(&options.systems, &spans, &options.places);
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    for &system in &options.systems {
        println!("{}: warming up", system.name());
        stage.warm_up(&ROW, system)?;
    }
    let (results, failures) = measure(&options, &stage);
    let page = page(&options, &origin, &results);
    if options.write && !results.is_empty() {
        let path = options.places.root.join("docs/benchmarks/clients.md");
        fs::write(&path, &page).map_err(|e| format!("writing {}: {e}", path.display()))?;
        let history = options.places.root.join("bench/history/clients.jsonl");
        history::append_lines(&history, [line(&options, &origin, &results)])?;
    }
    println!("{page}");
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let root = crate::root().to_path_buf();
    let places = Places { scratch: root.join("target/versus"), root };
    let (tools, systems) = (Tool::ALL.to_vec(), System::ALL.to_vec());
    let mut options = Options { tools, systems, rounds: 2, warmup: 120, places, build: true, write: true };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"));
        match name.as_str() {
            "--tools" => options.tools = versus::named(value()?, Tool::ALL.map(|t| (t.name(), t)))?,
            "--systems" => options.systems = versus::named(value()?, System::ALL.map(|s| (s.name(), s)))?,
            "--rounds" => options.rounds = versus::count(value()?)?.max(1),
            "--warmup" => options.warmup = versus::count(value()?)?,
            "--scratch" => options.places.scratch = PathBuf::from(value()?),
            "--no-build" => options.build = false,
            "--no-write" => options.write = false,
            other => return Err(format!("unknown option {other}\n{USAGE}")),
        }
    }
    Ok(options)
}

fn prepare(options: &Options) -> Result<(), String> {
    let scratch = &options.places.scratch;
    fs::create_dir_all(scratch).map_err(|e| format!("making {}: {e}", scratch.display()))?;
    if options.build {
        versus::build(&options.places, options.systems.iter().any(|s| !s.is_kafka()))?;
    }
    kafka::fetch(&options.places)?;
    tools::build_rdkafka_performance(&options.places)
}

/// Every turn. One that fails costs its own figures: what failed is in the second list.
fn measure(options: &Options, stage: &Stage<'_>) -> (Results, Vec<String>) {
    let mut rounds: BTreeMap<(&'static str, System), Vec<Figures>> = BTreeMap::new();
    let mut failures = Vec::new();
    for &tool in &options.tools {
        for round in 1..=options.rounds {
            for &system in &options.systems {
                stage.rest();
                let came = turn(options, stage, tool, system, round);
                let (name, system_name) = (tool.name(), system.name());
                match came {
                    Ok(figures) => {
                        println!(
                            "{name} round {round} {system_name}: {}",
                            table::brief(tool.shown(), &figures)
                        );
                        rounds.entry((name, system)).or_default().push(figures);
                    }
                    Err(why) => {
                        println!("{name} round {round} {system_name} failed: {why}");
                        failures.push(format!("{name} {system_name}: {why}"));
                    }
                }
            }
        }
    }
    (rounds.iter().map(|(key, all)| (*key, table::median(all))).collect(), failures)
}

fn turn(
    options: &Options,
    stage: &Stage<'_>,
    tool: Tool,
    system: System,
    round: u32,
) -> Result<Figures, String> {
    let pid = stage.pid(system).ok_or_else(|| format!("{} is not up", system.name()))?;
    let topic = format!("p{}-{}", ROW.partitions, system.name());
    // Kafka's two systems share a process: neither group may find the other's offsets.
    let group = format!("{}-{}-{round}", tool.name(), system.name());
    let mut command = tool.command(&options.places, &system.address(), &topic, &group);
    let (cpu, began) = (cpu_s(pid)?, Instant::now());
    let output = command.output().map_err(|e| format!("starting {}: {e}", tool.name()))?;
    let (used, took) = (cpu_s(pid)? - cpu, began.elapsed());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ended with {}: {}", tool.name(), output.status, said.trim()));
    }
    let mut figures = tool.read(&String::from_utf8_lossy(&output.stdout))?;
    set_costs(&mut figures, tool, used, took);
    Ok(figures)
}

/// What the broker spent during the tool's run, its start included.
fn set_costs(figures: &mut Figures, tool: Tool, cpu_s: f64, took: Duration) {
    let records = tool.records() as f64;
    figures.set("cpu_s_per_gb", cpu_s / (records * tools::RECORD_BYTES as f64) * 1e9);
    figures.set("cpu_us_per_record", cpu_s / records * 1e6);
    figures.set("broker_cores", cpu_s / took.as_secs_f64());
}

/// CPU seconds that a process has used, its kernel threads included.
fn cpu_s(pid: u32) -> Result<f64, String> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| format!("the broker is gone: {e}"))?;
    ticks(&stat).map(|ticks| ticks / TICKS_PER_S).ok_or_else(|| "/proc tells no CPU time".into())
}

/// User's and system's ticks: the 14th and 15th field. The second is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

fn page(options: &Options, origin: &Origin, results: &Results) -> String {
    let mut out = String::from("# Clients that others wrote\n\n");
    let _ = writeln!(
        out,
        "Written by `cargo xtask bench clients` on {}, librdkafka {}. \
         The broker has core {BROKER_CORE}, the client core {LOAD_CORE}. Each system has {} with each tool; the \
         figures are the medians of its turns. Read the ratios: the absolute figures are about this machine.\n",
        origin.words(),
        tools::LIBRDKAFKA,
        table::counted(options.rounds as usize, "turn"),
    );
    let _ = writeln!(
        out,
        "A topic of {} partitions for each system, records of 1 KB, the clients' defaults but for what the headings name. \
         The brokers are up side by side and take turns; each was warmed up by `flumen-load` with batches of 16 KB, Kafka \
         for {} s. A client that fills its core before the broker fills its own shows what the client can do: then the \
         broker's CPU is what differs. It is that of the tool's whole run. A Java producer's first half million records \
         are not counted, and of a group that reads not the time until it was formed; of the lone records all are, those \
         too in which the client's compiler is at work, and the tool tells no percentiles finer than a millisecond.",
        ROW.partitions, options.warmup,
    );
    for &tool in &options.tools {
        tool_table(&mut out, tool, results);
    }
    out
}

fn tool_table(out: &mut String, tool: Tool, results: &Results) {
    let present: Vec<System> =
        System::ALL.into_iter().filter(|s| results.contains_key(&(tool.name(), *s))).collect();
    if present.is_empty() {
        return;
    }
    let metrics: Vec<&str> = tool.shown().iter().copied().chain(["broker_cores"]).collect();
    let name = |metric: &str| match metric {
        "broker_cores" => "broker's core in use".to_owned(),
        other => table::label(other).to_owned(),
    };
    let head: Vec<String> = metrics.iter().map(|metric| name(metric)).collect();
    let _ = writeln!(
        out,
        "\n## {}\n\n| | {} |\n|---|{}",
        tool.title(),
        head.join(" | "),
        "---|".repeat(head.len())
    );
    for system in present {
        let values = &results[&(tool.name(), system)].values;
        let cell = |metric: &&str| values.get(*metric).map(|value| table::digits(*value)).unwrap_or_default();
        let cells: Vec<String> = metrics.iter().map(cell).collect();
        let _ = writeln!(out, "| {} | {} |", system.title(), cells.join(" | "));
    }
}

fn line(options: &Options, origin: &Origin, results: &Results) -> Value {
    let mut line = origin.to_json();
    let run = json!({
        "kafka": kafka::VERSION, "librdkafka": tools::LIBRDKAFKA, "rounds": options.rounds,
        "kafka_warmup_s": options.warmup, "tools": history::by_name(results),
    });
    line.extend(run.as_object().cloned().unwrap_or_default());
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("77 (flumen) S 1"), None);
    }

    #[test]
    fn a_tool_has_its_table_and_its_costs() {
        let mut figures = Figures::default();
        figures.set("records_per_s", 250_000.0);
        set_costs(&mut figures, Tool::RdkafkaProduce, 4.0, Duration::from_secs(8));
        assert_eq!((figures.values["cpu_s_per_gb"], figures.values["broker_cores"]), (2.0, 0.5));
        let results = Results::from([((Tool::RdkafkaProduce.name(), System::Kafka), figures)]);
        let mut out = String::new();
        tool_table(&mut out, Tool::RdkafkaProduce, &results);
        tool_table(&mut out, Tool::JavaProduce, &results);
        assert!(
            out.contains("| | records/s | MB/s | CPU s/GB | broker's core in use |\n|---|---|---|---|---|"),
            "{out}"
        );
        assert!(out.contains("| Kafka, default (page cache) | 250,000 |  | 2.00 | 0.500 |"), "{out}");
        assert_eq!(out.matches("## ").count(), 1);
    }

    #[test]
    fn one_turn_is_not_called_turns() {
        let origin = Origin {
            date: "d".into(),
            commit: "c".into(),
            kernel: "k".into(),
            processor: "p".into(),
            cores: 2,
            memory_gb: 1.0,
        };
        for (rounds, told) in [("1", "has 1 turn with each tool"), ("2", "has 2 turns with each tool")] {
            let arguments = ["--rounds", rounds, "--tools", "rdkafka-produce"].map(str::to_owned);
            let page = page(&parse(&arguments).unwrap(), &origin, &Results::new());
            assert!(page.contains(told), "{page}");
        }
    }

    #[test]
    fn options_are_understood_or_refused() {
        let arguments = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options = parse(&arguments("--systems flumen --rounds 3 --warmup 9 --no-write")).unwrap();
        assert_eq!((options.systems, options.rounds, options.warmup), (vec![System::FlumenDurable], 3, 9));
        assert!(options.build && !options.write);
        assert_eq!(options.tools, Tool::ALL);
        for wrong in ["--tools kcat", "--systems redpanda", "--rounds x", "--warmup", "--rows bulk"] {
            assert!(parse(&arguments(wrong)).is_err(), "{wrong}");
        }
    }
}
