//! WriteTxnMarkers: a coordinator on another node, or a tool that aborts a hanging transaction, ends transactions in
//! partitions of this node.

use crate::broker::Broker;
use crate::coordinators::markers;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::ByCore;
use kafka_wire::ErrorCode;
use kafka_wire::messages::write_txn_markers_request::WriteTxnMarkersRequest;
use kafka_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    WriteTxnMarkersResponse,
};
use network::Answer;
use shard::operation::MarkerItem;
use std::rc::Rc;
use storage::transactions::EndMarker;

/// Answers for each partition when the marker is durable there.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: WriteTxnMarkersRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let mut by_core = ByCore::new();
    let mut codes = Vec::new();
    for wanted in &asked.markers {
        let marker = EndMarker {
            producer_id: wanted.producer_id,
            producer_epoch: wanted.producer_epoch,
            commit: wanted.transaction_result,
            coordinator_epoch: wanted.coordinator_epoch,
        };
        let transaction_version = i16::from(wanted.transaction_version);
        for topic in &wanted.topics {
            for &number in &topic.partition_indexes {
                match broker.route_name(&image, &topic.name, number) {
                    Ok(routed) => {
                        let item = MarkerItem { partition: routed.partition, marker, transaction_version };
                        by_core.push(routed.shard, codes.len(), item);
                        codes.push(ErrorCode::NotLeaderOrFollower);
                    }
                    Err(code) => codes.push(code),
                }
            }
        }
    }
    for (places, results) in markers::mark_all(broker, by_core).await {
        for (place, code) in places.into_iter().zip(results) {
            codes[place] = code;
        }
    }
    Ok(answer(request, &response(&asked, codes)))
}

/// The codes in the order of the request's partitions.
fn response<'a>(asked: &WriteTxnMarkersRequest<'a>, codes: Vec<ErrorCode>) -> WriteTxnMarkersResponse<'a> {
    let mut codes = codes.into_iter();
    let mut markers = Vec::with_capacity(asked.markers.len());
    for marker in &asked.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            let partitions = topic.partition_indexes.iter().zip(codes.by_ref());
            let partitions = partitions.map(|(&partition_index, code)| WritableTxnMarkerPartitionResult {
                partition_index,
                error_code: code.code(),
            });
            let partitions = partitions.collect();
            topics.push(WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions });
        }
        markers.push(WritableTxnMarkerResult { producer_id: marker.producer_id, topics });
    }
    WriteTxnMarkersResponse { markers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};

    #[test]
    fn each_partition_has_its_own_code() {
        let topic = |name: &'static str, numbers: &[i32]| WritableTxnMarkerTopic {
            name: name.into(),
            partition_indexes: numbers.to_vec(),
        };
        let marker = |producer_id, topics| WritableTxnMarker { producer_id, topics, ..Default::default() };
        let asked = WriteTxnMarkersRequest {
            markers: vec![
                marker(1, vec![topic("a", &[0, 4]), topic("b", &[1])]),
                marker(2, vec![topic("a", &[0])]),
            ],
        };
        let codes = [ErrorCode::None, ErrorCode::NotLeaderOrFollower, ErrorCode::None, ErrorCode::None];
        let response = response(&asked, codes.to_vec());
        let told: Vec<_> = response
            .markers
            .iter()
            .flat_map(|marker| &marker.topics)
            .flat_map(|topic| &topic.partitions)
            .map(|one| (one.partition_index, one.error_code))
            .collect();
        assert_eq!(told, [(0, 0), (4, 6), (1, 0), (0, 0)]);
    }
}
