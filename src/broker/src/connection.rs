//! What is known of a connection beyond its single requests.

use executor::Semaphore;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// Who cannot be asked, or has not said.
const UNKNOWN: &str = "unknown";
/// The longest name or version of a client's software that is kept, in bytes.
const SOFTWARE_BYTES_MAX: usize = 256;

/// The software of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Software {
    pub(crate) name: Rc<str>,
    pub(crate) version: Rc<str>,
}

/// A connection.
pub(crate) struct Connection {
    /// The client's port.
    pub(crate) port: u16,
    software: RefCell<Software>,
    /// Its fetches are worked on one at a time, as Kafka works on all requests of a connection: their answers leave one
    /// after the other anyway, and what they read would be held until then.
    pub(crate) fetching: Semaphore,
}

impl Connection {
    /// One from this address, of which nothing else is known.
    pub(crate) fn new(peer: SocketAddr) -> Connection {
        let unknown = Software { name: UNKNOWN.into(), version: UNKNOWN.into() };
        Connection { port: peer.port(), software: RefCell::new(unknown), fetching: Semaphore::new(1) }
    }

    /// The software, as the client's ApiVersions request named it (KIP-511); `unknown` if it did not.
    pub(crate) fn software(&self) -> Software {
        self.software.borrow().clone()
    }

    /// The client has named its software.
    pub(crate) fn note_software(&self, name: &str, version: &str) {
        let kept = |text: &str| -> Rc<str> {
            match text.len() {
                1..=SOFTWARE_BYTES_MAX => text.into(),
                _ => UNKNOWN.into(),
            }
        };
        self.software.replace(Software { name: kept(name), version: kept(version) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_unknown_until_it_is_named() {
        let connection = Connection::new(SocketAddr::from(([127, 0, 0, 1], 5_000)));
        let told = || {
            let software = connection.software();
            format!("{} {} {}", software.name, software.version, connection.port)
        };
        assert_eq!(told(), "unknown unknown 5000");
        connection.note_software("librdkafka", "2.12");
        assert_eq!(told(), "librdkafka 2.12 5000");
        connection.note_software(&"x".repeat(SOFTWARE_BYTES_MAX + 1), "");
        assert_eq!(told(), "unknown unknown 5000");
    }
}
