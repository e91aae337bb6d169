//! Facts about APIs, and decoding by API key.

use crate::messages::{with_request, with_response};
use crate::{API_VERSIONS, ApiKey, Decode, Reader, WireError};

/// The versions of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersions {
    /// The API.
    pub key: ApiKey,
    /// The oldest version that Kafka 4.3 advertises. For Produce that is 0, which like 1 and 2 has no message:
    /// such requests are refused.
    pub min: i16,
    /// The newest version that Kafka 4.3 advertises.
    pub max: i16,
    /// The first version with compact lengths and tagged fields, if any has them.
    pub flexible_from: Option<i16>,
}

impl ApiKey {
    /// The API's line in [`API_VERSIONS`].
    pub fn versions(self) -> &'static ApiVersions {
        // Both are generated from one list, so the search finds it; the first line is never taken.
        let found = API_VERSIONS.binary_search_by_key(&self, |versions| versions.key);
        &API_VERSIONS[found.unwrap_or(0)]
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = WireError;

    fn try_from(key: i16) -> Result<ApiKey, WireError> {
        let found = API_VERSIONS.binary_search_by_key(&key, |versions| versions.key as i16);
        found.map(|at| API_VERSIONS[at].key).map_err(|_| WireError::UnknownApi(key))
    }
}

fn is_flexible(api: ApiKey, version: i16) -> bool {
    api.versions().flexible_from.is_some_and(|from| version >= from)
}

/// The version of the header before a request of `api` in `version`: 1, or 2 if flexible.
///
/// It holds for versions that are not known, too: a newer one is flexible if the API ever was.
pub fn request_header_version(api: ApiKey, version: i16) -> i16 {
    if is_flexible(api, version) { 2 } else { 1 }
}

/// The version of the header before a response of `api` in `version`: 0, or 1 if flexible.
///
/// ApiVersions always has 0, for a client cannot know yet which versions the broker speaks.
pub fn response_header_version(api: ApiKey, version: i16) -> i16 {
    i16::from(api != ApiKey::ApiVersions && is_flexible(api, version))
}

/// Decodes the body of any request and drops it: what a fuzzer calls.
///
/// # Errors
/// [`WireError::UnknownApi`], [`WireError::UnsupportedVersion`], or what is wrong with the body. Bytes after
/// the message are no error, as in Kafka.
pub fn decode_any_request(api_key: i16, version: i16, body: &[u8]) -> Result<(), WireError> {
    with_request!(api_key, decode_and_drop(version, body), Err(WireError::UnknownApi(api_key)))
}

/// Decodes the body of any response and drops it. Errors as in [`decode_any_request`].
pub fn decode_any_response(api_key: i16, version: i16, body: &[u8]) -> Result<(), WireError> {
    with_response!(api_key, decode_and_drop(version, body), Err(WireError::UnknownApi(api_key)))
}

fn decode_and_drop<'a, T: Decode<'a>>(version: i16, body: &'a [u8]) -> Result<(), WireError> {
    T::decode(&mut Reader::new(body), version).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(API_VERSIONS.is_sorted_by_key(|versions| versions.key as i16));
        assert_eq!(API_VERSIONS.len(), 77);
        for versions in &API_VERSIONS {
            assert_eq!(versions.key.versions(), versions);
            assert_eq!(ApiKey::try_from(versions.key as i16), Ok(versions.key));
            assert!(versions.min <= versions.max);
        }
        assert_eq!(ApiKey::try_from(4), Err(WireError::UnknownApi(4)));
        assert_eq!(ApiKey::try_from(-1), Err(WireError::UnknownApi(-1)));
    }

    #[test]
    fn advertised_versions_are_kafkas() {
        let range = |key: ApiKey| (key.versions().min, key.versions().max, key.versions().flexible_from);
        assert_eq!(range(ApiKey::Produce), (0, 13, Some(9)));
        assert_eq!(range(ApiKey::Fetch), (4, 18, Some(12)));
        assert_eq!(range(ApiKey::InitProducerId), (0, 5, Some(2)));
        assert_eq!(range(ApiKey::SaslHandshake), (0, 1, None));
        assert_eq!(range(ApiKey::ShareFetch), (1, 2, Some(0)));
    }

    #[test]
    fn header_versions() {
        assert_eq!(request_header_version(ApiKey::Produce, 8), 1);
        assert_eq!(request_header_version(ApiKey::Produce, 9), 2);
        assert_eq!(response_header_version(ApiKey::Produce, 8), 0);
        assert_eq!(response_header_version(ApiKey::Produce, 9), 1);
        assert_eq!(request_header_version(ApiKey::ApiVersions, 3), 2);
        assert_eq!(response_header_version(ApiKey::ApiVersions, 3), 0);
        assert_eq!(request_header_version(ApiKey::SaslHandshake, 1), 1);
    }
}
