//! One TCP connection to a broker: frames, correlation ids, versions.

use crate::ClientError;
use kafka_wire::messages::api_versions_request::ApiVersionsRequest;
use kafka_wire::messages::api_versions_response::ApiVersionsResponse;
use kafka_wire::{ApiKey, Decode, Encode, ErrorCode, Reader, RequestHeader, ResponseHeader, Writer};
use kafka_wire::{request_header_version, response_header_version};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// A larger response is refused. Kafka's brokers refuse requests from 100 MiB on; a fetch of
/// [`crate::FetchOptions`] stays far below.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// The receive buffer grows by this much as bytes arrive, not by what a length claims.
const GROWTH_BYTES: usize = 1 << 20;
/// How this client names itself to brokers (KIP-511).
const SOFTWARE_NAME: &str = "flumen";

/// What a connection needs to know.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionOptions {
    pub client_id: String,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
}

/// A request that was sent and not yet answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub api: ApiKey,
    pub version: i16,
    correlation_id: i32,
    sent: Instant,
}

/// A connection whose versions are negotiated. Answers come in the order of the requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: TcpStream,
    options: ConnectionOptions,
    versions: HashMap<i16, (i16, i16)>,
    next_correlation_id: i32,
    /// An error has left it in the middle of something: it is of no more use.
    broken: bool,
    sending: Vec<u8>,
    /// The buffer keeps its length from frame to frame; `frame` is how much of it is the last one.
    received: Vec<u8>,
    frame: usize,
}

impl Connection {
    /// Connects to `address` (`HOST:PORT`) and asks for the versions that it speaks.
    pub fn open(address: &str, options: &ConnectionOptions) -> Result<Connection, ClientError> {
        let stream = connect(address, options.connect_timeout)?;
        let mut connection = Connection {
            address: address.to_owned(),
            stream,
            options: options.clone(),
            versions: HashMap::new(),
            next_correlation_id: 1,
            broken: false,
            sending: Vec::new(),
            received: Vec::new(),
            frame: 0,
        };
        connection.negotiate()?;
        Ok(connection)
    }

    /// Asks for versions in ApiVersions 3, and once more in 0 if the broker is older than that.
    fn negotiate(&mut self) -> Result<(), ClientError> {
        for version in [3, 0] {
            let request = ApiVersionsRequest {
                client_software_name: if version == 3 { SOFTWARE_NAME.into() } else { "".into() },
                client_software_version: if version == 3 {
                    env!("CARGO_PKG_VERSION").into()
                } else {
                    "".into()
                },
            };
            let pending = self.send(ApiKey::ApiVersions, version, &request)?;
            self.receive_frame(&pending)?;
            // A refusal is always in version 0, whatever was asked in.
            let body = self.body(&pending)?;
            let refused = body.clone().i16() == Ok(ErrorCode::UnsupportedVersion.code());
            if refused && version > 0 {
                continue;
            }
            let response = ApiVersionsResponse::decode(&mut body.clone(), version)
                .map_err(|error| self.protocol_error(format!("ApiVersions: {error}")))?;
            if response.error_code != 0 {
                return Err(ClientError::broker(ApiKey::ApiVersions, "", response.error_code, None));
            }
            let ranges = response.api_keys.iter();
            let ranges = ranges.map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
            self.versions = ranges;
            return Ok(());
        }
        Err(self.protocol_error("it refuses ApiVersions 0".to_owned()))
    }

    /// The newest version of `api` up to `limit` that both sides speak.
    pub fn version(&self, api: ApiKey, limit: i16) -> Result<i16, ClientError> {
        let ours = api.versions();
        let offered = self.versions.get(&(api as i16)).copied();
        if let Some((min, max)) = offered {
            let version = max.min(ours.max).min(limit);
            if version >= min && version >= ours.min {
                return Ok(version);
            }
        }
        Err(ClientError::UnsupportedApi { address: self.address.clone(), api, offered })
    }

    /// True if the broker offers `api` in any version.
    pub fn offers(&self, api: ApiKey) -> bool {
        self.versions.contains_key(&(api as i16))
    }

    /// Sends a request and does not wait for the answer, which [`Connection::receive`] gives.
    pub fn send(&mut self, api: ApiKey, version: i16, request: &impl Encode) -> Result<Pending, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let mut writer = Writer::reuse(std::mem::take(&mut self.sending));
        writer.i32(0);
        let header = RequestHeader {
            api_key: api as i16,
            api_version: version,
            correlation_id,
            client_id: Some(self.options.client_id.as_str().into()),
        };
        header
            .encode(&mut writer, request_header_version(api, version))
            .and_then(|()| request.encode(&mut writer, version))
            .map_err(|source| ClientError::Encode { api, source })?;
        let length = i32::try_from(writer.position() - 4).unwrap_or(i32::MAX);
        writer.patch_i32(0, length);
        let written = self
            .stream
            .set_write_timeout(Some(self.options.request_timeout))
            .and_then(|()| self.stream.write_all(writer.bytes()));
        self.sending = writer.into_parts().0;
        match written {
            Ok(()) => Ok(Pending { api, version, correlation_id, sent: Instant::now() }),
            Err(error) => {
                self.broken = true;
                Err(self.io_error(error, api, self.options.request_timeout))
            }
        }
    }

    /// False once an error has left the connection in the middle of something.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Waits for the answer to `pending`, which must be the oldest request without one; `extra` is the time
    /// that the broker itself was told it may take.
    pub fn receive<'c, T: Decode<'c>>(
        &'c mut self,
        pending: &Pending,
        extra: Duration,
    ) -> Result<T, ClientError> {
        self.receive_frame_within(pending, self.options.request_timeout + extra)?;
        let mut body = self.body(pending)?;
        T::decode(&mut body, pending.version)
            .map_err(|error| self.protocol_error(format!("{:?}: {error}", pending.api)))
    }

    /// Sends a request and waits for its answer.
    pub fn call<'c, T: Decode<'c>>(
        &'c mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encode,
    ) -> Result<T, ClientError> {
        let pending = self.send(api, version, request)?;
        self.receive(&pending, Duration::ZERO)
    }

    fn receive_frame(&mut self, pending: &Pending) -> Result<(), ClientError> {
        self.receive_frame_within(pending, self.options.request_timeout)
    }

    fn receive_frame_within(&mut self, pending: &Pending, limit: Duration) -> Result<(), ClientError> {
        // Requests may have waited behind others: time counts from the later of sending and looking.
        let deadline = pending.sent.max(Instant::now()) + limit;
        let result = self.read_frame(deadline);
        self.broken |= result.is_err();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => self.protocol_error(error.to_string()),
            _ => self.io_error(error, pending.api, limit),
        })
    }

    /// Reads the next frame into `received`.
    fn read_frame(&mut self, deadline: Instant) -> io::Result<()> {
        let mut length = [0; 4];
        let mut have = 0;
        while have < length.len() {
            have += read_some(&mut self.stream, &mut length[have..], deadline)?;
        }
        let length = i32::from_be_bytes(length);
        let length = usize::try_from(length).ok().filter(|&length| length <= FRAME_BYTES_MAX);
        let Some(length) = length else {
            let what = "the length of its answer is impossible";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        };
        let mut have = 0;
        while have < length {
            let end = length.min(have + GROWTH_BYTES);
            if self.received.len() < end {
                self.received.resize(end, 0);
            }
            have += read_some(&mut self.stream, &mut self.received[have..end], deadline)?;
        }
        self.frame = length;
        Ok(())
    }

    /// Checks the header of the frame that was received; what follows is the body.
    fn body(&self, pending: &Pending) -> Result<Reader<'_>, ClientError> {
        let mut reader = Reader::new(&self.received[..self.frame]);
        let version = response_header_version(pending.api, pending.version);
        let header = ResponseHeader::decode(&mut reader, version)
            .map_err(|error| self.protocol_error(format!("response header: {error}")))?;
        if header.correlation_id != pending.correlation_id {
            return Err(self.protocol_error("it answers another request than was asked".to_owned()));
        }
        Ok(reader)
    }

    fn protocol_error(&self, what: String) -> ClientError {
        ClientError::Protocol { address: self.address.clone(), what }
    }

    fn io_error(&self, source: io::Error, api: ApiKey, after: Duration) -> ClientError {
        let address = self.address.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::TimedOut { address, api, after }
            }
            _ => ClientError::Connection { address, source },
        }
    }
}

/// Reads at least one byte before the deadline.
fn read_some(stream: &mut TcpStream, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(into) {
            Ok(0) => {
                let what = "the broker closed it";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Connects to the first address that the name stands for and that answers.
fn connect(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    let well_formed = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !well_formed {
        return Err(ClientError::InvalidAddress(address.to_owned()));
    }
    let failed = |source| ClientError::Connect { address: address.to_owned(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        let connected = TcpStream::connect_timeout(&candidate, timeout);
        match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}
