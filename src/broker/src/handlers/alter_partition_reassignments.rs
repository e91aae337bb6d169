//! AlterPartitionReassignments: moves partitions from node to node (KIP-455).

use crate::broker::Broker;
use crate::refusal::{Refusal, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::{Image, Partition};
use kafka_wire::ErrorCode;
use kafka_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use kafka_wire::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use model::{NodeId, PartitionId};
use network::Answer;
use std::rc::Rc;

/// Answers for each partition. There is one node: to be where it is already is done at once, to go elsewhere is
/// refused, and nothing is ever in progress that could be cancelled.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AlterPartitionReassignmentsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: asked.allow_replication_factor_change,
        error_message: None,
        responses: asked.topics.iter().map(|topic| reassign(&image, topic)).collect(),
        ..Default::default()
    };
    Ok(answer(request, &response))
}

fn reassign<'a>(image: &Image, topic: &'a ReassignableTopic<'_>) -> ReassignableTopicResponse<'a> {
    let partition = |wanted: &ReassignablePartition| {
        let (error_code, error_message) = told(check(image, &topic.name, wanted));
        ReassignablePartitionResponse { partition_index: wanted.partition_index, error_code, error_message }
    };
    ReassignableTopicResponse {
        name: topic.name.as_ref().into(),
        partitions: topic.partitions.iter().map(partition).collect(),
    }
}

fn check(image: &Image, name: &str, wanted: &ReassignablePartition) -> Result<(), Refusal> {
    let unknown = |what: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, what);
    let topic = image.topic(name).ok_or_else(|| unknown(format!("There is no topic {name}.")))?;
    let number = wanted.partition_index;
    let partition = topic.partition(PartitionId(number));
    let partition = partition.ok_or_else(|| unknown(format!("Topic {name} has no partition {number}.")))?;
    match &wanted.replicas {
        None => Err(ErrorCode::NoReassignmentInProgress.into()),
        Some(replicas) => check_replicas(image, partition, replicas),
    }
}

fn check_replicas(image: &Image, partition: &Partition, wanted: &[i32]) -> Result<(), Refusal> {
    let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, what));
    if wanted.is_empty() {
        return invalid("A partition must have a replica.".to_owned());
    }
    for (place, &node) in wanted.iter().enumerate() {
        if image.node(NodeId(node)).is_none() {
            return invalid(format!("The cluster has no node {node}."));
        }
        // No longer than the nodes of the cluster, or it would have ended here before.
        if wanted[..place].contains(&node) {
            return invalid(format!("Node {node} is named more than once."));
        }
    }
    if !partition.replicas.iter().map(|node| node.0).eq(wanted.iter().copied()) {
        return invalid("Partitions cannot be moved between nodes yet.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use controller::record::PartitionRecord;
    use model::TopicId;

    #[test]
    fn a_partition_can_only_be_where_it_is() {
        let id = TopicId([1; 16]);
        let node = |node| Record::Node { node: NodeId(node), epoch: 1, rack: None, endpoints: Vec::new() };
        let records = [
            node(1),
            node(2),
            Record::Topic { id, name: "t".to_owned() },
            Record::Partition(PartitionRecord {
                topic: id,
                partition: PartitionId(0),
                leader: NodeId(1),
                leader_epoch: 0,
                partition_epoch: 0,
                replicas: [NodeId(1)].into(),
                isr: [NodeId(1)].into(),
            }),
        ];
        let image = Image::default().with(&records, 1).expect("the records fit");
        let code = |name: &str, partition_index, replicas: Option<&[i32]>| {
            let wanted =
                ReassignablePartition { partition_index, replicas: replicas.map(|nodes| nodes.to_vec()) };
            check(&image, name, &wanted).map_err(|refusal| refusal.code)
        };
        assert_eq!(code("t", 0, Some(&[1])), Ok(()));
        for elsewhere in [&[][..], &[2], &[1, 2], &[1, 1], &[3]] {
            assert_eq!(
                code("t", 0, Some(elsewhere)),
                Err(ErrorCode::InvalidReplicaAssignment),
                "{elsewhere:?}"
            );
        }
        assert_eq!(code("t", 0, None), Err(ErrorCode::NoReassignmentInProgress));
        assert_eq!(code("t", 1, Some(&[1])), Err(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(code("no", 0, None), Err(ErrorCode::UnknownTopicOrPartition));
    }
}
