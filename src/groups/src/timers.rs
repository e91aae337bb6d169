//! What is due when.
//!
//! Lazy: a timer that is moved to later, as every heartbeat does, keeps its place in the queue, and is put where
//! it belongs when that place comes up. So a heartbeat moves one number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// A member has to be heard of.
    Session,
    /// The round of joins of a classic group; with a member, that classic member of a consumer group.
    Join,
    /// The syncs after it, likewise.
    Sync,
    /// A member of a consumer or streams group has to give partitions or tasks back.
    Rebalance,
    /// The first members of a streams group wait for more.
    Delay,
}

/// A timer's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub group: Arc<str>,
    pub member: Option<Arc<str>>,
    pub kind: TimerKind,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When it is due.
    at: i64,
    /// Where in the queue it is; never later.
    queued: i64,
}

/// All timers of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    slots: BTreeMap<Timer, Slot>,
    queue: BTreeSet<(i64, Timer)>,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub fn set(&mut self, timer: Timer, at: i64) {
        match self.slots.get_mut(&timer) {
            Some(slot) if slot.queued <= at => slot.at = at,
            Some(slot) => {
                self.queue.remove(&(slot.queued, timer.clone()));
                *slot = Slot { at, queued: at };
                self.queue.insert((at, timer));
            }
            None => {
                self.slots.insert(timer.clone(), Slot { at, queued: at });
                self.queue.insert((at, timer));
            }
        }
    }

    pub fn is_set(&self, timer: &Timer) -> bool {
        self.slots.contains_key(timer)
    }

    pub fn cancel(&mut self, timer: Timer) {
        if let Some(slot) = self.slots.remove(&timer) {
            self.queue.remove(&(slot.queued, timer));
        }
    }

    /// Cancels all timers of a group.
    pub fn cancel_group(&mut self, group: &Arc<str>) {
        let first = Timer { group: group.clone(), member: None, kind: TimerKind::Session };
        let all = self.slots.range(first..).map(|(timer, _)| timer);
        let all: Vec<Timer> = all.take_while(|timer| timer.group == *group).cloned().collect();
        for timer in all {
            self.cancel(timer);
        }
    }

    /// Takes a timer that is due.
    pub fn expired(&mut self, now: i64) -> Option<Timer> {
        while self.queue.first().is_some_and(|(queued, _)| *queued <= now) {
            let (_, timer) = self.queue.pop_first()?;
            let Some(slot) = self.slots.get_mut(&timer) else { continue };
            if slot.at <= now {
                self.slots.remove(&timer);
                return Some(timer);
            }
            slot.queued = slot.at;
            let at = slot.at;
            self.queue.insert((at, timer));
        }
        None
    }

    /// When to look again; perhaps nothing is due then.
    pub fn next(&self) -> Option<i64> {
        self.queue.first().map(|(queued, _)| *queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(member: &str) -> Timer {
        Timer { group: Arc::from("g"), member: Some(Arc::from(member)), kind: TimerKind::Session }
    }

    #[test]
    fn a_timer_that_moves_is_due_where_it_was_moved_to() {
        let mut timers = Timers::default();
        timers.set(session("a"), 10);
        timers.set(session("b"), 20);
        timers.set(session("a"), 30);
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.expired(19), None);
        assert_eq!(timers.next(), Some(20));
        assert_eq!(timers.expired(30), Some(session("b")));
        assert_eq!(timers.expired(30), Some(session("a")));
        assert_eq!((timers.expired(100), timers.next()), (None, None));
        timers.set(session("a"), 30);
        timers.set(session("a"), 5);
        assert_eq!(timers.expired(5), Some(session("a")));
        assert!(!timers.is_set(&session("a")));
    }

    #[test]
    fn a_group_goes_with_all_its_timers() {
        let mut timers = Timers::default();
        timers.set(session("a"), 10);
        timers.set(Timer { group: Arc::from("g"), member: None, kind: TimerKind::Sync }, 10);
        timers.set(Timer { group: Arc::from("h"), member: None, kind: TimerKind::Join }, 10);
        timers.cancel_group(&Arc::from("g"));
        assert_eq!(timers.expired(10).map(|timer| timer.group), Some(Arc::from("h")));
        assert_eq!(timers.expired(10), None);
    }
}
