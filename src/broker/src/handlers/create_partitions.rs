//! CreatePartitions: more partitions for topics.

use crate::broker::Broker;
use crate::refusal::{change, each, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{CreatePartitions, MorePartitions};
use controller::{Change, Outcome};
use kafka_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_wire::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use network::Answer;
use std::rc::Rc;

/// Adds the partitions, or says what would become of it; every topic has a result of its own.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: CreatePartitionsRequest<'_> = decoded(request, request.decode())?;
    let topics = asked.topics.iter().map(wanted).collect();
    let (validate_only, budget) = (asked.validate_only, request.budget());
    let wanted = Change::CreatePartitions(CreatePartitions { topics, validate_only, budget });
    let created = change(broker, wanted, |outcome| match outcome {
        Outcome::CreatePartitions(results) => Some(results),
        _ => None,
    });
    let results = each(asked.topics.iter().map(|topic| topic.name.as_ref()), created.await)
        .into_iter()
        .map(|(name, result)| {
            let (error_code, error_message) = told(result);
            CreatePartitionsTopicResult { name: name.into(), error_code, error_message }
        })
        .collect();
    Ok(answer(request, &CreatePartitionsResponse { results, ..Default::default() }))
}

fn wanted(topic: &CreatePartitionsTopic<'_>) -> MorePartitions {
    let assignments = topic.assignments.as_ref();
    MorePartitions {
        topic: topic.name.to_string(),
        count: topic.count,
        assignments: assignments.map(|all| all.iter().map(|one| one.broker_ids.clone()).collect()),
    }
}
