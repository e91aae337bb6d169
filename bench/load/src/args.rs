//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Load for any broker that speaks the Kafka protocol: open loop and closed loop, latency
/// counted from the time a request was due.
#[derive(Debug, Parser)]
#[command(name = "flumen-load", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Produce, and optionally consume the same topics at their tail.
    Produce(ProduceArgs),
    /// Consume, from the start or at the tail, optionally beside a producer to another topic.
    Consume(ConsumeArgs),
    /// Produce and consume in one process; latency from the time a batch was due to the time
    /// it was read back.
    EndToEnd(ProduceArgs),
    /// Produce in transactions (version 2), one transactional producer a connection.
    Transact(TransactArgs),
    /// Commit offsets for many groups of one member each.
    CommitOffsets(CommitArgs),
    /// Time from a change of a large group until every member has its new generation and assignment.
    Rebalance(RebalanceArgs),
    /// Open connections that stay idle, and see whether they still answer.
    Connect(ConnectArgs),
    /// Create topics and wait until every partition has a leader.
    Create(CreateArgs),
    /// Change the configuration of a topic.
    Alter(AlterArgs),
    /// Wait until a broker serves every partition, and print when that was.
    Ready(ReadyArgs),
    /// Make the kernel forget the cached pages of all files below a directory.
    Evict { dir: PathBuf },
    /// CPU of a broker with several cores for a request, by where the partition lives.
    Cross(CrossArgs),
    /// What this machine can do at most: loopback, durable writes, echoes of the broker's executor, and
    /// how soon a lone one is back.
    Ceiling(CeilingArgs),
}

impl Command {
    /// What all commands are told, but those that speak to no broker and measure nothing.
    pub fn common(&self) -> Option<&Common> {
        Some(match self {
            Command::Produce(args) | Command::EndToEnd(args) => &args.load.common,
            Command::Consume(args) => &args.load.common,
            Command::Transact(args) => &args.load.common,
            Command::CommitOffsets(args) => &args.load.common,
            Command::Rebalance(args) => &args.load.common,
            Command::Connect(args) => &args.common,
            Command::Create(args) => &args.common,
            Command::Alter(args) => &args.common,
            Command::Ready(args) => &args.common,
            Command::Cross(args) => &args.common,
            Command::Ceiling(args) => &args.common,
            Command::Evict { .. } => return None,
        })
    }
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// A broker's address.
    #[arg(short, long, default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
    /// Pin the one thread to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// `json` prints one object.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct Topics {
    /// Name of the topic, or what the names of several begin with.
    #[arg(long, default_value = "load")]
    pub topic: String,
    /// Number of topics.
    #[arg(long, default_value_t = 1)]
    pub topics: usize,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    /// A configuration of topics that are created, as key=value; may be repeated.
    #[arg(long = "config", value_parser = key_value)]
    pub configs: Vec<(String, String)>,
    /// Delete the topics first, if they exist.
    #[arg(long)]
    pub fresh: bool,
    /// Delete the topics when all is done.
    #[arg(long)]
    pub delete_after: bool,
}

impl Topics {
    /// The names: the plain one, or numbered ones.
    pub fn names(&self) -> Vec<String> {
        if self.topics == 1 {
            return vec![self.topic.clone()];
        }
        (0..self.topics).map(|i| format!("{}-{i}", self.topic)).collect()
    }
}

#[derive(Debug, Clone, Args)]
pub struct Span {
    /// Seconds that are measured.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of the same load before that.
    #[arg(long, default_value = "0", value_parser = seconds)]
    pub warmup: Duration,
    /// Process id of the broker, to measure its CPU, memory and device use over the same span.
    #[arg(long)]
    pub broker_pid: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub struct Records {
    /// Key and value of a record together, in bytes.
    #[arg(long, default_value_t = 1000)]
    pub record_bytes: usize,
    /// Records in each batch; a request carries one batch for one partition.
    #[arg(long, default_value_t = 1)]
    pub records_per_batch: usize,
    /// Give every record a key.
    #[arg(long)]
    pub keyed: bool,
}

// What every workload is told. A comment and not documentation, which clap would show as the command's own text.
#[derive(Debug, Clone, Args)]
pub struct Load {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub topics: Topics,
    #[command(flatten)]
    pub span: Span,
}

#[derive(Debug, Clone, Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    pub load: Load,
    #[command(flatten)]
    pub records: Records,
    /// Connections that produce.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Requests in flight on a connection. Open loop: 0 sends whatever is due, at once.
    #[arg(long, default_value_t = 1)]
    pub inflight: usize,
    /// Who must have a record before it is acknowledged: 0, 1 or all.
    #[arg(long, default_value = "all", value_parser = acks)]
    pub acks: i16,
    /// Requests a second by the clock (open loop); 0 sends the next when one is answered.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Produce with producer ids and sequences, one id a connection.
    #[arg(long)]
    pub idempotent: bool,
    /// End when that many requests are answered, if that is before the time is over; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub requests: u64,
    /// Give records one of so many keys, each partition its share of them in turn; 0 sends the same batch again
    /// and again. Needs --keyed.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1 << 31))]
    pub keys: u64,
    #[command(flatten)]
    pub tail: TailArgs,
}

/// Transactions end by time, by their number of batches, or by what comes first.
#[derive(Debug, Clone, Args)]
pub struct TransactArgs {
    #[command(flatten)]
    pub load: Load,
    #[command(flatten)]
    pub records: Records,
    /// Producers, each with a connection and a transactional id.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Batches in flight of a producer.
    #[arg(long, default_value_t = 1)]
    pub inflight: usize,
    /// Milliseconds in which a transaction is given batches; 0 is no limit.
    #[arg(long, default_value = "0", value_parser = milliseconds)]
    pub transaction_ms: Duration,
    /// Batches of a transaction; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub transaction_batches: u64,
}

/// Every commit is about all partitions of the topic.
#[derive(Debug, Clone, Args)]
pub struct CommitArgs {
    #[command(flatten)]
    pub load: Load,
    /// Groups, with one member each.
    #[arg(long, default_value_t = 1000)]
    pub groups: usize,
    /// Connections that the members share.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Commits in flight on a connection, of different groups.
    #[arg(long, default_value_t = 1)]
    pub inflight: usize,
}

/// Which group protocol members speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// JoinGroup, SyncGroup, Heartbeat; a leader assigns.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848); the broker assigns.
    Consumer,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Classic => "classic",
            Protocol::Consumer => "consumer",
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct RebalanceArgs {
    #[command(flatten)]
    pub load: Load,
    /// Members that stay; one more comes and goes.
    #[arg(long, default_value_t = 500)]
    pub members: usize,
    #[arg(long, value_enum, default_value_t = Protocol::Classic)]
    pub protocol: Protocol,
    /// Milliseconds between two heartbeats of a member, by which it learns of a change.
    #[arg(long, default_value = "200", value_parser = milliseconds)]
    pub heartbeat_ms: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct TailArgs {
    /// Consumers of the same topics, at their tail.
    #[arg(long, default_value_t = 0)]
    pub consumers: usize,
    #[command(flatten)]
    pub fetch: FetchArgs,
}

#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// Every consumer reads all partitions, instead of a share of them.
    #[arg(long)]
    pub fan_out: bool,
    /// How long a broker may wait for data, in ms.
    #[arg(long, default_value_t = 500)]
    pub max_wait_ms: i32,
    /// Bytes that a broker waits for.
    #[arg(long, default_value_t = 1)]
    pub min_bytes: i32,
    /// Most bytes of an answer.
    #[arg(long, default_value_t = 50 << 20)]
    pub max_bytes: i32,
    /// Most bytes of a partition in an answer.
    #[arg(long, default_value_t = 1 << 20)]
    pub partition_max_bytes: i32,
    /// Fetch all partitions each time, without a fetch session.
    #[arg(long)]
    pub no_session: bool,
    /// Verify the checksum of every batch.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    Start,
    End,
}

#[derive(Debug, Clone, Args)]
pub struct ConsumeArgs {
    #[command(flatten)]
    pub load: Load,
    #[arg(long, default_value_t = 1)]
    pub consumers: usize,
    #[command(flatten)]
    pub fetch: FetchArgs,
    /// Where to begin; from the start, the run ends when it has read what was there when it began.
    #[arg(long, value_enum, default_value_t = From::Start)]
    pub from: From,
    /// Beside the consumers, produce to a topic of this name, with as many partitions.
    #[arg(long)]
    pub live_topic: Option<String>,
    /// Requests a second of the live producer.
    #[arg(long, default_value_t = 1000.0)]
    pub live_rate: f64,
    /// Connections of the live producer.
    #[arg(long, default_value_t = 4)]
    pub live_connections: usize,
    #[command(flatten)]
    pub live_records: Records,
}

#[derive(Debug, Clone, Args)]
pub struct ConnectArgs {
    #[command(flatten)]
    pub common: Common,
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Seconds to hold them.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Process id of the broker, to measure what its memory grows by.
    #[arg(long)]
    pub broker_pid: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub topics: Topics,
}

#[derive(Debug, Clone, Args)]
pub struct AlterArgs {
    #[command(flatten)]
    pub common: Common,
    #[arg(long)]
    pub topic: String,
    /// A configuration to set, as key=value; may be repeated.
    #[arg(long = "config", value_parser = key_value)]
    pub configs: Vec<(String, String)>,
    /// A configuration that goes back to what it inherits; may be repeated.
    #[arg(long)]
    pub unset: Vec<String>,
    /// A topic that does not exist is no error.
    #[arg(long)]
    pub if_exists: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ReadyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub topics: Topics,
    /// Give up after this many seconds.
    #[arg(long, default_value = "300", value_parser = seconds)]
    pub patience: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct CrossArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub topics: Topics,
    #[command(flatten)]
    pub records: Records,
    /// Connections, one after the other.
    #[arg(long, default_value_t = 6)]
    pub connections: usize,
    /// Requests that travel together.
    #[arg(long, default_value_t = 64)]
    pub inflight: usize,
    /// Seconds that a connection sends to each of the two partitions.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
    /// Process id of the broker.
    #[arg(long)]
    pub broker_pid: u32,
}

#[derive(Debug, Clone, Args)]
pub struct CeilingArgs {
    #[command(flatten)]
    pub common: Common,
    /// Directory on the device to measure; a scratch file is written there and removed.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Bytes of a durable write of the bandwidth measurement.
    #[arg(long, default_value_t = 1 << 20)]
    pub write_bytes: usize,
    /// Durable writes in flight.
    #[arg(long, default_value_t = 1)]
    pub depth: usize,
    /// Core of the other end of loopback and echoes.
    #[arg(long)]
    pub peer_core: Option<usize>,
    /// Seconds of each measurement.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(value).map_err(|e| e.to_string())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| format!("{text:?} is not a number of milliseconds"))
}

fn acks(text: &str) -> Result<i16, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "all" | "-1" => Ok(-1),
        other => Err(format!("acks is 0, 1 or all, not {other:?}")),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_taken_apart() {
        let cli =
            Cli::try_parse_from(["flumen-load", "produce", "--acks", "all", "--config", "a=b=c"]).unwrap();
        let Command::Produce(args) = cli.command else { panic!("another command") };
        assert_eq!((args.acks, args.load.topics.configs), (-1, vec![("a".to_owned(), "b=c".to_owned())]));
        assert!(Cli::try_parse_from(["flumen-load", "produce", "--acks", "2"]).is_err());
        assert!(Cli::try_parse_from(["flumen-load", "rebalance", "--protocol", "zookeeper"]).is_err());
        let line = ["flumen-load", "transact", "--transaction-ms", "100", "--transaction-batches", "3"];
        let Command::Transact(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        assert_eq!((args.transaction_ms, args.transaction_batches), (Duration::from_millis(100), 3));
        assert!(Cli::try_parse_from(["flumen-load", "produce", "--seconds", "-1"]).is_err());
    }
}
