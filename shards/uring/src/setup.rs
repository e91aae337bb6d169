//! What a driver is made with, and which optional features this kernel gives it.

use crate::arena::Arena;
use crate::direct::{ALIGNMENT_MAX, Direct};
use crate::features::Features;
use crate::flight::Kit;
use crate::handles::Handles;
use crate::lend::LendRing;
use driver::Capabilities;
use io_uring::{IoUring, Probe, opcode};
use memory::Pool;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// How to make a driver.
#[derive(Clone, Debug, Default)]
pub struct UringOptions {
    /// Which optional features to use.
    pub features: Features,
    /// The directory whose files will be opened with direct I/O: its file system is asked what that needs. Without
    /// it, 4,096 bytes are taken as the alignment.
    pub data: Option<PathBuf>,
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

/// What was found, and registered.
pub(crate) struct Found {
    pub(crate) lend: Option<LendRing>,
    pub(crate) handles: Handles,
    pub(crate) kit: Kit,
    pub(crate) messages: bool,
    pub(crate) no_iowait: bool,
    pub(crate) multishot_accept: bool,
    pub(crate) multishot_receive: bool,
    pub(crate) send_zc: bool,
    pub(crate) capabilities: Capabilities,
}

/// Decides about each feature by its setting, then by asking the kernel, and notes what came out.
struct Decisions<'a> {
    features: &'a Features,
    noted: Vec<(&'static str, Option<String>)>,
}

impl Decisions<'_> {
    /// What `probe` found, unless the feature is off or there is no such thing.
    fn decide<T>(&mut self, name: &'static str, probe: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let decided = match self.features.reason_off(name) {
            Some(reason) => Err(reason),
            None => probe(),
        };
        let (found, off) = match decided {
            Ok(found) => (Some(found), None),
            Err(reason) => (None, Some(reason)),
        };
        self.noted.push((name, off));
        found
    }
}

fn told(error: io::Error) -> String {
    error.to_string()
}

/// Finds and registers all that the options allow.
pub(crate) fn find(options: &UringOptions, ring: &IoUring, pool: &Pool) -> Found {
    let submitter = ring.submitter();
    let mut decisions = Decisions { features: &options.features, noted: Vec::new() };
    let lend = decisions.decide("buffer_ring", || LendRing::register(&submitter).map_err(told));
    let direct = decisions.decide("direct_io", || probe_direct(options));
    let messages = decisions.decide("msg_ring", || Ok(()));
    let multishot_accept = decisions.decide("multishot_accept", || since(6, 0));
    let multishot_receive = decisions.decide("multishot_receive", || {
        if lend.is_some() { since(6, 0) } else { Err("it needs buffer_ring".into()) }
    });
    let no_iowait = decisions.decide("no_iowait", || since(6, 15));
    let arena = decisions.decide("registered_buffers", || Arena::register(&submitter, pool));
    let mut handles = Handles::new();
    decisions.decide("registered_files", || handles.register(&submitter).map_err(told));
    let send_zc = decisions.decide("send_zc", || {
        let mut probe = Probe::new();
        submitter.register_probe(&mut probe).map_err(told)?;
        let known =
            [opcode::SendZc::CODE, opcode::SendMsgZc::CODE].iter().all(|code| probe.is_supported(*code));
        if known { Ok(()) } else { Err("not in this kernel".into()) }
    });
    let kit = Kit { lending: lend.is_some(), arena: arena.unwrap_or_default(), direct: direct.is_some() };
    Found {
        lend,
        handles,
        kit,
        messages: messages.is_some(),
        no_iowait: no_iowait.is_some(),
        multishot_accept: multishot_accept.is_some(),
        multishot_receive: multishot_receive.is_some(),
        send_zc: send_zc.is_some(),
        capabilities: Capabilities {
            driver: "io_uring",
            direct_alignment: direct.unwrap_or(ALIGNMENT_MAX),
            features: decisions.noted,
        },
    }
}

/// The alignment of direct I/O.
fn probe_direct(options: &UringOptions) -> Result<usize, String> {
    let Some(directory) = &options.data else { return Ok(ALIGNMENT_MAX) };
    match Direct::probe(directory) {
        Direct::Aligned(alignment) => Ok(alignment),
        Direct::None { asks_for: 0 } => Err("the file system of the data directory has none".into()),
        Direct::None { asks_for } => Err(format!(
            "the data directory's device asks for units of {asks_for} bytes, more than {ALIGNMENT_MAX}"
        )),
    }
}

/// Whether the kernel is at least this one.
fn since(major: u32, minor: u32) -> Result<(), String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= (major, minor) { Ok(()) } else { Err(format!("kernel before {major}.{minor}")) }
}
