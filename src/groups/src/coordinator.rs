//! The coordinator of one partition of `__consumer_offsets`: who is asked, and what time brings.

use crate::effects::{Effects, Waiter};
use crate::group::Group;
use crate::offsets::Offsets;
use crate::offsets::delete::{Remains, room};
use crate::request::{Context, Request};
use crate::scene::{ParkedIndex, Scene};
use crate::settings::Settings;
use crate::timers::{Timer, TimerKind, Timers};
use crate::topics::Topics;
use crate::{consumer, records};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Groups that one tick looks at for expired offsets, so that the core's other work goes on in between.
const SWEEP_GROUPS: usize = 64;
/// Timers that one tick fires, likewise.
const TICK_TIMERS: usize = 256;

/// The state of one partition of `__consumer_offsets`.
///
/// Loading: [`Coordinator::new`], [`Coordinator::replay`] and [`Coordinator::end_transaction`] in the order of the
/// log, [`Coordinator::loaded`]. Then [`Coordinator::handle`] for every request and [`Coordinator::tick`] when
/// [`Coordinator::next_deadline_ms`] has come, each with the wall clock in milliseconds since 1970.
///
/// State changes at once. If the records of a call cannot be written, the coordinator is ahead of its log and must
/// be dropped and loaded again; whoever waits, [`Coordinator::waiters`] too, is told COORDINATOR_NOT_AVAILABLE or
/// NOT_COORDINATOR. So what a client sends that is larger than the log takes is refused before anything has changed, and
/// a decision with a record that is larger is taken back at once ([`Settings::record_bytes_max`]). Only offsets of a
/// transaction count from when they are in the log: the shell tells what became of them by [`Coordinator::written`], and
/// if the log refuses them that is the end of it.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) settings: Settings,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) timers: Timers,
    pub(crate) parked: ParkedIndex,
    sweep: Sweep,
}

/// How far the look for expired offsets has come.
#[derive(Debug, Default)]
struct Sweep {
    /// When to go on; None before the coordinator is loaded.
    at: Option<i64>,
    /// The last group that was looked at in this sweep.
    after: Option<Arc<str>>,
}

/// How much a coordinator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Groups of the classic protocol, and those that only keep offsets.
    pub classic_groups: usize,
    /// Groups of the consumer protocol.
    pub consumer_groups: usize,
    /// Groups of the streams protocol.
    pub streams_groups: usize,
    /// Share groups.
    pub share_groups: usize,
    /// Members of all groups.
    pub members: usize,
    /// Committed offsets.
    pub offsets: usize,
    /// Requests that wait for others.
    pub waiters: usize,
}

/// One call of [`Coordinator::handle`].
pub(crate) struct Call<'a> {
    pub now: i64,
    pub waiter: Waiter,
    pub context: &'a Context<'a>,
}

impl Coordinator {
    /// A coordinator that knows nothing yet.
    pub fn new(settings: Settings) -> Coordinator {
        Coordinator {
            settings,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            parked: ParkedIndex::new(),
            sweep: Sweep::default(),
        }
    }

    /// Goes by other settings from now on.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Handles a request. `waiter` gets its one answer in the effects of this call or, for JoinGroup and SyncGroup,
    /// of a later one.
    pub fn handle(
        &mut self,
        now_ms: i64,
        request: &Request<'_>,
        waiter: Waiter,
        context: &Context<'_>,
    ) -> Effects {
        let mut out = Effects::default();
        let call = Call { now: now_ms, waiter, context };
        match request {
            Request::JoinGroup(request) => self.join(&call, request, &mut out),
            Request::SyncGroup(request) => self.sync(&call, request, &mut out),
            Request::Heartbeat(request) => self.heartbeat(&call, request, &mut out),
            Request::LeaveGroup(request) => self.leave(&call, request, &mut out),
            Request::ConsumerGroupHeartbeat(request) => self.consumer_heartbeat(&call, request, &mut out),
            Request::ConsumerGroupDescribe(request) => self.consumer_describe(&call, request, &mut out),
            Request::StreamsGroupHeartbeat(request) => self.streams_heartbeat(&call, request, &mut out),
            Request::StreamsGroupDescribe(request) => self.streams_describe(&call, request, &mut out),
            Request::OffsetCommit(request) => self.commit(&call, request, &mut out),
            Request::TxnOffsetCommit(request) => self.commit_in_transaction(&call, request, &mut out),
            Request::OffsetFetch(request) => self.fetch(&call, request, &mut out),
            Request::OffsetDelete(request) => self.delete_offsets(&call, request, &mut out),
            Request::DeleteGroups(request) => self.delete_groups(&call, request, &mut out),
            Request::DescribeGroups(request) => self.describe(&call, request, &mut out),
            Request::ListGroups(request) => self.list(&call, request, &mut out),
            Request::ShareGroupHeartbeat(request) => self.share_heartbeat(&call, request, &mut out),
            Request::ShareGroupDescribe(request) => self.share_describe(&call, request, &mut out),
            Request::DescribeShareGroupOffsets(request) => self.share_positions(&call, request, &mut out),
            Request::AlterShareGroupOffsets(request) => self.share_alter(&call, request, &mut out),
            Request::DeleteShareGroupOffsets(request) => self.share_delete(&call, request, &mut out),
        }
        out
    }

    /// The log has been read: members have their session timeouts from now.
    pub fn loaded(&mut self, now_ms: i64, topics: &dyn Topics) -> Effects {
        let mut out = Effects::default();
        self.sweep.at = Some(now_ms.saturating_add(self.settings.offsets_check_interval_ms));
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let mut scene = Scene { now: now_ms, settings, timers, parked, topics, out: &mut out };
        for group in groups.values_mut() {
            match group {
                Group::Classic(group) => group.loaded(&mut scene),
                Group::Consumer(group) => group.loaded(&mut scene),
                Group::Streams(group) => group.loaded(&mut scene),
                Group::Share(group) => group.loaded(&mut scene),
            }
        }
        out
    }

    /// When to call [`Coordinator::tick`] next; None if nothing waits for time. Perhaps nothing is due then, and
    /// if it is now or past, there is more to do than one tick does.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let next = self.timers.next();
        next.into_iter().chain(self.sweep.at).min()
    }

    /// Does what is due, a bounded part of it at a time.
    pub fn tick(&mut self, now_ms: i64, topics: &dyn Topics) -> Effects {
        let mut out = Effects::default();
        for _ in 0..TICK_TIMERS {
            let Some(timer) = self.timers.expired(now_ms) else { break };
            self.fire(now_ms, &timer, topics, &mut out);
        }
        // Deletions are written by themselves, for there may be very many: else the next tick goes on with them.
        if out.records.is_empty() && self.sweep.at.is_some_and(|at| at <= now_ms) {
            self.sweep(now_ms, &mut out);
        }
        out
    }

    fn fire(&mut self, now: i64, timer: &Timer, topics: &dyn Topics, out: &mut Effects) {
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let Some(slot) = groups.get_mut(&timer.group) else { return };
        let mut scene = Scene { now, settings, timers, parked, topics, out };
        match (slot, timer.kind, &timer.member) {
            (Group::Classic(group), TimerKind::Session, Some(member)) => {
                group.session_is_up(member, &mut scene)
            }
            (Group::Classic(group), TimerKind::Join, None) => group.round_is_up(&mut scene),
            (Group::Classic(group), TimerKind::Sync, None) => group.sync_is_up(&mut scene),
            (slot @ Group::Consumer(_), kind, Some(member)) => {
                consumer::leave::time_is_up(slot, member, kind, &mut scene);
            }
            (Group::Streams(group), TimerKind::Delay, None) => group.delay_is_up(&mut scene),
            (Group::Streams(group), kind, Some(member)) => group.time_is_up(member, kind, &mut scene),
            (Group::Share(group), TimerKind::Session, Some(member)) => group.drop_member(member, &mut scene),
            _ => {}
        }
    }

    /// Looks at the next groups for expired offsets; groups that have nothing left go.
    fn sweep(&mut self, now: i64, out: &mut Effects) {
        let mut seen = self.sweep.after.take();
        let from = seen.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let until: Bound<Arc<str>> = Bound::Unbounded;
        let next = self.groups.range((from, until)).take(SWEEP_GROUPS);
        let next: Vec<Arc<str>> = next.map(|(id, _)| id.clone()).collect();
        let limits = (now, self.settings.offsets_retention_ms);
        let mut is_cut = next.len() == SWEEP_GROUPS;
        for id in &next {
            if room(&out.records) == 0 {
                is_cut = true;
                break;
            }
            let Some(group) = self.groups.get(id) else { continue };
            let subscribed = |topic: &str| group.is_subscribed_to(topic);
            let from = group.offsets_age_from();
            let remains = self.offsets.expire(id, from, subscribed, limits, &mut out.records);
            if remains == Remains::Old {
                // The rest of it is what comes first the next time.
                is_cut = true;
                break;
            }
            if remains == Remains::Nothing && group.is_empty() && !matches!(group, Group::Share(_)) {
                self.remove_group(id, out);
            }
            seen = Some(id.clone());
        }
        if is_cut {
            self.sweep.after = seen;
            self.sweep.at = Some(now);
        } else {
            self.sweep.at = Some(now.saturating_add(self.settings.offsets_check_interval_ms));
        }
    }

    /// Removes a group without members, and deletes what is written of it.
    pub(crate) fn remove_group(&mut self, id: &Arc<str>, out: &mut Effects) {
        match self.groups.remove(id) {
            Some(Group::Classic(group)) => out.records.push(records::classic_group_tombstone(&group.id)),
            Some(Group::Consumer(group)) => group.write_end(&mut out.records),
            Some(Group::Streams(group)) => group.write_end(&mut out.records),
            Some(Group::Share(group)) => group.write_end(&mut out.records),
            None => {}
        }
        self.timers.cancel_group(id);
    }

    /// A waiter has gone away: it is not answered any more. The member that it asked for counts as if it waited,
    /// as in Kafka: it may have asked again already.
    pub fn forget(&mut self, waiter: Waiter) {
        let Some((group, member)) = self.parked.remove(&waiter) else { return };
        let Some(Group::Classic(group)) = self.groups.get_mut(&group) else { return };
        let Some(member) = group.members.get_mut(&member) else { return };
        for parked in member.joining.iter_mut().chain(&mut member.syncing) {
            if parked.waiter == Some(waiter) {
                parked.waiter = None;
            }
        }
    }

    /// Whoever has not been answered yet.
    pub fn waiters(&self) -> impl Iterator<Item = Waiter> + '_ {
        self.parked.keys().copied()
    }

    /// How much it holds; linear in the groups.
    pub fn usage(&self) -> Usage {
        let count = |is_one: fn(&Group) -> bool| self.groups.values().filter(|group| is_one(group)).count();
        Usage {
            classic_groups: count(|group| matches!(group, Group::Classic(_))),
            consumer_groups: count(|group| matches!(group, Group::Consumer(_))),
            share_groups: count(|group| matches!(group, Group::Share(_))),
            streams_groups: count(|group| matches!(group, Group::Streams(_))),
            members: self.groups.values().map(Group::members).sum(),
            offsets: self.offsets.len(),
            waiters: self.parked.len(),
        }
    }
}
