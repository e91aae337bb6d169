//! The broker under test: Flumen, Apache Kafka as the reference, or one that runs already.
//!
//! One that is ours can be stopped or killed and started again: it keeps its directory, its port and its settings.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Place, Suite, java, process};

pub enum Kind {
    Flumen,
    Kafka,
    /// `host:port`
    Running(String),
}

/// What every suite's broker is configured with: a cluster of one, topics made on first use. Many tests write records
/// of years ago, which any broker deletes half a minute after its start, whoever reads them at that moment: not here.
const REFERENCE: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "true"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.initial.task.delay.ms", "86400000"),
];

impl Kind {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "flumen" => Ok(Self::Flumen),
            "kafka" => Ok(Self::Kafka),
            address if address.contains(':') => Ok(Self::Running(address.into())),
            _ => Err(format!("--broker {text}: expected flumen, kafka or HOST:PORT")),
        }
    }

    /// The argument that [`Kind::parse`] reads.
    pub fn argument(&self) -> &str {
        match self {
            Self::Flumen => "flumen",
            Self::Kafka => "kafka",
            Self::Running(address) => address,
        }
    }

    /// Builds or downloads the broker.
    pub fn prepare(&self, place: &Place) -> Result<(), String> {
        match self {
            Self::Flumen if !flumen(place).exists() => {
                let mut cargo = Command::new("cargo");
                cargo.args(["build", "--release", "--bin", "flumen"]).current_dir(&place.root);
                process::step(&mut cargo, &place.target.join("logs/build-flumen"), Duration::from_secs(1200))
                    .map(drop)
            }
            Self::Kafka => java::jars(place),
            _ => Ok(()),
        }
    }
}

fn flumen(place: &Place) -> PathBuf {
    place.root.join("target/release/flumen")
}

pub struct Broker {
    child: Option<Child>,
    /// Starts it; none for one that is not ours.
    command: Option<Command>,
    starts: u32,
    logs: PathBuf,
    /// `host:port`, as it advertises itself.
    pub address: String,
    pub data: Option<PathBuf>,
    /// `host:port` of the metrics, where it shows them.
    pub http: Option<String>,
}

impl Broker {
    /// Starts a broker for a suite and waits until it answers.
    pub fn start(
        kind: &Kind,
        place: &Place,
        suite: &Suite,
        scratch: &Path,
        logs: &Path,
    ) -> Result<Self, String> {
        let (host, port) = match (suite.fixed, kind) {
            (_, Kind::Running(address)) => return Self::running(address, suite, logs),
            (Some(fixed), _) => fixed,
            (None, _) => ("127.0.0.1", free_port()?),
        };
        let mut broker = Self::configure(kind, place, suite.settings, (host, port), scratch, logs)?;
        broker.launch()?;
        Ok(broker)
    }

    /// A broker with a directory and settings of its own, which does not run yet.
    pub fn configure(
        kind: &Kind,
        place: &Place,
        settings: &[(&str, &str)],
        (host, port): (&str, u16),
        scratch: &Path,
        logs: &Path,
    ) -> Result<Self, String> {
        for directory in [scratch, logs] {
            fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        let data = scratch.join("data");
        let all: Vec<(&str, String)> =
            REFERENCE.iter().chain(settings).map(|(k, v)| (*k, (*v).to_owned())).collect();
        let mut http = None;
        let command = match kind {
            Kind::Flumen => {
                let at = format!("127.0.0.1:{}", free_port()?);
                flumen_command(place, &data, (host, port), http.insert(at), &all)
            }
            _ => kafka_command(place, scratch, logs, &data, host, port, all)?,
        };
        Ok(Self {
            child: None,
            command: Some(command),
            starts: 0,
            logs: logs.to_owned(),
            address: format!("{host}:{port}"),
            data: Some(data),
            http,
        })
    }

    fn running(address: &str, suite: &Suite, logs: &Path) -> Result<Self, String> {
        if let Some((host, port)) = suite.fixed
            && address != format!("{host}:{port}")
        {
            return Err(format!("the tests insist on {host}:{port}, the broker is at {address}"));
        }
        let (address, logs) = (address.to_owned(), logs.to_owned());
        Ok(Self { child: None, command: None, starts: 0, logs, address, data: None, http: None })
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub fn launch(&mut self) -> Result<(), String> {
        if self.child.is_some() {
            return Err("the broker runs already".into());
        }
        let Some(command) = &mut self.command else { return Err("the broker is not ours to start".into()) };
        self.starts += 1;
        let log: String = if self.starts == 1 { "broker".into() } else { format!("broker-{}", self.starts) };
        self.child = Some(process::spawn(command.stdin(Stdio::null()), &self.logs.join(log))?);
        self.wait_until_it_answers()
    }

    /// Kills it, as the kernel does when memory runs out.
    pub fn kill(&mut self) -> Result<(), String> {
        if let Some(status) = self.ended() {
            self.child = None;
            return Err(format!("the broker ended by itself with {status}"));
        }
        let Some(mut child) = self.child.take() else { return Err("the broker does not run".into()) };
        process::signal_group(&child, "KILL");
        child.wait().map(drop).map_err(|e| e.to_string())
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let (started, logs) = (Instant::now(), self.logs.display().to_string());
        while started.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.ended() {
                // Waited for, so its number may be somebody else's by now: no signal from Drop.
                self.child = None;
                return Err(format!("the broker ended at its start with {status}, see {logs}"));
            }
            if answers(&self.address) {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        Err(format!("the broker did not answer ApiVersions within 60 s, see {logs}"))
    }

    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(|c| c.try_wait().ok().flatten())
    }

    /// Asks the broker to stop. An error when it died before, or had to be killed.
    pub fn stop(&mut self) -> Result<(), String> {
        if let Some(status) = self.ended() {
            self.child = None;
            return Err(format!("it ended during the suite with {status}"));
        }
        let Some(mut child) = self.child.take() else { return Ok(()) };
        process::signal_group(&child, "TERM");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if let Ok(Some(_)) = child.try_wait() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        process::signal_group(&child, "KILL");
        let _ = child.wait();
        Err("it did not stop within 60 s of SIGTERM".into())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal_group(&child, "KILL");
            let _ = child.wait();
        }
    }
}

fn flumen_command(
    place: &Place,
    data: &Path,
    (host, port): (&str, u16),
    http: &str,
    settings: &[(&str, String)],
) -> Command {
    let mut command = Command::new(flumen(place));
    command.arg("start").arg("--data").arg(data);
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--http").arg(http);
    command.arg("--set").arg(format!("advertised.listeners=PLAINTEXT://{host}:{port}"));
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command
}

/// Formats a directory and gives the command that starts Kafka in it, broker and controller in one.
fn kafka_command(
    place: &Place,
    scratch: &Path,
    logs: &Path,
    data: &Path,
    host: &str,
    port: u16,
    mut settings: Vec<(&str, String)>,
) -> Result<Command, String> {
    let controller = free_port()?;
    if !settings.iter().any(|(k, _)| *k == "node.id") {
        settings.push(("node.id", "1".into()));
    }
    settings.extend([
        ("process.roles", "broker,controller".into()),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("controller.listener.names", "CONTROLLER".into()),
        ("controller.quorum.bootstrap.servers", format!("127.0.0.1:{controller}")),
        ("log.dirs", data.display().to_string()),
    ]);
    let text: String = settings.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    let file = scratch.join("server.properties");
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut format = java::java(place, 256);
    format
        .args(["kafka.tools.StorageTool", "format", "--standalone", "-t", "Rmx1bWVuQ29tcGF0VGVzdA", "-c"])
        .arg(&file);
    process::step(&mut format, &logs.join("format"), Duration::from_secs(60))?;
    let mut command = java::java(place, 1024);
    command.arg("kafka.Kafka").arg(&file);
    Ok(command)
}

/// A port nobody listens on at the moment.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// Whether something answers an ApiVersions request, version 0.
fn answers(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let address = address.to_socket_addrs()?.find(std::net::SocketAddr::is_ipv4);
        let address = address.ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        // Length 10; key 18, version 0; correlation id 1; no client id.
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
        let mut head = [0; 10];
        stream.read_exact(&mut head)?;
        Ok(head[4..8] == [0, 0, 0, 1] && head[8..10] == [0, 0])
    };
    ask().unwrap_or(false)
}
