//! DeleteTopics: by name, from version 6 on also by id.

use crate::broker::Broker;
use crate::refusal::{Refusal, change, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{DeleteTopics, TopicReference};
use controller::{Change, Outcome};
use kafka_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kafka_wire::{ErrorCode, Uuid};
use model::TopicId;
use network::Answer;
use std::rc::Rc;

/// Deletes the topics. Answers when no core shows them any more; their files go after that.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteTopicsRequest<'_> = decoded(request, request.decode())?;
    let topics = references(&asked, request.version);
    let deleted = if broker.config().delete_topics {
        let wanted = Change::DeleteTopics(DeleteTopics { topics: topics.clone(), budget: request.budget() });
        let pick = |outcome| match outcome {
            Outcome::DeleteTopics(results) => Some(results),
            _ => None,
        };
        change(broker, wanted, pick).await
    } else {
        Err(disabled(request.version))
    };
    let responses = match deleted {
        Ok(results) => results
            .into_iter()
            .map(|one| response(one.name, one.id, one.result.map_err(Refusal::from)))
            .collect(),
        Err(refusal) => {
            topics.into_iter().map(|one| response(one.name, one.id, Err(refusal.clone()))).collect()
        }
    };
    Ok(answer(request, &DeleteTopicsResponse { responses, ..Default::default() }))
}

fn references(asked: &DeleteTopicsRequest<'_>, version: i16) -> Vec<TopicReference> {
    if version >= 6 {
        let topics = asked.topics.iter();
        let name = |name: &Option<kafka_wire::Str<'_>>| name.as_deref().map(str::to_owned);
        return topics
            .map(|topic| TopicReference { name: name(&topic.name), id: TopicId(topic.topic_id.0) })
            .collect();
    }
    let names = asked.topic_names.iter();
    names.map(|name| TopicReference { name: Some(name.to_string()), id: TopicId::ZERO }).collect()
}

/// `delete.topic.enable` is false. Old clients do not know the error made for it.
fn disabled(version: i16) -> Refusal {
    match version {
        ..3 => Refusal::invalid("Topics cannot be deleted: delete.topic.enable is false."),
        _ => ErrorCode::TopicDeletionDisabled.into(),
    }
}

fn response(name: Option<String>, id: TopicId, result: Result<(), Refusal>) -> DeletableTopicResult<'static> {
    let (error_code, error_message) = told(result);
    DeletableTopicResult { name: name.map(Into::into), topic_id: Uuid(id.0), error_code, error_message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::messages::delete_topics_request::DeleteTopicState;

    #[test]
    fn topics_go_by_name_and_later_by_id() {
        let old = DeleteTopicsRequest { topic_names: vec!["a".into()], ..Default::default() };
        assert_eq!(references(&old, 5), [TopicReference { name: Some("a".to_owned()), id: TopicId::ZERO }]);
        let state = DeleteTopicState { name: None, topic_id: Uuid([7; 16]) };
        let new = DeleteTopicsRequest { topics: vec![state], ..Default::default() };
        assert_eq!(references(&new, 6), [TopicReference { name: None, id: TopicId([7; 16]) }]);
    }

    #[test]
    fn old_clients_get_an_error_that_they_know() {
        assert_eq!(disabled(2).code, ErrorCode::InvalidRequest);
        assert_eq!(disabled(3).code, ErrorCode::TopicDeletionDisabled);
    }
}
