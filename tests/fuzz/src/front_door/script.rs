//! From a fuzzer's bytes to what a client does: requests with right headers, so that handlers are reached, beside frames
//! and bytes that are none.

use kafka_wire::{
    API_VERSIONS, ApiKey, ApiVersions, Encode, RequestHeader, Writer, fill, request_header_version,
};

/// More are not looked at.
const TURNS_MAX: usize = 32;
/// Connections that a client has at a time.
pub(super) const CONNECTIONS: usize = 2;

/// What the client does next, on one of its connections.
pub(super) struct Turn {
    /// Which one.
    pub connection: usize,
    /// What it sends; nothing: it waits a little.
    pub bytes: Vec<u8>,
}

/// What is left of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Two bytes of length, and so many; fewer where the input ends.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        self.0 = rest;
        Some(bytes)
    }

    /// A byte for the API, and one for which of its versions.
    fn api(&mut self) -> Option<(ApiKey, i16)> {
        let api: &ApiVersions = &API_VERSIONS[usize::from(self.byte()?) % API_VERSIONS.len()];
        let versions = api.max - api.min + 1;
        Some((api.key, api.min + i16::from(self.byte()?) % versions))
    }

    /// One byte says what comes: its low bits how the bytes are made, the next one on which connection they go.
    fn turn(&mut self) -> Option<Turn> {
        let what = self.byte()?;
        let connection = usize::from(what >> 3) % CONNECTIONS;
        let bytes = match what & 7 {
            0 => self.bytes()?.to_vec(),
            1 => framed(self.bytes()?),
            2..=4 => {
                let (api, version) = self.api()?;
                request(api, version, self.bytes()?)
            }
            5 | 6 => {
                let (api, version) = self.api()?;
                let body = fill::request(api as i16, version, u64::from(self.byte()?));
                // There are versions that are refused by their number alone.
                request(api, version, &body.unwrap_or_default())
            }
            _ => Vec::new(),
        };
        Some(Turn { connection, bytes })
    }
}

/// The turns of an input.
pub(super) fn turns(input: &[u8]) -> Vec<Turn> {
    let mut input = Input(input);
    std::iter::from_fn(|| input.turn()).take(TURNS_MAX).collect()
}

fn framed(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes()[..], content].concat()
}

/// The frame of a request, whose correlation id is 1.
pub(super) fn request(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader {
        api_key: api as i16,
        api_version: version,
        correlation_id: 1,
        client_id: Some("fuzz".into()),
    };
    let mut writer = Writer::new();
    header.encode(&mut writer, request_header_version(api, version)).expect("a short name");
    writer.raw(body);
    framed(&writer.into_parts().0)
}
