//! A group of many members, one of which comes and goes: how long it takes from a change until every member has its
//! new generation and assignment.
//!
//! Every member has a connection of its own and learns of a change by its next heartbeat; heartbeats are spread
//! evenly over their interval. A change has settled when all members that are there have the same generation, above
//! that before the change, and together every partition once: that is the proof, too.
//!
//! 1. [`classic`]: JoinGroup, SyncGroup, Heartbeat, LeaveGroup; the leader gives each a range of the partitions.
//! 2. [`consumer`]: ConsumerGroupHeartbeat (KIP-848); the broker assigns.

pub mod classic;
pub mod consumer;

use crate::{
    actors::{Actor, NEVER, Stage},
    admin::Admin,
    args::{Protocol, RebalanceArgs},
    connection::{Connection, connect},
    coordinators::Coordinated,
    engine::Outcome,
    error::Error,
    report, run,
    stats::{Flow, Window},
};
use classic::Classic;
use consumer::Consumer;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds between a change that has settled and the next.
const PAUSE: u64 = 300_000_000;
/// Nanoseconds between two looks of the one who comes and goes at what the others have.
const LOOK: u64 = 1_000_000;
/// Nanoseconds before a coordinator that was not ready is asked again.
const RETRY: u64 = 50_000_000;
/// The answer to a leader tells of all members.
const BUFFER: usize = 16 << 10;

/// A member as all see it.
#[derive(Debug, Clone, Default)]
struct Place {
    present: bool,
    generation: i32,
    partitions: Vec<i32>,
}

/// What all members share.
#[derive(Debug)]
pub struct Shared {
    group: String,
    topic: String,
    partitions: i32,
    /// Nanoseconds between two heartbeats of a member.
    interval: u64,
    places: Vec<Place>,
    /// When the change began that is under way or was last, the generation before it, and when it had settled.
    changed: u64,
    above: i32,
    settled: Option<u64>,
    /// Nanoseconds from the start of the run until the group had formed.
    pub formed: Option<u64>,
    /// From a change until it has settled: one joins, one leaves.
    pub joins: Flow,
    pub leaves: Flow,
    /// There will be no more changes: all leave.
    over: bool,
}

impl Shared {
    fn new(
        group: String,
        topic: String,
        partitions: i32,
        members: usize,
        window: Window,
    ) -> Result<Shared, Error> {
        Ok(Shared {
            group,
            topic,
            partitions,
            interval: 0,
            places: vec![Place { generation: -1, ..Place::default() }; members + 1],
            changed: 0,
            above: -1,
            settled: None,
            formed: None,
            joins: Flow::new(window)?,
            leaves: Flow::new(window)?,
            over: false,
        })
    }

    /// A member has a generation and partitions, in ascending order.
    fn placed(&mut self, index: usize, generation: i32, partitions: &[i32], now: u64) {
        let place = &mut self.places[index];
        if place.generation == generation && place.partitions == partitions {
            return;
        }
        place.generation = generation;
        place.partitions.clear();
        place.partitions.extend_from_slice(partitions);
        if self.settled.is_none() && self.all_agree() {
            self.settled = Some(now);
        }
    }

    fn all_agree(&self) -> bool {
        let present = self.places.iter().filter(|place| place.present);
        let Some(generation) = present.clone().map(|place| place.generation).max() else { return false };
        if generation <= self.above || present.clone().any(|place| place.generation != generation) {
            return false;
        }
        let mut all: Vec<i32> = present.flat_map(|place| place.partitions.iter().copied()).collect();
        all.sort_unstable();
        all.into_iter().eq(0..self.partitions)
    }

    /// A member comes or goes.
    fn change(&mut self, index: usize, present: bool, now: u64) {
        let generations = self.places.iter().filter(|place| place.present).map(|place| place.generation);
        self.above = generations.max().unwrap_or(-1);
        (self.changed, self.settled) = (now, None);
        self.places[index] = Place { present, generation: -1, partitions: Vec::new() };
    }

    /// When a member's next heartbeat is due: every member has its own moment within the interval.
    fn next_beat(&self, index: usize, now: u64) -> u64 {
        let phase = self.interval / self.places.len() as u64 * index as u64;
        let beats = now.saturating_sub(phase) / self.interval + 1;
        phase + beats * self.interval
    }
}

/// The protocol that a member speaks.
#[derive(Debug)]
enum Speaks {
    Classic(Classic),
    Consumer(Consumer),
}

/// What the one who comes and goes is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// It never comes: one of those that stay.
    None,
    /// It waits until the others are a group.
    Forming,
    /// It is away until that time.
    Away(u64),
    Joining,
    /// It is there until that time.
    There(u64),
    Leaving,
    Over,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    index: usize,
    speaks: Speaks,
    visit: Visit,
    look_at: u64,
    stopped: bool,
}

impl Member {
    fn new(index: usize, protocol: Protocol, visits: bool, run: u64) -> Member {
        let speaks = match protocol {
            Protocol::Classic => Speaks::Classic(Classic::new(index)),
            Protocol::Consumer => Speaks::Consumer(Consumer::new(index, run)),
        };
        let visit = if visits { Visit::Forming } else { Visit::None };
        Member { index, speaks, visit, look_at: NEVER, stopped: false }
    }

    fn join(&mut self, shared: &mut Shared, connection: &mut Connection) {
        match &mut self.speaks {
            Speaks::Classic(member) => member.join(shared, connection),
            Speaks::Consumer(member) => member.join(shared, connection),
        }
    }

    fn leave(&mut self, shared: &mut Shared, connection: &mut Connection) {
        match &mut self.speaks {
            Speaks::Classic(member) => member.leave(shared, connection),
            Speaks::Consumer(member) => member.leave(shared, connection),
        }
    }

    fn away(&self) -> bool {
        match &self.speaks {
            Speaks::Classic(member) => member.away(),
            Speaks::Consumer(member) => member.away(),
        }
    }

    /// The one who comes and goes looks around.
    fn look(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        let took = shared.settled.map(|at| (shared.changed, at));
        self.visit = match (self.visit, took) {
            (Visit::Forming, Some((_, at))) => {
                shared.formed = Some(at);
                Visit::Away(now + PAUSE)
            }
            (Visit::Away(until), _) if now >= until && self.stopped && shared.joins.total.requests > 0 => {
                shared.over = true;
                Visit::Over
            }
            (Visit::Away(until), _) if now >= until => {
                shared.change(self.index, true, now);
                self.join(shared, connection);
                Visit::Joining
            }
            (Visit::Joining, Some((from, to))) => {
                record(&mut shared.joins, from, to);
                Visit::There(now + PAUSE)
            }
            (Visit::There(until), _) if now >= until => {
                shared.change(self.index, false, now);
                self.leave(shared, connection);
                Visit::Leaving
            }
            (Visit::Leaving, Some((from, to))) if self.away() => {
                record(&mut shared.leaves, from, to);
                Visit::Away(now + PAUSE)
            }
            (as_before, _) => as_before,
        };
        let over = matches!(self.visit, Visit::Over | Visit::None);
        self.look_at = if over { NEVER } else { now + LOOK };
    }
}

impl Actor for Member {
    type Shared = Shared;

    fn start(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        if self.visit == Visit::None {
            shared.places[self.index].present = true;
            self.join(shared, connection);
        } else {
            self.look_at = now + LOOK;
        }
    }

    fn answered(
        &mut self,
        shared: &mut Shared,
        connection: &mut Connection,
        answer: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        match &mut self.speaks {
            Speaks::Classic(member) => member.answered(shared, connection, answer, now)?,
            Speaks::Consumer(member) => member.answered(shared, connection, answer, now)?,
        }
        if self.visit != Visit::None {
            self.look(shared, connection, now);
        }
        Ok(())
    }

    fn wake(&self) -> u64 {
        let of_protocol = match &self.speaks {
            Speaks::Classic(member) => member.wake(),
            Speaks::Consumer(member) => member.wake(),
        };
        of_protocol.min(self.look_at)
    }

    fn due(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) -> Result<(), Error> {
        match &mut self.speaks {
            Speaks::Classic(member) if member.wake() <= now => member.due(shared, connection),
            Speaks::Consumer(member) if member.wake() <= now => member.due(shared, connection),
            _ => {}
        }
        if self.look_at <= now {
            self.look(shared, connection, now);
        }
        Ok(())
    }

    fn stop(&mut self, _: &mut Shared, _: &mut Connection, _: u64) {
        self.stopped = true;
    }

    fn finished(&self) -> bool {
        self.stopped && matches!(self.visit, Visit::None | Visit::Over) && self.away()
    }
}

/// Counts a change. One that is under way when the time is over counts, too: a large group may have no other.
fn record(changes: &mut Flow, from: u64, to: u64) {
    if from >= changes.window.from {
        changes.latency.record(to - from);
    }
    changes.complete(to, 1, 0);
}

/// The `rebalance` workload. `Ok` has one object, and whether all went as it must.
pub fn run(args: &RebalanceArgs) -> Result<(Value, bool), Error> {
    let interval = args.heartbeat_ms.as_nanos() as u64;
    if args.members == 0 || args.load.topics.topics != 1 || interval < 1_000_000 {
        let needs = "a group needs members, one topic, and heartbeats 1 ms apart or more";
        return Err(Error::Usage(needs.into()));
    }
    if args.load.topics.partitions <= args.members as i32 {
        return Err(Error::Usage("--partitions must be more than --members: everyone is to get one".into()));
    }
    let mut admin = Admin::new(&args.load.common.bootstrap);
    let layout = run::prepare(&mut admin, &args.load.topics)?;
    let window = Window::new(args.load.span.warmup, args.load.span.seconds);
    // What an earlier run left behind must not be waited for.
    let number = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let group = format!("{}-{number:016x}", args.load.topics.topic);
    let node = admin.coordinator(Coordinated::Group, &group)?;
    let topic = layout.topics[0].clone();
    let mut shared = Shared::new(group, topic, args.load.topics.partitions, args.members, window)?;
    shared.interval = interval;
    let mut stage: Stage<Member> = Stage::new(shared, window)?;
    for index in 0..=args.members {
        let connection = Connection::new(connect(&node)?, BUFFER)?;
        stage.add(connection, Member::new(index, args.protocol, index == args.members, number))?;
    }
    let outcome = stage.run(args.load.span.broker_pid)?;
    run::clean_up(&mut admin, &args.load.topics)?;
    Ok(summary(&stage.shared, args, &outcome))
}

fn summary(shared: &Shared, args: &RebalanceArgs, outcome: &Outcome) -> (Value, bool) {
    let measured = shared.joins.latency.count();
    let good = measured > 0 && outcome.unanswered == 0;
    let mut out = Map::new();
    out.insert("workload".into(), json!("rebalance"));
    out.insert("protocol".into(), json!(args.protocol.name()));
    out.insert("good".into(), json!(good));
    out.insert("members".into(), json!(args.members));
    out.insert("formed_ms".into(), json!(shared.formed.map(|at| at as f64 / 1e6)));
    out.insert("changes".into(), json!(measured));
    out.insert("join_us".into(), shared.joins.latency.to_json());
    out.insert("leave_us".into(), shared.leaves.latency.to_json());
    report::put_outcome(&mut out, outcome);
    (Value::Object(out), good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        let window = Window { from: 0, to: 1 << 40 };
        Shared::new("g".into(), "t".into(), 4, 2, window).unwrap()
    }

    #[test]
    fn a_change_has_settled_when_all_have_the_new_generation_and_each_partition_has_one_owner() {
        let mut shared = shared();
        shared.places[0].present = true;
        shared.places[1].present = true;
        shared.placed(0, 1, &[0, 1], 10);
        assert_eq!(shared.settled, None, "the other has nothing");
        shared.placed(1, 1, &[2], 20);
        assert_eq!(shared.settled, None, "a partition has no owner");
        shared.placed(1, 1, &[2, 3], 30);
        assert_eq!(shared.settled, Some(30));
        shared.change(2, true, 40);
        assert_eq!((shared.settled, shared.above), (None, 1));
        shared.placed(0, 2, &[0], 50);
        shared.placed(1, 2, &[1, 2], 60);
        assert_eq!(shared.settled, None, "who came has nothing");
        shared.placed(2, 2, &[2, 3], 70);
        assert_eq!(shared.settled, None, "a partition has two owners");
        shared.placed(1, 2, &[1], 80);
        assert_eq!(shared.settled, Some(80));
        shared.change(2, false, 90);
        shared.placed(0, 2, &[0, 1], 100);
        shared.placed(1, 2, &[2, 3], 110);
        assert_eq!(shared.settled, None, "the generation is the old one");
        shared.placed(0, 3, &[0, 1], 120);
        shared.placed(1, 3, &[2, 3], 130);
        assert_eq!(shared.settled, Some(130));
    }

    #[test]
    fn heartbeats_are_spread_over_their_interval_and_always_ahead() {
        let mut shared = shared();
        shared.interval = 300;
        let first: Vec<u64> = (0..3).map(|index| shared.next_beat(index, 0)).collect();
        assert_eq!(first, [300, 400, 500]);
        assert_eq!(shared.next_beat(1, 400), 700);
        assert_eq!(shared.next_beat(1, 399), 400);
    }
}
