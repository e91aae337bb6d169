//! The world, as its makers see it.

use crate::core::SimDriver;
use crate::disk::{Disk, Ordered};
use crate::file::Fates;
use crate::network::Socket;
use crate::options::{DiskFaults, DiskOptions, WorldOptions};
use crate::state::{Node, State};
use base::Instant;
use driver::Driver;
use memory::Pool;
use std::cell::{RefCell, RefMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A machine in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// A read ends with `EIO`.
    Read,
    /// A write ends with `EIO`, done in part or not.
    Write,
    /// A sync of a file or directory ends with `EIO`.
    Sync,
    /// A sync of a file ends with `ENOSPC`: space for what was written is looked for only then.
    FullSync,
    /// A sync of a directory ends with `ENOSPC`.
    FullNames,
    /// A write lands elsewhere in its file.
    Misdirected,
}

/// A damage done to a file: `mask` was laid over the byte at `offset` by exclusive or.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    /// The file.
    pub path: String,
    /// The byte.
    pub offset: u64,
    /// Which of its bits changed.
    pub mask: u8,
}

/// A connection, by its two ends; the one that connected first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Names it while it exists.
    pub number: u64,
    /// Who connected.
    pub client: SocketAddr,
    /// To where.
    pub server: SocketAddr,
}

/// The address of a node.
pub(crate) fn node_ip(node: usize) -> IpAddr {
    let number = node as u32 + 1;
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | number))
}

/// A simulated world: machines with disks, a network between them, and a clock. Cloning shares it.
#[derive(Clone)]
pub struct World {
    pub(crate) state: Rc<RefCell<State>>,
}

impl World {
    /// A world without machines, whose every event follows from `seed` and from what is done in it.
    pub fn new(seed: u64, options: WorldOptions) -> World {
        World { state: Rc::new(RefCell::new(State::new(seed, options))) }
    }

    /// Adds a machine with an empty disk. It is down until a driver is made on it.
    pub fn add_node(&self) -> NodeId {
        let options = self.state.borrow().options.disk.clone();
        self.add_node_with(options)
    }

    /// Adds a machine with a disk of its own kind.
    pub fn add_node_with(&self, disk: DiskOptions) -> NodeId {
        let mut state = self.state.borrow_mut();
        let node = Node { disk: Disk::new(disk), up: false, wall_offset_ms: 0, next_port: 32_768 };
        state.nodes.push(node);
        NodeId(state.nodes.len() - 1)
    }

    /// The address by which other nodes reach this one. Listening on it, or on the unspecified address, receives
    /// their connections; loopback addresses stay within a node.
    pub fn address(&self, node: NodeId) -> IpAddr {
        node_ip(node.0)
    }

    /// A core on a node: a driver that lends blocks of `pool`. Cores of one node share its files, and may share
    /// ports. Starts the node if it was down.
    pub fn driver(&self, node: NodeId, pool: Pool) -> Box<dyn Driver> {
        Box::new(SimDriver::new(self.state.clone(), node.0, pool))
    }

    /// Virtual time now.
    pub fn now(&self) -> Instant {
        self.state.borrow().now
    }

    /// How many events have happened; a way to name a moment within a run.
    pub fn events(&self) -> u64 {
        self.state.borrow().happened
    }

    /// A number from the world's seed, for those who play in it.
    pub fn random(&self) -> u64 {
        self.state.borrow_mut().random.next_u64()
    }

    /// A hash over all that happened: equal for equal seeds and programs.
    pub fn trace_hash(&self) -> u64 {
        self.state.borrow().trace.hash()
    }

    /// How many lines the trace has.
    pub fn trace_lines(&self) -> u64 {
        self.state.borrow().trace.lines()
    }

    /// The last lines of the trace, as many as [`WorldOptions::log_lines`] says.
    pub fn log(&self) -> Vec<String> {
        self.state.borrow().trace.kept().cloned().collect()
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: &str) {
        let mut state = self.state.borrow_mut();
        let now = state.now;
        state.trace.note(now, format_args!("{text}"));
    }

    /// What operations on living cores wait for.
    pub fn pending(&self) -> Vec<String> {
        self.state.borrow().pending()
    }

    /// The machine loses power: what was synced stays and of the rest a random part; what was under way vanishes;
    /// connections are not ended, just silent. Its drivers are dead from here on: drop their executors
    /// and make new ones. Says what became of unsynced writes.
    pub fn crash(&self, node: NodeId) -> Fates {
        self.state.borrow_mut().crash(node.0)
    }

    /// The process is killed: files keep what was written, operations under way are done in part or not, the
    /// kernel closes the sockets. Its drivers are dead from here on.
    pub fn kill(&self, node: NodeId) {
        let mut state = self.state.borrow_mut();
        for core in 0..state.cores.len() {
            if state.cores[core].node == node.0 {
                state.end_core(core);
            }
        }
    }

    /// Lets a node's wall clock jump.
    pub fn jump_wall_clock(&self, node: NodeId, by_ms: i64) {
        self.state.borrow_mut().nodes[node.0].wall_offset_ms += by_ms;
    }

    fn disk(&self, node: NodeId) -> RefMut<'_, Disk> {
        RefMut::map(self.state.borrow_mut(), |state| &mut state.nodes[node.0].disk)
    }

    /// Changes what fits on a node's disk. Less than there is already: nothing more fits.
    pub fn set_capacity(&self, node: NodeId, bytes: u64) {
        self.disk(node).options.capacity_bytes = bytes;
    }

    /// Bytes of a node's capacity that are taken.
    pub fn used_bytes(&self, node: NodeId) -> u64 {
        self.disk(node).used_bytes()
    }

    /// Changes how often a node's disk fails by itself.
    pub fn set_disk_faults(&self, node: NodeId, faults: DiskFaults) {
        self.disk(node).options.faults = faults;
    }

    /// Lets the next `count` operations of a kind fail, as they reach their end.
    pub fn fail_next(&self, node: NodeId, fault: DiskFault, count: u32) {
        let mut disk = self.disk(node);
        let Ordered { reads, writes, syncs, full_syncs, full_names, misdirected } = &mut disk.ordered;
        match fault {
            DiskFault::Read => *reads += count,
            DiskFault::Write => *writes += count,
            DiskFault::Sync => *syncs += count,
            DiskFault::FullSync => *full_syncs += count,
            DiskFault::FullNames => *full_names += count,
            DiskFault::Misdirected => *misdirected += count,
        }
    }

    /// Lets a node's disk be slow for a time, as [`DiskOptions::spell_factor`] says.
    pub fn slow_disk(&self, node: NodeId, time: Duration) {
        let until = self.now() + time;
        self.disk(node).slow_until = until;
    }

    /// Damages a byte of a file on the device; a random one if no offset is given. `None`: there is no such file
    /// or byte.
    pub fn rot(&self, node: NodeId, path: &Path, offset: Option<u64>) -> Option<Rot> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let file = state.nodes[node.0].disk.visible_file(path)?;
        let size = file.durable().size();
        let offset = offset.unwrap_or_else(|| state.random.below(size));
        if offset >= size {
            return None;
        }
        let mask = 1u8 << state.random.below(8);
        file.rot(offset, mask);
        let path = path.to_string_lossy().into_owned();
        state.trace.note(state.now, format_args!("n{} rot {path} at {offset} by {mask:#04x}", node.0));
        Some(Rot { path, offset, mask })
    }

    /// Makes a directory that is on the device at once, for the beginning of a test; it may exist.
    pub fn make_directory(&self, node: NodeId, path: &Path) {
        let mut disk = self.disk(node);
        let mut at = std::path::PathBuf::from("/");
        for part in path.iter() {
            let parent = at.clone();
            at.push(part);
            // Existing is as good as made; anything else shows when the directory is used.
            let _ = disk.make_directory(&at);
            if let Ok((parent, upto)) = disk.sync_directory_begin(&parent) {
                disk.sync_directory(parent, upto);
            }
        }
    }

    /// Cuts two nodes off from each other. What they send waits until [`heal`](World::heal).
    pub fn cut(&self, a: NodeId, b: NodeId) {
        let mut state = self.state.borrow_mut();
        state.cut.insert((a.0.min(b.0), a.0.max(b.0)));
    }

    /// Ends a cut.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.state.borrow_mut().heal(a.0, b.0);
    }

    /// The connections whose both ends exist, in the order in which they were made.
    pub fn connections(&self) -> Vec<Connection> {
        let state = self.state.borrow();
        let connection = |(id, socket): (&u64, &Socket)| match socket {
            // The client's end is the older one.
            Socket::Stream(stream) if stream.peer.is_some_and(|peer| peer > *id) => {
                Some(Connection { number: *id, client: stream.local, server: stream.remote })
            }
            _ => None,
        };
        state.sockets.iter().filter_map(connection).collect()
    }

    /// Resets a connection in both directions.
    pub fn reset(&self, connection: Connection) {
        self.state.borrow_mut().reset_both(connection.number);
    }

    /// Lets a connection go silent: nothing passes any more, and neither end is told.
    pub fn silence(&self, connection: Connection) {
        let mut state = self.state.borrow_mut();
        let peer = state.stream(connection.number).and_then(|stream| stream.peer);
        for end in [Some(connection.number), peer].into_iter().flatten() {
            if let Some(stream) = state.stream(end) {
                stream.silent = true;
            }
        }
    }

    /// A look at a node's files, for checkers.
    pub fn files(&self, node: NodeId) -> Files<'_> {
        Files { world: self, node }
    }
}

/// A node's files as a checker sees them, without taking time and without leaving a trace.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    world: &'a World,
    node: NodeId,
}

impl Files<'_> {
    /// Paths (from the root, with a slash first) and sizes of all files, as programs see them now; sorted.
    pub fn list(&self) -> Vec<(String, u64)> {
        self.world.disk(self.node).all_files()
    }

    /// The contents of a file as programs see them now.
    pub fn visible(&self, path: &Path) -> Option<Vec<u8>> {
        let mut disk = self.world.disk(self.node);
        let content = disk.visible_file(path)?.current();
        Some(content.range(0, content.size() as usize))
    }

    /// What of a file is certain to be found after a crash; `None` if its name is not.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.world.disk(self.node);
        let content = disk.durable_file(path)?.durable();
        Some(content.range(0, content.size() as usize))
    }
}
