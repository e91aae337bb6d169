//! What is asked of the operating system: pinning, polling, file descriptors, the page cache,
//! and what a broker process has used.

use crate::error::Error;
use rustix::{
    event::{Timespec, epoll},
    fd::{AsFd, OwnedFd},
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};
use std::{fs, io, path::Path, time::Duration};

/// Binds the calling thread, and those that it starts later, to one core.
pub fn pin(core: usize) -> Result<(), Error> {
    // A thread that spins would keep the kernel's workers, which end other processes' durable writes on this core,
    // waiting for milliseconds: that is no latency of the broker's. Older kernels and other systems do without.
    let _ = schedule::set_slice(schedule::SLICE_MAX);
    if core >= CpuSet::MAX_CPU {
        return Err(Error::Usage(format!("there is no core {core}")));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|e| Error::Io(format!("pinning to core {core}"), e.into()))
}

/// Raises the limit of open files as far as it goes without privileges and returns it.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    now.current.unwrap_or(u64::MAX)
}

/// Level-triggered readiness of sockets, each known by a number.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// One socket's readiness. An error or a hang-up shows as readable: the read then tells which.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub number: usize,
    pub readable: bool,
    pub writable: bool,
}

impl Poll {
    pub fn new() -> Result<Poll, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|e| Error::Io("creating an epoll instance".into(), e.into()))?;
        Ok(Poll { epoll, events: Vec::with_capacity(1024) })
    }

    fn interest(writable: bool) -> epoll::EventFlags {
        if writable { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN }
    }

    pub fn add(&self, socket: impl AsFd, number: usize) -> Result<(), Error> {
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(number as u64), Self::interest(false))
            .map_err(|e| Error::Io("watching a socket".into(), e.into()))
    }

    /// Also (or no longer) reports when the socket takes more bytes.
    pub fn want_writable(&self, socket: impl AsFd, number: usize, writable: bool) -> Result<(), Error> {
        epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(number as u64), Self::interest(writable))
            .map_err(|e| Error::Io("watching a socket".into(), e.into()))
    }

    pub fn remove(&self, socket: impl AsFd) {
        // Closing the socket would do the same; there is nothing to do about a failure.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// Fills `ready` with what is ready, waiting no longer than `wait`.
    pub fn wait(&mut self, wait: Duration, ready: &mut Vec<Ready>) -> Result<(), Error> {
        ready.clear();
        self.events.clear();
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) as _ };
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(e) => return Err(Error::Io("waiting for sockets".into(), e.into())),
        }
        ready.extend(self.events.iter().map(|event| {
            let flags = event.flags;
            let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            Ready {
                number: event.data.u64() as usize,
                readable: broken || flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

/// What a process has used since it started, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Seconds on a core, in user and kernel mode, of all threads; to 10 ms.
    pub cpu_s: f64,
    /// Bytes that it caused to be written to a device.
    pub written: u64,
    /// Bytes that it caused to be read from a device.
    pub read: u64,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// The most that was ever resident, in bytes.
    pub resident_peak: u64,
}

/// Kernel ticks a second in /proc: fixed at 100 for user space on every common architecture.
const TICKS: f64 = 100.0;

/// Reads a process's usage from /proc.
pub fn usage(pid: u32) -> Result<Usage, Error> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).map_err(Error::io(path))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    // The process name is in brackets and may hold anything: count fields behind the last one.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // Not readable for another user's process: then the bytes stay 0.
    let io = read("io").unwrap_or_default();
    Ok(Usage {
        cpu_s: (ticks(11) + ticks(12)) / TICKS,
        written: number(&io, "write_bytes:"),
        read: number(&io, "read_bytes:"),
        resident: number(&status, "VmRSS:") * 1024,
        resident_peak: number(&status, "VmHWM:") * 1024,
    })
}

/// Seconds that all cores together have spent since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// On any process's or the kernel's behalf.
    pub busy_s: f64,
    /// Taken away by the host of a virtual machine.
    pub stolen_s: f64,
}

/// Reads the machine's use of its cores from /proc/stat.
pub fn machine() -> Result<Machine, Error> {
    let text = fs::read_to_string("/proc/stat").map_err(Error::io("/proc/stat"))?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_ascii_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let sum = |columns: &[usize]| columns.iter().filter_map(|i| ticks.get(*i)).sum::<f64>() / TICKS;
    Ok(Machine { busy_s: sum(&[0, 1, 2, 5, 6]), stolen_s: sum(&[7]) })
}

fn number(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Asks the kernel to forget the cached pages of every file below `dir`, after writing them
/// out, so that the next reader meets the device. Returns files and bytes.
pub fn evict(dir: &Path) -> Result<(u64, u64), Error> {
    let mut total = (0, 0);
    for entry in fs::read_dir(dir).map_err(Error::io(format!("reading {}", dir.display())))? {
        let entry = entry.map_err(Error::io(format!("reading {}", dir.display())))?;
        // A running broker removes and renames files while we walk: what is gone needs no care.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let (files, bytes) = evict(&entry.path()).unwrap_or_default();
            total = (total.0 + files, total.1 + bytes);
        } else if kind.is_file()
            && let Ok(bytes) = evict_file(&entry.path())
        {
            total = (total.0 + 1, total.1 + bytes);
        }
    }
    Ok(total)
}

fn evict_file(path: &Path) -> io::Result<u64> {
    let file = fs::File::open(path)?;
    file.sync_data()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_usage_grows_with_work() {
        let before = usage(std::process::id()).unwrap();
        assert!(before.resident > 0 && before.resident_peak >= before.resident);
        let start = std::time::Instant::now();
        // Others may have the processor meanwhile.
        while usage(std::process::id()).unwrap().cpu_s < before.cpu_s + 0.05 {
            assert!(start.elapsed() < Duration::from_secs(60), "a minute of work is not seen");
            (0..100).for_each(|_| {
                std::hint::black_box(crc32c::crc32c(&[7; 4096]));
            });
        }
        assert!(machine().unwrap().busy_s >= before.cpu_s);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(usage(u32::MAX - 1).is_err());
    }
}
