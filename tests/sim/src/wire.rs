//! A connection of a simulated client: frames over the executor's sockets, one request after the other.

use base::Instant;
use driver::Handle;
use executor::{io, now, timeout};
use kafka_wire::{ApiKey, Decode, Encode, Reader, RequestHeader, ResponseHeader, Writer};
use kafka_wire::{request_header_version, response_header_version};
use memory::Slice;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// A response longer than this is a violation: no client here asks for so much.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The connection is gone, or nobody answered in time: what happens to clients on bad days.
    Lost,
    /// The broker said something that it must never say.
    Wrong(String),
}

/// A connection to the broker.
pub(crate) struct Wire {
    socket: Handle,
    received: Vec<u8>,
    next: i32,
    waiting: VecDeque<(i32, ApiKey, i16)>,
    patience: Duration,
}

/// An answer, with its header taken off.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    body: usize,
    api: ApiKey,
    version: i16,
}

impl Answer {
    /// The answer as a message.
    pub(crate) fn decode<'a, T: Decode<'a>>(&'a self) -> Result<T, Trouble> {
        let mut reader = Reader::new(&self.bytes[self.body..]);
        let decoded = T::decode(&mut reader, self.version);
        let decoded = decoded.map_err(|error| Trouble::Wrong(format!("{}: {error}", self.api.name())))?;
        match reader.remaining() {
            0 => Ok(decoded),
            left => Err(Trouble::Wrong(format!("{}: {left} bytes behind the answer", self.api.name()))),
        }
    }
}

/// Whatever the reason, a client can only begin anew.
fn lost<T>(_: T) -> Trouble {
    Trouble::Lost
}

impl Wire {
    /// Connects; gives up after `patience`, as with every answer.
    pub(crate) async fn open(address: SocketAddr, patience: Duration) -> Result<Wire, Trouble> {
        let socket = timeout(patience, io::connect(address)).await.map_err(lost)?.map_err(lost)?;
        Ok(Wire { socket, received: Vec::new(), next: 0, waiting: VecDeque::new(), patience })
    }

    /// Sends a request whose answer [`receive`](Wire::receive) will give.
    pub(crate) async fn send(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encode,
    ) -> Result<(), Trouble> {
        self.waiting.push_back((self.next, api, version));
        self.send_unanswered(api, version, request).await
    }

    /// Sends a request that gets no answer: Produce with acks 0.
    pub(crate) async fn send_unanswered(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encode,
    ) -> Result<(), Trouble> {
        let frame = self.frame(api, version, request);
        let sent = timeout(self.patience, io::send_all(self.socket, vec![Slice::from(frame)])).await;
        sent.map_err(lost)?.map_err(lost)
    }

    fn frame(&mut self, api: ApiKey, version: i16, request: &impl Encode) -> Vec<u8> {
        let header = RequestHeader {
            api_key: api as i16,
            api_version: version,
            correlation_id: self.next,
            client_id: Some("sim".into()),
        };
        self.next += 1;
        let mut writer = Writer::new();
        writer.i32(0);
        let encoded = header.encode(&mut writer, request_header_version(api, version));
        // What cannot be encoded is a mistake of the simulator itself.
        encoded.and_then(|()| request.encode(&mut writer, version)).expect("requests here can be encoded");
        writer.patch_i32(0, (writer.position() - 4) as i32);
        writer.into_parts().0
    }

    /// The answer to the oldest request that has none; `extra` is what the broker may take longer.
    pub(crate) async fn receive(&mut self, extra: Duration) -> Result<Answer, Trouble> {
        let (correlation, api, version) = self.waiting.pop_front().expect("a request was sent");
        let until = now() + self.patience + extra;
        let length = self.bytes(4, until).await?;
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or_else(|| Trouble::Wrong("an impossible length of an answer".to_owned()))?;
        let bytes = self.bytes(length, until).await?;
        let mut reader = Reader::new(&bytes);
        let header = ResponseHeader::decode(&mut reader, response_header_version(api, version));
        let header = header.map_err(|error| Trouble::Wrong(format!("header of an answer: {error}")))?;
        if header.correlation_id != correlation {
            let text = format!("answer {} to request {correlation}", header.correlation_id);
            return Err(Trouble::Wrong(text));
        }
        let body = reader.position();
        Ok(Answer { bytes, body, api, version })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &impl Encode,
        extra: Duration,
    ) -> Result<Answer, Trouble> {
        self.send(api, version, request).await?;
        self.receive(extra).await
    }

    async fn bytes(&mut self, count: usize, until: Instant) -> Result<Vec<u8>, Trouble> {
        while self.received.len() < count {
            let arrived = timeout(until.since(now()), io::receive(self.socket)).await;
            match arrived.map_err(|_| lost("no answer in time"))?.map_err(lost)? {
                Some((block, length)) => self.received.extend_from_slice(&block[..length]),
                None => return Err(lost("closed by the broker")),
            }
        }
        let rest = self.received.split_off(count);
        Ok(std::mem::replace(&mut self.received, rest))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        io::close_detached(self.socket);
    }
}
