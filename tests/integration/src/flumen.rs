//! A broker process.

use crate::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a start may take on a busy machine; one that needs longer has failed.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a clean stop, or a start that must fail, may take: a stop flushes the segments of all partitions.
const END_LIMIT: Duration = Duration::from_secs(60);
const READY: &str = "flumen is ready: Kafka clients at ";

/// How a broker is to be started. Each method returns it changed.
#[derive(Clone, Debug)]
pub struct Setup {
    binary: PathBuf,
    data: PathBuf,
    listen: String,
    http: SocketAddr,
    cores: Option<String>,
    sets: Vec<String>,
    namespace: Vec<String>,
    before: String,
    unheard: bool,
}

impl Setup {
    /// A broker on any free port, on all cores. Its journals are small, so that a test's disk holds many.
    pub fn new(binary: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Setup {
        let setup = Setup {
            binary: binary.into(),
            data: data.into(),
            listen: "127.0.0.1:0".to_owned(),
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            cores: None,
            sets: Vec::new(),
            namespace: Vec::new(),
            before: String::new(),
            unheard: false,
        };
        setup.set("flumen.journal.file.bytes", 4 << 20)
    }

    /// Sets a configuration key.
    pub fn set(mut self, key: &str, value: impl ToString) -> Setup {
        self.sets.retain(|pair| pair.split_once('=').is_none_or(|(known, _)| known != key));
        self.sets.push(format!("{key}={}", value.to_string()));
        self
    }

    /// Runs on these cores only.
    pub fn cores(mut self, list: impl Into<String>) -> Setup {
        self.cores = Some(list.into());
        self
    }

    /// Listens on this address, and not on any free port.
    pub fn listen(mut self, address: SocketAddr) -> Setup {
        self.listen = address.to_string();
        self
    }

    /// Listens on what `listeners` says: this, in full.
    pub fn listeners(mut self, listeners: &str) -> Setup {
        self.listen.clear();
        self.set("listeners", listeners)
    }

    /// Serves metrics and health on this address, and not on any free port.
    pub fn http(mut self, address: SocketAddr) -> Setup {
        self.http = address;
        self
    }

    /// Shell commands to run before the broker, in the process that becomes it: limits, mounts.
    pub fn before(mut self, commands: &str) -> Setup {
        self.before.push_str(commands);
        self.before.push_str(" && ");
        self
    }

    /// Runs in namespaces of its own for mounts; with `as_user` also for users, which needs no privileges, but
    /// only mounts what users may: tmpfs, and directories again.
    pub fn own_mounts(mut self, as_user: bool) -> Setup {
        let flags = if as_user { "-rm" } else { "-m" };
        self.namespace = vec!["unshare".to_owned(), flags.to_owned()];
        self
    }

    /// Nobody reads what it prints: both streams are closed at their other end. It cannot say that it is ready, nor
    /// where: such a broker is begun with [`spawn`](Self::spawn).
    pub fn unheard(mut self) -> Setup {
        self.unheard = true;
        self
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    fn command(&self) -> Command {
        let mut words = self.namespace.clone();
        if !self.before.is_empty() {
            // `exec`: the process that was started is the broker, with the same id.
            words.extend(["sh".to_owned(), "-c".to_owned(), format!("{}exec \"$0\" \"$@\"", self.before)]);
        }
        words.push(self.binary.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("start").arg("--data").arg(&self.data);
        command.args(["--http", &self.http.to_string()]);
        if !self.listen.is_empty() {
            command.args(["--listen", &self.listen]);
        }
        if let Some(cores) = &self.cores {
            command.args(["--cores", cores]);
        }
        for pair in &self.sets {
            command.args(["--set", pair]);
        }
        command.stdin(Stdio::null());
        match self.unheard {
            true => command.stdout(closed_pipe()).stderr(closed_pipe()),
            false => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
        };
        command
    }

    /// Begins to start it and does not wait for anything.
    pub fn spawn(&self) -> Flumen {
        let mut child = self.command().spawn().expect("the broker, or what wraps it, can be run");
        let mut lines = Lines::default();
        child.stdout.take().into_iter().for_each(|stream| lines.gather(stream));
        child.stderr.take().into_iter().for_each(|stream| lines.gather(stream));
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        Flumen { child, lines, address, data: self.data.clone(), ended: None }
    }

    /// Starts it and waits until clients can connect.
    pub fn start(&self) -> Flumen {
        let mut flumen = self.spawn();
        flumen.until_ready();
        flumen
    }

    /// Starts it where it must refuse to. Returns what it said: exit code 1 and one line for people, which
    /// names `flumen`, are required here.
    pub fn refusal(&self) -> String {
        let mut flumen = self.spawn();
        let status = flumen.wait(END_LIMIT);
        let lines = flumen.log();
        assert_eq!(status.code(), Some(1), "{lines:#?}");
        let told: Vec<&String> = lines.iter().filter(|line| line.starts_with("flumen: ")).collect();
        assert_eq!(told.len(), 1, "one line that says what and what to do: {lines:#?}");
        told[0].clone()
    }
}

/// Where a process may print what nobody reads: its first write there fails.
pub fn closed_pipe() -> Stdio {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// What the process has printed so far, both streams in the order of their arrival.
#[derive(Debug, Default)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Lines {
    fn gather(&mut self, stream: impl Read + Send + 'static) {
        let lines = self.lines.clone();
        self.readers.push(thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.lock().expect("no holder panics").push(line);
            }
        }));
    }

    /// Whether all that was printed has been read, by a process that has ended.
    fn are_complete(&self) -> bool {
        self.readers.iter().all(JoinHandle::is_finished)
    }
}

/// A broker that was started. Dropping it kills it.
#[derive(Debug)]
pub struct Flumen {
    child: Child,
    lines: Lines,
    /// Where clients reach it; known when it is ready.
    pub address: SocketAddr,
    data: PathBuf,
    ended: Option<ExitStatus>,
}

impl Flumen {
    /// Waits until it says that clients can connect.
    pub fn until_ready(&mut self) {
        let address = eventually("the broker is ready", START_LIMIT, || {
            let log = self.log();
            if let Some(status) = self.try_wait() {
                panic!("the broker ended with {status} instead of starting: {:#?}", self.log());
            }
            let line = log.iter().find_map(|line| line.strip_prefix(READY).map(str::to_owned))?;
            line.split(',').next()?.parse().ok()
        });
        self.address = address;
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// All lines that it printed.
    pub fn log(&self) -> Vec<String> {
        self.lines.lines.lock().expect("no holder panics").clone()
    }

    /// The lines with this text.
    pub fn log_with(&self, text: &str) -> Vec<String> {
        self.log().into_iter().filter(|line| line.contains(text)).collect()
    }

    /// Waits for a line with this text.
    pub fn until_logged(&self, text: &str) -> String {
        let what = format!("a line with '{text}'");
        eventually(&what, END_LIMIT, || self.log_with(text).into_iter().next())
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
        kib << 10
    }

    /// What it answers over HTTP to a request for this path, head and all.
    pub fn page(&self, path: &str) -> String {
        let line = self.until_logged("metrics at http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.expect("an address");
        let mut stream = TcpStream::connect(address).expect("it is served");
        stream.set_read_timeout(Some(END_LIMIT)).expect("a time");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("a page");
        page
    }

    /// A metric of its page, added up over the cores and whatever else it is told apart by.
    pub fn metric(&self, name: &str) -> f64 {
        self.samples(name).iter().sum()
    }

    /// What a metric of its page is on each core, and for each of whatever else it is told apart by.
    pub fn samples(&self, name: &str) -> Vec<f64> {
        let page = self.page("/metrics");
        let samples = page.lines().filter_map(|line| line.strip_prefix(name));
        let samples = samples.filter(|rest| rest.starts_with(['{', ' ']));
        let numbers: Vec<f64> = samples.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok()).collect();
        assert!(!numbers.is_empty(), "no metric {name}");
        numbers
    }

    /// Descriptors that are open now.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs").count()
    }

    /// A file as the broker sees it, in its own mounts.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// Whether it has ended, and how.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("it is our child");
        }
        self.ended
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = eventually("the broker ends", limit, || self.try_wait());
        self.until_read();
        status
    }

    /// The last lines of a broker that has ended may still be on their way through the pipe.
    fn until_read(&self) {
        eventually("all it printed is read", END_LIMIT, || self.lines.are_complete().then_some(()));
    }

    /// Asks it to stop (SIGTERM) and waits until it has, which must be a success.
    pub fn stop(mut self) -> Vec<String> {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).expect("it is our child and runs");
        let status = self.wait(END_LIMIT);
        assert!(status.success(), "a clean stop ended with {status}: {:#?}", self.log());
        self.log()
    }

    /// kill -9.
    pub fn kill(mut self) -> Vec<String> {
        self.kill_now();
        self.until_read();
        self.log()
    }

    fn kill_now(&mut self) {
        if self.ended.is_none() {
            self.child.kill().expect("it is our child");
            self.ended = Some(self.child.wait().expect("it is our child"));
        }
    }
}

impl Drop for Flumen {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the broker said: {:#?}", self.log());
        }
        self.kill_now();
    }
}
