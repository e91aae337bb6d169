//! The rows of the comparison: what is run, on which systems, and what must come out.

use super::system::System::{self, FlumenDurable, FlumenRelaxed, Kafka, KafkaFlush};

/// How a row is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Warmed up, then measured.
    Steady,
    /// Measured from the first second after the start.
    First,
    /// As [`Steady`](Kind::Steady), open loop at half of what the first system of the row takes.
    Half,
    /// Catching up from the start of a log that no cache holds, beside a live producer.
    Cold,
    /// Warmed up, then measured without something and with it in each turn.
    Beside(Beside),
    /// Time from a change of a large group until all its members have their new assignment, in both protocols.
    Rebalance,
    /// Time until every partition is served again, after kill -9 and after a clean stop.
    Restart,
    /// Memory of partitions that nobody uses.
    Idle,
    /// The cost of a request whose partition lives on another core than its connection.
    Cross,
}

/// What a load is measured without and with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Producer ids and sequences.
    Idempotence,
    /// Segments deleted for their topic has its size.
    Retention,
    /// A compacted topic of millions of keys that is cleaned.
    Compaction,
}

impl Kind {
    /// Whether every turn needs a broker that has just started.
    pub fn starts_anew(self) -> bool {
        matches!(self, Kind::First | Kind::Restart | Kind::Idle | Kind::Cross)
    }
}

/// What a figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The same figure of another system: the ratio counts.
    Other(System),
    /// The device's durable write bandwidth: the share counts.
    DeviceBandwidth,
    /// The device's own lone durable write: the difference in µs counts.
    DeviceLatency,
    /// Nothing: the figure itself counts.
    Nothing,
}

/// What must come out.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub ours: System,
    pub metric: &'static str,
    pub against: Against,
    pub bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub fn met(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        }
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub kind: Kind,
    /// Rows of the same group, one after the other, have loads of the same shape and share started brokers. Empty:
    /// started for this row alone.
    pub group: &'static str,
    /// In the order of their turns.
    pub systems: &'static [System],
    /// Command of `flumen-load`.
    pub command: &'static str,
    pub partitions: u32,
    pub connections: u32,
    /// In flight on a connection in a closed loop.
    pub inflight: u32,
    /// Requests a second; 0 is a closed loop.
    pub rate: u32,
    /// Further options of `flumen-load`.
    pub options: &'static [&'static str],
    /// The brokers' own topics that the row works with, in which a system keeps its promise as well.
    pub internal_topics: &'static [&'static str],
    /// The figures that its line of the table shows.
    pub shown: &'static [&'static str],
    pub targets: &'static [Target],
}

const fn over(ours: System, metric: &'static str, theirs: System, bound: f64) -> Target {
    Target { ours, metric, against: Against::Other(theirs), bound: Bound::AtLeast(bound) }
}

const fn under(ours: System, metric: &'static str, theirs: System, bound: f64) -> Target {
    Target { ours, metric, against: Against::Other(theirs), bound: Bound::AtMost(bound) }
}

const fn alone(ours: System, metric: &'static str, against: Against, bound: Bound) -> Target {
    Target { ours, metric, against, bound }
}

const ALL: &[System] = &[Kafka, FlumenDurable, KafkaFlush, FlumenRelaxed];
const DURABLE: &[System] = &[Kafka, FlumenDurable, KafkaFlush];
const DEFAULTS: &[System] = &[Kafka, FlumenDurable];
const ACKED: &[System] = &[Kafka, FlumenDurable, FlumenRelaxed];
const SAME_PROMISE: &[System] = &[KafkaFlush, FlumenDurable];

const VOLUME: &[&str] = &["mb_per_s", "cpu_s_per_gb", "written_per_byte"];
const COUNT: &[&str] = &["requests_per_s", "cpu_us_per_request", "written_per_byte"];
const TAIL: &[&str] = &["p50", "p99", "p99.9", "max"];

const KB: &[&str] = &["--record-bytes", "1000"];
/// Batches of 16 records of 1 KB.
pub const KB_16: &[&str] = &["--record-bytes", "1000", "--records-per-batch", "16"];
const KB_64: &[&str] = &["--record-bytes", "1000", "--records-per-batch", "64"];
const KB_1000: &[&str] = &["--record-bytes", "1000", "--records-per-batch", "1000"];
const SMALL: &[&str] = &["--record-bytes", "100", "--keyed"];

/// Small records, each a batch, to 100 partitions over 100 connections.
const SMALL_GROUP: &str = "100 B";
/// Batches of 64 KB to 16 partitions.
const KB_64_GROUP: &str = "64 KB";
/// 1 KB records, each a batch.
const KB_GROUP: &str = "1 KB";

/// Batches of 16 KB to 100 partitions.
const KB_16_GROUP: &str = "16 KB";
/// Transactional producers.
const TRANSACTIONS_GROUP: &str = "transactions";
/// Members of groups.
const GROUPS_GROUP: &str = "groups";
/// Loads beside which logs are shortened.
const LOG_LIFE_GROUP: &str = "log life";
/// Where coordinators keep what they know.
const COORDINATORS_TOPICS: &[&str] = &["__transaction_state", "__consumer_offsets"];

const HALF: f64 = 1.0 / 2.0;
const THIRD: f64 = 1.0 / 3.0;

/// A row that others vary.
pub const BASE: Row = Row {
    name: "",
    title: "",
    kind: Kind::Steady,
    group: "",
    systems: ALL,
    command: "produce",
    partitions: 16,
    connections: 4,
    inflight: 5,
    rate: 0,
    options: KB,
    internal_topics: &[],
    shown: VOLUME,
    targets: &[],
};

/// Tail latency of an open loop against the same promise.
const TAILS_SAME: &[Target] = &[
    under(FlumenDurable, "p50", KafkaFlush, 0.6),
    under(FlumenDurable, "p99", KafkaFlush, THIRD),
    under(FlumenDurable, "p99.9", KafkaFlush, HALF),
];

/// Tail latency of an open loop against Kafka's default.
const TAILS_DEFAULT: &[Target] = &[
    under(FlumenDurable, "p99.9", Kafka, 1.0),
    under(FlumenRelaxed, "p99", Kafka, HALF),
    under(FlumenRelaxed, "p99.9", Kafka, HALF),
];

/// Every row, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "bulk",
        title: "bulk: 1 MB batches, 16 partitions, 4 connections × 2",
        systems: DURABLE,
        inflight: 2,
        options: KB_1000,
        targets: &[
            over(FlumenDurable, "mb_per_s", Kafka, 1.1),
            alone(FlumenDurable, "mb_per_s", Against::DeviceBandwidth, Bound::AtLeast(0.85)),
            under(FlumenDurable, "cpu_s_per_gb", Kafka, HALF),
            alone(FlumenDurable, "written_per_byte", Against::Nothing, Bound::AtMost(1.1)),
            over(FlumenDurable, "mb_per_s", KafkaFlush, 3.0),
        ],
        ..BASE
    },
    Row {
        name: "64k",
        title: "64 KB batches, 16 partitions, 16 connections × 2",
        group: KB_64_GROUP,
        systems: DURABLE,
        connections: 16,
        inflight: 2,
        options: KB_64,
        targets: &[
            over(FlumenDurable, "mb_per_s", Kafka, 1.2),
            under(FlumenDurable, "cpu_s_per_gb", Kafka, HALF),
            over(FlumenDurable, "mb_per_s", KafkaFlush, 3.0),
        ],
        ..BASE
    },
    Row {
        name: "tail-read",
        title: "tail read: 3 consumers of a live topic, 64 KB batches",
        group: KB_64_GROUP,
        systems: DEFAULTS,
        inflight: 2,
        options: &["--record-bytes", "1000", "--records-per-batch", "64", "--consumers", "3", "--fan-out"],
        shown: &["consumed_mb_per_s", "mb_per_s", "cpu_s_per_gb"],
        targets: &[
            over(FlumenDurable, "consumed_mb_per_s", Kafka, 1.0),
            under(FlumenDurable, "cpu_s_per_gb", Kafka, 2.0 / 3.0),
        ],
        ..BASE
    },
    Row {
        name: "cold-read",
        title: "cold read: catch-up from the start, beside a live producer",
        kind: Kind::Cold,
        group: KB_64_GROUP,
        systems: DEFAULTS,
        inflight: 2,
        options: KB_64,
        shown: &["consumed_mb_per_s", "cpu_s_per_gb", "read_per_byte"],
        targets: &[
            over(FlumenDurable, "consumed_mb_per_s", Kafka, 1.0),
            under(FlumenDurable, "cpu_s_per_gb", Kafka, 2.0 / 3.0),
        ],
        ..BASE
    },
    Row {
        name: "typical",
        title: "typical: 16 KB batches, 100 partitions, 4 connections × 5",
        group: KB_16_GROUP,
        partitions: 100,
        options: KB_16,
        targets: &[
            over(FlumenDurable, "mb_per_s", Kafka, 2.5),
            under(FlumenDurable, "cpu_s_per_gb", Kafka, THIRD),
            over(FlumenDurable, "mb_per_s", KafkaFlush, 8.0),
            over(FlumenRelaxed, "mb_per_s", Kafka, 3.0),
        ],
        ..BASE
    },
    Row {
        name: "idempotent",
        title: "idempotent: typical with producer ids and sequences, and without",
        kind: Kind::Beside(Beside::Idempotence),
        group: KB_16_GROUP,
        systems: ACKED,
        partitions: 100,
        options: KB_16,
        shown: &["mb_per_s", "mb_per_s_without", "mb_per_s_ratio", "cpu_s_per_gb"],
        targets: &[
            alone(FlumenDurable, "mb_per_s_ratio", Against::Nothing, Bound::AtLeast(0.97)),
            alone(FlumenRelaxed, "mb_per_s_ratio", Against::Nothing, Bound::AtLeast(0.97)),
        ],
        ..BASE
    },
    Row {
        name: "transactional",
        title: "transactional: transactions of 100 ms, 16 KB batches, 16 partitions, 4 producers × 5",
        group: TRANSACTIONS_GROUP,
        systems: DEFAULTS,
        command: "transact",
        options: &["--record-bytes", "1000", "--records-per-batch", "16", "--transaction-ms", "100"],
        internal_topics: COORDINATORS_TOPICS,
        shown: &["mb_per_s", "transactions_per_s", "cpu_s_per_gb", "written_per_byte"],
        targets: &[over(FlumenDurable, "mb_per_s", Kafka, 1.5)],
        ..BASE
    },
    Row {
        name: "transactions-one",
        title: "transactions of one 1 KB record, one after another",
        group: TRANSACTIONS_GROUP,
        systems: DURABLE,
        command: "transact",
        partitions: 1,
        connections: 1,
        inflight: 1,
        options: &["--record-bytes", "1000", "--transaction-batches", "1"],
        internal_topics: COORDINATORS_TOPICS,
        shown: &["transactions_per_s", "transaction_p50", "transaction_p99", "cpu_us_per_transaction"],
        targets: &[
            over(FlumenDurable, "transactions_per_s", Kafka, 1.0),
            over(FlumenDurable, "transactions_per_s", KafkaFlush, 2.0),
        ],
        ..BASE
    },
    Row {
        name: "offset-commits",
        title: "offset commits: 1,000 groups, 4 partitions a commit, 100 connections × 5",
        group: GROUPS_GROUP,
        systems: DEFAULTS,
        command: "commit-offsets",
        partitions: 4,
        connections: 100,
        options: &["--groups", "1000"],
        shown: &["requests_per_s", "cpu_us_per_request", "p50", "p99"],
        targets: &[
            over(FlumenDurable, "requests_per_s", Kafka, 2.0),
            under(FlumenDurable, "cpu_us_per_request", Kafka, HALF),
        ],
        ..BASE
    },
    Row {
        name: "rebalance",
        title: "rebalance: one more joins 500 members, until all have their assignment",
        kind: Kind::Rebalance,
        group: GROUPS_GROUP,
        systems: DEFAULTS,
        command: "rebalance",
        partitions: 1000,
        options: &["--members", "500", "--heartbeat-ms", "200"],
        shown: &["classic_ms", "classic_max_ms", "consumer_ms", "consumer_max_ms"],
        targets: &[
            under(FlumenDurable, "classic_ms", Kafka, 1.0),
            under(FlumenDurable, "consumer_ms", Kafka, 1.0),
        ],
        ..BASE
    },
    Row {
        name: "retention",
        title: "open loop, 2,000/s, 16 KB, 16 partitions, beside retention and without it",
        kind: Kind::Beside(Beside::Retention),
        group: LOG_LIFE_GROUP,
        systems: DEFAULTS,
        connections: 16,
        rate: 2000,
        options: KB_16,
        shown: &["p50", "p99", "p99_without", "p99_ratio", "deleted_records"],
        targets: &[alone(FlumenDurable, "p99_ratio", Against::Nothing, Bound::AtMost(1.5))],
        ..BASE
    },
    Row {
        name: "compacted",
        title: "open loop, 1,000/s, 100 × 100 B, 10 million keys, beside compaction and without it",
        kind: Kind::Beside(Beside::Compaction),
        group: LOG_LIFE_GROUP,
        systems: DEFAULTS,
        connections: 16,
        rate: 1000,
        options: &["--record-bytes", "100", "--records-per-batch", "100", "--keyed"],
        shown: &["p50", "p99", "p99_without", "p99_ratio", "cleaned_mb"],
        targets: &[alone(FlumenDurable, "p99_ratio", Against::Nothing, Bound::AtMost(1.5))],
        ..BASE
    },
    Row {
        name: "keyed",
        title: "keyed: one 100 B record a batch, 100 partitions, 100 connections × 1",
        group: SMALL_GROUP,
        partitions: 100,
        connections: 100,
        inflight: 1,
        options: SMALL,
        shown: COUNT,
        targets: &[
            over(FlumenDurable, "requests_per_s", Kafka, 2.0),
            over(FlumenDurable, "requests_per_s", KafkaFlush, 8.0),
            over(FlumenRelaxed, "requests_per_s", Kafka, 2.5),
        ],
        ..BASE
    },
    Row {
        name: "keyed5",
        title: "keyed, 100 connections × 5",
        group: SMALL_GROUP,
        partitions: 100,
        connections: 100,
        options: SMALL,
        shown: COUNT,
        targets: &[
            over(FlumenDurable, "requests_per_s", Kafka, 4.0),
            alone(FlumenDurable, "written_per_byte", Against::Nothing, Bound::AtMost(2.2)),
            over(FlumenDurable, "requests_per_s", KafkaFlush, 15.0),
            over(FlumenRelaxed, "requests_per_s", Kafka, 5.0),
        ],
        ..BASE
    },
    Row {
        name: "open100",
        title: "open loop, 5,000/s, 100 B, 100 partitions, 100 connections",
        group: SMALL_GROUP,
        partitions: 100,
        connections: 100,
        rate: 5000,
        options: SMALL,
        shown: TAIL,
        targets: &[
            under(FlumenDurable, "p99.9", Kafka, 1.0),
            under(FlumenDurable, "p50", KafkaFlush, 0.6),
            under(FlumenDurable, "p99", KafkaFlush, THIRD),
            under(FlumenDurable, "p99.9", KafkaFlush, HALF),
            under(FlumenRelaxed, "p99", Kafka, HALF),
            under(FlumenRelaxed, "p99.9", Kafka, HALF),
        ],
        ..BASE
    },
    Row {
        name: "partitions",
        title: "1,000 partitions, 16 KB batches, 16 connections × 5",
        systems: DURABLE,
        partitions: 1000,
        connections: 16,
        options: KB_16,
        shown: &["mb_per_s", "cpu_s_per_gb", "resident_mb"],
        targets: &[
            over(FlumenDurable, "mb_per_s", Kafka, 2.0),
            over(FlumenDurable, "mb_per_s", KafkaFlush, 8.0),
            under(FlumenDurable, "resident_mb", Kafka, 1.0 / 6.0),
        ],
        ..BASE
    },
    Row {
        name: "open",
        title: "open loop, 5,000/s, 1 KB, 16 connections",
        group: KB_GROUP,
        systems: ACKED,
        connections: 16,
        rate: 5000,
        shown: TAIL,
        targets: TAILS_DEFAULT,
        ..BASE
    },
    Row {
        name: "open-flush",
        title: "open loop, 2,000/s, 1 KB, 16 connections",
        group: KB_GROUP,
        systems: SAME_PROMISE,
        connections: 16,
        rate: 2000,
        shown: TAIL,
        targets: TAILS_SAME,
        ..BASE
    },
    Row {
        name: "half",
        title: "open loop at half of what Kafka takes, 1 KB, 16 connections",
        kind: Kind::Half,
        group: KB_GROUP,
        systems: ACKED,
        connections: 16,
        shown: TAIL,
        targets: TAILS_DEFAULT,
        ..BASE
    },
    Row {
        name: "half-flush",
        title: "open loop at half of what Kafka with flush takes, 1 KB, 16 connections",
        kind: Kind::Half,
        group: KB_GROUP,
        systems: SAME_PROMISE,
        connections: 16,
        shown: TAIL,
        targets: TAILS_SAME,
        ..BASE
    },
    Row {
        name: "one",
        title: "one 1 KB record at a time",
        group: KB_GROUP,
        partitions: 1,
        connections: 1,
        inflight: 1,
        shown: TAIL,
        targets: &[
            alone(FlumenDurable, "p50", Against::DeviceLatency, Bound::AtMost(80.0)),
            under(FlumenDurable, "p50", KafkaFlush, 0.6),
            under(FlumenDurable, "p99", KafkaFlush, 0.6),
            under(FlumenRelaxed, "p50", Kafka, 0.6),
            under(FlumenRelaxed, "p99", Kafka, 0.6),
        ],
        ..BASE
    },
    Row {
        name: "end-to-end",
        title: "end to end, 5,000/s, 1 KB, 16 connections",
        group: KB_GROUP,
        systems: ACKED,
        command: "end-to-end",
        connections: 16,
        rate: 5000,
        shown: TAIL,
        targets: TAILS_DEFAULT,
        ..BASE
    },
    Row {
        name: "end-to-end-flush",
        title: "end to end, 2,000/s, 1 KB, 16 connections",
        group: KB_GROUP,
        systems: SAME_PROMISE,
        command: "end-to-end",
        connections: 16,
        rate: 2000,
        shown: TAIL,
        targets: TAILS_SAME,
        ..BASE
    },
    Row {
        name: "end-to-end-half",
        title: "end to end at half of what Kafka takes, 1 KB, 16 connections",
        kind: Kind::Half,
        group: KB_GROUP,
        systems: ACKED,
        command: "end-to-end",
        connections: 16,
        shown: TAIL,
        targets: TAILS_DEFAULT,
        ..BASE
    },
    Row {
        name: "end-to-end-half-flush",
        title: "end to end at half of what Kafka with flush takes, 1 KB, 16 connections",
        kind: Kind::Half,
        group: KB_GROUP,
        systems: SAME_PROMISE,
        command: "end-to-end",
        connections: 16,
        shown: TAIL,
        targets: TAILS_SAME,
        ..BASE
    },
    Row {
        name: "first",
        title: "the first 15 s after the start, keyed × 5",
        kind: Kind::First,
        systems: DEFAULTS,
        partitions: 100,
        connections: 100,
        options: SMALL,
        shown: &["requests_per_s", "cpu_us_per_request"],
        targets: &[over(FlumenDurable, "requests_per_s", Kafka, 10.0)],
        ..BASE
    },
    Row {
        name: "restart",
        title: "1,000 partitions: served again after kill -9; after a clean stop",
        kind: Kind::Restart,
        systems: DEFAULTS,
        partitions: 1000,
        connections: 16,
        options: KB_16,
        shown: &["s_after_kill", "s_after_stop"],
        targets: &[
            under(FlumenDurable, "s_after_kill", Kafka, 1.0 / 40.0),
            under(FlumenDurable, "s_after_stop", Kafka, 1.0 / 20.0),
        ],
        ..BASE
    },
    Row {
        name: "idle",
        title: "10,000 idle partitions",
        kind: Kind::Idle,
        systems: &[FlumenDurable],
        partitions: 10_000,
        shown: &["kib_per_partition", "resident_mb"],
        targets: &[alone(FlumenDurable, "kib_per_partition", Against::Nothing, Bound::AtMost(16.0))],
        ..BASE
    },
    Row {
        name: "cross-core",
        title: "2 shards: CPU of a 1 KB request by where its partition lives, 64 in flight",
        kind: Kind::Cross,
        systems: &[FlumenDurable],
        partitions: 2,
        inflight: 64,
        shown: &["cheaper_us", "dearer_us", "dearer_to_cheaper"],
        targets: &[alone(FlumenDurable, "dearer_to_cheaper", Against::Nothing, Bound::AtMost(1.3))],
        ..BASE
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_target_can_be_judged_from_its_own_row() {
        let mut names = HashSet::new();
        let mut groups = HashSet::new();
        for together in ROWS.chunk_by(|a, b| !a.group.is_empty() && a.group == b.group) {
            let group = together[0].group;
            assert!(group.is_empty() || groups.insert(group), "group {group} is torn apart");
            let fresh = together.iter().any(|row| row.kind.starts_anew());
            assert!(!fresh || together.len() == 1, "{} cannot share a broker", together[0].name);
        }
        for row in ROWS {
            assert!(names.insert(row.name), "{} twice", row.name);
            for target in row.targets {
                assert!(row.systems.contains(&target.ours), "{}: {:?}", row.name, target.ours);
                if let Against::Other(theirs) = target.against {
                    assert!(row.systems.contains(&theirs), "{}: {theirs:?}", row.name);
                }
                let shown = row.shown.contains(&target.metric);
                assert!(shown, "{}: {} is not in the table", row.name, target.metric);
            }
        }
    }
}
