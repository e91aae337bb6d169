//! ApiVersions: what this broker serves.

use crate::broker::Broker;
use crate::features;
use crate::request::{Request, SERVED};
use crate::response::answer_as;
use kafka_wire::ErrorCode;
use kafka_wire::messages::api_versions_request::ApiVersionsRequest;
use kafka_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use network::Answer;
use std::rc::Rc;

/// Answers with the table of served APIs. A version that we do not know is answered in version 0 with
/// UNSUPPORTED_VERSION and the whole table: the client then knows what to ask (KIP-511).
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    let versions = request.api.versions();
    let known = (versions.min..=versions.max).contains(&request.version);
    let mut response = ApiVersionsResponse { api_keys: table(), ..Default::default() };
    if !known {
        response.error_code = ErrorCode::UnsupportedVersion as i16;
        return answer_as(&request, 0, &response, Vec::new());
    }
    if let Ok(asked) = request.decode::<ApiVersionsRequest<'_>>() {
        let (name, number) = (&asked.client_software_name, &asked.client_software_version);
        if request.version >= 3 && is_name(name) && is_name(number) {
            request.connection.note_software(name, number);
        } else if request.version >= 3 {
            response.error_code = ErrorCode::InvalidRequest as i16;
        }
    } else {
        return Answer::Close(format!("ApiVersions v{} cannot be read", request.version));
    }
    if request.version >= 3 {
        let image = broker.image();
        response.supported_features = features::supported(request.version);
        response.finalized_features = features::finalized(&image);
        response.finalized_features_epoch = image.offset();
    }
    answer_as(&request, request.version, &response, Vec::new())
}

fn table() -> Vec<ApiVersion> {
    let mut table: Vec<ApiVersion> = SERVED
        .iter()
        .map(|(api, _)| {
            let versions = api.versions();
            ApiVersion { api_key: *api as i16, min_version: versions.min, max_version: versions.max }
        })
        .collect();
    table.sort_by_key(|line| line.api_key);
    table
}

/// Kafka's rule for what a client may call itself: letters, digits, dots and dashes, none of the latter two at an
/// end.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let outer = |c: char| c.is_ascii_alphanumeric();
    !text.is_empty() && text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients() {
        for good in ["librdkafka", "apache-kafka-java", "1.2.3", "a"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".1", "a b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
