//! Accepting connections, within limits.

use crate::limits::Limits;
use crate::traffic::Traffic;
use base::Instant;
use driver::{Errno, Handle};
use executor::{io, sleep};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait when the process has no descriptor left for a connection.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);
/// And how often that is said, at most.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The connections of all cores together; every core's [`Listener`] has the same one. Touched when a connection comes
/// and goes, and at no other time.
#[derive(Debug, Default)]
pub struct Census {
    total: AtomicUsize,
    /// Addresses with a connection. Kept only where the limit by address can be reached before the one in total: with
    /// Kafka's defaults no core ever takes this lock.
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Census {
    /// Counts a connection in, or refuses it. What is returned is to be given to [`Census::leave`].
    fn enter(&self, address: IpAddr, limits: &Limits) -> Option<Counted> {
        let room = |total: usize| (total < limits.connections_max).then(|| total + 1);
        self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        if limits.connections_per_address_max >= limits.connections_max {
            return Some(Counted { address: None });
        }
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = by_address.get(&address).copied().unwrap_or(0);
        if of_address >= limits.connections_per_address_max {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        by_address.insert(address, of_address + 1);
        Some(Counted { address: Some(address) })
    }

    fn leave(&self, counted: &Counted) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = counted.address else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// How a connection was counted: in total, and under its address if there is one here.
struct Counted {
    address: Option<IpAddr>,
}

/// How many connections this core has. Cloning shares it.
#[derive(Clone)]
pub struct ConnectionCounts {
    here: Rc<Cell<usize>>,
    census: Arc<Census>,
    traffic: Arc<Traffic>,
}

/// A place among the connections; dropping it frees the place.
struct Place {
    counts: ConnectionCounts,
    counted: Counted,
}

impl ConnectionCounts {
    fn new(census: Arc<Census>, traffic: Arc<Traffic>) -> ConnectionCounts {
        ConnectionCounts { here: Rc::default(), census, traffic }
    }

    /// Connections of this core now.
    pub fn total(&self) -> usize {
        self.here.get()
    }

    fn enter(&self, address: IpAddr, limits: &Limits) -> Option<Place> {
        let Some(counted) = self.census.enter(address, limits) else {
            self.traffic.turned_away.increment();
            return None;
        };
        self.set(self.here.get() + 1);
        self.traffic.accepted.increment();
        Some(Place { counts: self.clone(), counted })
    }

    fn set(&self, here: usize) {
        self.here.set(here);
        self.traffic.connections.set(here as u64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.set(self.counts.here.get() - 1);
        self.counts.census.leave(&self.counted);
    }
}

/// Accepts connections of one listening socket on one core.
pub struct Listener {
    socket: Handle,
    limits: Rc<Limits>,
    counts: ConnectionCounts,
}

impl Listener {
    /// Over a socket that the driver listens on; counts in `traffic`, and with the other cores in `census`.
    pub fn new(socket: Handle, limits: Rc<Limits>, census: Arc<Census>, traffic: Arc<Traffic>) -> Listener {
        Listener { socket, limits, counts: ConnectionCounts::new(census, traffic) }
    }

    /// The number of connections, for who reports it.
    pub fn counts(&self) -> ConnectionCounts {
        self.counts.clone()
    }

    /// Accepts for ever; `serve` is spawned for each connection and owns its socket. Connections above the
    /// limits are closed at once, as Kafka does where one address has too many; where the node has too many, Kafka
    /// leaves them waiting in the kernel's queue, and their clients know nothing. Ends when the listening socket does.
    pub async fn run<F>(self, serve: impl Fn(Handle, SocketAddr) -> F) -> Errno
    where
        F: Future<Output = ()> + 'static,
    {
        let mut told: Option<Instant> = None;
        loop {
            match io::accept(self.socket).await {
                Ok((socket, peer)) => match self.counts.enter(peer.ip(), &self.limits) {
                    Some(place) => {
                        let serving = serve(socket, peer);
                        drop(executor::spawn("connection", async move {
                            serving.await;
                            drop(place);
                        }));
                    }
                    None => {
                        log::debug!(
                            "closed a connection of {peer}: max.connections or max.connections.per.ip is reached"
                        );
                        io::close_detached(socket);
                    }
                },
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: others will close; try again.
                Err(Errno(24 | 23 | 105 | 12)) => {
                    let now = executor::now();
                    if told.is_none_or(|last| now.since(last) >= TOLD_EVERY) {
                        told = Some(now);
                        log::warn!("no descriptor or memory for another connection; raise ulimit -n");
                    }
                    sleep(DESCRIPTOR_WAIT).await;
                }
                // The peer was gone before it was accepted.
                Err(Errno(103 | 104 | 4 | 11)) => {}
                Err(errno) => return errno,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    /// Two cores that count together.
    fn cores() -> [ConnectionCounts; 2] {
        let census = Arc::new(Census::default());
        [(); 2].map(|()| ConnectionCounts::new(census.clone(), Arc::default()))
    }

    #[test]
    fn the_limit_in_total_is_one_of_all_cores() {
        let limits = Limits { connections_max: 3, ..Limits::default() };
        let [one, other] = cores();
        let first = one.enter(address(1), &limits).expect("there is room");
        let rest = [1, 2].map(|last| one.enter(address(last), &limits).expect("there is room"));
        assert!(other.enter(address(3), &limits).is_none());
        assert_eq!((one.total(), other.total()), (3, 0));
        assert_eq!((one.traffic.connections.get(), other.traffic.turned_away.get()), (3, 1));
        drop(first);
        let other_first = other.enter(address(3), &limits).expect("a place was freed");
        assert!(one.enter(address(1), &limits).is_none());
        assert_eq!((one.total(), other.total()), (2, 1));
        drop((rest, other_first));
        assert_eq!(one.census.total.load(Ordering::Relaxed), 0);
        assert_eq!((one.traffic.connections.get(), other.traffic.connections.get()), (0, 0));
    }

    #[test]
    fn so_is_the_limit_of_an_address() {
        let limits = Limits { connections_max: 4, connections_per_address_max: 2, ..Limits::default() };
        let [one, other] = cores();
        let first = one.enter(address(1), &limits).expect("there is room");
        let second = other.enter(address(1), &limits).expect("there is room");
        assert!(one.enter(address(1), &limits).is_none() && other.enter(address(1), &limits).is_none());
        // Who was refused takes no place from others.
        let others = [2, 3].map(|last| one.enter(address(last), &limits).expect("there is room"));
        assert!(one.enter(address(4), &limits).is_none());
        drop(second);
        let third = one.enter(address(1), &limits).expect("a place was freed on the other core");
        drop((first, third, others));
        assert!(one.census.by_address.lock().expect("not poisoned").is_empty());
        assert_eq!(one.census.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_limit_of_nothing_lets_nobody_in() {
        let [one, _] = cores();
        let none = Limits { connections_max: 0, ..Limits::default() };
        assert!(one.enter(address(1), &none).is_none());
        let none = Limits { connections_per_address_max: 0, ..Limits::default() };
        assert!(one.enter(address(1), &none).is_none());
    }
}
