//! What a seed stands for: the kind of world, the workload, and which faults are let loose.
//!
//! Each seed takes a random part of the faults (swarm testing): a run with everything at once hides what needs
//! calm, and most bugs need only a few things together.

use crate::coordination::{self, Coordination, coordinates};
use base::Random;
use model::config::Settings;
use sim_driver::{DirectoryLoss, Latency, WorldOptions};
use std::time::Duration;

/// The faults of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub resets: bool,
    pub silences: bool,
    pub cuts: bool,
    pub slow_disk: bool,
    pub read_errors: bool,
    pub write_errors: bool,
    pub sync_errors: bool,
    pub full_disk: bool,
    pub clock_jumps: bool,
    pub crash_in_start: bool,
}

/// How a stretch of work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The machine loses power.
    Crash,
    /// The process is killed.
    Kill,
    /// A clean stop.
    Stop,
}

/// Clients of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub idempotent: usize,
    pub plain: usize,
    pub consumers: usize,
    pub admin: bool,
}

/// How large and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub records_max: u64,
    pub value_max: u64,
    /// A batch in so many is large; 0: none.
    pub large_one_in: u64,
    pub large_bytes: u64,
    /// Requests that a producer sends before it looks at answers.
    pub burst_max: u64,
    pub think_max: Duration,
}

/// A run, all of it from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub seed: u64,
    pub world: WorldOptions,
    pub shards: usize,
    pub pool_bytes: usize,
    pub settings: Settings,
    pub topics: Vec<(i32, Option<u64>)>,
    pub ends: Vec<End>,
    pub stretch: Duration,
    pub faults: Faults,
    pub crowd: Crowd,
    pub load: Load,
    /// Plain producers use acks 0 only, and there are no others: what consumers see is all there is.
    pub only_unacknowledged: bool,
    /// Groups and transactions.
    pub coordination: Option<Coordination>,
}

/// True in about `percent` of 100 seeds.
fn chance(random: &mut Random, percent: u64) -> bool {
    random.below(100) < percent
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(seed: u64) -> Plan {
        let mut random = Random::new(seed ^ 0x5eed_0f0f_1e55);
        let random = &mut random;
        let ends = (0..random.between(1, 4)).map(|_| match random.below(10) {
            0..=5 => End::Crash,
            6..=7 => End::Kill,
            _ => End::Stop,
        });
        let ends = ends.collect();
        let topics = (0..random.between(1, 3))
            .map(|_| {
                let rolls = chance(random, 40).then(|| random.between(5, 60));
                (random.between(1, 4) as i32, rolls)
            })
            .collect();
        let mut plan = Plan {
            seed,
            world: world(random),
            shards: if chance(random, 80) { 2 } else { random.between(1, 3) as usize },
            pool_bytes: (8 << 20) << random.below(2),
            settings: settings(random),
            topics,
            ends,
            stretch: Duration::from_millis(random.between(20, 250)),
            faults: faults(random),
            crowd: Crowd {
                idempotent: random.between(1, 3) as usize,
                plain: random.below(3) as usize,
                consumers: random.between(1, 3) as usize,
                admin: chance(random, 60),
            },
            load: load(random),
            only_unacknowledged: false,
            coordination: None,
        };
        if coordinates(seed) {
            coordination::apply(&mut plan);
        }
        plan
    }
}

fn world(random: &mut Random) -> WorldOptions {
    let mut options = WorldOptions { check_wakes: true, ..WorldOptions::default() };
    options.disk.directory_loss = if chance(random, 50) { DirectoryLoss::Any } else { DirectoryLoss::Prefix };
    options.disk.sync_keeps_name = chance(random, 50);
    if chance(random, 30) {
        options.disk.write = Latency::micros(20, 2_000);
        options.disk.sync = Latency::micros(100, 4_000);
    }
    options.network.connect_timeout = Duration::from_millis(100);
    options.network.partial_one_in = random.between(1, 20);
    options
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::new();
    let mut set = |key: &str, value: u64| drop(settings.insert(key.to_owned(), value.to_string()));
    set("flumen.journal.file.bytes", 1 << 20);
    set("flumen.journal.files", random.between(2, 4));
    set("flumen.journal.inflight", random.between(1, 5));
    set("flumen.large.append.bytes", 4096 << random.below(5));
    set("flumen.cache.bytes", 512 << 10);
    set("flumen.drain.interval.ms", 100 << random.below(8));
    settings.insert("log.retention.ms".to_owned(), "-1".to_owned());
    settings
}

fn faults(random: &mut Random) -> Faults {
    // A third of the seeds know crashes only.
    if chance(random, 33) {
        return Faults { crash_in_start: chance(random, 30), ..Faults::default() };
    }
    Faults {
        resets: chance(random, 50),
        silences: chance(random, 25),
        cuts: chance(random, 25),
        slow_disk: chance(random, 30),
        read_errors: chance(random, 15),
        write_errors: chance(random, 15),
        sync_errors: chance(random, 15),
        full_disk: chance(random, 20),
        clock_jumps: chance(random, 30),
        crash_in_start: chance(random, 30),
    }
}

fn load(random: &mut Random) -> Load {
    Load {
        records_max: random.between(1, 20),
        value_max: 64 << random.below(7),
        large_one_in: if chance(random, 40) { random.between(2, 30) } else { 0 },
        large_bytes: random.between(8 << 10, 200 << 10),
        burst_max: random.between(1, 5),
        think_max: Duration::from_micros(random.between(1, 8_000)),
    }
}
