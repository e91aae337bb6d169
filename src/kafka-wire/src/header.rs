//! What precedes every request and response.
//!
//! Written by hand: the version of a request's header follows from what its first four bytes say, and the
//! client id keeps its old encoding in the flexible version, so that a broker can read the header of a request
//! it does not know.

use crate::{ApiKey, Decode, Encode, Reader, Str, WireError, Writer, request_header_version};

/// The header of a request, versions 1 and 2 (flexible).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// The API, see [`ApiKey`].
    pub api_key: i16,
    /// The version of the request that follows.
    pub api_version: i16,
    /// Chosen by the client, returned in the response.
    pub correlation_id: i32,
    /// What the client calls itself; null if it does not.
    pub client_id: Option<Str<'a>>,
}

impl<'a> RequestHeader<'a> {
    /// Key, version and correlation id of a request, without reading on.
    ///
    /// They are at the same place in every header, so that even an unknown request can be answered.
    pub fn peek(request: &[u8]) -> Result<(i16, i16, i32), WireError> {
        let mut reader = Reader::new(request);
        Ok((reader.i16()?, reader.i16()?, reader.i32()?))
    }

    /// Reads a header whose version follows from the API and version that it names.
    ///
    /// # Errors
    /// [`WireError::UnknownApi`] if the key is not known: then nothing says how long the header is.
    pub fn read(reader: &mut Reader<'a>) -> Result<RequestHeader<'a>, WireError> {
        let (api_key, api_version) = {
            let mut ahead = reader.clone();
            (ahead.i16()?, ahead.i16()?)
        };
        let version = request_header_version(ApiKey::try_from(api_key)?, api_version);
        RequestHeader::decode(reader, version)
    }
}

impl<'a> Decode<'a> for RequestHeader<'a> {
    /// `version` is the header's own.
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        crate::error::check_version("RequestHeader", version, 1, 2)?;
        let header = RequestHeader {
            api_key: reader.i16()?,
            api_version: reader.i16()?,
            correlation_id: reader.i32()?,
            client_id: reader.nullable_string(false)?,
        };
        if version >= 2 {
            reader.skip_tagged_fields()?;
        }
        Ok(header)
    }
}

impl Encode for RequestHeader<'_> {
    /// `version` is the header's own.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), WireError> {
        crate::error::check_version("RequestHeader", version, 1, 2)?;
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.nullable_string(false, self.client_id.as_deref())?;
        if version >= 2 {
            writer.unsigned_varint(0);
        }
        Ok(())
    }
}

/// The header of a response, versions 0 and 1 (flexible).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl<'a> Decode<'a> for ResponseHeader {
    /// `version` is the header's own.
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        crate::error::check_version("ResponseHeader", version, 0, 1)?;
        let header = ResponseHeader { correlation_id: reader.i32()? };
        if version >= 1 {
            reader.skip_tagged_fields()?;
        }
        Ok(header)
    }
}

impl Encode for ResponseHeader {
    /// `version` is the header's own.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), WireError> {
        crate::error::check_version("ResponseHeader", version, 0, 1)?;
        writer.i32(self.correlation_id);
        if version >= 1 {
            writer.unsigned_varint(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_version_follows_from_the_request() {
        for (api, version, expected) in
            [(ApiKey::Metadata, 8, 1), (ApiKey::Metadata, 9, 2), (ApiKey::ApiVersions, 99, 2)]
        {
            let header = RequestHeader {
                api_key: api as i16,
                api_version: version,
                correlation_id: 7,
                client_id: Some("c".into()),
            };
            let mut writer = Writer::new();
            header.encode(&mut writer, expected).unwrap();
            let mut reader = Reader::new(writer.bytes());
            assert_eq!(RequestHeader::read(&mut reader), Ok(header));
            assert_eq!(reader.remaining(), 0);
            assert_eq!(RequestHeader::peek(writer.bytes()), Ok((api as i16, version, 7)));
        }
    }

    #[test]
    fn a_header_to_the_byte() {
        // Key 18, version 3, correlation id 258, client id null, no tagged fields.
        let bytes = [0, 18, 0, 3, 0, 0, 1, 2, 0xff, 0xff, 0];
        let mut reader = Reader::new(&bytes);
        let header = RequestHeader::read(&mut reader).unwrap();
        assert_eq!((header.correlation_id, header.client_id), (258, None));
        assert_eq!(reader.remaining(), 0);
        assert!(RequestHeader::read(&mut Reader::new(&bytes[..10])).is_err());
    }

    #[test]
    fn an_unknown_key_can_still_be_peeked() {
        let bytes = [0x7f, 0xff, 0, 0, 0, 0, 0, 9];
        assert_eq!(RequestHeader::peek(&bytes), Ok((0x7fff, 0, 9)));
        assert_eq!(RequestHeader::read(&mut Reader::new(&bytes)), Err(WireError::UnknownApi(0x7fff)));
    }
}
