//! Bytes to and from a socket.

use kafka_wire::{
    ApiKey, Decode, Encode, Reader, RequestHeader, ResponseHeader, Writer, request_header_version,
    response_header_version,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes with their length before them.
pub fn frame(content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

/// A frame with a request's header and any bytes as its body. The header is written as the API and version
/// want it, or as of version 1 if they are unknown.
pub fn request(api: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let header =
        RequestHeader { api_key: api, api_version: version, correlation_id, client_id: Some("raw".into()) };
    let header_version = ApiKey::try_from(api).map_or(1, |api| request_header_version(api, version));
    let mut writer = Writer::new();
    header.encode(&mut writer, header_version).expect("a header");
    let mut content = writer.bytes().to_vec();
    content.extend_from_slice(body);
    frame(&content)
}

/// A frame with a request that a client could have sent.
pub fn encoded(api: ApiKey, version: i16, correlation_id: i32, message: &impl Encode) -> Vec<u8> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).expect("a message that its version can hold");
    request(api as i16, version, correlation_id, writer.bytes())
}

/// ApiVersions in version 0: 17 bytes, and the simplest sign of life.
pub fn api_versions(correlation_id: i32) -> Vec<u8> {
    request(ApiKey::ApiVersions as i16, 0, correlation_id, &[])
}

/// Sends a request on a connection of its own, and gives its answer's bytes.
///
/// # Panics
/// If nobody listens, or no answer comes within 30 s.
pub fn ask(address: SocketAddr, api: ApiKey, version: i16, request: &impl Encode) -> Vec<u8> {
    Raw::connect(address).expect("it listens").ask(api, version, request)
}

/// The response in an answer's bytes.
///
/// # Panics
/// If they are none of this API and version.
pub fn read<'a, T: Decode<'a>>(answer: &'a [u8], api: ApiKey, version: i16) -> T {
    let mut reader = Reader::new(answer);
    ResponseHeader::decode(&mut reader, response_header_version(api, version)).expect("a header");
    T::decode(&mut reader, version).expect("a response")
}

/// A connection without any client around it.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Raw> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Raw { stream })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request, and gives its answer's bytes.
    ///
    /// # Panics
    /// If no answer comes within 30 s.
    pub fn ask(&mut self, api: ApiKey, version: i16, request: &impl Encode) -> Vec<u8> {
        self.send(&encoded(api, version, 1, request)).expect("sent");
        self.answer(Duration::from_secs(30)).expect("an answer")
    }

    /// The next answer without its length; `None` if the broker closes instead.
    ///
    /// # Panics
    /// If neither happens within `limit`.
    pub fn answer(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + limit;
        let mut length = [0; 4];
        self.fill(&mut length, until)?;
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        self.fill(&mut content, until)?;
        Some(content)
    }

    /// Whether the broker closes the connection within `limit` without a word.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut byte = [0];
        match read_until(&mut self.stream, &mut byte, until) {
            Ok(0) => true,
            Ok(_) => panic!("the broker answered what it should refuse"),
            Err(error) => !is_timeout(&error),
        }
    }

    fn fill(&mut self, mut into: &mut [u8], until: Instant) -> Option<()> {
        while !into.is_empty() {
            match read_until(&mut self.stream, into, until) {
                Ok(0) => return None,
                Ok(count) => into = &mut into[count..],
                Err(error) if is_timeout(&error) => panic!("neither an answer nor an end in time"),
                Err(_) => return None,
            }
        }
        Some(())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn read_until(stream: &mut TcpStream, into: &mut [u8], until: Instant) -> io::Result<usize> {
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    stream.read(into)
}
