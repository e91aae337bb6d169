//! The driver: one ring, its operations under way, its turn.

use crate::features::Features;
use crate::flight::{self, Flight, Next};
use crate::lend::{LENT_BYTES, LendRing};
use crate::socket;
use crate::wake::{self, RingWake};
use base::Instant;
use driver::{
    Capabilities, Completion, DirectoryEntry, Driver, Errno, Handle, Metadata, Operation, Outcome, Token,
    Wait, Wake,
};
use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use memory::Pool;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Requests that wait for one hand-over to the kernel.
const SUBMISSIONS: u32 = 1024;
/// Completions that the kernel may queue; more are kept by the kernel and come later.
const COMPLETIONS: u32 = 8192;

/// User data of what is not a flight.
const WAKE: u64 = u64::MAX;
const CANCEL: u64 = u64::MAX - 1;
const MESSAGE: u64 = u64::MAX - 2;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// How to make a driver.
#[derive(Clone, Debug)]
pub struct UringOptions {
    /// Which optional features to use.
    pub features: Features,
}

/// Why there is no driver.
#[derive(Debug)]
pub enum UringError {
    /// The kernel does not let us make a ring.
    Setup(io::Error),
    /// Something beside the ring could not be made.
    Event(io::Error),
}

impl fmt::Display for UringError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UringError::Setup(error) => match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => out.write_str(
                    "io_uring is forbidden here: allow it in the container's seccomp profile (io_uring_setup, io_uring_enter, io_uring_register), or set sysctl kernel.io_uring_disabled=0",
                ),
                Some(libc::ENOSYS) => out.write_str("this kernel has no io_uring; Linux 6.1 or newer is needed"),
                Some(libc::EINVAL) => {
                    out.write_str("this kernel's io_uring is too old; Linux 6.1 or newer is needed")
                }
                Some(libc::ENOMEM) => out.write_str(
                    "no locked memory for io_uring: raise the limit (ulimit -l, LimitMEMLOCK= of a systemd unit)",
                ),
                _ => write!(out, "cannot set up io_uring: {error}"),
            },
            UringError::Event(error) => write!(out, "cannot make an eventfd: {error}; raise ulimit -n"),
        }
    }
}

impl std::error::Error for UringError {}

/// The argument of a bounded wait, as `io_uring_enter(2)` has it.
#[repr(C)]
struct WaitArgument {
    signals: u64,
    signals_bytes: u32,
    min_wait_micros: u32,
    time: u64,
}

/// io_uring as a driver. Made on the thread that uses it, and stays there.
pub struct UringDriver {
    // The order matters: the ring goes first, then what the kernel was told of.
    ring: IoUring,
    lend: Option<LendRing>,
    flights: Vec<Option<Box<Flight>>>,
    pool: Pool,
    wake: Arc<RingWake>,
    wake_count: Box<[u8; 8]>,
    messages: Vec<RawFd>,
    ready: Vec<Completion>,
    no_iowait: bool,
    start: std::time::Instant,
    capabilities: Capabilities,
}

impl UringDriver {
    /// A driver for this thread that lends blocks of `pool` for receiving.
    pub fn new(options: &UringOptions, pool: Pool) -> Result<UringDriver, UringError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(UringError::Setup)?;
        let mut features = Vec::new();
        let lend = register_lending(&ring, options, &mut features);
        let messages = decide(options, &mut features, "msg_ring", || Ok(()));
        let no_iowait = decide(options, &mut features, "no_iowait", || {
            if kernel_at_least(6, 15) { Ok(()) } else { Err("kernel before 6.15".into()) }
        });
        // SAFETY: makes a descriptor; touches no memory of ours.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if event < 0 {
            return Err(UringError::Event(io::Error::last_os_error()));
        }
        // SAFETY: it was just made and nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        if messages {
            wake::begin_messages();
        }
        let wake = Arc::new(RingWake { event, ring: messages.then(|| ring.as_raw_fd()) });
        let mut driver = UringDriver {
            ring,
            lend,
            flights: Vec::new(),
            pool,
            wake,
            wake_count: Box::new([0; 8]),
            messages: Vec::new(),
            ready: Vec::new(),
            no_iowait,
            start: std::time::Instant::now(),
            capabilities: Capabilities { driver: "io_uring", direct_alignment: 4096, features },
        };
        driver.listen_for_wakes();
        driver.fill_lending();
        Ok(driver)
    }

    fn listen_for_wakes(&mut self) {
        let event = types::Fd(self.wake.event.as_raw_fd());
        let entry = opcode::Read::new(event, self.wake_count.as_mut_ptr(), 8).build().user_data(WAKE);
        self.push(entry);
    }

    fn fill_lending(&mut self) {
        if let Some(lend) = &mut self.lend
            && lend.wants_blocks()
        {
            lend.fill(&self.pool);
        }
    }

    /// Queues an entry for the kernel; if the queue is full, hands it over first.
    fn push(&mut self, entry: Entry) {
        loop {
            // SAFETY: what the entry points to belongs to a flight, or to this driver, and stays where it is
            // until its completion has come.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            if let Err(error) = self.ring.submit() {
                // EBUSY and EAGAIN: the kernel wants completions taken first. Nothing else is expected.
                log::debug!("handing over a full queue: {error}");
                self.gather();
            }
        }
    }

    fn fly(&mut self, flight: Box<Flight>, entry: Entry) {
        let slot = flight.token.0 as u32;
        let index = slot as usize;
        if self.flights.len() <= index {
            self.flights.resize_with(index + 1, || None);
        }
        assert!(self.flights[index].is_none(), "slot {slot} is under way already");
        self.flights[index] = Some(flight);
        self.push(entry.user_data(u64::from(slot)));
    }

    /// Asks the kernel for completions, and hands over what is queued.
    fn enter(&mut self, wait: Wait) {
        let queued = self.ring.submission().len() as u32;
        let sleeps =
            matches!(wait, Wait::Until(_)) && self.ready.is_empty() && self.ring.completion().is_empty();
        if !sleeps {
            let (task_work, overflow) = {
                let queue = self.ring.submission();
                (queue.taskrun(), queue.cq_overflow())
            };
            if queued > 0 || task_work || overflow {
                // SAFETY: no argument is passed; the entries were pushed under `push`'s promise.
                let entered = unsafe {
                    self.ring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GETEVENTS, None)
                };
                note_enter(entered);
            }
            return;
        }
        let Wait::Until(until) = wait else { return };
        let left = until.since(self.now());
        let time = types::Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos());
        let bounded = until != Instant::NEVER;
        let argument = WaitArgument {
            signals: 0,
            signals_bytes: 0,
            min_wait_micros: 0,
            time: if bounded { (&raw const time) as u64 } else { 0 },
        };
        let flags = ENTER_GETEVENTS | ENTER_EXT_ARG | if self.no_iowait { ENTER_NO_IOWAIT } else { 0 };
        // SAFETY: the argument and the time that it points to are locals that outlive the call.
        let entered = unsafe { self.ring.submitter().enter(queued, 1, flags, Some(&argument)) };
        note_enter(entered);
    }

    /// Takes the completions that are there.
    fn gather(&mut self) {
        loop {
            let Some(entry) = self.ring.completion().next() else { return };
            match entry.user_data() {
                WAKE => self.listen_for_wakes(),
                CANCEL => {}
                // From another core, which has woken us; or one of ours, delivered. A ring that is gone
                // has nobody left to wake.
                MESSAGE => {}
                slot => self.complete(slot as u32 as usize, entry.result(), entry.flags()),
            }
        }
    }

    fn complete(&mut self, index: usize, code: i32, flags: u32) {
        let lent = io_uring::cqueue::buffer_select(flags)
            .and_then(|number| self.lend.as_mut().and_then(|lend| lend.take(number)));
        let Some(mut flight) = self.flights.get_mut(index).and_then(Option::take) else {
            log::error!("the kernel completed an operation in slot {index} that is not under way");
            return;
        };
        let pool = &self.pool;
        match flight.complete(code, lent, || pool.take(LENT_BYTES)) {
            Next::Land(outcome) => self.ready.push(Completion { token: flight.token, outcome }),
            Next::Go(entry) => {
                self.flights[index] = Some(flight);
                self.push(entry.user_data(index as u64));
            }
        }
    }

    fn send_messages(&mut self) {
        wake::take_messages(&mut self.messages);
        while let Some(ring) = self.messages.pop() {
            let entry = opcode::MsgRingData::new(types::Fd(ring), 0, MESSAGE, None).build();
            self.push(entry.user_data(MESSAGE));
        }
    }
}

fn note_enter(result: io::Result<usize>) {
    match result {
        Ok(_) => {}
        // Time is up; a signal; completions must be taken first: all ordinary.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
            ) => {}
        Err(error) => log::error!("io_uring_enter: {error}"),
    }
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= (major, minor)
}

type FeatureList = Vec<(&'static str, Option<String>)>;

/// Uses a feature if no setting forbids it and the probe finds it; notes which.
fn decide(
    options: &UringOptions,
    features: &mut FeatureList,
    name: &'static str,
    probe: impl FnOnce() -> Result<(), String>,
) -> bool {
    let off = options.features.reason_off(name).or_else(|| probe().err());
    let on = off.is_none();
    features.push((name, off));
    on
}

fn register_lending(ring: &IoUring, options: &UringOptions, features: &mut FeatureList) -> Option<LendRing> {
    let mut lend = None;
    decide(options, features, "buffer_ring", || match LendRing::register(&ring.submitter()) {
        Ok(registered) => {
            lend = Some(registered);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    });
    lend
}

fn list(path: &Path) -> Result<Vec<DirectoryEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        if let Ok(name) = entry.file_name().into_string() {
            entries.push(DirectoryEntry { name, is_directory });
        }
    }
    entries.sort();
    Ok(entries)
}

fn stat(path: &Path) -> Result<Metadata, Errno> {
    let found = std::fs::metadata(path)?;
    Ok(Metadata { bytes: found.len(), is_directory: found.is_dir() })
}

impl Driver for UringDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        // Listing has no operation in io_uring, and a stat of a cached name takes a microsecond: both are
        // rare, and done here and now.
        let outcome = match operation {
            Operation::ListDirectory { path } => Outcome::Listed(list(&path)),
            Operation::Stat { path } => Outcome::Stat(stat(&path)),
            operation => {
                let target = flight::target(&operation);
                match flight::begin(token, operation, self.lend.is_some()) {
                    Ok(mut flight) => {
                        let entry = flight.entry(target);
                        self.fly(flight, entry);
                        return;
                    }
                    Err(outcome) => outcome,
                }
            }
        };
        self.ready.push(Completion { token, outcome });
    }

    fn cancel(&mut self, token: Token) {
        let slot = token.0 as u32;
        let under_way = self
            .flights
            .get(slot as usize)
            .is_some_and(|flight| flight.as_ref().is_some_and(|flight| flight.token == token));
        if under_way {
            self.push(opcode::AsyncCancel::new(u64::from(slot)).build().user_data(CANCEL));
        }
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        self.send_messages();
        self.fill_lending();
        self.enter(wait);
        self.gather();
        completions.append(&mut self.ready);
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    fn wall_clock_ms(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn random(&mut self) -> u64 {
        let mut bytes = [0u8; 8];
        // SAFETY: the kernel writes at most eight bytes into the local array.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        assert_eq!(filled, 8, "getrandom of eight bytes never fails once the system has started");
        u64::from_ne_bytes(bytes)
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.wake.clone()
    }

    fn listen(&mut self, address: SocketAddr, share_port: bool) -> io::Result<(Handle, SocketAddr)> {
        let (socket, address) = socket::listen(address, share_port)?;
        Ok((Handle(socket.into_raw_fd()), address))
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        if self.wake.ring.is_some() {
            wake::end_messages();
        }
        // The kernel may still write into what flights own. Cancel all and wait for their ends; what does
        // not end within a second is leaked rather than freed under the kernel's hands.
        let left: Vec<usize> = (0..self.flights.len()).filter(|&i| self.flights[i].is_some()).collect();
        for slot in left {
            self.push(opcode::AsyncCancel::new(slot as u64).build().user_data(CANCEL));
        }
        let deadline = self.now() + std::time::Duration::from_secs(1);
        while self.flights.iter().any(Option::is_some) && self.now() < deadline {
            self.ready.clear();
            self.enter(Wait::Until(deadline));
            self.gather();
        }
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            std::mem::forget(flight);
        }
    }
}
