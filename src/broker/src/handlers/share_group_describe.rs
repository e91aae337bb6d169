//! ShareGroupDescribe: share groups and their members (KIP-932).

use crate::authorized;
use crate::broker::Broker;
use crate::coordinators::ask::{ask_each, code_of};
use crate::features::SHARE_VERSION;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::share_group_describe_request::ShareGroupDescribeRequest;
use kafka_wire::messages::share_group_describe_response::{DescribedGroup, ShareGroupDescribeResponse};
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;

/// Answers for each group.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ShareGroupDescribeRequest<'_> = decoded(request, request.decode())?;
    if broker.image().feature(SHARE_VERSION) < 1 {
        let groups = asked.group_ids.into_iter();
        let groups = groups.map(|name| refused(name, ErrorCode::UnsupportedVersion)).collect();
        return Ok(answer(request, &ShareGroupDescribeResponse { groups, ..Default::default() }));
    }
    let (names, nameless): (Vec<Str<'_>>, Vec<Str<'_>>) =
        asked.group_ids.into_iter().partition(|name| !name.is_empty());
    let part = |indexes: &[usize]| ShareGroupDescribeRequest {
        group_ids: indexes.iter().map(|index| names[*index].clone()).collect(),
        include_authorized_operations: asked.include_authorized_operations,
    };
    let mut groups: Vec<DescribedGroup<'_>> =
        nameless.into_iter().map(|name| refused(name, ErrorCode::InvalidGroupId)).collect();
    for (indexes, told) in ask_each(broker, request, &names, part).await {
        match told {
            Ok(Response::ShareGroupDescribe(response)) => groups.extend(response.groups),
            other => {
                let code = code_of(&other);
                groups.extend(indexes.into_iter().map(|index| refused(names[index].clone(), code)));
            }
        }
    }
    if asked.include_authorized_operations {
        let told = groups.iter_mut().filter(|group| group.error_code == 0);
        told.for_each(|group| group.authorized_operations = authorized::GROUP);
    }
    Ok(answer(request, &ShareGroupDescribeResponse { groups, ..Default::default() }))
}

fn refused(group_id: Str<'_>, code: ErrorCode) -> DescribedGroup<'_> {
    DescribedGroup { error_code: code.code(), group_id, ..Default::default() }
}
