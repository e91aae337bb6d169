//! DescribeQuorum: who holds the log of the metadata, and how far (KIP-595).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::Image;
use executor::wall_clock_ms;
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_quorum_request::DescribeQuorumRequest;
use kafka_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use network::Answer;
use std::rc::Rc;

/// The name that Kafka's tools ask for.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Answers with this node as leader and only voter. Its log ends where this core's image of it does: what no core
/// has seen is not yet told.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeQuorumRequest<'_> = decoded(request, request.decode())?;
    if !is_of_metadata(&asked) {
        return Ok(answer(request, &refused(&asked)));
    }
    let identity = &broker.identity;
    let listener =
        Listener { name: "PLAINTEXT".into(), host: identity.host.as_str().into(), port: broker.port() };
    let node = Node { node_id: identity.node.0, listeners: vec![listener] };
    let response = DescribeQuorumResponse {
        error_message: None,
        topics: vec![TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![quorum(&broker.image(), identity.node.0, wall_clock_ms())],
        }],
        // Older versions do not have them.
        nodes: if request.version >= 2 { vec![node] } else { Vec::new() },
        ..Default::default()
    };
    Ok(answer(request, &response))
}

/// The one partition of the metadata, and nothing else.
fn is_of_metadata(asked: &DescribeQuorumRequest<'_>) -> bool {
    let [topic] = &*asked.topics else { return false };
    let [partition] = &*topic.partitions else { return false };
    topic.topic_name == METADATA_TOPIC && partition.partition_index == 0
}

fn quorum(image: &Image, node: i32, now_ms: i64) -> PartitionData<'static> {
    let voter = ReplicaState {
        replica_id: node,
        log_end_offset: image.offset(),
        // The leader has always just caught up with itself.
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
        ..Default::default()
    };
    PartitionData {
        error_message: None,
        leader_id: node,
        leader_epoch: image.epoch(),
        high_watermark: image.offset(),
        current_voters: vec![voter],
        ..Default::default()
    }
}

/// Whatever was asked for, each partition is unknown.
fn refused<'a>(asked: &'a DescribeQuorumRequest<'_>) -> DescribeQuorumResponse<'a> {
    let code = ErrorCode::UnknownTopicOrPartition;
    let topics = asked.topics.iter().map(|topic| TopicData {
        topic_name: topic.topic_name.as_ref().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: code.code(),
                error_message: Some(code.message().into()),
                ..Default::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { error_message: None, topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use kafka_wire::messages::describe_quorum_request as wire;
    use model::TopicId;

    fn asked(topics: &[(&'static str, &[i32])]) -> DescribeQuorumRequest<'static> {
        let topics = topics.iter().map(|&(name, numbers)| wire::TopicData {
            topic_name: name.into(),
            partitions: numbers
                .iter()
                .map(|&partition_index| wire::PartitionData { partition_index })
                .collect(),
        });
        DescribeQuorumRequest { topics: topics.collect() }
    }

    #[test]
    fn only_the_metadata_has_a_quorum() {
        assert!(is_of_metadata(&asked(&[(METADATA_TOPIC, &[0])])));
        let others: [&[(&'static str, &[i32])]; 5] = [
            &[],
            &[("t", &[0])],
            &[(METADATA_TOPIC, &[1])],
            &[(METADATA_TOPIC, &[0, 1])],
            &[(METADATA_TOPIC, &[0]), ("t", &[0])],
        ];
        for other in others {
            let asked = asked(other);
            assert!(!is_of_metadata(&asked), "{other:?}");
            let refused = refused(&asked);
            assert_eq!(refused.topics.len(), other.len());
            assert!(refused.topics.iter().flat_map(|topic| &topic.partitions).all(|one| one.error_code == 3));
        }
    }

    #[test]
    fn the_only_voter_has_all_of_the_log() {
        let records = [Record::Topic { id: TopicId([1; 16]), name: "t".to_owned() }];
        let image = Image::default().with(&records, 7).expect("the record fits");
        let quorum = quorum(&image, 4, 99);
        assert_eq!((quorum.leader_id, quorum.leader_epoch, quorum.high_watermark), (4, 7, image.offset()));
        assert!(image.offset() > 0);
        let [voter] = &*quorum.current_voters else { panic!("one voter") };
        assert_eq!((voter.replica_id, voter.log_end_offset), (4, image.offset()));
        assert_eq!((voter.last_fetch_timestamp, voter.last_caught_up_timestamp), (99, 99));
    }
}
