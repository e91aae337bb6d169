//! OffsetFetch: how far groups have come; from version 8 on any number of groups at once.

use crate::broker::Broker;
use crate::coordinators::ask::{ask, ask_each, code_of};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use kafka_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;

/// From this version on a request names any number of groups.
const MANY_GROUPS: i16 = 8;
/// From this version on there is an error for the whole group.
const GROUP_ERROR: i16 = 2;

/// Answers with the committed offsets of each group that are asked for.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: OffsetFetchRequest<'_> = decoded(request, request.decode())?;
    if request.version >= MANY_GROUPS {
        return Ok(answer(request, &many(broker, request, &asked).await));
    }
    let told = ask(broker, request, &asked.group_id).await;
    let Ok(Response::OffsetFetch(response)) = &told else {
        return Ok(answer(request, &refused(&asked, code_of(&told), request.version)));
    };
    Ok(answer(request, response))
}

/// Asks the coordinator of each group, and puts their answers together in the order of the request.
async fn many<'a>(
    broker: &Rc<Broker>,
    request: &Request,
    asked: &OffsetFetchRequest<'a>,
) -> OffsetFetchResponse<'a> {
    let names: Vec<Str<'_>> = asked.groups.iter().map(|group| group.group_id.clone()).collect();
    let part = |indexes: &[usize]| OffsetFetchRequest {
        groups: indexes.iter().map(|index| asked.groups[*index].clone()).collect(),
        require_stable: asked.require_stable,
        ..Default::default()
    };
    let answers = ask_each(broker, request, &names, part).await;
    let mut groups: Vec<Option<OffsetFetchResponseGroup<'a>>> = names.iter().map(|_| None).collect();
    for (indexes, told) in answers {
        match told {
            Ok(Response::OffsetFetch(response)) => {
                for (index, group) in indexes.into_iter().zip(response.groups) {
                    groups[index] = Some(group);
                }
            }
            other => {
                let code = code_of(&other);
                for index in indexes {
                    groups[index] = Some(refused_group(&names[index], code));
                }
            }
        }
    }
    // A coordinator answers for every group that it is asked for.
    let groups = groups.into_iter().zip(&names);
    let groups = groups
        .map(|(group, name)| group.unwrap_or_else(|| refused_group(name, ErrorCode::UnknownServerError)));
    OffsetFetchResponse { groups: groups.collect(), ..Default::default() }
}

fn refused_group<'a>(name: &Str<'a>, code: ErrorCode) -> OffsetFetchResponseGroup<'a> {
    OffsetFetchResponseGroup { group_id: name.clone(), error_code: code.code(), ..Default::default() }
}

/// The answer to a request of one group that is not looked at.
fn refused<'a>(asked: &OffsetFetchRequest<'a>, code: ErrorCode, version: i16) -> OffsetFetchResponse<'a> {
    if version >= GROUP_ERROR {
        return OffsetFetchResponse { error_code: code.code(), ..Default::default() };
    }
    let partitions = |topic: &OffsetFetchRequestTopic<'a>| {
        let refused = topic.partition_indexes.iter().map(|&partition_index| OffsetFetchResponsePartition {
            partition_index,
            committed_offset: -1,
            error_code: code.code(),
            ..Default::default()
        });
        refused.collect()
    };
    let topics = asked.topics.iter().flatten();
    let topics = topics
        .map(|topic| OffsetFetchResponseTopic { name: topic.name.clone(), partitions: partitions(topic) });
    OffsetFetchResponse { topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_where_the_version_has_a_place_for_it() {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![3] };
        let asked = OffsetFetchRequest { topics: Some(vec![topic]), ..Default::default() };
        let first = refused(&asked, ErrorCode::NotCoordinator, 1);
        let partition = &first.topics[0].partitions[0];
        assert_eq!(
            (partition.partition_index, partition.committed_offset, partition.error_code),
            (3, -1, 16)
        );
        assert_eq!(first.error_code, 0);
        let later = refused(&asked, ErrorCode::NotCoordinator, 2);
        assert_eq!((later.topics.len(), later.error_code), (0, 16));
    }
}
