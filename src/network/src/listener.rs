//! Accepting connections, within limits.

use crate::limits::Crowd;
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
    /// Addresses with a connection. Kept whether or not an address has a limit: one may be set at any time, and counts
    /// those who are there.
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Census {
    /// Counts a connection in, or refuses it. One that was counted is to be given to [`Census::leave`].
    fn enter(&self, address: IpAddr, crowd: &Crowd) -> bool {
        let room = |total: usize| (total < crowd.total()).then(|| total + 1);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return false;
        }
        let most = crowd.of_address(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = by_address.get(&address).copied().unwrap_or(0);
        if of_address >= most {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        by_address.insert(address, of_address + 1);
        true
    }

    fn leave(&self, address: IpAddr) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                by_address.remove(&address);
            }
        }
    }
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
    address: IpAddr,
}

impl ConnectionCounts {
    fn new(census: Arc<Census>, traffic: Arc<Traffic>) -> ConnectionCounts {
        ConnectionCounts { here: Rc::default(), census, traffic }
    }

    /// Connections of this core now.
    pub fn total(&self) -> usize {
        self.here.get()
    }

    fn enter(&self, address: IpAddr, crowd: &Crowd) -> Option<Place> {
        // An address of version 4 on a socket of version 6 is one of version 4.
        let address = address.to_canonical();
        if !self.census.enter(address, crowd) {
            self.traffic.turned_away.increment();
            return None;
        }
        self.set(self.here.get() + 1);
        self.traffic.accepted.increment();
        Some(Place { counts: self.clone(), address })
    }

    fn set(&self, here: usize) {
        self.here.set(here);
        self.traffic.connections.set(here as u64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.set(self.counts.here.get() - 1);
        self.counts.census.leave(self.address);
    }
}

/// Accepts connections of one listening socket on one core.
pub struct Listener {
    socket: Handle,
    crowd: Rc<Crowd>,
    counts: ConnectionCounts,
    pace: Box<dyn Fn(u64) -> Duration>,
}

impl Listener {
    /// Over a socket that the driver listens on; counts in `traffic`, and with the other cores in `census`.
    pub fn new(socket: Handle, crowd: Rc<Crowd>, census: Arc<Census>, traffic: Arc<Traffic>) -> Listener {
        let counts = ConnectionCounts::new(census, traffic);
        Listener { socket, crowd, counts, pace: Box::new(|_| Duration::ZERO) }
    }

    /// The number of connections, for who reports it.
    pub fn counts(&self) -> ConnectionCounts {
        self.counts.clone()
    }

    /// Tells `pace` of each connection, with a 1, and asks it again, with a 0, until it lets the next one in: it says
    /// how long to wait until then. Those who come meanwhile are in the kernel's queue.
    pub fn paced(self, pace: impl Fn(u64) -> Duration + 'static) -> Listener {
        Listener { pace: Box::new(pace), ..self }
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
                Ok((socket, peer)) => {
                    self.take(socket, peer, &serve);
                    let mut pause = (self.pace)(1);
                    while !pause.is_zero() {
                        sleep(pause).await;
                        pause = (self.pace)(0);
                    }
                }
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

    /// Has a new connection served, or closes it.
    fn take<F>(&self, socket: Handle, peer: SocketAddr, serve: &impl Fn(Handle, SocketAddr) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        match self.counts.enter(peer.ip(), &self.crowd) {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    /// Two cores that count together.
    fn cores() -> [ConnectionCounts; 2] {
        let census = Arc::new(Census::default());
        [(); 2].map(|()| ConnectionCounts::new(census.clone(), Arc::default()))
    }

    fn crowd(total: usize, of_address: usize) -> Crowd {
        let crowd = Crowd::default();
        crowd.limit(total, of_address, BTreeMap::new());
        crowd
    }

    #[test]
    fn the_limit_in_total_is_one_of_all_cores() {
        let crowd = crowd(3, usize::MAX);
        let [one, other] = cores();
        let first = one.enter(address(1), &crowd).expect("there is room");
        let rest = [1, 2].map(|last| one.enter(address(last), &crowd).expect("there is room"));
        assert!(other.enter(address(3), &crowd).is_none());
        assert_eq!((one.total(), other.total()), (3, 0));
        assert_eq!((one.traffic.connections.get(), other.traffic.turned_away.get()), (3, 1));
        drop(first);
        let other_first = other.enter(address(3), &crowd).expect("a place was freed");
        assert!(one.enter(address(1), &crowd).is_none());
        assert_eq!((one.total(), other.total()), (2, 1));
        drop((rest, other_first));
        assert_eq!(one.census.total.load(Ordering::Relaxed), 0);
        assert_eq!((one.traffic.connections.get(), other.traffic.connections.get()), (0, 0));
    }

    #[test]
    fn so_is_the_limit_of_an_address() {
        let crowd = crowd(4, 2);
        let [one, other] = cores();
        let first = one.enter(address(1), &crowd).expect("there is room");
        let second = other.enter(address(1), &crowd).expect("there is room");
        assert!(one.enter(address(1), &crowd).is_none() && other.enter(address(1), &crowd).is_none());
        // Who was refused takes no place from others.
        let others = [2, 3].map(|last| one.enter(address(last), &crowd).expect("there is room"));
        assert!(one.enter(address(4), &crowd).is_none());
        drop(second);
        let third = one.enter(address(1), &crowd).expect("a place was freed on the other core");
        drop((first, third, others));
        assert!(one.census.by_address.lock().expect("not poisoned").is_empty());
        assert_eq!(one.census.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_limit_of_nothing_lets_nobody_in() {
        let [one, _] = cores();
        assert!(one.enter(address(1), &crowd(0, usize::MAX)).is_none());
        assert!(one.enter(address(1), &crowd(usize::MAX, 0)).is_none());
        assert!(one.census.by_address.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn a_limit_that_is_set_counts_those_who_are_there_and_sends_nobody_away() {
        let crowd = Crowd::default();
        let [one, other] = cores();
        let all = [1, 1, 1, 2].map(|last| one.enter(address(last), &crowd).expect("there is no limit"));
        crowd.limit(usize::MAX, 2, BTreeMap::new());
        assert!(other.enter(address(1), &crowd).is_none());
        let second = other.enter(address(2), &crowd).expect("the second of two");
        crowd.limit(5, usize::MAX, BTreeMap::new());
        assert!(one.enter(address(3), &crowd).is_none());
        assert_eq!((one.total(), other.total()), (4, 1), "who is there stays");
        crowd.limit(6, usize::MAX, BTreeMap::new());
        drop((all, second, one.enter(address(3), &crowd).expect("the sixth of six")));
        assert!(one.census.by_address.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn single_addresses_have_limits_of_their_own() {
        let crowd = Crowd::default();
        crowd.limit(usize::MAX, 1, BTreeMap::from([(address(1), 2), (address(2), 0)]));
        let [one, _] = cores();
        let mapped = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        let two = [address(1), mapped].map(|address| one.enter(address, &crowd).expect("two are allowed"));
        assert!(one.enter(mapped, &crowd).is_none(), "the same address, written otherwise");
        assert!(one.enter(address(2), &crowd).is_none());
        let other = one.enter(Ipv6Addr::LOCALHOST.into(), &crowd).expect("one of each other address");
        assert!(one.enter(Ipv6Addr::LOCALHOST.into(), &crowd).is_none());
        drop((two, other));
    }
}
