//! A client of echoing servers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// Bytes of a request, and of its echo.
pub const BYTES: usize = 100;
/// Requests that travel at the same time, each on a connection of its own.
pub const CONNECTIONS: usize = 32;
/// Core of the server, and of the client.
pub const SERVER_CORE: usize = 0;
pub const CLIENT_CORE: usize = 1;

/// Serves so many connections on a core until all are closed; says first where it listens.
pub type Serve =
    fn(core: Option<usize>, connections: usize, tell: &mpsc::Sender<SocketAddr>) -> Result<(), String>;

/// Connections to a server that runs in a thread of its own.
pub struct Echoes {
    sockets: Vec<TcpStream>,
    server: Option<JoinHandle<Result<(), String>>>,
}

impl Echoes {
    /// Starts the server and connects.
    ///
    /// # Errors
    /// What the server or the kernel says.
    pub fn start(serve: Serve) -> Result<Echoes, String> {
        let (tell, told) = mpsc::channel();
        // On a machine with one core both share it.
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let core = (cores > 1).then_some(SERVER_CORE);
        let server = thread::spawn(move || serve(core, CONNECTIONS, &tell));
        let Ok(address) = told.recv() else {
            return Err(match server.join() {
                Ok(Err(why)) => why,
                _ => "the server ended without an address".to_owned(),
            });
        };
        if cores > 1 {
            load::os::pin(CLIENT_CORE).map_err(|e| e.to_string())?;
        }
        let connect = |_: usize| -> std::io::Result<TcpStream> {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        let sockets: std::io::Result<Vec<TcpStream>> = (0..CONNECTIONS).map(connect).collect();
        Ok(Echoes { sockets: sockets.map_err(|e| e.to_string())?, server: Some(server) })
    }

    /// Sends a request on every connection and waits for all echoes.
    ///
    /// # Errors
    /// What the kernel says; a changed echo.
    pub fn round(&mut self) -> std::io::Result<()> {
        let request = [0x7e; BYTES];
        let mut echo = [0; BYTES];
        for socket in &mut self.sockets {
            socket.write_all(&request)?;
        }
        for socket in &mut self.sockets {
            socket.read_exact(&mut echo)?;
            if echo != request {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }

    /// Closes the connections and waits for the server's end.
    ///
    /// # Errors
    /// What the server says.
    pub fn stop(mut self) -> Result<(), String> {
        self.sockets.clear();
        match self.server.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err("the server panicked".to_owned()),
            None => Ok(()),
        }
    }
}

/// The executor that Flumen runs on, over io_uring.
///
/// # Errors
/// Where io_uring is not to be had.
pub fn serve_flumen(
    core: Option<usize>,
    connections: usize,
    tell: &mpsc::Sender<SocketAddr>,
) -> Result<(), String> {
    load::echo::serve(core, connections, tell).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let mut echoes = Echoes::start(serve_flumen).expect("starts");
        for _ in 0..10 {
            echoes.round().expect("echoes");
        }
        echoes.stop().expect("stops");
    }
}
