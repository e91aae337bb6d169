//! Responses as lists of slices. Every answer with a body passes here, so its errors are counted and its client's quotas
//! are charged here.

use crate::request::Request;
use kafka_wire::{Encode, ResponseHeader, WireError, Writer, response_header_version};
use memory::Slice;
use network::Answer;

/// Room for most responses.
const USUAL_BYTES: usize = 512;

/// The answer to a request: `body` in the request's version.
pub(crate) fn answer(request: &Request, body: &impl Encode) -> Answer {
    answer_with(request, body, Vec::new())
}

/// The same, with the bytes that external records of the body stand for, by their index.
pub(crate) fn answer_with(request: &Request, body: &impl Encode, payloads: Vec<Vec<Slice>>) -> Answer {
    answer_as(request, request.version, body, payloads)
}

/// The same in a version that is not the request's.
pub(crate) fn answer_as(
    request: &Request,
    version: i16,
    body: &impl Encode,
    payloads: Vec<Vec<Slice>>,
) -> Answer {
    match encode(request, version, body, payloads) {
        Ok(slices) => Answer::Send(slices),
        // A response that its version cannot carry is our mistake, never the client's.
        Err(error) => {
            log::error!("{} v{version}: a response cannot be encoded: {error}", request.api.name());
            Answer::Close(format!("no answer to {} v{version} could be made", request.api.name()))
        }
    }
}

fn encode(
    request: &Request,
    version: i16,
    body: &impl Encode,
    mut payloads: Vec<Vec<Slice>>,
) -> Result<Vec<Slice>, WireError> {
    let mut writer = Writer::with_capacity(USUAL_BYTES);
    writer.i32(0);
    let header = ResponseHeader { correlation_id: request.correlation_id };
    header.encode(&mut writer, response_header_version(request.api, version))?;
    body.encode(&mut writer, version)?;
    request.count_errors(writer.errors());
    let wait = request.settle(writer.total_len());
    if let Some(place) = writer.throttle_time_position().filter(|_| wait > 0) {
        writer.patch_i32(place, wait);
    }
    let length = i32::try_from(writer.total_len() - 4)
        .map_err(|_| WireError::TooLong { length: writer.total_len() })?;
    writer.patch_i32(0, length);
    let (bytes, externals) = writer.into_parts();
    let whole = Slice::from(bytes);
    let mut slices = Vec::with_capacity(2 * externals.len() + 1);
    let mut from = 0;
    for (position, index, _) in externals {
        if position > from {
            slices.push(whole.slice(from..position));
        }
        from = position;
        slices.append(&mut payloads[index as usize]);
    }
    if from < whole.len() {
        slices.push(whole.slice(from..whole.len()));
    }
    Ok(slices)
}
