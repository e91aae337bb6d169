//! What every step of a group works with: time, settings, timers, and where effects go.

use crate::effects::{Effects, Response, Waiter};
use crate::settings::{Settings, StreamsSettings};
use crate::timers::{Timer, TimerKind, Timers};
use crate::topics::Topics;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which member each parked waiter waits for, so that a waiter that goes away can be found.
pub(crate) type ParkedIndex = BTreeMap<Waiter, (Arc<str>, Arc<str>)>;

/// A request of a member that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    /// None when whoever waited has gone away; the member still counts as having come.
    pub waiter: Option<Waiter>,
    /// The version of the request.
    pub version: i16,
}

/// The surroundings of one call.
pub(crate) struct Scene<'a> {
    pub now: i64,
    pub settings: &'a Settings,
    pub timers: &'a mut Timers,
    pub parked: &'a mut ParkedIndex,
    pub topics: &'a dyn Topics,
    pub out: &'a mut Effects,
}

impl Scene<'_> {
    /// A number of a group's settings: its own, else the broker's.
    pub fn of_group(&self, group: &str, key: &str, broker: i32) -> i32 {
        self.topics.group_number(group, key).unwrap_or(broker)
    }

    /// After how much silence a member of a consumer group is taken for dead.
    pub fn consumer_session_timeout_ms(&self, group: &str) -> i32 {
        self.of_group(group, "consumer.session.timeout.ms", self.settings.consumer_session_timeout_ms)
    }

    /// How often members of a consumer group are told to send heartbeats.
    pub fn consumer_heartbeat_interval_ms(&self, group: &str) -> i32 {
        self.of_group(group, "consumer.heartbeat.interval.ms", self.settings.consumer_heartbeat_interval_ms)
    }

    /// The shortest time between two assignments of a consumer group.
    pub fn consumer_assignment_interval_ms(&self, group: &str) -> i32 {
        self.of_group(group, "consumer.assignment.interval.ms", self.settings.consumer_assignment_interval_ms)
    }

    /// What a streams group goes by.
    pub fn streams_settings(&self, group: &str) -> StreamsSettings {
        let broker = &self.settings.streams;
        let own = |key: &str, broker: i32| self.of_group(group, key, broker);
        StreamsSettings {
            session_timeout_ms: own("streams.session.timeout.ms", broker.session_timeout_ms),
            heartbeat_interval_ms: own("streams.heartbeat.interval.ms", broker.heartbeat_interval_ms),
            initial_rebalance_delay_ms: own(
                "streams.initial.rebalance.delay.ms",
                broker.initial_rebalance_delay_ms,
            ),
            assignment_interval_ms: own("streams.assignment.interval.ms", broker.assignment_interval_ms),
            standby_replicas: own("streams.num.standby.replicas", broker.standby_replicas),
            max_size: broker.max_size,
        }
    }

    /// Sets a member's timer, or one of the whole group.
    pub fn arm(&mut self, group: &Arc<str>, member: Option<&Arc<str>>, kind: TimerKind, delay_ms: i32) {
        let at = self.now.saturating_add(i64::from(delay_ms.max(0)));
        self.timers.set(Timer { group: group.clone(), member: member.cloned(), kind }, at);
    }

    /// Sets a member's timer, unless it runs.
    pub fn arm_idle(&mut self, group: &Arc<str>, member: &Arc<str>, kind: TimerKind, delay_ms: i32) {
        let timer = Timer { group: group.clone(), member: Some(member.clone()), kind };
        if !self.timers.is_set(&timer) {
            self.arm(group, Some(member), kind, delay_ms);
        }
    }

    pub fn disarm(&mut self, group: &Arc<str>, member: Option<&Arc<str>>, kind: TimerKind) {
        self.timers.cancel(Timer { group: group.clone(), member: member.cloned(), kind });
    }

    /// Notes that a waiter waits for a member.
    pub fn park(&mut self, group: &Arc<str>, member: &Arc<str>, waiter: Waiter, version: i16) -> Parked {
        self.parked.insert(waiter, (group.clone(), member.clone()));
        Parked { waiter: Some(waiter), version }
    }

    /// Answers a parked request, if anybody still waits.
    pub fn unpark(&mut self, parked: Parked, response: Response, after_records: bool) {
        if let Some(waiter) = parked.waiter {
            self.parked.remove(&waiter);
            self.out.answer(waiter, response, after_records);
        }
    }
}
