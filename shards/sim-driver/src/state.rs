//! The state of a world: nodes, cores, and what happens when.

use crate::disk::{Disk, Inode};
use crate::network::{Packet, Socket, SocketId};
use crate::options::WorldOptions;
use crate::trace::Trace;
use crate::work::Work;
use base::{Instant, Random};
use driver::{Completion, Errno, Handle, Outcome, Token, Wake};
use memory::{Block, Pool, Slice};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// When, and which of those at one time.
pub(crate) type When = (Instant, u64);

/// Something that will happen.
pub(crate) enum Event {
    /// An operation reaches its end.
    Finish { core: usize, token: Token },
    /// Something arrives at a socket.
    Packet { from: usize, to: usize, socket: SocketId, packet: Packet },
}

/// One machine.
pub(crate) struct Node {
    pub(crate) disk: Disk,
    /// It runs: a core has been started on it since it last stopped.
    pub(crate) up: bool,
    pub(crate) wall_offset_ms: i64,
    pub(crate) next_port: u16,
}

/// What a handle stands for.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    File { inode: Inode, writable: bool, direct: bool },
    Socket(SocketId),
}

/// An operation between its beginning and its end.
pub(crate) enum Stage {
    /// On the disk: the effect comes at the end.
    Disk(Work),
    /// The effect has come; only the answer is on its way.
    Answered(Outcome),
    /// Waits for something to arrive at a socket.
    Accept {
        socket: SocketId,
    },
    Connect {
        socket: SocketId,
    },
    Receive {
        socket: SocketId,
        into: Option<(Block, usize, usize)>,
    },
    Send {
        socket: SocketId,
        slices: Vec<Slice>,
        skip: usize,
    },
}

pub(crate) struct Op {
    pub(crate) stage: Stage,
    pub(crate) event: Option<When>,
    /// For the trace and for the report of a deadlock.
    pub(crate) what: String,
}

/// The simulated kernel's side of one driver.
pub(crate) struct Core {
    pub(crate) node: usize,
    pub(crate) alive: bool,
    pub(crate) pool: Pool,
    pub(crate) random: Random,
    pub(crate) done: Vec<Completion>,
    pub(crate) ops: BTreeMap<Token, Op>,
    pub(crate) handles: BTreeMap<i32, Held>,
    pub(crate) next_handle: i32,
    pub(crate) flag: Arc<Flag>,
}

/// Remembers that a core was woken.
#[derive(Default)]
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct State {
    pub(crate) options: WorldOptions,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    /// Decides in which order cores run; apart, so that it does not change with what the model draws.
    pub(crate) order: Random,
    pub(crate) queue: BTreeMap<When, Event>,
    pub(crate) last_event: u64,
    pub(crate) happened: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) cores: Vec<Core>,
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    pub(crate) last_socket: SocketId,
    /// Pairs of nodes, the smaller first, between which nothing passes.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// What waits for a cut to heal.
    pub(crate) held: Vec<(usize, usize, SocketId, Packet)>,
    pub(crate) trace: Trace,
}

impl State {
    pub(crate) fn new(seed: u64, options: WorldOptions) -> State {
        let mut random = Random::new(seed);
        State {
            now: Instant::ZERO,
            order: random.fork(),
            random,
            queue: BTreeMap::new(),
            last_event: 0,
            happened: 0,
            nodes: Vec::new(),
            cores: Vec::new(),
            sockets: BTreeMap::new(),
            last_socket: 0,
            cut: BTreeSet::new(),
            held: Vec::new(),
            trace: Trace::new(options.log_lines),
            options,
        }
    }

    /// Lets something happen after a time.
    pub(crate) fn after(&mut self, delay: Duration, event: Event) -> When {
        self.at(self.now + delay, event)
    }

    pub(crate) fn at(&mut self, at: Instant, event: Event) -> When {
        self.last_event += 1;
        let when = (at.max(self.now), self.last_event);
        self.queue.insert(when, event);
        when
    }

    /// When the next thing happens.
    pub(crate) fn next_event(&self) -> Instant {
        self.queue.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at)
    }

    /// Moves the clock on and lets everything happen that is due by then, in order.
    pub(crate) fn advance(&mut self, to: Instant) {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > to {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.happened += 1;
            match event {
                Event::Finish { core, token } => self.finish(core, token),
                Event::Packet { from, to, socket, packet } => self.arrive(from, to, socket, packet),
            }
        }
        self.now = self.now.max(to);
    }

    /// Takes note of a new operation; its end comes by an event, or when something arrives.
    pub(crate) fn begin(&mut self, core: usize, token: Token, what: String, stage: Stage) {
        let op = Op { stage, event: None, what };
        let before = self.cores[core].ops.insert(token, op);
        assert!(before.is_none(), "{token:?} names two operations under way");
    }

    /// Lets an operation end after a time.
    pub(crate) fn finish_after(&mut self, core: usize, token: Token, delay: Duration) {
        let when = self.after(delay, Event::Finish { core, token });
        if let Some(op) = self.cores[core].ops.get_mut(&token) {
            op.event = Some(when);
        }
    }

    /// Gives an operation its outcome, which is delivered a little later.
    pub(crate) fn answer(&mut self, core: usize, token: Token, outcome: Outcome) {
        let delay = Duration::from_nanos(self.random.between(500, 5_000));
        if let Some(op) = self.cores[core].ops.get_mut(&token) {
            op.stage = Stage::Answered(outcome);
            if let Some(event) = op.event.take() {
                self.queue.remove(&event);
            }
        }
        self.finish_after(core, token, delay);
    }

    /// The end of an operation: its effect, and its completion.
    fn finish(&mut self, core: usize, token: Token) {
        let Some(op) = self.cores[core].ops.remove(&token) else { return };
        let outcome = match op.stage {
            Stage::Answered(outcome) => outcome,
            Stage::Disk(work) => self.carry_out(core, work),
            Stage::Connect { socket } => {
                self.sockets.remove(&socket);
                Outcome::Opened(Err(crate::network::TIMEDOUT))
            }
            Stage::Accept { .. } | Stage::Receive { .. } | Stage::Send { .. } => {
                unreachable!("it waits for an arrival and not for a time")
            }
        };
        let node = self.cores[core].node;
        let mut line = String::new();
        brief(&mut line, &outcome);
        self.trace.note(self.now, format_args!("n{node} c{core} {} -> {line}", op.what));
        self.cores[core].done.push(Completion { token, outcome });
    }

    /// Asks an operation to end early.
    pub(crate) fn cancel(&mut self, core: usize, token: Token) {
        let Some(op) = self.cores[core].ops.get_mut(&token) else { return };
        self.trace.note(self.now, format_args!("c{core} cancel {}", op.what));
        match &mut op.stage {
            Stage::Answered(_) => {}
            Stage::Disk(_) => {
                // A device may still find it in its queue, or not.
                if self.random.one_in(2) {
                    self.cancel_work(core, token);
                }
            }
            Stage::Accept { socket } => {
                let socket = *socket;
                self.forget_waiter(socket, token);
                self.answer(core, token, Outcome::Accepted(Err(Errno::CANCELED)));
                self.close_if_done(socket);
            }
            Stage::Connect { socket } => {
                let socket = *socket;
                self.sockets.remove(&socket);
                self.answer(core, token, Outcome::Opened(Err(Errno::CANCELED)));
            }
            Stage::Receive { socket, into } => {
                let (socket, block) = (*socket, into.take().map(|(block, _, _)| block));
                self.forget_waiter(socket, token);
                self.answer(core, token, Outcome::Received(Err(Errno::CANCELED), block));
                self.close_if_done(socket);
            }
            Stage::Send { socket, slices, .. } => {
                let (socket, slices) = (*socket, std::mem::take(slices));
                self.forget_waiter(socket, token);
                self.answer(core, token, Outcome::Sent(Err(Errno::CANCELED), slices));
                self.close_if_done(socket);
            }
        }
    }

    /// A number for something new that a core has opened. Numbers are never used again, so that who uses a
    /// handle after closing it gets `EBADF` and not another's file.
    pub(crate) fn new_handle(&mut self, core: usize, held: Held) -> Handle {
        let core = &mut self.cores[core];
        core.next_handle += 1;
        core.handles.insert(core.next_handle, held);
        Handle(core.next_handle)
    }

    /// What the operations under way wait for, for the report of a deadlock.
    pub(crate) fn pending(&self) -> Vec<String> {
        let living = self.cores.iter().enumerate().filter(|(_, core)| core.alive);
        living
            .flat_map(|(number, core)| {
                core.ops.values().map(move |op| format!("node {} core {number}: {}", core.node, op.what))
            })
            .collect()
    }
}

/// An outcome without its buffers.
fn brief(line: &mut String, outcome: &Outcome) {
    // Writing to a string cannot fail.
    let _ = match outcome {
        Outcome::Done(result) | Outcome::Written(result, _) => write!(line, "{:?}", result.map_err(|e| e.0)),
        Outcome::Accepted(Ok((handle, peer))) => write!(line, "h{} {peer}", handle.0),
        Outcome::Accepted(Err(errno)) => write!(line, "E{}", errno.0),
        Outcome::Opened(result) => write!(line, "{:?}", result.map(|h| h.0).map_err(|e| e.0)),
        Outcome::Received(result, _) | Outcome::Sent(result, _) => {
            write!(line, "{:?}", result.map_err(|e| e.0))
        }
        Outcome::Read(result, block) => {
            let bytes = result.map_or(&[][..], |count| &block[..count]);
            write!(line, "{:?} #{:08x}", result.map_err(|e| e.0), crate::trace::digest([bytes]))
        }
        Outcome::Listed(Ok(entries)) => write!(line, "{} names", entries.len()),
        Outcome::Listed(Err(errno)) => write!(line, "E{}", errno.0),
        Outcome::Stat(Ok(found)) => write!(line, "{} bytes", found.bytes),
        Outcome::Stat(Err(errno)) => write!(line, "E{}", errno.0),
        Outcome::Found(result) => write!(line, "{:?}", result.map_err(|e| e.0)),
    };
}
