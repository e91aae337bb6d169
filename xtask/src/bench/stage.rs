//! Brokers that are up side by side, and the topics that they are measured on.
//!
//! Kafka's two systems differ by a topic's configuration only: one process serves both, with a topic for each.
//! Flumen durable and relaxed are two processes. Between two turns the disk comes to rest, so that nobody pays
//! for what another left to be written.

use super::{
    beside,
    measure::{Figures, Load, Spans},
    rows::{Beside, Kind, Row},
    system::{Broker, Places, System},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Seconds of full load on the topic of Kafka's second system, when the first one has warmed the process up.
pub const SECOND_TOPIC: u32 = 8;
/// A part of Kafka's warm-up: for another kind of request, or other topics, on a process that is warm.
pub const MORE_PART: u32 = 4;
/// How often, and how many times at most, is looked whether the brokers still write.
const REST: (Duration, u32) = (Duration::from_millis(250), 40);
/// Bytes between two looks that are housekeeping, not work.
const HOUSEKEEPING: u64 = 1 << 20;

/// A system, and the load that it is warm for: command, number of partitions, options. Another number of connections
/// needs no warming up.
pub type Warm = (System, &'static str, u32, &'static [&'static str]);

/// The load of a row for a system, as far as warming up goes.
pub fn warm_for(row: &Row, system: System) -> Warm {
    (system, row.command, row.partitions, row.options)
}

/// A process, and what its directory holds.
struct Host {
    broker: Broker,
    /// Bytes in the directory when this was last looked at, and seconds of load since.
    held: u64,
    loaded: u32,
}

/// See the module's text.
pub struct Stage<'a> {
    spans: &'a Spans,
    places: &'a Places,
    /// By [`System::host`].
    hosts: BTreeMap<System, Host>,
    /// Bytes that the topic of a system may keep.
    share: u64,
    /// What systems are warm for.
    warm: BTreeSet<Warm>,
    /// Resident memory of Kafka, in MB, when it had the topic of its first system only.
    kafka_alone_mb: BTreeMap<u32, f64>,
}

impl<'a> Stage<'a> {
    /// Starts what these systems need, each process on an empty directory. What does not start is told and left out.
    pub fn start(systems: &[System], spans: &'a Spans, places: &'a Places) -> (Stage<'a>, Vec<String>) {
        let mut failed = Vec::new();
        let mut hosts = BTreeMap::new();
        for host in systems.iter().map(|s| s.host()).collect::<BTreeSet<_>>() {
            match Broker::start_fresh(host, places) {
                Ok(broker) => {
                    hosts.insert(host, Host { broker, held: 0, loaded: 0 });
                }
                Err(why) => failed.push(why),
            }
        }
        // A third stays free: a log grows beyond its limit by what comes until segments are deleted.
        let share = spans.disk / 3 * 2 / systems.len().max(1) as u64;
        let (warm, kafka_alone_mb) = (BTreeSet::new(), BTreeMap::new());
        (Stage { spans, places, hosts, share, warm, kafka_alone_mb }, failed)
    }

    pub fn has(&self, system: System) -> bool {
        self.hosts.contains_key(&system.host())
    }

    fn load(&self, row: &'a Row, system: System) -> Result<Load<'a>, String> {
        let host = self.hosts.get(&system.host()).ok_or_else(|| format!("{} is not up", system.name()))?;
        let pid = host.broker.pid();
        Ok(Load { row, system, spans: self.spans, places: self.places, pid, disk: self.share })
    }

    /// The directory of a system's process.
    fn data(&self, system: System) -> PathBuf {
        self.hosts.get(&system.host()).map(|host| host.broker.data.clone()).unwrap_or_default()
    }

    /// Counts seconds of load on a system.
    fn loaded(&mut self, system: System, seconds: u32) {
        if let Some(host) = self.hosts.get_mut(&system.host()) {
            host.loaded += seconds;
        }
    }

    /// Full load until a system is warm for a row; nothing if it is from an earlier one.
    pub fn warm_up(&mut self, row: &'a Row, system: System) -> Result<(), String> {
        let key = |system| warm_for(row, system);
        if self.warm.contains(&key(system)) {
            return Ok(());
        }
        if system == System::KafkaFlush && !self.warm.contains(&key(System::Kafka)) {
            // Waiting for the device at every batch, the process would hardly get warm.
            self.warm_up(row, System::Kafka)?;
        }
        let started = self.warm.iter().any(|(warm, ..)| warm.host() == system.host());
        let seconds = match system {
            System::Kafka if !started => self.spans.kafka_warmup,
            System::Kafka => self.spans.kafka_warmup / MORE_PART,
            System::KafkaFlush => SECOND_TOPIC.min(self.spans.kafka_warmup),
            System::FlumenDurable | System::FlumenRelaxed => self.spans.flumen_warmup,
        };
        if seconds > 0 {
            let resident = self.load(row, system)?.warm_up(seconds)?;
            if system == System::Kafka && !self.warm.contains(&key(System::KafkaFlush)) {
                self.kafka_alone_mb.entry(row.partitions).or_insert(resident);
            }
            self.loaded(system, seconds);
        }
        self.warm.insert(key(system));
        self.rest();
        Ok(())
    }

    /// Deletes and makes anew the topics of a row, all systems' alike, if the next round could fill the disk beyond
    /// its budget. A new topic is slow for seconds: those are not measured.
    pub fn make_room(&mut self, row: &'a Row, systems: &[System]) -> Result<(), String> {
        let own_topics = matches!(row.kind, Kind::Beside(Beside::Retention | Beside::Compaction));
        if own_topics || matches!(row.kind, Kind::Cold | Kind::Rebalance) {
            return Ok(()); // these are made anew in each turn, or hold nothing
        }
        let mut expected = 0;
        for (name, host) in &mut self.hosts {
            let now = bytes_below(&host.broker.data);
            let grown = now.saturating_sub(host.held) / u64::from(host.loaded.max(1));
            let turns = systems.iter().filter(|s| s.host() == *name).count() as u64;
            let seconds = u64::from(self.spans.seconds + self.spans.settle());
            expected += now + grown * turns * seconds;
            (host.held, host.loaded) = (now, 0);
        }
        if expected <= self.spans.disk {
            return Ok(());
        }
        for system in systems {
            println!("{} {}: a new topic", row.name, system.name());
            self.load(row, *system)?.renew()?;
        }
        self.rest();
        for host in self.hosts.values_mut() {
            (host.held, host.loaded) = (bytes_below(&host.broker.data), 0);
        }
        Ok(())
    }

    /// A turn. `half` is the rate of a row at half load: found by the first system that runs it, used by all others.
    pub fn turn(&mut self, row: &'a Row, system: System, half: &mut Option<f64>) -> Result<Figures, String> {
        let load = self.load(row, system)?;
        let (spans, settle) = (self.spans, self.spans.settle());
        let came = match row.kind {
            Kind::Half => half_turn(&load, half),
            Kind::Beside(what) => beside::turn(&load, what, &self.data(system), &|| self.rest()),
            Kind::Rebalance => load.rebalance(spans.seconds),
            Kind::Cold => {
                let data = self.data(system);
                // It is gone after the turn: no limit must reach it before.
                Load { disk: spans.disk, ..load }.cold_read(&data)
            }
            _ => load.measure(spans.seconds, settle, f64::from(row.rate)),
        };
        self.loaded(system, spans.seconds + settle);
        self.rest();
        let mut figures = came?;
        if self.warm.iter().any(|(warm, ..)| *warm == System::KafkaFlush) && system.is_kafka() {
            // A process with the other system's topic beside its own says nothing about memory.
            figures.values.remove("resident_mb");
            if let Some(mb) = self.kafka_alone_mb.get(&row.partitions).filter(|_| system == System::Kafka) {
                figures.set("resident_mb", *mb);
            }
        }
        Ok(figures)
    }

    /// The process that serves a system.
    pub fn pid(&self, system: System) -> Option<u32> {
        self.hosts.get(&system.host()).map(|host| host.broker.pid())
    }

    /// Waits until what was written is on the device and the brokers write no more.
    pub fn rest(&self) {
        // Without `sync` the dirty pages go out by and by, as they always do.
        let _ = Command::new("sync").arg("-f").arg(&self.places.scratch).status();
        let written = || self.hosts.values().map(|host| written_bytes(host.broker.pid())).sum::<u64>();
        let mut before = written();
        for _ in 0..REST.1 {
            std::thread::sleep(REST.0);
            let now = written();
            if now.saturating_sub(before) < HOUSEKEEPING {
                return;
            }
            before = now;
        }
    }
}

fn half_turn(load: &Load<'_>, half: &mut Option<f64>) -> Result<Figures, String> {
    let rate = match *half {
        Some(rate) => rate,
        None => *half.insert((load.full_rate()? / 2.0).max(1.0)),
    };
    let mut figures = load.measure(load.spans.seconds, load.spans.settle(), rate)?;
    figures.set("rate", rate);
    Ok(figures)
}

/// Bytes that a process caused to be written to a device; 0 where that cannot be read.
fn written_bytes(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Bytes that the files below a directory take on the disk. Files come and go meanwhile: what is gone counts nothing.
fn bytes_below(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_as_large_as_its_files() {
        let dir = std::env::temp_dir().join(format!("flumen-versus-{}", std::process::id()));
        fs::create_dir_all(dir.join("a/b")).unwrap();
        assert_eq!(bytes_below(&dir), 0);
        fs::write(dir.join("a/b/file"), vec![7; 100_000]).unwrap();
        fs::File::open(dir.join("a/b/file")).unwrap().sync_all().unwrap();
        assert!(bytes_below(&dir) >= 100_000);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(bytes_below(&dir), 0);
    }

    #[test]
    fn one_kafka_serves_both_of_its_systems() {
        assert_eq!(System::KafkaFlush.host(), System::Kafka);
        let hosts: BTreeSet<System> = System::ALL.iter().map(|s| s.host()).collect();
        assert_eq!(hosts.len(), 3);
        let ports: BTreeSet<u16> = hosts.iter().map(|s| s.port()).collect();
        assert_eq!(ports.len(), 3);
    }
}
