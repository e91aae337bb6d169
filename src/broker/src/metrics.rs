//! What a core counts of its part of the broker, and all of it as text.
//!
//! Each core has one [`CoreMetrics`], which it alone writes and the HTTP thread reads. What crates below count for
//! themselves (executor, pool, store, connections) is only attached here.
//!
//! - [`families`]: every metric's name and meaning; `docs/operations/metrics.md` is held to it by a test.
//! - [`expose`]: the numbers of all cores in Prometheus' format; [`clients`]: what clients have pushed.

mod clients;
mod expose;
pub mod families;

pub use expose::expose;

use crate::client_telemetry::Shown;
use crate::request::SERVED;
use base::Instant;
use base::metrics::{Counter, Gauge, Histogram};
use controller::QuotaKey;
use driver::Sleeping;
use executor::Executor;
use kafka_wire::{ApiKey, ErrorCode};
use memory::{Pool, PoolUse};
use network::{Left, Traffic};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::StoreStats;

/// The stages of a request, and its whole way. The third is called `wait` for the APIs that make nothing durable.
pub(crate) const STAGES: [&str; 5] = ["queue", "execute", "commit", "send", "total"];

/// The name of a stage of an API.
pub(crate) fn stage_name(api: ApiKey, number: usize) -> &'static str {
    let reads = matches!(
        api,
        ApiKey::Fetch
            | ApiKey::ListOffsets
            | ApiKey::OffsetFetch
            | ApiKey::FindCoordinator
            | ApiKey::JoinGroup
            | ApiKey::Heartbeat
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::ConsumerGroupDescribe
            | ApiKey::StreamsGroupDescribe
            | ApiKey::ShareGroupDescribe
            | ApiKey::DescribeShareGroupOffsets
            | ApiKey::DescribeProducers
            | ApiKey::DescribeTransactions
            | ApiKey::ListTransactions
            | ApiKey::ApiVersions
            | ApiKey::OffsetForLeaderEpoch
            | ApiKey::DescribeAcls
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeCluster
            | ApiKey::GetTelemetrySubscriptions
            | ApiKey::PushTelemetry
            | ApiKey::ListConfigResources
            | ApiKey::DescribeTopicPartitions
            | ApiKey::DescribeQuorum
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments
            | ApiKey::DescribeClientQuotas
            | ApiKey::DescribeUserScramCredentials
            | ApiKey::AlterReplicaLogDirs
    );
    if reads && STAGES[number] == "commit" { "wait" } else { STAGES[number] }
}

/// What is counted of one API.
#[derive(Debug)]
pub(crate) struct ApiMetrics {
    pub(crate) requests: Counter,
    /// Requests that closed their connection.
    pub(crate) refused: Counter,
    /// By place in [`ErrorCode::all`].
    pub(crate) errors: Box<[Counter]>,
    /// By place in [`STAGES`].
    pub(crate) stages: [Histogram; STAGES.len()],
}

impl ApiMetrics {
    fn new() -> ApiMetrics {
        ApiMetrics {
            requests: Counter::default(),
            refused: Counter::default(),
            errors: ErrorCode::all().map(|_| Counter::default()).collect(),
            stages: Default::default(),
        }
    }
}

/// The quotas whose use makes clients wait.
pub(crate) const QUOTAS: [QuotaKey; 5] = [
    QuotaKey::ProducerByteRate,
    QuotaKey::ConsumerByteRate,
    QuotaKey::RequestPercentage,
    QuotaKey::ControllerMutationRate,
    QuotaKey::ConnectionCreationRate,
];

/// How often a quota made a client wait.
#[derive(Debug, Default)]
pub(crate) struct ThrottleMetrics {
    pub(crate) times: Counter,
    pub(crate) nanos: Counter,
}

/// What a core's executor tells.
#[derive(Debug)]
pub(crate) struct ExecutorMetrics {
    pub(crate) stats: Arc<executor::Stats>,
    sleeping: Sleeping,
}

/// One core in numbers. Made before the core is, so that others can see it come up.
#[derive(Debug)]
pub struct CoreMetrics {
    /// By place in the table of served APIs.
    pub(crate) apis: Box<[ApiMetrics]>,
    pub(crate) traffic: Arc<Traffic>,
    /// By place in [`QUOTAS`].
    pub(crate) throttled: [ThrottleMetrics; QUOTAS.len()],
    pub(crate) fetch_sessions: Gauge,
    pub(crate) partitions: Gauge,
    pub(crate) topics: Gauge,
    pub(crate) groups: Gauge,
    pub(crate) group_members: Gauge,
    pub(crate) group_offsets: Gauge,
    pub(crate) group_waiters: Gauge,
    pub(crate) share_sessions: Gauge,
    pub(crate) share_partitions: Gauge,
    pub(crate) share_acquired: Gauge,
    pub(crate) share_window: Gauge,
    pub(crate) share_states: Gauge,
    pub(crate) share_delivered: Counter,
    pub(crate) share_expired: Counter,
    /// Clients that push metrics; the numbers that they pushed, and how many these are; how many are not shown.
    pub(crate) clients: Gauge,
    pub(crate) client_series: Shown,
    pub(crate) client_series_count: Gauge,
    pub(crate) client_series_dropped: Counter,
    pub(crate) executor: OnceLock<ExecutorMetrics>,
    /// The counters of the core's pool and its budget in bytes.
    pub(crate) pool: OnceLock<(Arc<PoolUse>, u64)>,
    pub(crate) store: OnceLock<Arc<StoreStats>>,
    pub(crate) listening: AtomicBool,
}

impl Default for CoreMetrics {
    fn default() -> CoreMetrics {
        CoreMetrics {
            apis: SERVED.iter().map(|_| ApiMetrics::new()).collect(),
            traffic: Arc::default(),
            throttled: Default::default(),
            fetch_sessions: Gauge::default(),
            partitions: Gauge::default(),
            topics: Gauge::default(),
            groups: Gauge::default(),
            group_members: Gauge::default(),
            group_offsets: Gauge::default(),
            group_waiters: Gauge::default(),
            share_sessions: Gauge::default(),
            share_partitions: Gauge::default(),
            share_acquired: Gauge::default(),
            share_window: Gauge::default(),
            share_states: Gauge::default(),
            share_delivered: Counter::default(),
            share_expired: Counter::default(),
            clients: Gauge::default(),
            client_series: Shown::default(),
            client_series_count: Gauge::default(),
            client_series_dropped: Counter::default(),
            executor: OnceLock::new(),
            pool: OnceLock::new(),
            store: OnceLock::new(),
            listening: AtomicBool::new(false),
        }
    }
}

impl CoreMetrics {
    /// Shows an executor and a pool as this core's; the first time counts.
    pub fn attach(&self, executor: &Executor, pool: &Pool) {
        let _ = self.executor.set(ExecutorMetrics { stats: executor.stats(), sleeping: executor.sleeping() });
        let _ = self.pool.set((pool.usage(), pool.budget_bytes() as u64));
    }

    /// Turns of the core's loop so far and whether it sleeps in the kernel; before it has a loop, it is as if asleep.
    pub fn beat(&self) -> (u64, bool) {
        self.executor.get().map_or((0, true), |executor| {
            (executor.stats.turns.load(Ordering::Relaxed), executor.sleeping.is_raised())
        })
    }

    /// Runs of the cleaner over logs of this core.
    pub fn cleaner_runs(&self) -> u64 {
        self.store.get().map_or(0, |store| store.cleaner_runs.load(Ordering::Relaxed))
    }

    pub(crate) fn note_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// A request of the API at this place in the table was answered, or closed its connection.
    pub(crate) fn request_left(&self, left: &Left, sent: Instant) {
        let Some(api) = self.apis.get(usize::from(left.kind)) else { return };
        let times = &left.times;
        api.requests.increment();
        if left.closed {
            api.refused.increment();
        }
        let took =
            [times.queue(), times.execute(), times.wait(), times.send(sent), sent.since(times.arrived)];
        for (stage, took) in api.stages.iter().zip(took) {
            stage.record(took);
        }
    }

    /// A quota made a client wait so long.
    pub(crate) fn throttled(&self, quota: QuotaKey, wait: Duration) {
        if let Some(place) = QUOTAS.iter().position(|one| *one == quota) {
            self.throttled[place].times.increment();
            self.throttled[place].nanos.add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// How much the core's coordinators hold.
    pub(crate) fn note_groups(&self, usage: &groups::Usage) {
        let groups = [usage.classic_groups, usage.consumer_groups, usage.share_groups, usage.streams_groups];
        self.groups.set(groups.iter().sum::<usize>() as u64);
        self.group_members.set(usage.members as u64);
        self.group_offsets.set(usage.offsets as u64);
        self.group_waiters.set(usage.waiters as u64);
    }

    /// So many items of a request, or the request itself, were answered with an error.
    pub(crate) fn errors(&self, api: ApiKey, code: i16, times: u32) {
        let place = SERVED.iter().position(|(served, _)| *served == api);
        // The codes run from -1 without holes.
        let error = usize::try_from(i32::from(code) + 1).unwrap_or(0);
        if let Some(counter) = place.and_then(|place| self.apis[place].errors.get(error))
            && code != ErrorCode::None.code()
        {
            counter.add(u64::from(times));
        }
    }
}

/// Whether all cores take requests and appends; else the first reason why not.
pub fn ready(cores: &[Arc<CoreMetrics>]) -> Result<(), String> {
    for (core, metrics) in cores.iter().enumerate() {
        if !metrics.listening.load(Ordering::Relaxed) {
            return Err(format!("core {core} does not listen: the broker is starting or stopping"));
        }
        if metrics.store.get().is_some_and(|store| store.offline.load(Ordering::Relaxed)) {
            return Err(format!(
                "shard {core} is offline for appends since a write failed: see the log, check the device, restart the broker"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "metrics/tests.rs"]
mod tests;
