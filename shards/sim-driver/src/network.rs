//! Sockets: listeners, and streams with latency, windows and ends.
//!
//! What one socket sends reaches its peer in order, each piece after a time of its own. A sender knows only what
//! it was told: how much was taken by the receiver (the window), that the stream ended, that it was reset.
//! A peer that is gone without a word is not noticed until something is sent to it, and while its
//! machine is down not even then.

use crate::state::{Event, Held, Stage, State};
use base::Instant;
use driver::{Errno, Handle, Outcome, Token};
use memory::{Block, Slice};
use std::collections::VecDeque;
use std::net::SocketAddr;

pub(crate) type SocketId = u64;

/// Connection timed out.
pub(crate) const TIMEDOUT: Errno = Errno(110);
/// Not a socket.
const NOTSOCK: Errno = Errno(88);
/// Not connected.
const NOTCONN: Errno = Errno(107);

/// What travels between sockets.
pub(crate) enum Packet {
    /// A connection is asked for, from the sender's socket.
    Ask {
        from: SocketId,
        peer: SocketAddr,
        to: SocketAddr,
    },
    /// The connection is there: the socket at its other end.
    Welcome {
        from: SocketId,
    },
    Refuse,
    Data(Vec<u8>),
    /// The receiver took so many bytes.
    Taken(usize),
    /// Nothing will follow.
    End,
    Reset,
}

pub(crate) struct Listener {
    pub(crate) node: usize,
    pub(crate) core: usize,
    pub(crate) address: SocketAddr,
    pub(crate) share: bool,
    pub(crate) open: bool,
    /// Ended by `Shutdown`: takes no connections, but its handle is still there.
    pub(crate) ended: bool,
    backlog: VecDeque<SocketId>,
    accepts: VecDeque<Token>,
}

pub(crate) struct Stream {
    pub(crate) node: usize,
    /// `None` until it is accepted.
    pub(crate) core: Option<usize>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The other end: its node, and its socket once that is known.
    pub(crate) peer_node: usize,
    pub(crate) peer: Option<SocketId>,
    /// The operation that connects.
    connecting: Option<Token>,
    /// A handle to it exists, or will.
    open: bool,
    received: VecDeque<u8>,
    /// The peer sends no more.
    ended: bool,
    reset: bool,
    /// `Shutdown` was called.
    shut: bool,
    /// Nothing passes any more, in either direction, and nobody is told.
    pub(crate) silent: bool,
    /// Bytes that were sent and not taken.
    unacked: usize,
    /// When the last piece sent reaches the peer: the next one comes later.
    last_arrival: Instant,
    receives: VecDeque<Token>,
    sends: Vec<Token>,
}

pub(crate) enum Socket {
    Listener(Listener),
    Stream(Box<Stream>),
}

impl State {
    fn new_socket(&mut self, socket: Socket) -> SocketId {
        self.last_socket += 1;
        self.sockets.insert(self.last_socket, socket);
        self.last_socket
    }

    pub(crate) fn stream(&mut self, socket: SocketId) -> Option<&mut Stream> {
        match self.sockets.get_mut(&socket) {
            Some(Socket::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    fn socket_of(&self, core: usize, handle: Handle) -> Result<SocketId, Errno> {
        match self.cores[core].handles.get(&handle.0) {
            Some(Held::Socket(socket)) => Ok(*socket),
            Some(Held::File { .. }) => Err(NOTSOCK),
            None => Err(Errno::BADF),
        }
    }

    /// A new listening socket, or why there is none.
    pub(crate) fn listen(
        &mut self,
        core: usize,
        address: SocketAddr,
        share: bool,
    ) -> Result<(Handle, SocketAddr), Errno> {
        let node = self.cores[core].node;
        let mut address = address;
        if address.port() == 0 {
            address.set_port(self.free_port(node));
        }
        let taken = self.sockets.values().any(|socket| match socket {
            Socket::Listener(other) => {
                other.node == node
                    && other.address.port() == address.port()
                    && (other.address.ip() == address.ip()
                        || other.address.ip().is_unspecified()
                        || address.ip().is_unspecified())
                    && !(share && other.share)
            }
            Socket::Stream(_) => false,
        });
        if taken {
            return Err(Errno(98)); // EADDRINUSE
        }
        let listener = Listener {
            node,
            core,
            address,
            share,
            open: true,
            ended: false,
            backlog: VecDeque::new(),
            accepts: VecDeque::new(),
        };
        let socket = self.new_socket(Socket::Listener(listener));
        let handle = self.new_handle(core, Held::Socket(socket));
        self.trace
            .note(self.now, format_args!("n{node} c{core} listen {address} share={share} -> h{}", handle.0));
        Ok((handle, address))
    }

    fn free_port(&mut self, node: usize) -> u16 {
        let next = &mut self.nodes[node].next_port;
        *next = next.checked_add(1).unwrap_or(32_768);
        *next
    }

    /// The node an address leads to, seen from another.
    fn node_at(&self, from: usize, address: SocketAddr) -> Option<usize> {
        let ip = address.ip();
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.nodes.len()).find(|node| crate::world::node_ip(*node) == ip)
    }

    pub(crate) fn accept(&mut self, core: usize, token: Token, what: String, listener: Handle) {
        let result = self.socket_of(core, listener);
        let socket = match result {
            Ok(socket) => socket,
            Err(errno) => return self.answer_new(core, token, what, Outcome::Accepted(Err(errno))),
        };
        match self.sockets.get_mut(&socket) {
            Some(Socket::Listener(found)) if !found.ended => {
                found.accepts.push_back(token);
                self.begin(core, token, what, Stage::Accept { socket });
                self.hand_out(socket);
            }
            _ => self.answer_new(core, token, what, Outcome::Accepted(Err(Errno::INVAL))),
        }
    }

    /// An operation that is answered as it begins.
    fn answer_new(&mut self, core: usize, token: Token, what: String, outcome: Outcome) {
        self.begin(core, token, what, Stage::Answered(Outcome::Done(Ok(()))));
        self.answer(core, token, outcome);
    }

    /// Gives waiting connections to waiting accepts.
    fn hand_out(&mut self, listener: SocketId) {
        while let Some(Socket::Listener(found)) = self.sockets.get_mut(&listener) {
            if found.backlog.is_empty() || found.accepts.is_empty() {
                return;
            }
            let core = found.core;
            let (Some(socket), Some(token)) = (found.backlog.pop_front(), found.accepts.pop_front()) else {
                return;
            };
            let Some(stream) = self.stream(socket) else { continue };
            stream.core = Some(core);
            let remote = stream.remote;
            let handle = self.new_handle(core, Held::Socket(socket));
            self.answer(core, token, Outcome::Accepted(Ok((handle, remote))));
            self.close_if_done(listener);
        }
    }

    pub(crate) fn connect(&mut self, core: usize, token: Token, what: String, address: SocketAddr) {
        let node = self.cores[core].node;
        let peer_node = self.node_at(node, address);
        let ip = if address.ip().is_loopback() { address.ip() } else { crate::world::node_ip(node) };
        let local = SocketAddr::new(ip, self.free_port(node));
        let stream = Stream::new(node, Some(core), local, address, peer_node.unwrap_or(node), Some(token));
        let socket = self.new_socket(Socket::Stream(Box::new(stream)));
        self.begin(core, token, what, Stage::Connect { socket });
        self.finish_after(core, token, self.options.network.connect_timeout);
        // An address where there is no machine: nobody answers.
        if let Some(peer) = peer_node {
            let ask = Packet::Ask { from: socket, peer: local, to: address };
            let delay = self.options.network.latency.draw(&mut self.random);
            self.after(delay, Event::Packet { from: node, to: peer, socket: 0, packet: ask });
        }
    }

    pub(crate) fn receive(
        &mut self,
        core: usize,
        token: Token,
        what: String,
        handle: Handle,
        into: Option<(Block, usize, usize)>,
    ) {
        let result = match &into {
            Some((block, start, end)) if start >= end || *end > block.len() => Err(Errno::INVAL),
            _ => self.socket_of(core, handle),
        };
        let result = result.and_then(|socket| match self.stream(socket) {
            Some(stream) => {
                stream.receives.push_back(token);
                Ok(socket)
            }
            None => Err(NOTCONN),
        });
        match result {
            Ok(socket) => {
                self.begin(core, token, what, Stage::Receive { socket, into });
                self.deliver(socket);
            }
            Err(errno) => {
                let block = into.map(|(block, _, _)| block);
                self.answer_new(core, token, what, Outcome::Received(Err(errno), block));
            }
        }
    }

    /// Answers the receives that wait at a socket, as far as there is something to say.
    fn deliver(&mut self, socket: SocketId) {
        while let Some(stream) = self.stream(socket) {
            let nothing = stream.received.is_empty() && !stream.reset && !stream.ended && !stream.shut;
            let (Some(core), false) = (stream.core, nothing) else { return };
            let Some(token) = stream.receives.pop_front() else { return };
            let Some(op) = self.cores[core].ops.get_mut(&token) else { continue };
            let Stage::Receive { into, .. } = &mut op.stage else { continue };
            let into = into.take();
            let (result, block) = self.take_received(core, socket, into);
            self.answer(core, token, Outcome::Received(result, block));
            self.close_if_done(socket);
        }
    }

    /// What one receive gets of what has arrived.
    fn take_received(
        &mut self,
        core: usize,
        socket: SocketId,
        into: Option<(Block, usize, usize)>,
    ) -> (Result<usize, Errno>, Option<Block>) {
        let available = self.stream(socket).map_or(0, |stream| stream.received.len());
        if available == 0 {
            let reset = self.stream(socket).is_some_and(|stream| stream.reset && !stream.shut);
            let result = if reset { Err(Errno::CONNRESET) } else { Ok(0) };
            return (result, into.map(|(block, _, _)| block));
        }
        let lent = match into {
            Some(given) => Some(given),
            None => {
                let bytes = self.options.network.receive_block_bytes;
                self.cores[core].pool.take(bytes).map(|block| (block, 0, bytes))
            }
        };
        let Some((mut block, start, end)) = lent else { return (Err(Errno::NOBUFS), None) };
        let mut count = available.min(end - start);
        if self.random.one_in(self.options.network.partial_one_in) {
            count = self.random.between(1, count as u64) as usize;
        }
        if let Some(stream) = self.stream(socket) {
            for (place, byte) in block[start..start + count].iter_mut().zip(stream.received.drain(..count)) {
                *place = byte;
            }
        }
        self.send_packet(socket, Packet::Taken(count));
        (Ok(count), Some(block))
    }

    pub(crate) fn send(
        &mut self,
        core: usize,
        token: Token,
        what: String,
        handle: Handle,
        slices: Vec<Slice>,
        skip: usize,
    ) {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let result = match self.socket_of(core, handle) {
            Ok(_) if skip > total => Err(Errno::INVAL),
            Ok(socket) => match self.stream(socket) {
                Some(stream) => {
                    stream.sends.push(token);
                    Ok(socket)
                }
                None => Err(NOTCONN),
            },
            Err(errno) => Err(errno),
        };
        match result {
            Ok(socket) => {
                self.begin(core, token, what, Stage::Send { socket, slices, skip });
                self.pump(socket);
            }
            Err(errno) => self.answer_new(core, token, what, Outcome::Sent(Err(errno), slices)),
        }
    }

    /// Carries out the sends that wait at a socket, as far as the window allows; which first is left to chance.
    fn pump(&mut self, socket: SocketId) {
        loop {
            let window = self.options.network.window_bytes;
            let Some(stream) = self.stream(socket) else { return };
            let (space, broken, shut) = (window.saturating_sub(stream.unacked), stream.reset, stream.shut);
            let (Some(core), waiting) = (stream.core, stream.sends.len()) else { return };
            if waiting == 0 || (space == 0 && !broken && !shut) {
                return;
            }
            let chosen = self.random.below(waiting as u64) as usize;
            let Some(token) = self.stream(socket).map(|stream| stream.sends.remove(chosen)) else { return };
            let Some(op) = self.cores[core].ops.get_mut(&token) else { continue };
            let Stage::Send { slices, skip, .. } = &mut op.stage else { continue };
            let (slices, skip) = (std::mem::take(slices), *skip);
            let result = match (shut, broken) {
                (true, _) => Err(Errno::PIPE),
                (false, true) => Err(Errno::CONNRESET),
                (false, false) => Ok(self.put_on_the_way(socket, &slices, skip, space)),
            };
            self.answer(core, token, Outcome::Sent(result, slices));
            self.close_if_done(socket);
        }
    }

    /// Sends up to `space` bytes; returns how many.
    fn put_on_the_way(&mut self, socket: SocketId, slices: &[Slice], skip: usize, space: usize) -> usize {
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>() - skip;
        let mut count = total.min(space);
        if count > 0 && self.random.one_in(self.options.network.partial_one_in) {
            count = self.random.between(1, count as u64) as usize;
        }
        if count == 0 {
            return 0;
        }
        let mut bytes = Vec::with_capacity(count);
        let mut skip = skip;
        for slice in slices {
            let from = skip.min(slice.len());
            skip -= from;
            let part = &slice[from..];
            bytes.extend_from_slice(&part[..part.len().min(count - bytes.len())]);
        }
        if let Some(stream) = self.stream(socket) {
            stream.unacked += count;
        }
        if self.random.one_in(self.options.network.reset_one_in) {
            self.reset_both(socket);
        } else {
            self.send_packet(socket, Packet::Data(bytes));
        }
        count
    }

    /// Sends something to the other end of a stream, after all that was sent before.
    fn send_packet(&mut self, socket: SocketId, packet: Packet) {
        let delay = self.options.network.latency.draw(&mut self.random);
        let now = self.now;
        let Some(stream) = self.stream(socket) else { return };
        let (Some(peer), false) = (stream.peer, stream.silent) else { return };
        let at = (now + delay).max(stream.last_arrival);
        stream.last_arrival = at;
        let event = Event::Packet { from: stream.node, to: stream.peer_node, socket: peer, packet };
        self.at(at, event);
    }

    /// Something reaches a node.
    pub(crate) fn arrive(&mut self, from: usize, to: usize, socket: SocketId, packet: Packet) {
        if from != to && self.cut.contains(&(from.min(to), from.max(to))) {
            self.held.push((from, to, socket, packet));
            return;
        }
        if !self.nodes[to].up || self.stream(socket).is_some_and(|stream| stream.silent) {
            return;
        }
        match packet {
            Packet::Ask { from: asking, peer, to: address } => self.asked(from, to, asking, peer, address),
            Packet::Welcome { from: peer } => self.welcomed(to, socket, from, peer),
            Packet::Refuse => self.refused(socket),
            other => self.stream_packet(from, to, socket, other),
        }
    }

    /// A connection is asked for: one of those who listen gets it.
    fn asked(&mut self, from: usize, to: usize, asking: SocketId, peer: SocketAddr, address: SocketAddr) {
        let matches = |socket: &Socket| match socket {
            Socket::Listener(listener) => {
                listener.node == to
                    && !listener.ended
                    && listener.address.port() == address.port()
                    && (listener.address.ip() == address.ip() || listener.address.ip().is_unspecified())
            }
            Socket::Stream(_) => false,
        };
        let listeners: Vec<SocketId> =
            self.sockets.iter().filter(|(_, socket)| matches(socket)).map(|(id, _)| *id).collect();
        let delay = self.options.network.latency.draw(&mut self.random);
        let Some(chosen) = listeners.get(self.random.below(listeners.len() as u64) as usize) else {
            self.after(delay, Event::Packet { from: to, to: from, socket: asking, packet: Packet::Refuse });
            return;
        };
        let mut stream = Stream::new(to, None, address, peer, from, None);
        stream.peer = Some(asking);
        let socket = self.new_socket(Socket::Stream(Box::new(stream)));
        self.trace
            .note(self.now, format_args!("n{to} s{socket} from {peer} to {address} at listener {chosen}"));
        self.send_packet(socket, Packet::Welcome { from: socket });
        if let Some(Socket::Listener(listener)) = self.sockets.get_mut(chosen) {
            listener.backlog.push_back(socket);
        }
        self.hand_out(*chosen);
    }

    fn welcomed(&mut self, node: usize, socket: SocketId, peer_node: usize, peer: SocketId) {
        let Some(stream) = self.stream(socket) else {
            // Whoever asked has gone away meanwhile.
            let packet = Packet::Reset;
            let delay = self.options.network.latency.draw(&mut self.random);
            self.after(delay, Event::Packet { from: node, to: peer_node, socket: peer, packet });
            return;
        };
        stream.peer = Some(peer);
        let (Some(core), Some(token)) = (stream.core, stream.connecting.take()) else { return };
        let handle = self.new_handle(core, Held::Socket(socket));
        self.answer(core, token, Outcome::Opened(Ok(handle)));
    }

    fn refused(&mut self, socket: SocketId) {
        if let Some(Socket::Stream(stream)) = self.sockets.remove(&socket)
            && let (Some(core), Some(token)) = (stream.core, stream.connecting)
        {
            self.answer(core, token, Outcome::Opened(Err(Errno::CONNREFUSED)));
        }
    }

    fn stream_packet(&mut self, from: usize, to: usize, socket: SocketId, packet: Packet) {
        let Some(stream) = self.stream(socket) else {
            // A machine that knows nothing of a connection says so to who sends on it.
            if let Packet::Data(_) = packet {
                self.reset_peer_of(from, to, socket);
            }
            return;
        };
        match packet {
            Packet::Data(_) if stream.shut => {
                stream.reset = true;
                self.send_packet(socket, Packet::Reset);
                return;
            }
            Packet::Data(bytes) => stream.received.extend(bytes),
            Packet::Taken(count) => stream.unacked -= count,
            Packet::End => stream.ended = true,
            Packet::Reset => stream.reset = true,
            Packet::Ask { .. } | Packet::Welcome { .. } | Packet::Refuse => unreachable!("arrived elsewhere"),
        }
        self.deliver(socket);
        self.pump(socket);
    }

    /// Tells the other end of a socket that is gone.
    fn reset_peer_of(&mut self, from: usize, to: usize, gone: SocketId) {
        let sender = self.sockets.iter().find_map(|(id, socket)| match socket {
            Socket::Stream(stream) if stream.peer == Some(gone) => Some(*id),
            _ => None,
        });
        if let Some(sender) = sender {
            let delay = self.options.network.latency.draw(&mut self.random);
            self.after(delay, Event::Packet { from: to, to: from, socket: sender, packet: Packet::Reset });
        }
    }

    /// Resets a connection in both directions.
    pub(crate) fn reset_both(&mut self, socket: SocketId) {
        self.trace.note(self.now, format_args!("s{socket} reset"));
        self.send_packet(socket, Packet::Reset);
        let Some(stream) = self.stream(socket) else { return };
        stream.reset = true;
        self.deliver(socket);
        self.pump(socket);
    }

    pub(crate) fn shutdown(&mut self, core: usize, token: Token, what: String, handle: Handle) {
        let result = self.socket_of(core, handle).and_then(|socket| self.shut(socket));
        self.answer_new(core, token, what, Outcome::Done(result));
    }

    fn shut(&mut self, socket: SocketId) -> Result<(), Errno> {
        match self.sockets.get_mut(&socket) {
            Some(Socket::Listener(listener)) => {
                listener.ended = true;
                let core = listener.core;
                for token in std::mem::take(&mut listener.accepts) {
                    self.answer(core, token, Outcome::Accepted(Err(Errno::INVAL)));
                }
                Ok(())
            }
            Some(Socket::Stream(stream)) => {
                if stream.reset {
                    return Err(NOTCONN);
                }
                if !std::mem::replace(&mut stream.shut, true) {
                    self.send_packet(socket, Packet::End);
                }
                self.deliver(socket);
                self.pump(socket);
                Ok(())
            }
            None => Err(Errno::BADF),
        }
    }

    /// Closes a socket's handle. What is under way on it keeps it open until it ends.
    pub(crate) fn close_socket(&mut self, core: usize, token: Token, what: String, handle: Handle) {
        let result = self.socket_of(core, handle);
        if let Ok(socket) = result {
            self.cores[core].handles.remove(&handle.0);
            self.let_go(socket);
        }
        self.answer_new(core, token, what, Outcome::Done(result.map(drop)));
    }

    /// The handle of a socket is gone.
    pub(crate) fn let_go(&mut self, socket: SocketId) {
        match self.sockets.get_mut(&socket) {
            Some(Socket::Listener(listener)) => listener.open = false,
            Some(Socket::Stream(stream)) => stream.open = false,
            None => {}
        }
        self.close_if_done(socket);
    }

    /// Ends a socket that has no handle and no operation any more.
    pub(crate) fn close_if_done(&mut self, socket: SocketId) {
        match self.sockets.get_mut(&socket) {
            Some(Socket::Listener(listener)) if !listener.open && listener.accepts.is_empty() => {
                let backlog = std::mem::take(&mut listener.backlog);
                self.sockets.remove(&socket);
                for waiting in backlog {
                    self.reset_both(waiting);
                    self.sockets.remove(&waiting);
                }
            }
            Some(Socket::Stream(stream))
                if !stream.open && stream.receives.is_empty() && stream.sends.is_empty() =>
            {
                // Who closes without having read everything breaks the connection.
                let (unread, shut) = (!stream.received.is_empty(), stream.shut);
                match (unread, shut) {
                    (true, _) => self.send_packet(socket, Packet::Reset),
                    (false, false) => self.send_packet(socket, Packet::End),
                    (false, true) => {}
                }
                self.sockets.remove(&socket);
            }
            _ => {}
        }
    }

    /// An operation does not wait at a socket any more.
    pub(crate) fn forget_waiter(&mut self, socket: SocketId, token: Token) {
        match self.sockets.get_mut(&socket) {
            Some(Socket::Listener(listener)) => listener.accepts.retain(|waiting| *waiting != token),
            Some(Socket::Stream(stream)) => {
                stream.receives.retain(|waiting| *waiting != token);
                stream.sends.retain(|waiting| *waiting != token);
            }
            None => {}
        }
    }
}

impl Stream {
    fn new(
        node: usize,
        core: Option<usize>,
        local: SocketAddr,
        remote: SocketAddr,
        peer_node: usize,
        connecting: Option<Token>,
    ) -> Stream {
        Stream {
            node,
            core,
            local,
            remote,
            peer_node,
            peer: None,
            connecting,
            open: true,
            received: VecDeque::new(),
            ended: false,
            reset: false,
            shut: false,
            silent: false,
            unacked: 0,
            last_arrival: Instant::ZERO,
            receives: VecDeque::new(),
            sends: Vec::new(),
        }
    }
}
