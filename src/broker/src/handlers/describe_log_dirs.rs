//! DescribeLogDirs: how large partitions are on disk, and the file system that they are on (KIP-827).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use crate::route::ByCore;
use controller::{Image, Topic};
use kafka_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use kafka_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use network::Answer;
use shard::Outcome;
use shard::operation::Rare;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Answers with the one data directory, and in it the partitions that are asked for and there. The sizes of the
/// file system are those of the last measurement; -1 stands for none.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeLogDirsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let wanted = wanted(&image, &asked);
    let mut by_core = ByCore::new();
    let mut names = Vec::new();
    for (topic, numbers) in &wanted {
        for routed in numbers.iter().filter_map(|&number| broker.route(topic, number).ok()) {
            by_core.push(routed.shard, names.len(), routed.partition);
            names.push((topic, routed.partition.partition.0));
        }
    }
    let calls: Vec<_> = by_core
        .into_cores()
        .map(|(shard, places, items)| (places, broker.ask(shard, Rare::Status { items }.into())))
        .collect();
    let mut sizes: Vec<Option<u64>> = vec![None; names.len()];
    for (places, call) in calls {
        let Some(Outcome::Status(results)) = call.await else { continue };
        for (place, status) in places.into_iter().zip(results) {
            sizes[place] = status.ok().map(|status| status.bytes);
        }
    }
    let mut topics: Vec<DescribeLogDirsTopic<'_>> = Vec::new();
    // A partition whose core does not have it is being made or removed: it is not on disk.
    for ((topic, number), bytes) in
        names.into_iter().zip(sizes).filter_map(|(name, size)| Some((name, size?)))
    {
        if topics.last().is_none_or(|last| last.name != *topic.name) {
            topics.push(DescribeLogDirsTopic { name: (&*topic.name).into(), ..Default::default() });
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(DescribeLogDirsPartition {
                partition_index: number,
                partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
                ..Default::default()
            });
        }
    }
    let identity = &broker.identity;
    let directory = DescribeLogDirsResult {
        log_dir: identity.data.as_str().into(),
        topics,
        total_bytes: identity.space.total_bytes(),
        usable_bytes: identity.space.usable_bytes(),
        ..Default::default()
    };
    Ok(answer(request, &DescribeLogDirsResponse { results: vec![directory], ..Default::default() }))
}

/// The partitions that are asked for, of topics that there are: each once, in order.
fn wanted<'a>(image: &'a Image, asked: &DescribeLogDirsRequest<'_>) -> Vec<(&'a Topic, Vec<i32>)> {
    let Some(topics) = &asked.topics else {
        return image
            .topics()
            .map(|topic| (&**topic, (0..topic.partitions.len() as i32).collect()))
            .collect();
    };
    let mut by_name: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for topic in topics {
        by_name.entry(&topic.topic).or_default().extend(&topic.partitions);
    }
    let there = by_name.into_iter().filter_map(|(name, numbers)| Some((&**image.topic(name)?, numbers)));
    there.map(|(topic, numbers)| (topic, numbers.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;
    use kafka_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
    use model::TopicId;

    #[test]
    fn each_partition_of_a_topic_that_is_there_is_asked_for_once() {
        let records = [Record::Topic { id: TopicId([1; 16]), name: "t".to_owned() }];
        let image = Image::default().with(&records, 1).expect("the record fits");
        let topic = |name: &'static str, partitions: &[i32]| DescribableLogDirTopic {
            topic: name.into(),
            partitions: partitions.to_vec(),
        };
        let topics = vec![topic("t", &[2, 1]), topic("no", &[0]), topic("t", &[1, 0])];
        let wanted = wanted(&image, &DescribeLogDirsRequest { topics: Some(topics) });
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].1, [0, 1, 2]);
    }
}
