//! FindCoordinator: which broker has a group, or a transactional id. On one node it is this one.

use crate::broker::Broker;
use crate::internal_topics;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::names::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use kafka_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_wire::{ErrorCode, Str, Uuid};
use network::Answer;
use std::rc::Rc;

/// From this version on any number of keys may be asked for.
const MANY_KEYS: i16 = 4;
/// The type of keys of share state.
const SHARE_KEY: i8 = 2;

/// Answers with this node for each key. The topic that the coordinator keeps its state in is made when a
/// coordinator is first asked for; Kafka meanwhile answers COORDINATOR_NOT_AVAILABLE, here the answer waits for it.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: FindCoordinatorRequest<'_> = decoded(request, request.decode())?;
    let found = find(broker, asked.key_type).await;
    let response = if request.version >= MANY_KEYS {
        let keys = asked.coordinator_keys.iter();
        let coordinators = keys.map(|key| {
            let found = check_key(asked.key_type, key).and(found.clone());
            coordinator(broker, key.clone(), found)
        });
        let coordinators = coordinators.collect();
        FindCoordinatorResponse { coordinators, ..Default::default() }
    } else {
        let found = check_key(asked.key_type, &asked.key).and(found);
        let one = coordinator(broker, asked.key, found);
        FindCoordinatorResponse {
            error_code: one.error_code,
            error_message: one.error_message,
            node_id: one.node_id,
            host: one.host,
            port: one.port,
            ..Default::default()
        }
    };
    Ok(answer(request, &response))
}

/// The topic that coordinators of a type of key keep their state in.
fn state_topic(key_type: i8) -> Result<&'static str, Refusal> {
    match key_type {
        0 => Ok(CONSUMER_OFFSETS),
        1 => Ok(TRANSACTION_STATE),
        SHARE_KEY => Ok(SHARE_GROUP_STATE),
        other => Err(Refusal::invalid(format!("There is no coordinator for keys of type {other}."))),
    }
}

/// The state of a share group is kept by partition, and so are its keys: `group:topic id:partition`.
fn check_key(key_type: i8, key: &str) -> Result<(), Refusal> {
    if key_type != SHARE_KEY {
        return Ok(());
    }
    let mut parts = key.rsplitn(3, ':');
    let is_number = parts.next().is_some_and(|part| part.parse::<i32>().is_ok_and(|number| number >= 0));
    let is_id = parts.next().is_some_and(|part| part.parse::<Uuid>().is_ok());
    let is_group = parts.next().is_some_and(|part| !part.is_empty());
    match is_number && is_id && is_group {
        true => Ok(()),
        false => Err(Refusal::invalid("A key of share state is groupId:topicId:partition.")),
    }
}

async fn find(broker: &Broker, key_type: i8) -> Result<(), Refusal> {
    let topic = state_topic(key_type)?;
    internal_topics::ensure(broker, topic).await.map_err(|error| {
        log::warn!("topic {topic} could not be created, so no coordinator is told: {error}");
        Refusal::new(ErrorCode::CoordinatorNotAvailable, error.message)
    })
}

fn coordinator<'a>(broker: &'a Broker, key: Str<'a>, found: Result<(), Refusal>) -> Coordinator<'a> {
    match found {
        Ok(()) => Coordinator {
            key,
            node_id: broker.identity.node.0,
            host: broker.identity.host.as_str().into(),
            port: i32::from(broker.port()),
            error_code: 0,
            error_message: None,
        },
        Err(refusal) => {
            let (error_code, error_message) = refusal.told();
            Coordinator { key, node_id: -1, host: "".into(), port: -1, error_code, error_message }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_transactions_have_coordinators() {
        assert_eq!(state_topic(FindCoordinatorRequest::default().key_type), Ok(CONSUMER_OFFSETS));
        assert_eq!(state_topic(1), Ok(TRANSACTION_STATE));
        assert_eq!(state_topic(2), Ok(SHARE_GROUP_STATE));
        for strange in [-1, 3] {
            assert_eq!(state_topic(strange).expect_err("no coordinator").code, ErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn keys_of_share_state_name_a_group_a_topic_and_a_partition() {
        let id = Uuid([7; 16]);
        for good in [format!("g:{id}:0"), format!("a:b:{id}:12")] {
            assert_eq!(check_key(2, &good), Ok(()), "{good}");
        }
        for bad in [
            "g".to_owned(),
            format!("g:{id}"),
            format!("g:{id}:-1"),
            "g:topic:0".to_owned(),
            format!(":{id}:0"),
        ] {
            assert_eq!(check_key(2, &bad).expect_err("no key").code, ErrorCode::InvalidRequest, "{bad}");
            assert_eq!(check_key(0, &bad), Ok(()));
        }
    }
}
