//! What a driver is made with, and which optional features this kernel gives it.

use crate::arena::Arena;
use crate::direct::{ALIGNMENT_MAX, Direct};
use crate::features::Features;
use crate::flight::Kit;
use crate::handles::Handles;
use crate::lend::{GROUP, LendRing};
use crate::ring::CANCEL;
use driver::Capabilities;
use io_uring::squeue::Entry;
use io_uring::{IoUring, Probe, opcode, types};
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
                Some(libc::ENOSYS) => out.write_str(
                    "there is no io_uring here: this kernel has none (Linux 6.1 or newer is needed), or the container's seccomp profile hides it (allow io_uring_setup, io_uring_enter, io_uring_register)",
                ),
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

/// Finds and registers all that the options allow. The ring is new: nothing is under way in it.
pub(crate) fn find(options: &UringOptions, ring: &mut IoUring, pool: &Pool) -> Found {
    let known = Known::ask(ring);
    let mut decisions = Decisions { features: &options.features, noted: Vec::new() };
    let lend = decisions.decide("buffer_ring", || LendRing::register(&ring.submitter()).map_err(told));
    let direct = decisions.decide("direct_io", || probe_direct(options));
    decisions.decide("huge_pages", || huge_pages(pool));
    let messages = decisions.decide("msg_ring", || known.has(&[opcode::MsgRingData::CODE]));
    let multishot_accept =
        decisions.decide("multishot_accept", || takes(ring, opcode::AcceptMulti::new(NOBODY).build()));
    let multishot_receive = decisions.decide("multishot_receive", || match lend {
        Some(_) => takes(ring, opcode::RecvMulti::new(NOBODY, GROUP).build()),
        None => Err("it needs buffer_ring".into()),
    });
    let no_iowait = decisions.decide("no_iowait", || there(ring.params().is_feature_no_iowait()));
    let arena = decisions.decide("registered_buffers", || Arena::register(&ring.submitter(), pool));
    let mut handles = Handles::new();
    decisions.decide("registered_files", || handles.register(&ring.submitter()).map_err(told));
    let send_zc = decisions.decide("send_zc", || known.has(&[opcode::SendZc::CODE, opcode::SendMsgZc::CODE]));
    decisions.decide("time_slice", time_slice);
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

/// Where the system says whether there are huge pages for who asks: `always`, `madvise` or `never`, the one that holds
/// in brackets.
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

fn huge_pages(pool: &Pool) -> Result<(), String> {
    // Advice is taken even where nothing comes of it.
    if std::fs::read_to_string(HUGE_PAGES).is_ok_and(|holds| holds.contains("[never]")) {
        return Err(format!("{HUGE_PAGES} says never; madvise is enough"));
    }
    pool.ask_for_huge_pages().map_err(told)
}

/// The slice is the thread's, which the driver stays on (`docs/decisions/time-slice.md`).
fn time_slice() -> Result<(), String> {
    there(schedule::set_slice(schedule::SLICE_MAX).map_err(told)?)
}

fn there(known: bool) -> Result<(), String> {
    if known { Ok(()) } else { Err("not in this kernel".into()) }
}

/// The kinds of requests that the kernel has.
struct Known(Result<Probe, String>);

impl Known {
    fn ask(ring: &IoUring) -> Known {
        let mut probe = Probe::new();
        let asked = ring.submitter().register_probe(&mut probe);
        Known(asked.map(|()| probe).map_err(told))
    }

    /// Whether it has all of these.
    fn has(&self, codes: &[u8]) -> Result<(), String> {
        let probe = self.0.as_ref().map_err(String::clone)?;
        there(codes.iter().all(|code| probe.is_supported(*code)))
    }
}

/// A handle that is none.
const NOBODY: types::Fd = types::Fd(-1);

/// Whether the kernel takes this request for [`NOBODY`] with all its flags, which no probe lists. They are looked at
/// before the handle is: a kernel that knows them finds fault with the handle (EBADF), another one with the request
/// (EINVAL). For a ring in which nothing else is under way.
pub(crate) fn takes(ring: &mut IoUring, request: Entry) -> Result<(), String> {
    // Should its completion come later than it must, the driver passes over it.
    let request = request.user_data(CANCEL);
    // SAFETY: the request names no memory.
    let pushed = unsafe { ring.submission().push(&request) };
    pushed.map_err(|_| "the ring has no room to ask".to_owned())?;
    ring.submit_and_wait(1).map_err(told)?;
    let answer = ring.completion().next().map(|completion| completion.result());
    match answer {
        Some(code) if code == -libc::EBADF => Ok(()),
        Some(code) if code == -libc::EINVAL => there(false),
        Some(code) => Err(told(io::Error::from_raw_os_error(-code))),
        None => Err("the kernel did not answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(code: i32) -> String {
        UringError::Setup(io::Error::from_raw_os_error(code)).to_string()
    }

    #[test]
    fn every_error_says_what_to_change() {
        let cases: [(i32, &[&str]); 6] = [
            (libc::EPERM, &["forbidden", "seccomp profile", "io_uring_setup", "kernel.io_uring_disabled=0"]),
            (libc::EACCES, &["forbidden", "seccomp profile", "io_uring_setup", "kernel.io_uring_disabled=0"]),
            (libc::ENOSYS, &["kernel has none", "Linux 6.1", "seccomp profile", "io_uring_setup"]),
            (libc::EINVAL, &["too old", "Linux 6.1"]),
            (libc::ENOMEM, &["locked memory", "ulimit -l", "LimitMEMLOCK="]),
            (libc::EMFILE, &["cannot set up io_uring", "os error 24"]),
        ];
        for (code, words) in cases {
            let line = setup(code);
            for word in words {
                assert!(line.contains(word), "'{word}' is missing: {line}");
            }
            assert!(!line.contains('\n'), "one line: {line}");
        }
        let event = UringError::Event(io::Error::from_raw_os_error(libc::EMFILE)).to_string();
        assert!(event.contains("eventfd") && event.contains("ulimit -n"), "{event}");
    }

    #[test]
    fn flags_that_the_kernel_knows_are_told_from_others() {
        let mut ring = IoUring::new(8).expect("a ring");
        let receive = || opcode::RecvMulti::new(NOBODY, GROUP);
        for _ in 0..2 {
            assert_eq!(takes(&mut ring, opcode::AcceptMulti::new(NOBODY).build()), Ok(()));
            assert_eq!(takes(&mut ring, receive().build()), Ok(()));
            // To receive again and again and to wait until all is there exclude each other.
            let refused = takes(&mut ring, receive().flags(libc::MSG_WAITALL).build());
            assert_eq!(refused, there(false));
        }
        assert!(ring.completion().is_empty(), "each question took its answer");
    }

    #[test]
    fn kinds_of_requests_are_found_or_not() {
        let ring = IoUring::new(8).expect("a ring");
        let known = Known::ask(&ring);
        assert_eq!(known.has(&[opcode::Nop::CODE, opcode::MsgRingData::CODE]), Ok(()));
        // The last number there is: no kernel has so many kinds.
        assert_eq!(known.has(&[opcode::Nop::CODE, u8::MAX]), there(false));
    }
}
