//! How many small requests a second the broker's own executor answers when it does nothing with them: what no
//! handler on one core can exceed.

use crate::{
    args::CeilingArgs,
    error::Error,
    os::{self, Poll},
};
use driver::Handle;
use executor::{Executor, IdlePolicy, Options, io, spawn};
use memory::Pool;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};
use uring::{Features, UringDriver, UringOptions};

/// Bytes of a request, and of its answer.
pub const BYTES: usize = 100;
/// Connections, as in the workloads of small records.
pub const CONNECTIONS: usize = 100;
/// Memory of the echoing core: blocks to receive into, and what is being sent.
const POOL_BYTES: usize = 64 << 20;
/// Most requests in flight on a connection: its bytes fit into a socket's buffer, so that no send waits.
const INFLIGHT_MAX: usize = 64;

/// The echoing core looks around for so long before it sleeps, so that what is measured is not how it wakes up.
const SPIN: Duration = Duration::from_micros(20);

fn options() -> Options {
    Options { idle: IdlePolicy::Spin(SPIN), seed: None }
}

/// Answered requests a second, with `inflight` of them under way on every connection.
pub fn per_second(inflight: usize, args: &CeilingArgs) -> Result<f64, Error> {
    if inflight == 0 || inflight > INFLIGHT_MAX {
        return Err(Error::Usage(format!("an echo has 1 to {INFLIGHT_MAX} requests in flight")));
    }
    beside(options(), args.peer_core, CONNECTIONS, |address| drive(address, inflight, args.seconds))
}

/// Runs a client, which is told the address, beside a thread that echoes on a core. The client has closed its
/// connections, as many as were said, when it returns.
pub(crate) fn beside<T>(
    options: Options,
    core: Option<usize>,
    connections: usize,
    client: impl FnOnce(SocketAddr) -> Result<T, Error>,
) -> Result<T, Error> {
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || serve_with(options, core, connections, &tell));
    // A server that could not start has dropped its end of the channel, and tells why when it is joined. One whose
    // client fails may wait for connections that never come: it is not waited for.
    let result = told.recv().ok().map(client).transpose()?;
    server.join().map_err(|_| Error::Protocol("the echoing thread stopped"))??;
    result.ok_or(Error::Protocol("the echoing thread told no address"))
}

/// Tells its address, takes so many connections, and echoes until all are closed. The calling thread becomes the
/// core.
pub fn serve(core: Option<usize>, connections: usize, tell: &mpsc::Sender<SocketAddr>) -> Result<(), Error> {
    serve_with(options(), core, connections, tell)
}

fn serve_with(
    options: Options,
    core: Option<usize>,
    connections: usize,
    tell: &mpsc::Sender<SocketAddr>,
) -> Result<(), Error> {
    core.map_or(Ok(()), os::pin)?;
    let pool = Pool::new(POOL_BYTES).map_err(|e| Error::Usage(e.to_string()))?;
    let features = Features::new(&[], &[]).map_err(Error::Usage)?;
    let ring = UringOptions { features, data: None };
    let driver = UringDriver::new(&ring, pool).map_err(|e| Error::Usage(e.to_string()))?;
    let executor = Executor::new(Box::new(driver), options);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (listener, address) = executor
        .with_driver(|driver| driver.listen(any, false))
        .map_err(Error::io("listening for echoes"))?;
    // The other end waits for this; if it is gone, accepting below fails and says so.
    let _ = tell.send(address);
    executor.run(async move {
        let mut echoes = Vec::new();
        for _ in 0..connections {
            let accepted = io::accept(listener).await;
            let (socket, _) = accepted.map_err(|errno| refused("accepting a connection to echo", errno))?;
            echoes.push(spawn("echo", echo(socket)));
        }
        for echo in echoes {
            echo.await;
        }
        io::close(listener).await.map_err(|errno| refused("closing a listening socket", errno))
    })
}

fn refused(what: &str, errno: driver::Errno) -> Error {
    Error::Io(what.to_owned(), std::io::Error::from_raw_os_error(errno.0))
}

async fn echo(socket: Handle) {
    while let Ok(Some((block, length))) = io::receive(socket).await {
        if io::send_all(socket, vec![block.freeze(length)]).await.is_err() {
            break;
        }
    }
    io::close_detached(socket);
}

/// Keeps the requests in flight from one spinning thread.
fn drive(address: SocketAddr, inflight: usize, time: Duration) -> Result<f64, Error> {
    let poll = &mut Poll::new()?;
    let mut sockets = Vec::new();
    for number in 0..CONNECTIONS {
        let socket = TcpStream::connect(address).map_err(Error::io("connecting to the echo"))?;
        socket.set_nodelay(true).map_err(Error::io("switching Nagle's algorithm off"))?;
        socket.set_nonblocking(true).map_err(Error::io("making a socket non-blocking"))?;
        poll.add(&socket, number)?;
        sockets.push(socket);
    }
    let mut buffer = [0x7e; INFLIGHT_MAX * BYTES];
    for socket in &mut sockets {
        socket.write_all(&buffer[..inflight * BYTES]).map_err(Error::io("sending to the echo"))?;
    }
    // What is in flight first only fills the pipe.
    let settle = time / 10;
    exchange(poll, &mut sockets, &mut buffer, settle)?;
    let start = Instant::now();
    let bytes = exchange(poll, &mut sockets, &mut buffer, time)?;
    Ok(bytes as f64 / BYTES as f64 / start.elapsed().as_secs_f64())
}

/// Sends back whatever comes, and returns the bytes that came.
fn exchange(
    poll: &mut Poll,
    sockets: &mut [TcpStream],
    buffer: &mut [u8],
    time: Duration,
) -> Result<u64, Error> {
    let mut ready = Vec::new();
    let mut total = 0;
    let until = Instant::now() + time;
    while Instant::now() < until {
        poll.wait(Duration::ZERO, &mut ready)?;
        for one in &ready {
            let socket = &mut sockets[one.number];
            let came = match socket.read(buffer) {
                Ok(0) => return Err(Error::Protocol("an echo was closed")),
                Ok(came) => came,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(Error::Io("reading an echo".into(), e)),
            };
            socket.write_all(&buffer[..came]).map_err(Error::io("sending to the echo"))?;
            total += came as u64;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    #[test]
    fn echoes_come_back_at_every_depth() {
        let cli = Cli::try_parse_from(["flumen-load", "ceiling", "--seconds", "1"]).unwrap();
        let Command::Ceiling(args) = cli.command else { panic!("another command") };
        for inflight in [1, 5] {
            assert!(per_second(inflight, &args).unwrap() > 100.0);
        }
        assert!(per_second(0, &args).is_err() && per_second(INFLIGHT_MAX + 1, &args).is_err());
    }
}
