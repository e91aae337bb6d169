//! A non-blocking connection: frames go out without a copy of their shared part, and come in
//! into one buffer from which they are parsed in place.

use crate::error::Error;
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    rc::Rc,
    time::Duration,
};

/// A response longer than this is taken for a broken stream.
const MAX_FRAME: usize = 256 << 20;
/// Frames that go into one call of the kernel.
const FRAMES_A_CALL: usize = 32;
/// Heads kept for reuse.
const SPARE: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection, waiting for it, with Nagle's algorithm off.
pub fn connect(address: &str) -> Result<TcpStream, Error> {
    let what = || format!("connecting to {address}");
    let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(Error::io(what()))?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in resolved {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::io(what()))?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(Error::Io(what(), last))
}

/// What waits to be sent: a head of its own and a part shared with other frames.
#[derive(Debug)]
struct Frame {
    head: Vec<u8>,
    tail: Option<Rc<[u8]>>,
}

impl Frame {
    fn len(&self) -> usize {
        self.head.len() + self.tail.as_ref().map_or(0, |t| t.len())
    }
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Bytes came; frames may be complete.
    Bytes,
    /// Nothing was there.
    Nothing,
    /// The peer closed the connection.
    Closed,
}

/// See the module's text.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    out: VecDeque<Frame>,
    /// Bytes of the first waiting frame that are sent already.
    sent: usize,
    spare: Vec<Vec<u8>>,
    input: Vec<u8>,
    /// `input[taken..filled]` has come and is not parsed.
    taken: usize,
    filled: usize,
}

impl Connection {
    /// Takes over a connected stream. `buffer` is the size of the receive buffer to begin with;
    /// it grows to hold the longest response.
    pub fn new(stream: TcpStream, buffer: usize) -> Result<Connection, Error> {
        stream.set_nonblocking(true).map_err(Error::io("making a socket non-blocking"))?;
        Ok(Connection {
            stream,
            out: VecDeque::new(),
            sent: 0,
            spare: Vec::new(),
            input: vec![0; buffer],
            taken: 0,
            filled: 0,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Frames that are not wholly handed to the kernel.
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// An empty vector for a head, used before if there is one.
    pub fn spare_head(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Queues a frame; [`flush`](Self::flush) sends it.
    pub fn push(&mut self, head: Vec<u8>, tail: Option<Rc<[u8]>>) {
        self.out.push_back(Frame { head, tail });
    }

    /// Hands the kernel what it takes. `Ok(true)` when nothing waits any more.
    pub fn flush(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2 * FRAMES_A_CALL];
            let mut used = 0;
            let mut skip = self.sent;
            for frame in self.out.iter().take(FRAMES_A_CALL) {
                for part in [&frame.head[..], frame.tail.as_deref().unwrap_or(&[])] {
                    if skip >= part.len() {
                        skip -= part.len();
                    } else {
                        slices[used] = IoSlice::new(&part[skip..]);
                        used += 1;
                        skip = 0;
                    }
                }
            }
            match (&self.stream).write_vectored(&slices[..used]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, n: usize) {
        self.sent += n;
        while let Some(first) = self.out.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            if let Some(frame) = self.out.pop_front()
                && self.spare.len() < SPARE
            {
                self.spare.push(frame.head);
            }
        }
    }

    /// Reads once.
    pub fn receive(&mut self) -> io::Result<Received> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        } else if self.filled == self.input.len() {
            self.make_room();
        }
        match (&self.stream).read(&mut self.input[self.filled..]) {
            Ok(0) => Ok(Received::Closed),
            Ok(n) => {
                self.filled += n;
                Ok(Received::Bytes)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Received::Nothing)
            }
            Err(e) => Err(e),
        }
    }

    /// Moves a begun frame to the front, and grows the buffer if the frame is longer than it.
    fn make_room(&mut self) {
        self.input.copy_within(self.taken..self.filled, 0);
        (self.taken, self.filled) = (0, self.filled - self.taken);
        let wanted = self.announced().map_or(0, |n| n.min(MAX_FRAME) + 4);
        if wanted > self.input.len() {
            self.input.resize(wanted, 0);
        }
    }

    fn announced(&self) -> Option<usize> {
        let prefix = self.input[self.taken..self.filled].first_chunk::<4>()?;
        Some(usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX))
    }

    /// The next complete frame, without its length prefix.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Error> {
        let Some(length) = self.announced() else { return Ok(None) };
        if length > MAX_FRAME {
            return Err(Error::Protocol("a response of impossible length"));
        }
        let (from, to) = (self.taken + 4, self.taken + 4 + length);
        if to > self.filled {
            return Ok(None);
        }
        self.taken = to;
        Ok(Some(&self.input[from..to]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(&listener.local_addr().unwrap().to_string()).unwrap();
        (Connection::new(stream, 64).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn frames_arrive_whole_however_the_stream_is_cut() {
        let (mut connection, mut peer) = pair();
        let frames: Vec<Vec<u8>> = (0..40).map(|i| vec![i as u8; i * 7]).collect();
        let bytes: Vec<u8> =
            frames.iter().flat_map(|f| [&(f.len() as i32).to_be_bytes()[..], f].concat()).collect();
        let writer = std::thread::spawn(move || {
            for piece in bytes.chunks(13) {
                peer.write_all(piece).unwrap();
            }
        });
        let mut seen = Vec::new();
        while connection.receive().unwrap() != Received::Closed {
            while let Some(frame) = connection.next_frame().unwrap() {
                seen.push(frame.to_vec());
            }
        }
        writer.join().unwrap();
        assert!(seen == frames, "{} frames came, or others than were sent", seen.len());
    }

    #[test]
    fn a_peer_that_does_not_read_stops_the_flush_and_nothing_is_lost() {
        let (mut connection, mut peer) = pair();
        let tail: Rc<[u8]> = vec![9; 100_000].into();
        let frames = 200;
        for i in 0..frames {
            connection.push(vec![i as u8; 3], Some(tail.clone()));
        }
        assert!(!connection.flush().unwrap(), "20 MB cannot fit into a socket");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        while !connection.flush().unwrap() {}
        drop(connection);
        let all = reader.join().unwrap();
        assert_eq!(all.len(), frames * 100_003);
        assert!(all.chunks(100_003).enumerate().all(|(i, f)| f[..3] == [i as u8; 3] && f[3..] == tail[..]));
    }

    #[test]
    fn an_impossible_length_is_refused_without_a_buffer_for_it() {
        let (mut connection, mut peer) = pair();
        peer.write_all(&(-5i32).to_be_bytes()).unwrap();
        while connection.receive().unwrap() == Received::Nothing {}
        assert!(connection.next_frame().is_err());
        assert_eq!(connection.input.len(), 64);
    }
}
