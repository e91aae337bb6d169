//! ElectLeaders: lets partitions' preferred replicas lead, or any replica that is left (KIP-460).

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::{Image, Partition, Topic};
use kafka_wire::ErrorCode;
use kafka_wire::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use kafka_wire::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use model::{NodeId, PartitionId};
use network::Answer;
use std::rc::Rc;

/// Who shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    /// The first of the replicas.
    Preferred,
    /// Any replica, where no one leads.
    Unclean,
}

/// Answers for each partition. There is one node, so nobody else could be elected: either the leader is the wanted
/// one already, or the wanted one is not there.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ElectLeadersRequest<'_> = decoded(request, request.decode())?;
    Ok(answer(request, &elect(&broker.image(), &asked, request.version)))
}

fn elect<'a>(image: &'a Image, asked: &'a ElectLeadersRequest<'_>, version: i16) -> ElectLeadersResponse<'a> {
    let mut response = ElectLeadersResponse::default();
    let election = election(asked.election_type);
    // Version 0 has no error of the whole; it knows one kind of election too.
    if let Err(refusal) = &election
        && version >= 1
    {
        response.error_code = refusal.code.code();
    }
    response.replica_election_results = match (&asked.topic_partitions, election) {
        (Some(topics), election) => topics.iter().map(|topic| named(image, topic, &election)).collect(),
        (None, Ok(election)) => all(image, election),
        (None, Err(_)) => Vec::new(),
    };
    response
}

fn election(kind: i8) -> Result<Election, Refusal> {
    match kind {
        0 => Ok(Election::Preferred),
        1 => Ok(Election::Unclean),
        other => Err(Refusal::invalid(format!("There is no election type {other}."))),
    }
}

fn named<'a>(
    image: &Image,
    topic: &'a TopicPartitions<'_>,
    election: &Result<Election, Refusal>,
) -> ReplicaElectionResult<'a> {
    let partition = |&number: &i32| {
        let refusal = match election {
            Ok(election) => of_number(image, &topic.topic, number, *election),
            Err(refusal) => refusal.clone(),
        };
        told(number, refusal)
    };
    ReplicaElectionResult {
        topic: topic.topic.as_ref().into(),
        partition_result: topic.partitions.iter().map(partition).collect(),
    }
}

fn all(image: &Image, election: Election) -> Vec<ReplicaElectionResult<'_>> {
    let results = image.topics().map(|topic| ReplicaElectionResult {
        topic: (&*topic.name).into(),
        partition_result: wanting(topic, election),
    });
    results.collect()
}

/// Of all partitions only those are told of that have not the wanted leader.
fn wanting(topic: &Topic, election: Election) -> Vec<PartitionResult<'static>> {
    let codes = topic.partitions.iter().map(|partition| of_partition(partition, election));
    let wanting = (0..).zip(codes).filter(|(_, code)| *code != ErrorCode::ElectionNotNeeded);
    wanting.map(|(number, code)| told(number, code.into())).collect()
}

fn of_number(image: &Image, name: &str, number: i32, election: Election) -> Refusal {
    let unknown = |what: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, what);
    let Some(topic) = image.topic(name) else {
        return unknown(format!("There is no topic {name}."));
    };
    match topic.partition(PartitionId(number)) {
        Some(partition) => of_partition(partition, election).into(),
        None => unknown(format!("Topic {name} has no partition {number}.")),
    }
}

fn of_partition(partition: &Partition, election: Election) -> ErrorCode {
    let led = partition.leader != NodeId(-1);
    match election {
        Election::Preferred if led && partition.replicas.first() == Some(&partition.leader) => {
            ErrorCode::ElectionNotNeeded
        }
        Election::Preferred => ErrorCode::PreferredLeaderNotAvailable,
        Election::Unclean if led => ErrorCode::ElectionNotNeeded,
        Election::Unclean => ErrorCode::EligibleLeadersNotAvailable,
    }
}

fn told(partition_id: i32, refusal: Refusal) -> PartitionResult<'static> {
    let (error_code, error_message) = refusal.told();
    PartitionResult { partition_id, error_code, error_message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use controller::record::PartitionRecord;
    use model::TopicId;

    /// One topic; each partition with its leader, and its replicas.
    fn image(partitions: &[(i32, &[i32])]) -> Image {
        let id = TopicId([1; 16]);
        let mut records = vec![Record::Topic { id, name: "t".to_owned() }];
        for (number, (leader, replicas)) in (0..).zip(partitions) {
            let replicas: Vec<NodeId> = replicas.iter().map(|&node| NodeId(node)).collect();
            records.push(Record::Partition(PartitionRecord {
                topic: id,
                partition: PartitionId(number),
                leader: NodeId(*leader),
                leader_epoch: 0,
                partition_epoch: 0,
                replicas: replicas.clone().into(),
                isr: replicas.into(),
            }));
        }
        Image::default().with(&records, 1).expect("the records fit")
    }

    fn codes(response: &ElectLeadersResponse<'_>) -> Vec<Vec<(i32, i16)>> {
        let topics = response.replica_election_results.iter();
        let codes = topics.map(|topic| {
            topic.partition_result.iter().map(|one| (one.partition_id, one.error_code)).collect()
        });
        codes.collect()
    }

    #[test]
    fn whoever_leads_already_is_not_elected() {
        let image = image(&[(1, &[1]), (-1, &[1]), (1, &[2, 1])]);
        let topic = |topic: &'static str, partitions: &[i32]| TopicPartitions {
            topic: topic.into(),
            partitions: partitions.to_vec(),
        };
        let topics = || Some(vec![topic("t", &[0, 1, 2, 3, -1]), topic("no", &[0])]);
        let of = |election_type, topic_partitions| {
            let asked = ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
            codes(&elect(&image, &asked, 2))
        };
        assert_eq!(of(0, topics()), [vec![(0, 84), (1, 80), (2, 80), (3, 3), (-1, 3)], vec![(0, 3)]]);
        assert_eq!(of(1, topics()), [vec![(0, 84), (1, 83), (2, 84), (3, 3), (-1, 3)], vec![(0, 3)]]);
        assert_eq!(of(0, None), [[(1, 80), (2, 80)]]);
        assert_eq!(of(1, None), [[(1, 83)]]);
    }

    #[test]
    fn an_unknown_election_is_refused_as_a_whole() {
        let image = image(&[(1, &[1])]);
        let topics = vec![TopicPartitions { topic: "t".into(), partitions: vec![0] }];
        let asked =
            ElectLeadersRequest { election_type: 2, topic_partitions: Some(topics), ..Default::default() };
        let response = elect(&image, &asked, 1);
        assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
        assert_eq!(codes(&response), [[(0, ErrorCode::InvalidRequest.code())]]);
    }
}
