//! What of the configuration a coordinator goes by.

/// The values that a coordinator needs, each with the name and default that Kafka 4.3 has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: members of a classic group.
    pub max_size: usize,
    /// `group.consumer.heartbeat.interval.ms`: what members of consumer groups are told.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.max.size`.
    pub consumer_max_size: usize,
    /// `group.consumer.assignors`: those on offer, the default first. Never empty.
    pub consumer_assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub migration: Migration,
    /// `group.consumer.assignment.interval.ms`: 0 computes an assignment whenever there is a reason.
    pub consumer_assignment_interval_ms: i32,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: i32,
    /// What streams groups go by that set nothing else.
    pub streams: StreamsSettings,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_check_interval_ms: i64,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `group.share.heartbeat.interval.ms`.
    pub share_heartbeat_interval_ms: i32,
    /// `group.share.session.timeout.ms`.
    pub share_session_timeout_ms: i32,
    /// `group.share.assignment.interval.ms`.
    pub share_assignment_interval_ms: i32,
    /// `group.share.max.size`.
    pub share_max_size: usize,
    /// Bytes of key and value in one record, at most: what `max.message.bytes` of the partition leaves for them in a
    /// batch of their own.
    pub record_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_session_timeout_ms: 45_000,
            consumer_max_size: i32::MAX as usize,
            consumer_assignors: vec![Assignor::Uniform, Assignor::Range],
            migration: Migration::Bidirectional,
            consumer_assignment_interval_ms: 1_000,
            regex_refresh_interval_ms: 600_000,
            streams: StreamsSettings::default(),
            offsets_retention_ms: 10_080 * 60_000,
            offsets_check_interval_ms: 600_000,
            offset_metadata_max_bytes: 4_096,
            share_heartbeat_interval_ms: 5_000,
            share_session_timeout_ms: 45_000,
            share_assignment_interval_ms: 1_000,
            share_max_size: 200,
            record_bytes_max: 1_048_588 - 128,
        }
    }
}

/// What streams groups go by (KIP-1071), with the names of single groups' settings and the defaults of Kafka 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamsSettings {
    /// `streams.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `streams.heartbeat.interval.ms`: what members are told.
    pub heartbeat_interval_ms: i32,
    /// `streams.initial.rebalance.delay.ms`: 0 gives the first member its tasks at once.
    pub initial_rebalance_delay_ms: i32,
    /// `streams.assignment.interval.ms`: 0 computes an assignment whenever there is a reason.
    pub assignment_interval_ms: i32,
    /// `streams.num.standby.replicas`: copies of each stateful task's state.
    pub standby_replicas: i32,
    /// `group.streams.max.size`: members of a group.
    pub max_size: usize,
}

impl Default for StreamsSettings {
    fn default() -> StreamsSettings {
        StreamsSettings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            initial_rebalance_delay_ms: 3_000,
            assignment_interval_ms: 1_000,
            standby_replicas: 0,
            max_size: i32::MAX as usize,
        }
    }
}

/// A server-side assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Even numbers of partitions, and as few moves as that allows.
    Uniform,
    /// Each topic cut into ranges, so that equal partitions of topics go to one member.
    Range,
}

impl Assignor {
    /// The name that members ask for it by.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of this name; Kafka also takes the class names of its own.
    pub fn named(name: &str) -> Option<Assignor> {
        match name {
            "uniform" | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => {
                Some(Assignor::Uniform)
            }
            "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some(Assignor::Range),
            _ => None,
        }
    }
}

/// Which way a group with members may change its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// Either way.
    Bidirectional,
    /// From classic to consumer only.
    Upgrade,
    /// From consumer to classic only.
    Downgrade,
    /// Neither.
    Disabled,
}

impl Migration {
    /// The policy of this name, whatever its case.
    pub fn named(name: &str) -> Option<Migration> {
        let all = [
            ("bidirectional", Migration::Bidirectional),
            ("upgrade", Migration::Upgrade),
            ("downgrade", Migration::Downgrade),
            ("disabled", Migration::Disabled),
        ];
        all.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, policy)| policy)
    }

    pub(crate) fn upgrades(self) -> bool {
        matches!(self, Migration::Bidirectional | Migration::Upgrade)
    }

    pub(crate) fn downgrades(self) -> bool {
        matches!(self, Migration::Bidirectional | Migration::Downgrade)
    }
}
