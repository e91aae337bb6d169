//! The configuration of a broker, resolved: the keys that Flumen acts on.

use super::layers::Layers;
use super::listener::Listener;
use super::listening::Protection;
use super::typed::{Field, typed};
use super::{ConfigError, Scope, Value, lookup_broker, require};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The number of a node whose configuration and data directory give none.
pub const DEFAULT_NODE_ID: i32 = 1;

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the device has it.
    Device,
    /// Before the device has it: a power loss or crash loses acknowledged records.
    Memory,
}

impl Field for Durability {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        match String::from_value(value)?.as_str() {
            "device" => Ok(Durability::Device),
            "memory" => Ok(Durability::Memory),
            _ => Err("device or memory".to_owned()),
        }
    }
}

/// What a core does without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It sleeps at once.
    Park,
    /// It looks for work a while, then sleeps.
    Spin,
    /// It never sleeps.
    Poll,
}

impl Field for Idle {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        match String::from_value(value)?.as_str() {
            "park" => Ok(Idle::Park),
            "spin" => Ok(Idle::Spin),
            "poll" => Ok(Idle::Poll),
            _ => Err("park, spin or poll".to_owned()),
        }
    }
}

/// The protocols besides the classic one that groups may have. Share groups are not among them: the list may name them,
/// as early Kafkas with share groups wanted, but `share.version` alone decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocols {
    /// Consumer groups (KIP-848).
    pub consumer: bool,
    /// Streams groups (KIP-1071).
    pub streams: bool,
}

/// Kafka does not let the classic protocol be switched off.
impl Field for Protocols {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let names = <Vec<String>>::from_value(value)?;
        let has = |name: &str| names.iter().any(|one| one == name);
        match has("classic") {
            true => Ok(Protocols { consumer: has("consumer"), streams: has("streams") }),
            false => Err("a list that has classic in it, which cannot be switched off".to_owned()),
        }
    }
}

/// Numbers of cores, rising and without repetition.
impl Field for Vec<u16> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        // No machine that Linux runs on has more; a range must not size memory by itself.
        const MOST: u16 = 8192;
        let rule = || format!("core numbers below {MOST} and ranges with commas, such as 0,2-5");
        let mut cores = Vec::new();
        for entry in <Vec<String>>::from_value(value)? {
            let (from, to) = entry.split_once('-').unwrap_or((&entry, &entry));
            let number = |text: &str| text.trim().parse::<u16>().ok().filter(|core| *core < MOST);
            match (number(from), number(to)) {
                (Some(from), Some(to)) if from <= to => cores.extend(from..=to),
                _ => return Err(rule()),
            }
            cores.sort_unstable();
            cores.dedup();
        }
        Ok(cores)
    }
}

typed! {
    /// The effective configuration of a broker, as far as Flumen acts on it; the defaults of
    /// topics are in [`super::TopicConfig`]. Sizes are bytes; times are in the unit of the name.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BrokerConfig {
        /// The node's number, from `node.id` or `broker.id`. Where neither is set the data
        /// directory knows it, and a new one takes [`DEFAULT_NODE_ID`].
        node_id: Option<i32> = "node.id",
        /// The rack or zone told to clients.
        rack: Option<String> = "broker.rack",
        /// Addresses to listen on.
        listeners: Vec<Listener> = "listeners",
        /// Addresses told to clients; unset for those listened on.
        advertised_listeners: Option<Vec<Listener>> = "advertised.listeners",
        /// Names of listeners that are no clients' but controllers'.
        controller_listener_names: Option<Vec<String>> = "controller.listener.names",
        /// Security protocols of listeners.
        protection: Protection = "listener.security.protocol.map",
        /// The data directory: `flumen.data` if set, else the one of `log.dirs`, else `log.dir`
        /// if set, else the default.
        data: String = "flumen.data",
        /// Partitions of a topic created without a number.
        num_partitions: i32 = "num.partitions",
        /// Replicas of a partition created without a number.
        default_replication_factor: i32 = "default.replication.factor",
        /// Whether asking for an unknown topic creates it.
        auto_create_topics: bool = "auto.create.topics.enable",
        /// Whether topics can be deleted.
        delete_topics: bool = "delete.topic.enable",
        /// Largest request.
        socket_request_max_bytes: i32 = "socket.request.max.bytes",
        /// Milliseconds after which a quiet connection is closed; `None` for never.
        connections_max_idle_ms: Option<u64> = "connections.max.idle.ms",
        /// Connections open at one time.
        max_connections: i32 = "max.connections",
        /// Connections open from one address.
        max_connections_per_ip: i32 = "max.connections.per.ip",
        /// Connections open from single addresses.
        max_connections_per_ip_overrides: BTreeMap<IpAddr, u32> = "max.connections.per.ip.overrides",
        /// Connections taken in a second; `i32::MAX` for as many as come.
        max_connection_creation_rate: i32 = "max.connection.creation.rate",
        /// Largest answer to a fetch.
        fetch_max_bytes: i32 = "fetch.max.bytes",
        /// Fetch sessions remembered.
        max_fetch_sessions: i32 = "max.incremental.fetch.session.cache.slots",
        /// Partitions in one page of DescribeTopicPartitions.
        max_request_partitions: i32 = "max.request.partition.size.limit",
        /// Sample windows of client quotas.
        quota_window_num: i32 = "quota.window.num",
        /// Seconds of such a window.
        quota_window_size_seconds: i32 = "quota.window.size.seconds",
        /// Windows whose tokens a client may save up for topics and partitions.
        controller_quota_window_num: i32 = "controller.quota.window.num",
        /// Seconds of such a window.
        controller_quota_window_size_seconds: i32 = "controller.quota.window.size.seconds",
        /// Milliseconds after the start before the first look for what retention may delete.
        log_initial_task_delay_ms: i64 = "log.initial.task.delay.ms",
        /// Milliseconds between two looks for that.
        log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms",
        /// Whether logs are compacted at all.
        log_cleaner_enable: bool = "log.cleaner.enable",
        /// Milliseconds that the cleaner sleeps when no log needs it.
        log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms",
        /// Memory for the key tables of all cores together.
        log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size",
        /// How full a key table may get, as a share.
        log_cleaner_load_factor: f64 = "log.cleaner.io.buffer.load.factor",
        /// Bytes a second that compaction may read and write, on all cores together.
        log_cleaner_max_bytes_per_second: f64 = "log.cleaner.io.max.bytes.per.second",
        /// Milliseconds after which an idle producer id is forgotten.
        producer_id_expiration_ms: i32 = "producer.id.expiration.ms",
        /// Partitions of the offsets topic.
        offsets_topic_partitions: i32 = "offsets.topic.num.partitions",
        /// Size of a segment of the offsets topic.
        offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes",
        /// Minutes that offsets outlive their group.
        offsets_retention_minutes: i32 = "offsets.retention.minutes",
        /// Milliseconds between two looks for expired offsets.
        offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms",
        /// Largest note on a committed offset.
        offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes",
        /// Smallest session timeout of a classic member.
        group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms",
        /// Largest session timeout of a classic member.
        group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms",
        /// Wait of an empty classic group before its first rebalance.
        group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms",
        /// Members of a classic group.
        group_max_size: i32 = "group.max.size",
        /// Session timeout of consumer groups.
        group_consumer_session_timeout_ms: i32 = "group.consumer.session.timeout.ms",
        /// Heartbeat interval of consumer groups.
        group_consumer_heartbeat_interval_ms: i32 = "group.consumer.heartbeat.interval.ms",
        /// Members of a consumer group.
        group_consumer_max_size: i32 = "group.consumer.max.size",
        /// Server-side assignors on offer, the default first.
        group_consumer_assignors: Vec<String> = "group.consumer.assignors",
        /// Which way groups with members may change their protocol.
        group_consumer_migration_policy: String = "group.consumer.migration.policy",
        /// Shortest time between two assignments of a consumer group.
        group_consumer_assignment_interval_ms: i32 = "group.consumer.assignment.interval.ms",
        /// Protocols that groups may have.
        protocols: Protocols = "group.coordinator.rebalance.protocols",
        /// Milliseconds between two evaluations of subscribed patterns.
        group_consumer_regex_refresh_interval_ms: i32 = "group.consumer.regex.refresh.interval.ms",
        /// Session timeout of streams groups.
        group_streams_session_timeout_ms: i32 = "group.streams.session.timeout.ms",
        /// Heartbeat interval of streams groups.
        group_streams_heartbeat_interval_ms: i32 = "group.streams.heartbeat.interval.ms",
        /// Wait of an empty streams group before its first assignment.
        group_streams_initial_rebalance_delay_ms: i32 = "group.streams.initial.rebalance.delay.ms",
        /// Shortest time between two assignments of a streams group.
        group_streams_assignment_interval_ms: i32 = "group.streams.assignment.interval.ms",
        /// Standby copies of each stateful task of a streams group.
        group_streams_num_standby_replicas: i32 = "group.streams.num.standby.replicas",
        /// Members of a streams group.
        group_streams_max_size: i32 = "group.streams.max.size",
        /// Shortest time between two assignments of a share group.
        share_assignment_interval_ms: i32 = "group.share.assignment.interval.ms",
        /// Heartbeat interval of share groups.
        share_heartbeat_interval_ms: i32 = "group.share.heartbeat.interval.ms",
        /// Session timeout of share groups.
        share_session_timeout_ms: i32 = "group.share.session.timeout.ms",
        /// Members of a share group.
        share_max_size: i32 = "group.share.max.size",
        /// Share sessions remembered.
        share_sessions_max: i32 = "group.share.max.share.sessions",
        /// Times that a share group is given a record.
        share_deliveries_max: i32 = "group.share.delivery.count.limit",
        /// Records of a partition that a share group may have acquired.
        share_locks_max: i32 = "group.share.partition.max.record.locks",
        /// How long a member has a record.
        share_lock_ms: i32 = "group.share.record.lock.duration.ms",
        /// Partitions of the share state topic.
        share_state_partitions: i32 = "share.coordinator.state.topic.num.partitions",
        /// Size of a segment of the share state topic.
        share_state_segment_bytes: i32 = "share.coordinator.state.topic.segment.bytes",
        /// Milliseconds between two looks at share state that is of no more use.
        share_prune_interval_ms: i32 = "share.coordinator.state.topic.prune.interval.ms",
        /// Updates of a share partition between two snapshots.
        share_updates_per_snapshot: i32 = "share.coordinator.snapshot.update.records.per.snapshot",
        /// Partitions of the transaction topic.
        transaction_log_partitions: i32 = "transaction.state.log.num.partitions",
        /// Size of a segment of the transaction topic.
        transaction_log_segment_bytes: i32 = "transaction.state.log.segment.bytes",
        /// Largest transaction timeout.
        transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms",
        /// Milliseconds after which an idle transactional id expires.
        transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms",
        /// When a record is acknowledged.
        durability: Durability = "flumen.durability",
        /// What a core does without work.
        idle: Idle = "flumen.idle",
        /// Microseconds of looking before sleep, for [`Idle::Spin`].
        idle_spin_us: i32 = "flumen.idle.spin.us",
        /// Memory of a core.
        pool_bytes: u64 = "flumen.pool.bytes",
        /// Memory of a core for data read back.
        cache_bytes: u64 = "flumen.cache.bytes",
        /// Size of a journal file.
        journal_file_bytes: u64 = "flumen.journal.file.bytes",
        /// Journal files of a core.
        journal_files: i32 = "flumen.journal.files",
        /// Journal writes under way at one time.
        journal_inflight: i32 = "flumen.journal.inflight",
        /// Longest stay of records in the journal only.
        drain_interval_ms: u64 = "flumen.drain.interval.ms",
        /// Size from which an append passes the journal by.
        large_append_bytes: i32 = "flumen.large.append.bytes",
        /// Disk space kept for a start on a full disk.
        reserve_bytes: u64 = "flumen.reserve.bytes",
        /// Kernel features to be used though they are off by default.
        io_features_enable: Vec<String> = "flumen.io.features.enable",
        /// Kernel features not to be used.
        io_features_disable: Vec<String> = "flumen.io.features.disable",
        /// Cores to run on; empty for all that the process may use.
        cores: Vec<u16> = "flumen.cores",
        /// Largest push of client metrics.
        telemetry_max_bytes: i32 = "telemetry.max.bytes",
        /// Address of the HTTP interface; empty for none.
        http_listen: String = "flumen.http.listen",
    }
}

impl BrokerConfig {
    /// Further keys that decide a field together with the one that it names.
    pub const ALSO: &'static [&'static str] = &["broker.id", "log.dirs", "log.dir"];

    /// The effective configuration of the layers. Every name and value in them is checked,
    /// those that Flumen only stores too.
    pub fn resolve(layers: &Layers<'_>) -> Result<BrokerConfig, ConfigError> {
        for (_, settings) in layers.in_order() {
            for (name, text) in settings {
                require(Scope::Broker, name)?.parse(text)?;
            }
        }
        check_ids(layers)?;
        let value = |name: &'static str| match lookup_broker(name) {
            Some(key) => layers.broker_value(key),
            None => require(Scope::Broker, name).map(|_| None),
        };
        let mut config = BrokerConfig::read(&value)?;
        if let Some(data) = data_directory(layers, &value)? {
            config.data = data;
        }
        config.check()?;
        config.limit_listener(layers)?;
        check_retention(layers)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_listeners()?;
        // As in Kafka: nobody at all could connect.
        if self.max_connections_per_ip == 0 && self.max_connections_per_ip_overrides.is_empty() {
            return Err(ConfigError::Conflict {
                key: "max.connections.per.ip",
                value: "0".to_owned(),
                rule: "1 or more, unless max.connections.per.ip.overrides has addresses".to_owned(),
            });
        }
        no_more(
            ("group.min.session.timeout.ms", self.group_min_session_timeout_ms),
            ("group.max.session.timeout.ms", self.group_max_session_timeout_ms),
        )?;
        no_more(
            ("group.consumer.heartbeat.interval.ms", self.group_consumer_heartbeat_interval_ms),
            ("group.consumer.session.timeout.ms", self.group_consumer_session_timeout_ms.saturating_sub(1)),
        )
    }
}

/// The configuration of a broker for which nothing is set anywhere.
impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig::resolve(&Layers::empty()).expect("the defaults resolve, as tests show")
    }
}

fn no_more(small: (&'static str, i32), large: (&'static str, i32)) -> Result<(), ConfigError> {
    if small.1 <= large.1 {
        return Ok(());
    }
    let rule = format!("no more than {}, as {} asks", large.1, large.0);
    Err(ConfigError::Conflict { key: small.0, value: small.1.to_string(), rule })
}

/// The two names of the node's number must agree where both are used.
fn check_ids(layers: &Layers<'_>) -> Result<(), ConfigError> {
    let number = |name| layers.set(name).and_then(|text| text.trim().parse::<i32>().ok());
    match (number("node.id"), number("broker.id")) {
        (Some(node), Some(broker)) if broker >= 0 && node != broker => Err(ConfigError::Conflict {
            key: "broker.id",
            value: broker.to_string(),
            rule: format!("the same as node.id, which is {node}"),
        }),
        _ => Ok(()),
    }
}

/// Kept for no time at all is a slip for kept for ever; Kafka refuses it too.
fn check_retention(layers: &Layers<'_>) -> Result<(), ConfigError> {
    for name in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
        if layers.set(name).is_some_and(|text| text.trim().parse() == Ok(0)) {
            return Err(ConfigError::Conflict {
                key: name,
                value: "0".to_owned(),
                rule: "1 or more, or -1 to keep records for ever".to_owned(),
            });
        }
    }
    Ok(())
}

/// The data directory that Kafka's keys name, unless Flumen's own is set.
fn data_directory(
    layers: &Layers<'_>,
    value: &dyn Fn(&'static str) -> Result<Option<Value>, ConfigError>,
) -> Result<Option<String>, ConfigError> {
    if layers.set("flumen.data").is_some() {
        return Ok(None);
    }
    for name in ["log.dirs", "log.dir"] {
        if layers.set(name).is_none() {
            continue;
        }
        let Some(Value::List(mut directories)) = value(name)? else { continue };
        if directories.len() > 1 {
            return Err(ConfigError::Conflict {
                key: if name == "log.dirs" { "log.dirs" } else { "log.dir" },
                value: directories.join(","),
                rule: "one directory: Flumen keeps all data in one".to_owned(),
            });
        }
        return Ok(directories.pop());
    }
    Ok(None)
}
