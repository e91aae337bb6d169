//! What a seed with groups and transactions stands for.
//!
//! One seed in three is of this kind: a few transactional producers, some of which share an id and so fence each
//! other; groups of every protocol, some of whose members consume, transform and produce in transactions; readers.

use crate::book::Topic;
use crate::patterns;
use crate::plan::{Crowd, Plan};
use crate::shares;
use crate::variety;
use base::Random;
use std::time::Duration;

/// Which seeds have groups and transactions.
pub fn coordinates(seed: u64) -> bool {
    seed % 3 == 1
}

/// How members come to their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The classic protocol; everybody gives all back before a new generation.
    Eager,
    /// The classic protocol; only what goes to another member is given back, and then there is one more generation.
    Cooperative,
    /// KIP-848.
    Consumer,
}

/// A transactional producer.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub id: String,
    /// By the rules of KIP-890.
    pub v2: bool,
    pub timeout_ms: i32,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub number: u32,
    pub protocol: Protocol,
    /// Which topic it reads: see [`Topic::judged`](crate::book::Topic::judged).
    pub source: usize,
    /// Reads only what is committed.
    pub committed: bool,
    /// Its members; those with an identity work in transactions.
    pub members: Vec<Option<Identity>>,
    /// The number in the instance id of each member that is static (KIP-345); two may have the same.
    pub instances: Vec<Option<u32>>,
    /// Its members subscribe to a pattern.
    pub by_pattern: bool,
    /// Its members change between this protocol, a classic one, and the consumer protocol, each on its own.
    pub migrates: Option<Protocol>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
}

impl Group {
    pub(crate) fn name(&self) -> String {
        format!("group-{}", self.number)
    }

    /// Whether its members subscribe to a topic.
    pub(crate) fn reads(&self, topic: &Topic) -> bool {
        topic.judged == Some(self.source) || self.by_pattern && patterns::matches(&topic.name)
    }

    /// Whether two members have this instance id.
    pub(crate) fn is_shared(&self, instance: Option<u32>) -> bool {
        instance.is_some() && self.instances.iter().filter(|one| **one == instance).count() > 1
    }
}

/// The level of `transaction.version` that a new cluster has.
pub(crate) const LEVEL: i16 = 2;

/// Groups, transactions, and who reads along.
#[derive(Clone, Debug)]
pub(crate) struct Coordination {
    /// Partitions of the two topics.
    pub partitions: [i32; 2],
    /// The level of `transaction.version`.
    pub level: i16,
    pub writers: Vec<Identity>,
    pub groups: Vec<Group>,
    /// Whether each reader reads only what is committed.
    pub readers: Vec<bool>,
    /// Members of the share group; 0: there is none.
    pub sharers: usize,
    /// How often it is given a record at most.
    pub deliveries_max: i16,
}

/// Makes a plan one of a seed with groups and transactions.
pub(crate) fn apply(plan: &mut Plan) {
    let mut random = Random::new(plan.seed ^ 0x9709_5e55);
    let random = &mut random;
    plan.ends.truncate(3);
    plan.stretch = Duration::from_millis(random.between(300, 900));
    let (idempotent, consumers) = (random.below(2) as usize, random.below(2) as usize);
    plan.crowd = Crowd { idempotent, plain: 0, consumers, admin: false };
    plan.load.think_max = Duration::from_micros(random.between(4_000, 20_000));
    // Large records are for the seeds whose only matter is storage.
    plan.load.large_one_in = 0;
    let mut set = |key: &str, value: u64| drop(plan.settings.insert(key.to_owned(), value.to_string()));
    set("offsets.topic.num.partitions", random.between(1, 4));
    set("transaction.state.log.num.partitions", random.between(1, 4));
    set("group.initial.rebalance.delay.ms", random.below(20));
    set("group.min.session.timeout.ms", 10);
    set("group.consumer.heartbeat.interval.ms", 10);
    set("group.consumer.session.timeout.ms", random.between(100, 300));
    set("group.consumer.assignment.interval.ms", random.below(20));
    let mut coordination = Coordination::new(random);
    variety::apply(&mut coordination, plan.seed);
    if coordination.sharers > 0 {
        set("group.share.min.record.lock.duration.ms", shares::LOCK_MS);
        set("group.share.record.lock.duration.ms", shares::LOCK_MS);
        set("group.share.delivery.count.limit", coordination.deliveries_max as u64);
        set("group.share.assignment.interval.ms", 0);
        set("share.coordinator.state.topic.num.partitions", 2);
        set("share.coordinator.snapshot.update.records.per.snapshot", 5);
    }
    plan.coordination = Some(coordination);
    if cleans(plan.seed) {
        clean_often(plan);
    }
}

/// Which of these seeds have the coordinators' logs compacted all the time: every second one.
fn cleans(seed: u64) -> bool {
    (seed / 3).is_multiple_of(2)
}

/// Segments end soon, are soon in files, and are compacted as soon as there is anything to be left out.
fn clean_often(plan: &mut Plan) {
    // From numbers of its own: all else stays what it was.
    let mut random = Random::new(plan.seed ^ 0xc1ea_4e55);
    let mut set = |key: &str, value: String| drop(plan.settings.insert(key.to_owned(), value));
    set("flumen.drain.interval.ms", "100".to_owned());
    set("log.roll.ms", random.between(20, 200).to_string());
    set("log.cleaner.backoff.ms", "10".to_owned());
    set("log.cleaner.min.cleanable.ratio", "0.01".to_owned());
    // The least that a topic takes.
    for key in [
        "offsets.topic.segment.bytes",
        "transaction.state.log.segment.bytes",
        "share.coordinator.state.topic.segment.bytes",
    ] {
        set(key, (1 << 20).to_string());
    }
}

impl Coordination {
    /// The groups that subscribe to patterns.
    pub(crate) fn by_pattern(&self) -> Vec<Group> {
        self.groups.iter().filter(|group| group.by_pattern).cloned().collect()
    }

    /// Changes of metadata that it takes to prepare it.
    pub(crate) fn changes(&self) -> usize {
        self.partitions.len() + usize::from(self.level != LEVEL) + usize::from(self.sharers > 0)
    }

    fn new(random: &mut Random) -> Coordination {
        let level = if random.one_in(4) { 1 } else { LEVEL };
        let (count, ids) = (random.between(2, 3), random.between(1, 2));
        let ids: Vec<Identity> =
            (0..ids).map(|nth| identity(random, level, &format!("writer-{nth}"))).collect();
        let writers = ids.iter().cycle().take(count as usize).cloned().collect();
        let mut groups: Vec<Group> = vec![transforming(random, level)];
        if random.one_in(2) {
            let members = (0..random.between(2, 3)).map(|_| None).collect();
            let source = random.below(2) as usize;
            let committed = random.one_in(2);
            groups.push(group(random, 1, (source, committed), members));
        }
        Coordination {
            partitions: [random.between(2, 4) as i32, random.between(1, 3) as i32],
            level,
            writers,
            groups,
            readers: if random.one_in(2) { vec![true, false] } else { vec![true] },
            sharers: 0,
            deliveries_max: 0,
        }
    }
}

/// A group that consumes the first topic and produces to the second, mostly in transactions.
fn transforming(random: &mut Random, level: i16) -> Group {
    let plain = random.one_in(4);
    let members = (0..random.between(2, 3))
        .map(|nth| (!plain).then(|| identity(random, level, &format!("transformer-{nth}"))))
        .collect();
    group(random, 0, (0, true), members)
}

fn group(
    random: &mut Random,
    number: u32,
    (source, committed): (usize, bool),
    members: Vec<Option<Identity>>,
) -> Group {
    let protocols = [Protocol::Eager, Protocol::Cooperative, Protocol::Consumer, Protocol::Consumer];
    Group {
        number,
        protocol: protocols[random.below(4) as usize],
        source,
        committed,
        instances: vec![None; members.len()],
        by_pattern: false,
        migrates: None,
        members,
        session_ms: random.between(100, 300) as i32,
        rebalance_ms: random.between(100, 300) as i32,
    }
}

fn identity(random: &mut Random, level: i16, id: &str) -> Identity {
    let v2 = level == LEVEL && !random.one_in(3);
    Identity { id: id.to_owned(), v2, timeout_ms: random.between(150, 600) as i32 }
}
