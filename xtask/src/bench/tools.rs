//! Measuring tools of stock clients: how each is called, and what it prints.
//!
//! Kafka's `ProducerPerformance`, `ConsumerPerformance` and `EndToEndLatency` come with its jars; librdkafka's
//! `rdkafka_performance` is built from the sources that the crate rdkafka-sys carries.

use super::{
    kafka,
    measure::Figures,
    system::{LOAD_CORE, Places},
};
use crate::compat::registry_copy;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The crate that carries librdkafka's sources, at the version that `tests/compat` uses.
const RDKAFKA_SYS: &str = "4.10.0+2.12.1";
/// librdkafka in it.
pub const LIBRDKAFKA: &str = "2.12.1";
/// Bytes of a record, without a key.
pub const RECORD_BYTES: u64 = 1000;
/// Records of a turn as fast as it goes; so many first ones a Java producer does not count, for its compiler needs them.
const RECORDS: u64 = 2_000_000;
const RECORDS_WARM: u64 = 500_000;
/// Seconds after which a tool is ended: one that reads waits for records that are not there as long as it takes.
const PATIENCE_S: &str = "300";
/// Records of a turn that sends the next when the one before was read.
const RECORDS_ONE_BY_ONE: u64 = 20_000;

/// A tool and what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    JavaProduce,
    JavaConsume,
    JavaEndToEnd,
    RdkafkaProduce,
    RdkafkaConsume,
}

impl Tool {
    /// Producers first: consumers read what is there.
    pub const ALL: [Tool; 5] = [
        Tool::JavaProduce,
        Tool::JavaConsume,
        Tool::RdkafkaProduce,
        Tool::RdkafkaConsume,
        Tool::JavaEndToEnd,
    ];

    /// The name in options and history.
    pub fn name(self) -> &'static str {
        match self {
            Tool::JavaProduce => "java-produce",
            Tool::JavaConsume => "java-consume",
            Tool::JavaEndToEnd => "java-end-to-end",
            Tool::RdkafkaProduce => "rdkafka-produce",
            Tool::RdkafkaConsume => "rdkafka-consume",
        }
    }

    /// The heading of its table.
    pub fn title(self) -> &'static str {
        match self {
            Tool::JavaProduce => "Java, ProducerPerformance: acks=all, as fast as it goes",
            Tool::JavaConsume => "Java, ConsumerPerformance: a group of one reads from the start",
            Tool::JavaEndToEnd => "Java, EndToEndLatency: a record is sent when the one before was read",
            Tool::RdkafkaProduce => "librdkafka, rdkafka_performance -P: acks=all, as fast as it goes",
            Tool::RdkafkaConsume => "librdkafka, rdkafka_performance -G: a group of one reads from the start",
        }
    }

    /// The figures that its table shows.
    pub fn shown(self) -> &'static [&'static str] {
        match self {
            Tool::JavaProduce => &["records_per_s", "mb_per_s", "p50", "p99", "p99.9", "cpu_s_per_gb"],
            Tool::JavaEndToEnd => &["average", "cpu_us_per_record"],
            _ => &["records_per_s", "mb_per_s", "cpu_s_per_gb"],
        }
    }

    /// Records that a turn moves.
    pub fn records(self) -> u64 {
        match self {
            Tool::JavaEndToEnd => RECORDS_ONE_BY_ONE,
            _ => RECORDS,
        }
    }

    /// The call, on the load's core. `group` is of this turn alone.
    pub fn command(self, places: &Places, address: &str, topic: &str, group: &str) -> Command {
        let (records, bytes) = (self.records().to_string(), RECORD_BYTES.to_string());
        let where_to = ["--bootstrap-server", address, "--topic", topic, "--num-records", &records];
        let mut command = Command::new("timeout");
        command.args([PATIENCE_S, "taskset", "-c", LOAD_CORE]);
        match self {
            Tool::JavaProduce => {
                java(&mut command, places, "ProducerPerformance", &where_to);
                command.args([
                    "--record-size",
                    &bytes,
                    "--throughput",
                    "-1",
                    "--command-property",
                    "acks=all",
                ]);
                command.args(["--warmup-records", &RECORDS_WARM.to_string()]);
            }
            Tool::JavaConsume => {
                java(&mut command, places, "ConsumerPerformance", &where_to);
                command.args(["--group", group, "--timeout", "30000"]);
            }
            Tool::JavaEndToEnd => {
                java(&mut command, places, "EndToEndLatency", &where_to);
                command.args(["--producer-acks", "all", "--record-size", &bytes]);
            }
            Tool::RdkafkaProduce => {
                command.arg(rdkafka_performance(places)).args(["-P", "-b", address, "-t", topic]);
                command.args(["-s", &bytes, "-c", &records, "-a", "-1"]);
            }
            Tool::RdkafkaConsume => {
                command.arg(rdkafka_performance(places)).args(["-G", group, "-b", address, "-t", topic]);
                command.args(["-c", &records, "-X", "auto.offset.reset=earliest"]);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// What the tool printed; an error if it did not move what it was told to.
    pub fn read(self, printed: &str) -> Result<Figures, String> {
        let found = match self {
            Tool::JavaProduce => java_produced(printed),
            Tool::JavaConsume => java_consumed(printed),
            Tool::JavaEndToEnd => java_end_to_end(printed),
            Tool::RdkafkaProduce => rdkafka_produced(printed),
            Tool::RdkafkaConsume => rdkafka_consumed(printed),
        };
        let Some((records, figures)) = found else {
            return Err(format!("{} printed no figures: {}", self.name(), printed.trim()));
        };
        // A consumer is given what a fetch has, and counts all of it.
        if records < self.records() {
            return Err(format!("{} moved {records} records of {}", self.name(), self.records()));
        }
        Ok(figures)
    }
}

/// One of Kafka's tools, and the arguments that all of them take.
fn java(command: &mut Command, places: &Places, class: &str, where_to: &[&str]) {
    command.args(["java", "-Xmx1g"]).args(kafka::classes(places));
    command.arg(format!("org.apache.kafka.tools.{class}")).args(where_to);
}

fn rdkafka_performance(places: &Places) -> PathBuf {
    places.scratch.join("librdkafka/source/examples/rdkafka_performance")
}

/// Figures of a flow of records of [`RECORD_BYTES`].
fn flow(records_per_s: f64) -> Figures {
    let mut figures = Figures::default();
    figures.set("records_per_s", records_per_s);
    figures.set("mb_per_s", records_per_s * RECORD_BYTES as f64 / 1e6);
    figures
}

/// The number before a word.
fn before(text: &str, word: &str) -> Option<f64> {
    let number = text[..text.find(word)?].trim_end();
    let begin = number.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
    number[begin..].parse().ok()
}

/// `2000000 records sent, 113629.9 records/sec (108.4 MB/sec), 40.4 ms avg latency, ...` of all, then `1500000 steady state
/// records sent, 129701.7 records/sec (123.7 MB/sec), 4.1 ms avg latency, 44.0 ms max latency, 3 ms 50th, 10 ms 95th,
/// 19 ms 99th, 34 ms 99.9th.` without the first ones.
fn java_produced(printed: &str) -> Option<(u64, Figures)> {
    let line = printed.lines().rfind(|line| line.contains(" steady state records sent"))?;
    let mut figures = flow(before(line, " records/sec")?);
    for (name, word) in [("p50", " ms 50th"), ("p99", " ms 99th"), ("p99.9", " ms 99.9th")] {
        figures.set(name, before(line, word)? * 1e3);
    }
    Some((before(line, " steady state records sent")? as u64 + RECORDS_WARM, figures))
}

/// A heading, then one line of values, both separated by commas. What the group took to form is not counted.
fn java_consumed(printed: &str) -> Option<(u64, Figures)> {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("start.time"));
    let names: Vec<&str> = lines.next()?.split(',').map(str::trim).collect();
    let values: Vec<&str> = lines.next()?.split(',').map(str::trim).collect();
    let value = |name: &str| {
        let at = names.iter().position(|n| *n == name)?;
        values.get(at)?.parse::<f64>().ok()
    };
    Some((value("data.consumed.in.nMsg")? as u64, flow(value("fetch.nMsg.sec")?)))
}

/// A line for each thousandth record, then `Avg latency: 0.5231 ms` and percentiles in whole milliseconds, which say
/// nothing. A record that does not come ends the tool without them.
fn java_end_to_end(printed: &str) -> Option<(u64, Figures)> {
    let average = printed.lines().find_map(|line| line.strip_prefix("Avg latency:")?.strip_suffix("ms"))?;
    let mut figures = Figures::default();
    figures.set("average", average.trim().parse::<f64>().ok()? * 1e3);
    Some((RECORDS_ONE_BY_ONE, figures))
}

/// `% 2000000 messages produced (2000000000 bytes), 2000000 delivered (offset 0, 0 failed) in 9000ms: 222222 msgs/s and
/// 222.22 MB/s, 0 produce failures, 0 in queue, no compression`.
fn rdkafka_produced(printed: &str) -> Option<(u64, Figures)> {
    let line = printed.lines().rfind(|line| line.contains(" messages produced "))?;
    let failed = before(line, " failed)")?;
    Some((before(line, " delivered ")? as u64 - failed as u64, flow(before(line, " msgs/s")?)))
}

/// `% 2000000 messages (2000000000 bytes) consumed in 4000ms: 500000 msgs/s (500.00 MB/s)`.
fn rdkafka_consumed(printed: &str) -> Option<(u64, Figures)> {
    let line = printed.lines().rfind(|line| line.contains(" consumed in "))?;
    Some((before(line, " messages (")? as u64, flow(before(line, " msgs/s")?)))
}

/// Fetches librdkafka's sources and builds its tool, if it is not there.
pub fn build_rdkafka_performance(places: &Places) -> Result<(), String> {
    let dir = places.scratch.join("librdkafka");
    if fs::read_to_string(dir.join("complete")).ok().as_deref() == Some(LIBRDKAFKA) {
        return Ok(());
    }
    println!("building rdkafka_performance of librdkafka {LIBRDKAFKA}");
    let source = dir.join("source");
    if source.exists() {
        fs::remove_dir_all(&source).map_err(|e| format!("emptying {}: {e}", source.display()))?;
    }
    let carried = registry_copy("rdkafka-sys", RDKAFKA_SYS, &dir.join("fetch"), &dir.join("fetch.log"))?;
    let mut copy = Command::new("cp");
    // The registry's files may be read-only; what makes them programs stays.
    copy.args(["-r", "--no-preserve=ownership"]).arg(carried.join("librdkafka")).arg(&source);
    kafka::run(copy)?;
    let mut writable = Command::new("chmod");
    writable.args(["-R", "u+w"]).arg(&source);
    kafka::run(writable)?;
    let mut configure = Command::new("./configure");
    // What a plain connection does not need, and what the machine may not have.
    configure.args([
        "--disable-ssl",
        "--disable-gssapi",
        "--disable-curl",
        "--disable-zstd",
        "--disable-lz4-ext",
    ]);
    kafka::run(within(configure, &source))?;
    for target in [["-C", "src", "librdkafka.a"], ["-C", "examples", "rdkafka_performance"]] {
        let mut make = Command::new("make");
        make.arg("-j2").args(target);
        kafka::run(within(make, &source))?;
    }
    kafka::write(&dir.join("complete"), LIBRDKAFKA)
}

fn within(mut command: Command, dir: &Path) -> Command {
    command.current_dir(dir);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tool: Tool, printed: &str) -> Vec<f64> {
        let figures = tool.read(printed).expect("figures");
        let shown = tool.shown().iter().filter_map(|name| figures.values.get(*name).copied());
        shown.collect()
    }

    #[test]
    fn what_the_tools_print_is_understood() {
        let printed = "686374 records sent, 137274.8 records/sec (130.92 MB/sec), 4.0 ms avg latency, 44.0 ms max latency.\n\
            2000000 records sent, 113629.9 records/sec (108.37 MB/sec), 40.37 ms avg latency, 633.00 ms max latency, 4 ms \
            50th, 295 ms 95th, 368 ms 99th, 413 ms 99.9th.\n\
            1500000 steady state records sent, 129701.7 records/sec (123.69 MB/sec), 4.13 ms avg latency, 44.00 ms max \
            latency, 3 ms 50th, 10 ms 95th, 19 ms 99th, 34 ms 99.9th.\n";
        assert_eq!(values(Tool::JavaProduce, printed), [129_701.7, 129.7017, 3000.0, 19_000.0, 34_000.0]);
        let printed = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-11-26 11:41:34:019, 2026-11-26 11:41:41:569, 1907.6, 252.6, 2000348, 264946.7, 3487, 4063, 469.5, 492332.0\n";
        assert_eq!(values(Tool::JavaConsume, printed), [492_332.0, 492.332]);
        let printed =
            "3000\t0.619798\n4000\t0.523026\nAvg latency: 1.9625 ms\n\nPercentiles: 50th = 0, 99th = 10\n";
        assert_eq!(values(Tool::JavaEndToEnd, printed), [1962.5]);
        let printed = "% 2000000 messages produced (2000000000 bytes), 2000000 delivered (offset 0, 0 failed) in 9000ms: \
            222222 msgs/s and 222.22 MB/s, 0 produce failures, 0 in queue, no compression\n";
        assert_eq!(values(Tool::RdkafkaProduce, printed), [222_222.0, 222.222]);
        let printed =
            "% 2000000 messages (2000000000 bytes) consumed in 4000ms: 500000 msgs/s (500.00 MB/s)\n";
        assert_eq!(values(Tool::RdkafkaConsume, printed), [500_000.0, 500.0]);
    }

    #[test]
    fn a_tool_that_moved_less_has_failed() {
        let printed = "% 2000000 messages produced (2000000000 bytes), 1999999 delivered (offset 0, 1 failed) in 9000ms: \
            222222 msgs/s and 222.22 MB/s, 0 produce failures, 0 in queue, no compression\n";
        assert!(Tool::RdkafkaProduce.read(printed).is_err());
        assert!(Tool::JavaProduce.read("[ERROR] no broker\n").is_err());
        assert!(Tool::JavaEndToEnd.read("1000\t0.5\n").is_err());
    }
}
