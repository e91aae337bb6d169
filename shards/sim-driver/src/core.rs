//! The driver that stands on a world.

use crate::network::Socket;
use crate::state::{Core, Event, Flag, Held, Stage, State};
use crate::trace::digest;
use base::Instant;
use driver::{Capabilities, Completion, Driver, Handle, Operation, Token, Wait, Wake};
use memory::Pool;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One core's driver in a world. After its node has stopped it does nothing any more and answers nothing.
pub(crate) struct SimDriver {
    state: Rc<RefCell<State>>,
    core: usize,
    capabilities: Capabilities,
}

impl SimDriver {
    pub(crate) fn new(state: Rc<RefCell<State>>, node: usize, pool: Pool) -> SimDriver {
        let mut world = state.borrow_mut();
        let core = Core {
            node,
            alive: true,
            pool,
            random: world.random.fork(),
            done: Vec::new(),
            ops: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_handle: 2,
            flag: Arc::new(Flag::default()),
        };
        world.cores.push(core);
        world.nodes[node].up = true;
        let number = world.cores.len() - 1;
        let now = world.now;
        world.trace.note(now, format_args!("n{node} c{number} starts"));
        let capabilities = Capabilities {
            driver: "sim",
            direct_alignment: world.nodes[node].disk.options.direct_alignment,
            features: Vec::new(),
        };
        drop(world);
        SimDriver { state, core: number, capabilities }
    }
}

impl Driver for SimDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        let mut state = self.state.borrow_mut();
        if state.cores[self.core].alive {
            state.submit(self.core, token, operation);
        }
    }

    fn cancel(&mut self, token: Token) {
        self.state.borrow_mut().cancel(self.core, token);
    }

    /// Never waits in earnest. [`World::run`](crate::World::run) moves the clock itself and asks only without
    /// waiting; a core that runs alone, by `Executor::run`, moves it here. Then nobody else runs.
    ///
    /// # Panics
    /// If it is to wait for ever and nothing will ever happen: a deadlock.
    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        let mut state = self.state.borrow_mut();
        let core = &mut state.cores[self.core];
        let woken = core.flag.0.swap(false, Ordering::SeqCst);
        if let (Wait::Until(until), false) = (wait, woken || !core.done.is_empty()) {
            let next = state.next_event().min(until);
            assert_ne!(next, Instant::NEVER, "deadlock: nothing will ever end {:#?}", state.pending());
            state.advance(next);
        }
        completions.append(&mut state.cores[self.core].done);
    }

    fn now(&self) -> Instant {
        self.state.borrow().now
    }

    fn wall_clock_ms(&self) -> i64 {
        let state = self.state.borrow();
        state.wall_clock_ms(state.cores[self.core].node)
    }

    fn random(&mut self) -> u64 {
        self.state.borrow_mut().cores[self.core].random.next_u64()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.state.borrow().cores[self.core].flag.clone()
    }

    fn listen(&mut self, address: SocketAddr, share_port: bool) -> io::Result<(Handle, SocketAddr)> {
        let listening = self.state.borrow_mut().listen(self.core, address, share_port);
        listening.map_err(|errno| io::Error::from_raw_os_error(errno.0))
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

impl Drop for SimDriver {
    /// The end of the process, as far as this core is concerned: sockets are closed, files keep what was written.
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.end_core(self.core);
        }
    }
}

impl State {
    pub(crate) fn wall_clock_ms(&self, node: usize) -> i64 {
        let elapsed = (self.now.as_nanos() / 1_000_000) as i64;
        self.options.wall_clock_ms + elapsed + self.nodes[node].wall_offset_ms
    }

    fn submit(&mut self, core: usize, token: Token, operation: Operation) {
        let what = describe(&operation);
        self.trace.note(self.now, format_args!("c{core} {what}"));
        match operation {
            Operation::Accept { listener } => self.accept(core, token, what, listener),
            Operation::Connect { address } => self.connect(core, token, what, address),
            Operation::Receive { socket } => self.receive(core, token, what, socket, None),
            Operation::ReceiveInto { socket, block, start, end } => {
                self.receive(core, token, what, socket, Some((block, start, end)));
            }
            Operation::Send { socket, slices, skip } => self.send(core, token, what, socket, slices, skip),
            Operation::Shutdown { socket } => self.shutdown(core, token, what, socket),
            Operation::Close { handle }
                if matches!(self.cores[core].handles.get(&handle.0), Some(Held::Socket(_))) =>
            {
                self.close_socket(core, token, what, handle);
            }
            other => self.begin_work(core, token, what, other),
        }
    }

    /// A core's process ends: operations are cut short, sockets closed, and nothing is answered any more.
    pub(crate) fn end_core(&mut self, core: usize) {
        if !std::mem::replace(&mut self.cores[core].alive, false) {
            return;
        }
        let node = self.cores[core].node;
        self.trace.note(self.now, format_args!("n{node} c{core} ends"));
        self.stop_operations(core, true);
        for held in std::mem::take(&mut self.cores[core].handles).into_values() {
            match held {
                Held::File { inode, .. } => self.nodes[node].disk.close(inode),
                Held::Socket(socket) => self.let_go(socket),
            }
        }
        self.nodes[node].up = self.cores.iter().any(|core| core.node == node && core.alive);
    }

    fn stop_operations(&mut self, core: usize, power: bool) {
        self.cores[core].done.clear();
        for (token, op) in std::mem::take(&mut self.cores[core].ops) {
            if let Some(event) = op.event {
                self.queue.remove(&event);
            }
            match op.stage {
                Stage::Answered(_) => {}
                Stage::Disk(work) => self.interrupt(core, work, power),
                Stage::Connect { socket } => drop(self.sockets.remove(&socket)),
                Stage::Accept { socket } | Stage::Receive { socket, .. } | Stage::Send { socket, .. } => {
                    self.forget_waiter(socket, token);
                    self.close_if_done(socket);
                }
            }
        }
    }

    /// The machine loses power.
    pub(crate) fn crash(&mut self, node: usize) -> crate::Fates {
        for core in 0..self.cores.len() {
            if self.cores[core].node == node && self.cores[core].alive {
                self.cores[core].alive = false;
                self.stop_operations(core, false);
                self.cores[core].handles.clear();
            }
        }
        // Nobody hears of it: no packet leaves a machine without power. What is on its way arrives.
        self.sockets.retain(|_, socket| match socket {
            Socket::Listener(listener) => listener.node != node,
            Socket::Stream(stream) => stream.node != node,
        });
        self.nodes[node].up = false;
        self.nodes[node].disk.slow_until = Instant::ZERO;
        let fates = self.nodes[node].disk.crash(&mut self.random);
        self.trace.note(self.now, format_args!("n{node} crashes: {fates:?}"));
        fates
    }

    /// Lets what a cut held back pass.
    pub(crate) fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
        for (from, to, socket, packet) in std::mem::take(&mut self.held) {
            // What was sent first arrives first; what still is cut is held again.
            self.at(self.now, Event::Packet { from, to, socket, packet });
        }
    }
}

/// An operation without its buffers' contents.
fn describe(operation: &Operation) -> String {
    match operation {
        Operation::ReceiveInto { socket, start, end, .. } => {
            format!("receive h{} into {start}..{end}", socket.0)
        }
        Operation::Send { socket, slices, skip } => {
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            let digest = digest(slices.iter().map(|slice| &slice[..]));
            format!("send h{} {total} bytes but {skip} #{digest:08x}", socket.0)
        }
        Operation::Read { file, offset, length, .. } => format!("read h{} {offset}+{length}", file.0),
        Operation::Write { file, offset, data, durable } => {
            let kind = if *durable { "write durably" } else { "write" };
            format!("{kind} h{} {offset}+{} #{:08x}", file.0, data.len(), digest([&data[..]]))
        }
        other => format!("{other:?}"),
    }
}
