//! Requests: every API and version, and the two views over hot ones.

use kafka_wire::fetch_view::FetchView;
use kafka_wire::produce_view::ProduceView;
use kafka_wire::{ApiKey, Reader, RequestHeader, decode_any_request, fill};

/// API key, version, body.
///
/// What a request is decoded to and encoded from again must stay as it is when that is done once more, and a view
/// must take what the message's own decoder takes.
pub fn run(data: &[u8]) {
    header(data);
    let Some((key, version, body)) = crate::api(data) else { return };
    let decoded = decode_any_request(key, version, body);
    if decoded.is_ok()
        && let Ok(once) = fill::reencode_request(key, version, body)
    {
        assert_eq!(fill::reencode_request(key, version, &once).as_ref(), Ok(&once), "API {key} v{version}");
    }
    match ApiKey::try_from(key) {
        Ok(ApiKey::Produce) => {
            let view = ProduceView::decode(&mut Reader::new(body), version);
            assert!(view.is_ok() || decoded.is_err(), "{view:?}, {decoded:?}");
            let partitions = view.iter().flat_map(ProduceView::partitions);
            assert!(partitions.count() <= body.len());
        }
        Ok(ApiKey::Fetch) => {
            let view = FetchView::decode(&mut Reader::new(body), version);
            assert!(view.is_ok() || decoded.is_err(), "{view:?}, {decoded:?}");
            let Ok(view) = view else { return };
            assert_eq!(view.partitions().count(), view.partition_count as usize);
            assert!(view.forgotten().count() <= body.len());
        }
        _ => {}
    }
}

/// What is read of a header in passing must be what its whole says.
fn header(data: &[u8]) {
    let peeked = RequestHeader::peek(data);
    let mut reader = Reader::new(data);
    if let Ok(header) = RequestHeader::read(&mut reader) {
        let (key, version, correlation_id) = peeked.expect("a whole header begins with its beginning");
        assert_eq!(
            (header.api_key, header.api_version, header.correlation_id),
            (key, version, correlation_id)
        );
        assert!(reader.position() <= data.len());
    }
}
