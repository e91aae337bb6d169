//! What a turn consists of: loads on a broker, and the figures that come out.

use super::{
    rows::{Kind, Row},
    system::{BOTH_CORES, BROKER_CORE, Broker, LOAD_CORE, Places, System},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// Seconds measured in a turn.
    pub seconds: u32,
    /// Seconds of full load on Kafka before that: its compiler needs them.
    pub kafka_warmup: u32,
    /// The same for Flumen, which has nothing to compile.
    pub flumen_warmup: u32,
    /// Bytes that the topics of a row may keep on the disk, all systems together.
    pub disk: u64,
}

impl Spans {
    /// Seconds at the beginning of a measurement that are left out: connections are new.
    pub fn settle(&self) -> u32 {
        self.seconds.div_ceil(10).min(5)
    }
}

/// The figures of one turn, by name, and what pictures need.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub values: BTreeMap<String, f64>,
    /// Share of requests and the latency in µs that they stayed within.
    pub curve: Vec<(f64, f64)>,
    /// Requests answered in each second.
    pub every_second: Vec<f64>,
}

impl Figures {
    pub fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.values.insert(name.to_owned(), value);
        }
    }
}

/// Seconds that a freshly started broker is measured in the row of that name.
pub const FIRST: u32 = 15;
/// Seconds of load before the broker of the restart row is killed.
pub const BEFORE_RESTART: u32 = 10;
const IDLE_TOPICS: u32 = 10;
/// Most seconds that the topic of a cold read is filled: retention must not reach it.
pub const FILL: u32 = 6;
/// Seconds of full load on a topic that was made anew between two rounds.
pub const SETTLE_NEW: u32 = 5;
/// Connections of the row across cores, and seconds that each sends to one partition, then to the other.
pub const CROSS_CONNECTIONS: u32 = 6;
pub const CROSS_SECONDS: u32 = 2;

/// Runs a turn on a broker that is started for it.
pub fn fresh_turn(row: &Row, system: System, spans: &Spans, places: &Places) -> Result<Figures, String> {
    let cores = if row.kind == Kind::Cross { BOTH_CORES } else { BROKER_CORE };
    let mut broker = Broker::start_fresh_on(system, places, cores)?;
    let load = Load { row, system, spans, places, pid: broker.pid(), disk: spans.disk };
    match row.kind {
        Kind::First => load.measure(FIRST, 0, f64::from(row.rate)),
        Kind::Restart => load.restart(&mut broker),
        Kind::Idle => load.idle(),
        Kind::Cross => load.cross(),
        Kind::Steady | Kind::Half | Kind::Cold | Kind::Beside(_) | Kind::Rebalance => {
            Err("this row is measured on warm brokers".into())
        }
    }
}

/// A system, a row, and the broker that is measured.
pub struct Load<'a> {
    pub row: &'a Row,
    pub system: System,
    pub spans: &'a Spans,
    pub places: &'a Places,
    /// The broker's process.
    pub pid: u32,
    /// Bytes that this system's topics may keep.
    pub disk: u64,
}

impl Load<'_> {
    /// The topic that is measured: each system has its own, also where two share a process.
    pub fn topic(&self) -> String {
        format!("p{}-{}", self.row.partitions, self.system.name())
    }

    pub fn base(&self, command: &str, topic: &str) -> Command {
        let mut load = Command::new(self.places.load());
        load.args([command, "-b", &self.system.address(), "--core", LOAD_CORE, "--output", "json"]);
        load.args(["--topic", topic, "--partitions", &self.row.partitions.to_string()]);
        load
    }

    /// The topic's configuration: what the system's promise needs, and limits so that the row
    /// does not fill the disk. Segments are a quarter of what is kept, so that deletion happens.
    fn configure(&self, load: &mut Command) {
        let kept = (self.disk / u64::from(self.row.partitions)).clamp(8 << 20, 4 << 30);
        load.args(["--config", &format!("retention.bytes={kept}")]);
        load.args(["--config", &format!("segment.bytes={}", (kept / 4).min(1 << 30))]);
        for config in self.system.topic_config() {
            load.args(["--config", config]);
        }
    }

    /// The row's load with another command or rate, or on another topic; a rate of 0 is as fast as it goes.
    pub fn produce(&self, command: &str, topic: &str, seconds: u32, warmup: u32, rate: f64) -> Command {
        let mut load = self.base(command, topic);
        self.configure(&mut load);
        load.args(self.row.options).args(["--broker-pid", &self.pid.to_string()]);
        load.args(["--connections", &self.row.connections.to_string()]);
        let inflight = if rate > 0.0 { 0 } else { self.row.inflight };
        load.args(["--inflight", &inflight.to_string()]);
        if rate > 0.0 {
            load.args(["--rate", &rate.to_string()]);
        }
        load.args(["--seconds", &seconds.to_string(), "--warmup", &warmup.to_string()]);
        load
    }

    /// The row's load as fast as it goes; resident memory at its end, in MB. It is the measured topic itself that is
    /// warmed up: one that is new is slow for seconds, and one that is deleted costs while it is.
    pub fn warm_up(&self, seconds: u32) -> Result<f64, String> {
        self.keep_promise_inside()?;
        if self.row.kind == Kind::Rebalance {
            self.rebalance((seconds / 2).max(1))?;
            return resident(self.pid).map(|bytes| bytes / 1e6);
        }
        let json = finish(start(self.produce(self.row.command, &self.topic(), seconds, 0, 0.0))?)?;
        Ok(number(&json["broker"]["resident_bytes"]) / 1e6)
    }

    /// Deletes the measured topic and makes it anew, with some seconds of the row's load as fast as it goes.
    pub fn renew(&self) -> Result<(), String> {
        let mut load = self.produce(self.row.command, &self.topic(), SETTLE_NEW, 0, 0.0);
        load.arg("--fresh");
        finish(start(load)?).map(drop)
    }

    /// Requests a second of the row's load as fast as it goes.
    pub fn full_rate(&self) -> Result<f64, String> {
        let json = finish(start(self.produce("produce", &self.topic(), self.spans.seconds, 1, 0.0))?)?;
        Ok(number(&json["produced"]["requests_per_s"]))
    }

    pub fn measure(&self, seconds: u32, warmup: u32, rate: f64) -> Result<Figures, String> {
        self.keep_promise_inside()?;
        let json = finish(start(self.produce(self.row.command, &self.topic(), seconds, warmup, rate))?)?;
        Ok(figures(&json))
    }

    /// Gives the brokers' own topics that the row works with what the system's topics have, or takes it from them: two
    /// systems may share a process. A topic that does not exist yet has nothing to lose.
    fn keep_promise_inside(&self) -> Result<(), String> {
        if !self.system.is_kafka() {
            return Ok(());
        }
        for topic in self.row.internal_topics {
            let mut alter = Command::new(self.places.load());
            alter.args(["alter", "-b", &self.system.address(), "--output", "json", "--if-exists"]);
            alter.args(["--topic", topic]);
            match self.system.topic_config() {
                [] => alter.args(["--unset", "flush.messages"]),
                configs => alter.args(configs.iter().flat_map(|config| ["--config", *config])),
            };
            finish(start(alter)?)?;
        }
        Ok(())
    }

    /// One member comes to a large group and goes, again and again, in both protocols.
    pub fn rebalance(&self, seconds: u32) -> Result<Figures, String> {
        let mut all = Figures::default();
        for protocol in ["classic", "consumer"] {
            let mut load = self.base("rebalance", &self.topic());
            load.args(self.row.options).args(["--protocol", protocol, "--broker-pid", &self.pid.to_string()]);
            load.args(["--seconds", &seconds.to_string()]);
            let json = finish(start(load)?)?;
            for (name, quantile) in [("ms", "p50"), ("max_ms", "max")] {
                all.set(&format!("{protocol}_{name}"), number(&json["join_us"][quantile]) / 1e3);
            }
            let use_of = figures(&json);
            for name in ["broker_cores", "client_busy", "other_cores"] {
                all.set(name, use_of.values.get(name).copied().unwrap_or_default());
            }
        }
        Ok(all)
    }

    /// Fills a topic, makes the kernel forget what is in `data`, reads the topic from its start, and deletes it.
    pub fn cold_read(&self, data: &Path) -> Result<Figures, String> {
        let mut fill = self.produce("produce", "cold", self.spans.seconds.min(FILL), 0, 0.0);
        fill.arg("--fresh");
        finish(start(fill)?)?;
        let evict = Command::new(self.places.load()).arg("evict").arg(data).output();
        if !evict.map_err(|e| format!("starting flumen-load: {e}"))?.status.success() {
            return Err("the page cache could not be emptied".into());
        }
        let mut load = self.base("consume", "cold");
        self.configure(&mut load);
        load.args(["--broker-pid", &self.pid.to_string(), "--from", "start", "--delete-after"]);
        load.args(["--live-topic", "live", "--live-rate", "1000"]);
        Ok(figures(&finish(start(load)?)?))
    }

    fn restart(&self, broker: &mut Broker) -> Result<Figures, String> {
        let load = self.produce("produce", &self.topic(), BEFORE_RESTART, 0, 0.0);
        let json = finish(start(load)?)?;
        let acknowledged = number(&json["arrived"]["records"]);
        let mut figures = Figures::default();
        broker.kill();
        figures.set("s_after_kill", self.ready_again(broker, acknowledged)?);
        broker.stop()?;
        figures.set("s_after_stop", self.ready_again(broker, acknowledged)?);
        Ok(figures)
    }

    /// Starts the broker and returns the seconds until every partition is served, with all
    /// that was acknowledged.
    fn ready_again(&self, broker: &mut Broker, acknowledged: f64) -> Result<f64, String> {
        let ready = start(self.base("ready", &self.topic()))?;
        let from = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        broker.start_again()?;
        let json = finish(ready)?;
        let records = number(&json["records"]);
        if records != acknowledged {
            let name = self.system.name();
            return Err(format!("{name} came back with {records} records, not {acknowledged}"));
        }
        let at = json["at_ns"].as_u64().ok_or("flumen-load told no time")?;
        Ok((u128::from(at).saturating_sub(from.as_nanos())) as f64 / 1e9)
    }

    fn idle(&self) -> Result<Figures, String> {
        let before = resident(self.pid)?;
        let mut load = Command::new(self.places.load());
        load.args(["create", "-b", &self.system.address(), "--output", "json", "--topic", "idle"]);
        load.args(["--topics", &IDLE_TOPICS.to_string()]);
        load.args(["--partitions", &(self.row.partitions / IDLE_TOPICS).to_string()]);
        finish(start(load)?)?;
        let after = resident(self.pid)?;
        let mut figures = Figures::default();
        let grown = (after - before).max(0.0) / 1024.0;
        figures.set("kib_per_partition", grown / f64::from(self.row.partitions));
        figures.set("resident_mb", after / 1e6);
        Ok(figures)
    }

    /// What a request costs whose partition lives on the connection's own core, and one whose partition does not.
    fn cross(&self) -> Result<Figures, String> {
        let mut load = self.base("cross", &self.topic());
        load.args(self.row.options).args(["--broker-pid", &self.pid.to_string()]);
        load.args(["--connections", &CROSS_CONNECTIONS.to_string()]);
        load.args(["--inflight", &self.row.inflight.to_string(), "--seconds", &CROSS_SECONDS.to_string()]);
        let json = finish(start(load)?)?;
        let mut figures = Figures::default();
        for name in ["cheaper_us", "dearer_us", "dearer_to_cheaper"] {
            figures.set(name, number(&json[name]));
        }
        figures.set("client_busy", number(&json["client_busy"]));
        Ok(figures)
    }
}

/// Resident bytes of a process.
fn resident(pid: u32) -> Result<f64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|e| format!("the broker is gone: {e}"))?;
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: f64| kib * 1024.0).ok_or_else(|| "/proc tells no resident memory".into())
}

/// Starts a load.
pub fn start(mut load: Command) -> Result<Child, String> {
    load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    load.spawn().map_err(|e| format!("starting flumen-load: {e}"))
}

/// Waits for a load's report. One that says that something was lost is an error: a figure
/// without its proof is none.
pub fn finish(load: Child) -> Result<Value, String> {
    let output = load.wait_with_output().map_err(|e| format!("waiting for flumen-load: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let json: Value = match serde_json::from_str(text.trim()) {
        Ok(json) => json,
        Err(_) => return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    };
    if output.status.success() {
        return Ok(json);
    }
    let part = |name: &str| format!("{name} {}", json[name]);
    let names = [
        "arrived",
        "to_read",
        "lost_connections",
        "unanswered",
        "unread",
        "lost_members",
        "groups_with_other_offsets",
    ];
    let flows = ["produced", "consumed", "committed"].map(|flow| json[flow]["errors"].to_string());
    let errors = format!("errors {}", flows.join(" "));
    Err(format!("the load did not end as it must: {}; {errors}", names.map(part).join(", ")))
}

/// A figure of a report, 0 where there is none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// Takes from a load's report what rows compare.
pub fn figures(json: &Value) -> Figures {
    let mut figures = Figures::default();
    let (consumed, broker) = (&json["consumed"], &json["broker"]);
    let produced = if json["committed"].is_null() { &json["produced"] } else { &json["committed"] };
    // A catch-up is about what was read; its live producer is only company.
    let live = json["workload"] == "consume";
    figures.set("requests_per_s", number(&produced["requests_per_s"]));
    figures.set("mb_per_s", number(&produced["mb_per_s"]));
    if !consumed.is_null() {
        figures.set("consumed_mb_per_s", number(&consumed["mb_per_s"]));
    }
    let latency =
        if json["end_to_end_us"].is_null() { &produced["latency_us"] } else { &json["end_to_end_us"] };
    for name in ["p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        figures.set(name, number(&latency[name]));
    }
    let (in_bytes, out_bytes) = (number(&produced["bytes"]), number(&consumed["bytes"]));
    let cpu = number(&broker["cpu_s"]);
    let transactions = &json["transactions"];
    if !transactions.is_null() {
        figures.set("transactions_per_s", number(&transactions["requests_per_s"]));
        figures.set("transaction_p50", number(&transactions["latency_us"]["p50"]));
        figures.set("transaction_p99", number(&transactions["latency_us"]["p99"]));
        figures.set("cpu_us_per_transaction", cpu / number(&transactions["requests"]) * 1e6);
    }
    figures.set("cpu_s_per_gb", cpu / (in_bytes + out_bytes) * 1e9);
    if !live {
        figures.set("cpu_us_per_request", cpu / number(&produced["requests"]) * 1e6);
        figures.set("cpu_s_per_million", cpu / number(&produced["records"]) * 1e6);
        figures.set("written_per_byte", number(&broker["written_bytes"]) / in_bytes);
    }
    figures.set("read_per_byte", number(&broker["read_bytes"]) / out_bytes);
    figures.set("broker_cores", number(&broker["cores"]));
    figures.set("resident_mb", number(&broker["resident_bytes"]) / 1e6);
    figures.set("client_busy", number(&json["client_busy"]));
    figures.set("other_cores", number(&json["other_cores"]) + number(&json["stolen_cores"]));
    figures.set("sent_late_p99", number(&produced["send_delay_us"]["p99"]));
    for step in latency["curve"].as_array().into_iter().flatten() {
        figures.curve.push((number(&step[0]), number(&step[1])));
    }
    figures.every_second = produced["every_second"].as_array().into_iter().flatten().map(number).collect();
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commits_and_transactions_have_figures_too() {
        let commits = json!({"workload": "commit-offsets", "broker": {"cpu_s": 1.0},
            "committed": {"requests_per_s": 50.0, "requests": 500, "latency_us": {"p99": 7.0}}});
        let of_commits = figures(&commits).values;
        assert_eq!((of_commits["requests_per_s"], of_commits["p99"]), (50.0, 7.0));
        assert_eq!(of_commits["cpu_us_per_request"], 2000.0);
        let transactions = json!({"workload": "transact", "broker": {"cpu_s": 1.0},
            "produced": {"mb_per_s": 8.0, "requests": 100, "bytes": 1_000_000},
            "transactions": {"requests_per_s": 5.0, "requests": 50, "latency_us": {"p50": 3.0, "p99": 9.0}}});
        let figures = figures(&transactions).values;
        assert_eq!((figures["transactions_per_s"], figures["mb_per_s"]), (5.0, 8.0));
        assert_eq!((figures["transaction_p50"], figures["transaction_p99"]), (3.0, 9.0));
        assert_eq!(figures["cpu_us_per_transaction"], 20_000.0);
    }

    #[test]
    fn costs_are_per_byte_moved_and_per_request() {
        let report = json!({
            "workload": "produce",
            "produced": {"requests_per_s": 10.0, "mb_per_s": 1.0, "requests": 100, "records": 200,
                "bytes": 1_000_000_000u64, "latency_us": {"p50": 5.0, "curve": [[0.5, 5.0], [1.0, 9.0]]},
                "every_second": [1, 2]},
            "consumed": {"mb_per_s": 3.0, "bytes": 3_000_000_000u64},
            "broker": {"cpu_s": 2.0, "written_bytes": 1_500_000_000u64, "resident_bytes": 5e6},
        });
        let figures = figures(&report);
        let value = |name: &str| figures.values[name];
        assert_eq!(value("cpu_s_per_gb"), 0.5);
        assert_eq!(value("cpu_us_per_request"), 20_000.0);
        assert_eq!(value("written_per_byte"), 1.5);
        assert_eq!((value("p50"), value("consumed_mb_per_s")), (5.0, 3.0));
        assert_eq!(figures.curve, [(0.5, 5.0), (1.0, 9.0)]);
        assert_eq!(figures.every_second, [1.0, 2.0]);
    }
}
