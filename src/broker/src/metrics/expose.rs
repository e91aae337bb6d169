//! The numbers of all cores as text.

use super::{CoreMetrics, QUOTAS, STAGES, clients, families as f, stage_name};
use crate::request::SERVED;
use base::exposition::{Exposition, Family};
use base::metrics::Totals;
use executor::Stats;
use kafka_wire::ErrorCode;
use network::Traffic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::StoreStats;

type Cores<'a> = &'a [Arc<CoreMetrics>];

/// A family, and where its number is in `S`.
type Place<S, N> = (&'static Family, fn(&S) -> N);
/// The same where the number is an atomic of another crate.
type Shared<S, A> = (&'static Family, fn(&S) -> &A);

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

/// All metrics of all cores, in Prometheus' text format, and what clients have pushed. What a core does not have yet is
/// left out.
pub fn expose(cores: Cores<'_>) -> String {
    let mut text = Exposition::new();
    requests(&mut text, cores);
    connections(&mut text, cores);
    throttled(&mut text, cores);
    metadata(&mut text, cores);
    executors(&mut text, cores);
    pools(&mut text, cores);
    storage(&mut text, cores);
    each(&mut text, &f::LISTENING, cores, |core| Some(u64::from(core.listening.load(Ordering::Relaxed))));
    text.family(&f::BUILD).sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let mut text = text.finish();
    clients::add(&mut text, cores);
    text
}

/// A family with one number a core.
fn each(
    text: &mut Exposition,
    family: &'static Family,
    cores: Cores<'_>,
    number: impl Fn(&CoreMetrics) -> Option<u64>,
) {
    text.family(family);
    for (core, metrics) in cores.iter().enumerate() {
        if let Some(number) = number(metrics) {
            let core = core.to_string();
            match family.unit {
                "seconds" => text.seconds(&[("core", &core)], number),
                _ => text.sample(&[("core", &core)], number),
            };
        }
    }
}

/// APIs that were never asked for are left out, or most lines would say nothing.
fn requests(text: &mut Exposition, cores: Cores<'_>) {
    let used = |place: usize| cores.iter().any(|core| core.apis[place].requests.get() > 0);
    let apis: Vec<(usize, &str)> = SERVED
        .iter()
        .enumerate()
        .map(|(place, (api, _))| (place, api.name()))
        .filter(|(place, _)| used(*place))
        .collect();
    for (family, refused) in [(&f::REQUESTS, false), (&f::REFUSED_REQUESTS, true)] {
        text.family(family);
        for (core, metrics) in cores.iter().enumerate() {
            for &(place, name) in &apis {
                let api = &metrics.apis[place];
                let counter = if refused { &api.refused } else { &api.requests };
                text.sample(&[("core", &core.to_string()), ("api", name)], counter.get());
            }
        }
    }
    text.family(&f::ERRORS);
    for (core, metrics) in cores.iter().enumerate() {
        for &(place, api) in &apis {
            for (code, counter) in ErrorCode::all().zip(&metrics.apis[place].errors) {
                if counter.get() > 0 {
                    let labels = [("core", &*core.to_string()), ("api", api), ("error", code.name())];
                    text.sample(&labels, counter.get());
                }
            }
        }
    }
    text.family(&f::STAGE_SECONDS);
    for &(place, api) in &apis {
        for number in 0..STAGES.len() {
            let stage = stage_name(SERVED[place].0, number);
            let mut totals = Totals::default();
            cores.iter().for_each(|core| core.apis[place].stages[number].add_to(&mut totals));
            text.histogram(&[("api", api), ("stage", stage)], &totals);
        }
    }
}

fn connections(text: &mut Exposition, cores: Cores<'_>) {
    let numbers: [Place<Traffic, u64>; 9] = [
        (&f::RECEIVED_BYTES, |traffic| traffic.received_bytes.get()),
        (&f::SENT_BYTES, |traffic| traffic.sent_bytes.get()),
        (&f::UNSENT_BYTES, |traffic| traffic.unsent_bytes.get()),
        (&f::CONNECTIONS, |traffic| traffic.connections.get()),
        (&f::ACCEPTED, |traffic| traffic.accepted.get()),
        (&f::TURNED_AWAY, |traffic| traffic.turned_away.get()),
        (&f::REFUSED_CONNECTIONS, |traffic| traffic.refused.get()),
        (&f::IDLE_CLOSED, |traffic| traffic.idle_closed.get()),
        (&f::UNREAD_CLOSED, |traffic| traffic.unread_closed.get()),
    ];
    for (family, number) in numbers {
        each(text, family, cores, |core| Some(number(&core.traffic)));
    }
}

fn throttled(text: &mut Exposition, cores: Cores<'_>) {
    for (family, times) in [(&f::THROTTLED, true), (&f::THROTTLE_SECONDS, false)] {
        text.family(family);
        for (core, metrics) in cores.iter().enumerate() {
            for (quota, counted) in QUOTAS.iter().zip(&metrics.throttled) {
                let labels = [("core", &*core.to_string()), ("quota", quota.name())];
                match times {
                    true => text.sample(&labels, counted.times.get()),
                    false => text.seconds(&labels, counted.nanos.get()),
                };
            }
        }
    }
}

fn metadata(text: &mut Exposition, cores: Cores<'_>) {
    each(text, &f::FETCH_SESSIONS, cores, |core| Some(core.fetch_sessions.get()));
    // Every core has the same metadata.
    text.family(&f::TOPICS).sample(&[], cores.first().map_or(0, |core| core.topics.get()));
    each(text, &f::PARTITIONS, cores, |core| Some(core.partitions.get()));
    each(text, &f::GROUPS, cores, |core| Some(core.groups.get()));
    each(text, &f::GROUP_MEMBERS, cores, |core| Some(core.group_members.get()));
    each(text, &f::GROUP_OFFSETS, cores, |core| Some(core.group_offsets.get()));
    each(text, &f::GROUP_WAITERS, cores, |core| Some(core.group_waiters.get()));
    each(text, &f::SHARE_SESSIONS, cores, |core| Some(core.share_sessions.get()));
    each(text, &f::SHARE_PARTITIONS, cores, |core| Some(core.share_partitions.get()));
    each(text, &f::SHARE_ACQUIRED, cores, |core| Some(core.share_acquired.get()));
    each(text, &f::SHARE_WINDOW, cores, |core| Some(core.share_window.get()));
    each(text, &f::SHARE_STATES, cores, |core| Some(core.share_states.get()));
    each(text, &f::SHARE_DELIVERED, cores, |core| Some(core.share_delivered.get()));
    each(text, &f::SHARE_EXPIRED, cores, |core| Some(core.share_expired.get()));
    each(text, &f::CLIENTS, cores, |core| Some(core.clients.get()));
    each(text, &f::CLIENT_SERIES, cores, |core| Some(core.client_series_count.get()));
    each(text, &f::CLIENT_SERIES_DROPPED, cores, |core| Some(core.client_series_dropped.get()));
}

fn executors(text: &mut Exposition, cores: Cores<'_>) {
    let numbers: [Shared<Stats, AtomicU64>; 9] = [
        (&f::BUSY, |stats| &stats.busy_nanos),
        (&f::PARKED, |stats| &stats.parked_nanos),
        (&f::STALLED, |stats| &stats.stalled_nanos),
        (&f::LONG_POLLS, |stats| &stats.long_polls),
        (&f::LONGEST_POLL, |stats| &stats.longest_poll_nanos),
        (&f::LONG_TURNS, |stats| &stats.long_turns),
        (&f::LONGEST_TURN, |stats| &stats.longest_turn_nanos),
        (&f::POLLS, |stats| &stats.polls),
        (&f::TURNS, |stats| &stats.turns),
    ];
    for (family, number) in numbers {
        each(text, family, cores, |core| core.executor.get().map(|executor| get(number(&executor.stats))));
    }
}

fn pools(text: &mut Exposition, cores: Cores<'_>) {
    each(text, &f::POOL_BYTES, cores, |core| core.pool.get().map(|(_, budget)| *budget));
    each(text, &f::POOL_USED, cores, |core| core.pool.get().map(|(usage, _)| usage.used_bytes()));
    each(text, &f::POOL_REFUSED, cores, |core| core.pool.get().map(|(usage, _)| usage.refused_count()));
}

fn storage(text: &mut Exposition, cores: Cores<'_>) {
    let numbers: [Shared<StoreStats, AtomicU64>; 22] = [
        (&f::APPENDS, |store| &store.appends),
        (&f::APPENDED_BYTES, |store| &store.appended_bytes),
        (&f::BUSY_APPENDS, |store| &store.busy),
        (&f::COMMITS, |store| &store.commits),
        (&f::COMMIT_BYTES, |store| &store.commit_bytes),
        (&f::UNDRAINED, |store| &store.undrained_bytes),
        (&f::DRAINED_BYTES, |store| &store.drained_bytes),
        (&f::DIRECT_BYTES, |store| &store.direct_bytes),
        (&f::DIRECT_WRITES, |store| &store.direct_writes),
        (&f::READ_BYTES, |store| &store.read_bytes),
        (&f::READ_AHEAD_BYTES, |store| &store.read_ahead_bytes),
        (&f::TAIL_BYTES, |store| &store.tail_bytes),
        (&f::CACHE_BYTES, |store| &store.cache_bytes),
        (&f::CACHE_HITS, |store| &store.cache_hits),
        (&f::CACHE_MISSES, |store| &store.cache_misses),
        (&f::SEGMENTS_DELETED, |store| &store.segments_deleted),
        (&f::DELETED_BYTES, |store| &store.deleted_bytes),
        (&f::CLEANER_RUNS, |store| &store.cleaner_runs),
        (&f::CLEANER_READ, |store| &store.cleaner_read_bytes),
        (&f::CLEANER_WRITTEN, |store| &store.cleaner_written_bytes),
        (&f::CLEANER_DIRTY, |store| &store.max_dirty_permille),
        (&f::CLEANER_UNCLEANABLE, |store| &store.uncleanable_partitions),
    ];
    for (family, number) in numbers {
        each(text, family, cores, |core| core.store.get().map(|store| get(number(store))));
    }
    each(text, &f::CLEANER_LAST_RUN, cores, |core| {
        core.store.get().map(|store| get(&store.cleaner_last_run_ms).saturating_mul(1_000_000))
    });
    text.family(&f::FLUSH_SECONDS);
    for (core, metrics) in cores.iter().enumerate() {
        let Some(store) = metrics.store.get() else { continue };
        let latency = &store.flush_latency;
        let Some((above, bounded)) = latency.buckets.split_last() else { continue };
        // Bucket n holds what is below 2^n µs.
        let bounded = bounded.iter().enumerate().map(|(power, count)| (1000 << power, get(count)));
        text.buckets(&[("core", &core.to_string())], bounded, get(above), get(&latency.sum_nanos));
    }
    let states: [Place<StoreStats, bool>; 2] =
        [(&f::NO_SPACE, StoreStats::is_full), (&f::OFFLINE, |store| store.offline.load(Ordering::Relaxed))];
    for (family, state) in states {
        each(text, family, cores, |core| core.store.get().map(|store| u64::from(state(store))));
    }
}
