//! Rows that measure the same load twice in a turn, without something and with it: idempotence, retention,
//! compaction. The ratio of the two within one system counts.

use super::{
    measure::{Figures, Load, figures, finish, number, start},
    rows::Beside,
    system::System,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

/// Seconds that a load is measured beside retention and compaction: several checks of what there is to delete, and
/// several runs of the cleaner, must fall into them.
pub const BESIDE_SECONDS: u32 = 20;
/// Seconds of the same load before that: so long it takes until retention, and the cleaner, have something to do all
/// the time.
pub const RETENTION_LEAD: u32 = 10;
pub const COMPACTION_LEAD: u32 = 15;
/// Bytes of a segment in these two rows: small, so that many come and go.
const SEGMENT: u32 = 4 << 20;
/// Keys of the compacted topic, and records of each batch.
pub const KEYS: u32 = 10_000_000;
pub const KEYS_A_BATCH: u32 = 100;
/// Most seconds in which all keys are written once, and those that it takes about.
const FILL_PATIENCE: u32 = 300;
const FILL_ABOUT: u32 = 20;
/// Patience for an answer over HTTP.
const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// Seconds that a turn takes about.
pub fn seconds(what: Beside, measured: u32, settle: u32) -> u32 {
    match what {
        Beside::Idempotence => 3 * (measured + settle),
        Beside::Retention => 2 * (RETENTION_LEAD + BESIDE_SECONDS),
        Beside::Compaction => 2 * (FILL_ABOUT + COMPACTION_LEAD + BESIDE_SECONDS),
    }
}

/// A turn. `data` is the broker's directory; `rest` waits until the disk is at rest.
pub fn turn(load: &Load<'_>, what: Beside, data: &Path, rest: &dyn Fn()) -> Result<Figures, String> {
    match what {
        Beside::Idempotence => idempotence(load, rest),
        Beside::Retention => retention(load, rest),
        Beside::Compaction => compaction(load, data, rest),
    }
}

/// Sets a figure of the load without, and how many times that it is with.
fn compare(with: &mut Figures, name: &str, without: f64) {
    let ratio = with.values.get(name).map(|value| value / without);
    with.set(&format!("{name}_without"), without);
    if let Some(ratio) = ratio {
        with.set(&format!("{name}_ratio"), ratio);
    }
}

/// Without, with, and without again: what drifts in the meantime cancels out.
fn idempotence(load: &Load<'_>, rest: &dyn Fn()) -> Result<Figures, String> {
    let once = |options: &[&str]| {
        let (seconds, settle) = (load.spans.seconds, load.spans.settle());
        let mut command = load.produce(load.row.command, &load.topic(), seconds, settle, 0.0);
        command.args(options);
        let figures = finish(start(command)?).map(|json| figures(&json));
        rest();
        figures
    };
    let before = once(&[])?;
    let mut with = once(&["--idempotent"])?;
    let after = once(&[])?;
    let rate = |figures: &Figures| figures.values.get("mb_per_s").copied().unwrap_or_default();
    compare(&mut with, "mb_per_s", f64::midpoint(rate(&before), rate(&after)));
    Ok(with)
}

/// The row's open loop on a topic with these configurations.
fn open_loop(load: &Load<'_>, topic: &str, configs: &[String], lead: u32) -> Command {
    let mut command = load.base(load.row.command, topic);
    for config in configs {
        command.args(["--config", config]);
    }
    command.args(load.row.options).args(["--broker-pid", &load.pid.to_string()]);
    command.args(["--connections", &load.row.connections.to_string(), "--inflight", "0"]);
    command.args(["--rate", &load.row.rate.to_string(), "--warmup", &lead.to_string()]);
    command.args(["--seconds", &BESIDE_SECONDS.to_string()]);
    command
}

fn small_segments(more: &[&str]) -> Vec<String> {
    let own = [format!("segment.bytes={SEGMENT}"), "file.delete.delay.ms=1000".to_owned()];
    own.into_iter().chain(more.iter().map(|config| (*config).to_owned())).collect()
}

/// A topic that keeps all, then one that keeps two segments of each partition.
fn retention(load: &Load<'_>, rest: &dyn Fn()) -> Result<Figures, String> {
    let kept = format!("retention.bytes={}", 2 * SEGMENT);
    let once = |topic: &str, limit: &str| {
        let mut command = open_loop(load, topic, &small_segments(&[limit]), RETENTION_LEAD);
        command.arg("--fresh");
        let json = finish(start(command)?);
        rest();
        json
    };
    let without = once("kept", "retention.bytes=-1")?;
    let with = once("deleted", &kept)?;
    let deleted = number(&with["deleted_records"]);
    if deleted == 0.0 || number(&without["deleted_records"]) > 0.0 {
        return Err("retention deleted nothing while it was measured, or something where it must not".into());
    }
    let mut result = figures(&with);
    result.set("deleted_records", deleted);
    let p99 = figures(&without).values.get("p99").copied().unwrap_or_default();
    compare(&mut result, "p99", p99);
    Ok(result)
}

/// Every key is written once to a new topic; then the load, which writes them again and again. First without
/// compaction, then with it.
fn compaction(load: &Load<'_>, data: &Path, rest: &dyn Fn()) -> Result<Figures, String> {
    let once = |topic: &str, configs: &[String]| {
        fill(load, topic, configs)?;
        rest();
        let child = start(with_keys(open_loop(load, topic, configs, COMPACTION_LEAD)))?;
        std::thread::sleep(Duration::from_secs(u64::from(COMPACTION_LEAD) + 1));
        let before = cleaned(load.system, data);
        let json = finish(child)?;
        let after = cleaned(load.system, data);
        rest();
        Ok::<_, String>((json, after? - before?))
    };
    let (without, _) = once("uncompacted", &small_segments(&["retention.bytes=-1"]))?;
    let compacted = ["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.1"];
    let (with, cleaned) = once("compacted", &small_segments(&compacted))?;
    if cleaned <= 0.0 {
        return Err("no cleaning came to its end while it was measured".into());
    }
    let mut result = figures(&with);
    let name = if load.system.is_kafka() { "cleaned_records" } else { "cleaned_mb" };
    result.set(name, if load.system.is_kafka() { cleaned } else { cleaned / 1e6 });
    let p99 = figures(&without).values.get("p99").copied().unwrap_or_default();
    compare(&mut result, "p99", p99);
    Ok(result)
}

fn with_keys(mut command: Command) -> Command {
    command.args(["--keys", &KEYS.to_string()]);
    command
}

/// Makes a topic anew and writes every key to it, as fast as that goes.
fn fill(load: &Load<'_>, topic: &str, configs: &[String]) -> Result<(), String> {
    let mut command = load.base(load.row.command, topic);
    for config in configs {
        command.args(["--config", config]);
    }
    // Connections that are a little ahead of others leave a partition a few batches short: one in a hundred more.
    let requests = u64::from(KEYS / KEYS_A_BATCH) * 101 / 100;
    command.args(load.row.options).args(["--connections", "4", "--inflight", "5", "--fresh"]);
    command.args(["--requests", &requests.to_string(), "--seconds", &FILL_PATIENCE.to_string()]);
    let json = finish(start(with_keys(command))?)?;
    let records = number(&json["produced"]["total_records"]);
    if records < f64::from(KEYS) {
        return Err(format!("only {records} of the records with {KEYS} keys were written in time"));
    }
    Ok(())
}

/// A measure of what the cleaner has done: for Flumen the bytes that it has read, for Kafka the offsets that all
/// partitions together are clean up to.
fn cleaned(system: System, data: &Path) -> Result<f64, String> {
    if system.is_kafka() {
        // The file is replaced while cleaning goes on; it is not there before the first run has ended.
        let text = fs::read_to_string(data.join("cleaner-offset-checkpoint")).unwrap_or_default();
        return Ok(clean_offsets(&text, "compacted"));
    }
    Ok(sum_of(&metrics(system)?, "flumen_cleaner_read_bytes_total"))
}

/// The sum of the offsets of a topic's partitions in Kafka's checkpoint: a version, a count, then lines of topic,
/// partition, offset.
fn clean_offsets(text: &str, topic: &str) -> f64 {
    let offset = |line: &str| {
        let mut words = line.split_whitespace();
        let own = words.next() == Some(topic);
        words.nth(1).filter(|_| own).and_then(|offset| offset.parse::<f64>().ok())
    };
    text.lines().skip(2).filter_map(offset).sum()
}

/// The sum of a metric over its labels.
fn sum_of(text: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let labelled = rest.starts_with('{') || rest.starts_with(' ');
        rest.rsplit(' ').next().filter(|_| labelled)?.parse::<f64>().ok()
    };
    text.lines().filter_map(value).sum()
}

/// The metrics of a Flumen.
fn metrics(system: System) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("asking {} for its metrics: {e}", system.name());
    let to = SocketAddr::from(([127, 0, 0, 1], system.http_port()));
    let mut stream = TcpStream::connect_timeout(&to, HTTP_PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(HTTP_PATIENCE)).map_err(failed)?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cleaned_is_read_from_either_broker() {
        let checkpoint = "0\n4\ncompacted 0 500\ncompacted 1 250\n__consumer_offsets 7 90\nother 0 1\n";
        assert_eq!(clean_offsets(checkpoint, "compacted"), 750.0);
        assert_eq!(clean_offsets("", "compacted"), 0.0);
        let metrics = "# TYPE a_total counter\na_total{core=\"0\"} 5\na_total{core=\"1\"} 7\na_total_b 9\n";
        assert_eq!(sum_of(metrics, "a_total"), 12.0);
    }

    #[test]
    fn a_figure_is_set_beside_the_one_without() {
        let mut figures = Figures::default();
        figures.set("p99", 300.0);
        compare(&mut figures, "p99", 200.0);
        assert_eq!((figures.values["p99_without"], figures.values["p99_ratio"]), (200.0, 1.5));
    }
}
