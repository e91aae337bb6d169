//! AlterReplicaLogDirs: moves partitions from log directory to log directory (KIP-113).

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::ErrorCode;
use kafka_wire::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use kafka_wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use network::Answer;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Answers for each partition. There is one data directory: what is asked to be there is there already, and there is
/// no other.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AlterReplicaLogDirsRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let there = |name: &str, number| broker.route_name(&image, name, number).is_ok();
    Ok(answer(request, &moved(&asked, &broker.identity.data, there)))
}

/// A partition that is named under two directories shall go to the last.
fn moved<'a>(
    asked: &'a AlterReplicaLogDirsRequest<'_>,
    data: &str,
    there: impl Fn(&str, i32) -> bool,
) -> AlterReplicaLogDirsResponse<'a> {
    let mut by_name: BTreeMap<&str, BTreeMap<i32, ErrorCode>> = BTreeMap::new();
    for directory in &asked.dirs {
        for topic in &directory.topics {
            let results = by_name.entry(topic.name.as_ref()).or_default();
            for &number in &topic.partitions {
                let code = match directory.path == data {
                    false => ErrorCode::LogDirNotFound,
                    true if there(&topic.name, number) => ErrorCode::None,
                    true => ErrorCode::ReplicaNotAvailable,
                };
                results.insert(number, code);
            }
        }
    }
    let results = by_name.into_iter().map(|(name, partitions)| AlterReplicaLogDirTopicResult {
        topic_name: name.into(),
        partitions: partitions
            .into_iter()
            .map(|(partition_index, code)| AlterReplicaLogDirPartitionResult {
                partition_index,
                error_code: code.code(),
            })
            .collect(),
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};

    #[test]
    fn there_is_one_directory() {
        let directory = |path: &'static str, name: &'static str, partitions: &[i32]| AlterReplicaLogDir {
            path: path.into(),
            topics: vec![AlterReplicaLogDirTopic { name: name.into(), partitions: partitions.to_vec() }],
        };
        let dirs = vec![
            directory("/other", "t", &[0, 1]),
            directory("/data", "t", &[2, 1]),
            directory("/data", "no", &[0]),
        ];
        let asked = AlterReplicaLogDirsRequest { dirs };
        let response = moved(&asked, "/data", |name, number| name == "t" && number < 2);
        let told: Vec<(&str, Vec<(i32, i16)>)> = response
            .results
            .iter()
            .map(|topic| {
                let codes = topic.partitions.iter().map(|one| (one.partition_index, one.error_code));
                (topic.topic_name.as_ref(), codes.collect())
            })
            .collect();
        assert_eq!(told, [("no", vec![(0, 9)]), ("t", vec![(0, 57), (1, 0), (2, 9)])]);
    }
}
