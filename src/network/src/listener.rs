//! Accepting connections, within limits.

use crate::limits::Limits;
use crate::traffic::Traffic;
use driver::{Errno, Handle};
use executor::{io, sleep};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait when the process has no descriptor left for a connection.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(100);

/// How many connections this core has. Cloning shares it.
#[derive(Clone)]
pub struct ConnectionCounts {
    inner: Rc<RefCell<Counts>>,
    traffic: Arc<Traffic>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the connections; dropping it frees the place.
struct Place {
    counts: ConnectionCounts,
    address: IpAddr,
}

impl ConnectionCounts {
    /// Connections now.
    pub fn total(&self) -> usize {
        self.inner.borrow().total
    }

    fn enter(&self, address: IpAddr, limits: &Limits) -> Option<Place> {
        let mut counts = self.inner.borrow_mut();
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= limits.connections_max || of_address >= limits.connections_per_address_max {
            self.traffic.turned_away.increment();
            return None;
        }
        counts.by_address.insert(address, of_address + 1);
        counts.total += 1;
        self.traffic.accepted.increment();
        self.traffic.connections.set(counts.total as u64);
        Some(Place { counts: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.inner.borrow_mut();
        counts.total -= 1;
        self.counts.traffic.connections.set(counts.total as u64);
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// Accepts connections of one listening socket on one core.
pub struct Listener {
    socket: Handle,
    limits: Rc<Limits>,
    counts: ConnectionCounts,
}

impl Listener {
    /// Over a socket that the driver listens on; counts in `traffic`.
    pub fn new(socket: Handle, limits: Rc<Limits>, traffic: Arc<Traffic>) -> Listener {
        Listener { socket, limits, counts: ConnectionCounts { inner: Rc::default(), traffic } }
    }

    /// The number of connections, for who reports it.
    pub fn counts(&self) -> ConnectionCounts {
        self.counts.clone()
    }

    /// Accepts for ever; `serve` is spawned for each connection and owns its socket. Connections above the
    /// limits are closed at once, as Kafka does. Ends when the listening socket does.
    pub async fn run<F>(self, serve: impl Fn(Handle, SocketAddr) -> F) -> Errno
    where
        F: Future<Output = ()> + 'static,
    {
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
                    log::warn!("no descriptor or memory for another connection; raise ulimit -n");
                    sleep(DESCRIPTOR_WAIT).await;
                }
                // The peer was gone before it was accepted.
                Err(Errno(103 | 104 | 4 | 11)) => {}
                Err(errno) => return errno,
            }
        }
    }
}
