//! What this machine lets a test do.

use rustix::process::{Resource, Rlimit, getrlimit, getuid, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Whether the tests run as root.
pub fn is_root() -> bool {
    getuid().is_root()
}

/// The cores that this process may use.
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("the kernel says which cores");
    (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect()
}

/// Raises the limit on this process's descriptors as far as it goes, and says how far that is.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit everyone may");
    limit.maximum.unwrap_or(u64::MAX)
}

/// Pages of memory in the buffers of all TCP sockets of this machine.
pub fn socket_pages() -> u64 {
    let counts = std::fs::read_to_string("/proc/net/sockstat").expect("the kernel says so");
    let tcp = counts.lines().find_map(|line| line.strip_prefix("TCP:")).expect("it knows TCP");
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1).expect("pages");
    pages.parse().expect("a number")
}

/// A port to listen on that stays free while a broker restarts: below those that the kernel gives to outgoing
/// connections, so that no client of another test takes it meanwhile.
pub fn steady_port() -> SocketAddr {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(7, Ordering::Relaxed);
        let port = FIRST + (begin.wrapping_add(step)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {FIRST} on");
}
