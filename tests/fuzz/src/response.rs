//! Responses, which the client commands read: every API and version.

use kafka_wire::{decode_any_response, fill};

/// API key, version, body.
///
/// What a response is decoded to and encoded from again must stay as it is when that is done once more.
pub fn run(data: &[u8]) {
    let Some((key, version, body)) = crate::api(data) else { return };
    if decode_any_response(key, version, body).is_ok()
        && let Ok(once) = fill::reencode_response(key, version, body)
    {
        assert_eq!(fill::reencode_response(key, version, &once).as_ref(), Ok(&once), "API {key} v{version}");
    }
}
