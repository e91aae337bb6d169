//! The systems that take turns, and how each is started and stopped.

use super::kafka;
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Core of the broker, and of the load.
pub const BROKER_CORE: &str = "0";
pub const LOAD_CORE: &str = "1";
/// Cores of a broker with two shards.
pub const BOTH_CORES: &str = "0,1";
/// Settings of every broker, Kafka or Flumen, that differ from the defaults: what happens in the background by the
/// minute is to fall into a measurement, and what is waited for on purpose is not.
pub const SETTINGS: [&str; 5] = [
    "log.retention.check.interval.ms=5000",
    "log.segment.delete.delay.ms=1000",
    "log.cleaner.backoff.ms=1000",
    "group.initial.rebalance.delay.ms=0",
    "group.consumer.assignment.interval.ms=0",
];
const START_PATIENCE: Duration = Duration::from_secs(180);
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// A broker and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Kafka as it comes: acknowledges from the page cache.
    Kafka,
    /// Kafka with `flush.messages=1` on every topic: acknowledges from the device.
    KafkaFlush,
    /// Flumen as it comes: acknowledges from the device.
    FlumenDurable,
    /// Flumen with `flumen.durability=memory`: acknowledges from memory.
    FlumenRelaxed,
}

impl System {
    pub const ALL: [System; 4] =
        [System::Kafka, System::KafkaFlush, System::FlumenDurable, System::FlumenRelaxed];

    /// The name in options, history and pictures.
    pub fn name(self) -> &'static str {
        match self {
            System::Kafka => "kafka",
            System::KafkaFlush => "kafka-flush",
            System::FlumenDurable => "flumen",
            System::FlumenRelaxed => "flumen-relaxed",
        }
    }

    /// The name in the table, with the promise.
    pub fn title(self) -> &'static str {
        match self {
            System::Kafka => "Kafka, default (page cache)",
            System::KafkaFlush => "Kafka, flush.messages=1 (device)",
            System::FlumenDurable => "Flumen durable, default (device)",
            System::FlumenRelaxed => "Flumen relaxed (memory)",
        }
    }

    pub fn is_kafka(self) -> bool {
        matches!(self, System::Kafka | System::KafkaFlush)
    }

    /// Whether a record is acknowledged before the device has it.
    pub fn acknowledges_from_memory(self) -> bool {
        matches!(self, System::Kafka | System::FlumenRelaxed)
    }

    /// The system by whose process this one is served: one Kafka serves both of its systems, which differ by the
    /// configuration of topics.
    pub fn host(self) -> System {
        if self == System::KafkaFlush { System::Kafka } else { self }
    }

    /// The port of its process; the next two belong to it too. Neither a broker with default settings nor its tests
    /// use these.
    pub fn port(self) -> u16 {
        match self {
            System::Kafka | System::KafkaFlush => 29_192,
            System::FlumenDurable => 29_196,
            System::FlumenRelaxed => 29_200,
        }
    }

    /// The port of a Flumen's metrics.
    pub fn http_port(self) -> u16 {
        self.port() + 2
    }

    pub fn address(self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Configuration of every topic, besides that of the row.
    pub fn topic_config(self) -> &'static [&'static str] {
        match self {
            System::KafkaFlush => &["flush.messages=1"],
            _ => &[],
        }
    }
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The repository.
    pub root: PathBuf,
    /// Scratch: jars, data, logs.
    pub scratch: PathBuf,
}

impl Places {
    pub fn flumen(&self) -> PathBuf {
        self.root.join("target/release/flumen")
    }

    pub fn load(&self) -> PathBuf {
        self.root.join("target/release/flumen-load")
    }
}

/// A running broker. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Broker {
    pub system: System,
    child: Child,
    pub data: PathBuf,
    cores: &'static str,
    places: Places,
}

impl Broker {
    /// Starts on an empty directory and waits until connections are accepted.
    pub fn start_fresh(system: System, places: &Places) -> Result<Broker, String> {
        Broker::start_fresh_on(system, places, BROKER_CORE)
    }

    /// [`start_fresh`](Self::start_fresh), on these cores.
    pub fn start_fresh_on(system: System, places: &Places, cores: &'static str) -> Result<Broker, String> {
        let data = places.scratch.join("data").join(system.name());
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|e| format!("emptying {}: {e}", data.display()))?;
        }
        fs::create_dir_all(&data).map_err(|e| format!("making {}: {e}", data.display()))?;
        if system.is_kafka() {
            kafka::format(places, &data, system.port())?;
        }
        let child = spawn(system, places, &data, cores)?;
        Broker { system, child, data, cores, places: places.clone() }.accepting()
    }

    fn accepting(mut self) -> Result<Broker, String> {
        let until = Instant::now() + START_PATIENCE;
        let to = SocketAddr::from(([127, 0, 0, 1], self.system.port()));
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                let name = self.system.name();
                let log = self.places.scratch.join(format!("{name}.log"));
                return Err(format!("{name} stopped with {status}; see {}", log.display()));
            }
            if TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok() {
                return Ok(self);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} did not accept connections in time", self.system.name()))
    }

    /// The process that does the work: `taskset` becomes the broker.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        // A process that is gone already needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<(), String> {
        let told = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        told.map_err(|e| format!("sending SIGTERM: {e}"))?;
        let until = Instant::now() + STOP_PATIENCE;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} did not stop in time", self.system.name()))
    }

    /// Starts again on the same directory, without waiting.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(self.system, &self.places, &self.data, self.cores)?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        // The next start on this directory empties it in any case; until then others need the room.
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn spawn(system: System, places: &Places, data: &Path, cores: &str) -> Result<Child, String> {
    let log = places.scratch.join(format!("{}.log", system.name()));
    let log = File::options().create(true).append(true).open(&log);
    let log = log.map_err(|e| format!("opening the broker's log: {e}"))?;
    let copy = log.try_clone().map_err(|e| e.to_string())?;
    let mut command = Command::new("taskset");
    command.args(["-c", cores]);
    if system.is_kafka() {
        command.args(kafka::command_line(places));
    } else {
        command.arg(places.flumen()).arg("start").arg("--data").arg(data);
        let http = format!("127.0.0.1:{}", system.http_port());
        command.args(["--listen", &system.address(), "--http", &http]);
        command.args(["--cores", cores]);
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        if system == System::FlumenRelaxed {
            command.args(["--set", "flumen.durability=memory"]);
        }
    }
    command.stdin(Stdio::null()).stdout(log).stderr(copy);
    command.spawn().map_err(|e| format!("starting {}: {e}", system.name()))
}
