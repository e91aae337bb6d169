//! DescribeTopicPartitions: topics in portions, in the order of their names (KIP-966).

use crate::authorized;
use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::{check_name, is_internal};
use controller::{Image, Partition, Topic};
use kafka_wire::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use kafka_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use kafka_wire::{ErrorCode, Uuid};
use model::NodeId;
use network::Answer;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Answers with all topics or those that are asked for, from the cursor on, and with as many partitions as the
/// client and `max.request.partition.size.limit` allow; where that is not all, with the next cursor.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeTopicPartitionsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let limit = asked.response_partition_limit.min(broker.config().max_request_partitions).max(1);
    let response = match describe(&image, &asked, limit as usize) {
        Ok(response) => response,
        Err(refusal) => refused(&asked, &refusal),
    };
    Ok(answer(request, &response))
}

fn describe<'a>(
    image: &'a Image,
    asked: &'a DescribeTopicPartitionsRequest<'_>,
    limit: usize,
) -> Result<DescribeTopicPartitionsResponse<'a>, Refusal> {
    let (first, partition) = match &asked.cursor {
        Some(cursor) => (cursor.topic_name.as_ref(), cursor.partition_index),
        None => ("", 0),
    };
    let partition =
        usize::try_from(partition).map_err(|_| Refusal::invalid("A cursor's partition is 0 or more."))?;
    let mut portion = Portion { response: DescribeTopicPartitionsResponse::default(), left: limit };
    let start = |name: &str| if name == first { partition } else { 0 };
    if asked.topics.is_empty() {
        let topics = image.topic(first).into_iter().chain(image.topics_after(first));
        portion.fill(topics.map(|topic| (&*topic.name, start(&topic.name), Some(&**topic))));
        return Ok(portion.response);
    }
    let names: BTreeSet<&str> =
        asked.topics.iter().map(|topic| topic.name.as_ref()).filter(|name| *name >= first).collect();
    if asked.cursor.is_some() && !names.contains(first) {
        return Err(Refusal::invalid("The cursor's topic is not among those that are asked for."));
    }
    portion.fill(names.into_iter().map(|name| (name, start(name), image.topic(name).map(|topic| &**topic))));
    Ok(portion.response)
}

/// A response that grows until it holds as many partitions as it may.
struct Portion<'a> {
    response: DescribeTopicPartitionsResponse<'a>,
    left: usize,
}

impl<'a> Portion<'a> {
    /// Adds topics, each from a partition on. What is not added is where the next portion begins.
    fn fill(&mut self, topics: impl Iterator<Item = (&'a str, usize, Option<&'a Topic>)>) {
        for (name, from, topic) in topics {
            if self.left == 0 {
                return self.go_on_at(name, 0);
            }
            let Some(topic) = topic else {
                self.response.topics.push(unknown(name));
                continue;
            };
            let partitions: Vec<_> =
                topic.partitions.iter().enumerate().skip(from).take(self.left).map(partition).collect();
            self.left -= partitions.len();
            let next = from.saturating_add(partitions.len());
            self.response.topics.push(DescribeTopicPartitionsResponseTopic {
                name: Some(name.into()),
                topic_id: Uuid(topic.id.0),
                is_internal: is_internal(name),
                partitions,
                topic_authorized_operations: authorized::TOPIC,
                ..Default::default()
            });
            if next < topic.partitions.len() {
                return self.go_on_at(name, next);
            }
        }
    }

    fn go_on_at(&mut self, name: &'a str, partition: usize) {
        self.response.next_cursor =
            Some(Cursor { topic_name: name.into(), partition_index: partition as i32 });
    }
}

fn partition((number, partition): (usize, &Partition)) -> DescribeTopicPartitionsResponsePartition {
    let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    DescribeTopicPartitionsResponsePartition {
        error_code: if partition.leader.0 < 0 { ErrorCode::LeaderNotAvailable as i16 } else { 0 },
        partition_index: number as i32,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch,
        replica_nodes: numbers(&partition.replicas),
        isr_nodes: numbers(&partition.isr),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let code = match check_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code as i16,
        name: Some(name.into()),
        is_internal: is_internal(name),
        topic_authorized_operations: authorized::TOPIC,
        ..Default::default()
    }
}

/// The response has no error of its own: what concerns the whole request is told of each topic.
fn refused<'a>(
    asked: &'a DescribeTopicPartitionsRequest<'_>,
    refusal: &Refusal,
) -> DescribeTopicPartitionsResponse<'a> {
    let topics = asked.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: refusal.code as i16,
        name: Some(topic.name.as_ref().into()),
        ..Default::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use controller::record::PartitionRecord;
    use kafka_wire::messages::describe_topic_partitions_request as wire;
    use model::{PartitionId, TopicId};

    fn image(topics: &[(&str, i32)]) -> Image {
        let mut records = Vec::new();
        for (place, (name, partitions)) in topics.iter().enumerate() {
            let id = TopicId([place as u8 + 1; 16]);
            records.push(Record::Topic { id, name: (*name).to_owned() });
            records.extend((0..*partitions).map(|number| {
                Record::Partition(PartitionRecord {
                    topic: id,
                    partition: PartitionId(number),
                    leader: NodeId(1),
                    leader_epoch: 3,
                    partition_epoch: 0,
                    replicas: [NodeId(1)].into(),
                    isr: [NodeId(1)].into(),
                })
            }));
        }
        Image::default().with(&records, 1).expect("the records fit")
    }

    /// All portions of a listing: topic, error, partitions.
    fn portions(image: &Image, names: &[&str], limit: usize) -> Vec<Vec<(String, i16, Vec<i32>)>> {
        let topics = names.iter().map(|name| wire::TopicRequest { name: (*name).to_owned().into() });
        let mut asked = DescribeTopicPartitionsRequest { topics: topics.collect(), ..Default::default() };
        let mut portions = Vec::new();
        loop {
            let response = describe(image, &asked, limit).expect("it is well asked");
            let listed = response.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|one| one.partition_index).collect();
                (topic.name.as_deref().unwrap_or_default().to_owned(), topic.error_code, partitions)
            });
            portions.push(listed.collect());
            let next = response.next_cursor.map(|cursor| wire::Cursor {
                topic_name: cursor.topic_name.into_owned().into(),
                partition_index: cursor.partition_index,
            });
            match next {
                None => return portions,
                some => asked.cursor = some,
            }
        }
    }

    #[test]
    fn all_topics_come_in_portions_by_name() {
        let image = image(&[("b", 3), ("a", 2), ("c", 1)]);
        let one = |name: &str, partitions: &[i32]| (name.to_owned(), 0, partitions.to_vec());
        let expected =
            [vec![one("a", &[0, 1])], vec![one("b", &[0, 1])], vec![one("b", &[2]), one("c", &[0])]];
        assert_eq!(portions(&image, &[], 2), expected);
        assert_eq!(portions(&image, &[], 100).len(), 1);
    }

    #[test]
    fn named_topics_are_sorted_and_absent_ones_told() {
        let image = image(&[("a", 1), ("b", 1)]);
        let listed = portions(&image, &["b", "no", "a", "b", "not good"], 100).remove(0);
        let codes: Vec<_> = listed.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
        assert_eq!(codes, [("a", 0), ("b", 0), ("no", 3), ("not good", 17)]);
    }

    #[test]
    fn a_cursor_that_cannot_be_is_refused() {
        let image = image(&[("a", 1)]);
        let cursor = |name: &'static str, partition_index| {
            Some(wire::Cursor { topic_name: name.into(), partition_index })
        };
        let topics = vec![wire::TopicRequest { name: "a".into() }];
        let mut asked = DescribeTopicPartitionsRequest { topics, ..Default::default() };
        for wrong in [cursor("b", 0), cursor("a", -1)] {
            asked.cursor = wrong;
            let refusal = describe(&image, &asked, 10).expect_err("refused");
            assert_eq!(refused(&asked, &refusal).topics[0].error_code, ErrorCode::InvalidRequest as i16);
        }
        asked.cursor = cursor("a", 9);
        let beyond = describe(&image, &asked, 10).expect("a topic may have lost nothing by it");
        assert!(beyond.topics[0].partitions.is_empty() && beyond.next_cursor.is_none());
    }
}
