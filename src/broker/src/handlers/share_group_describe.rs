//! ShareGroupDescribe: share groups and their members (KIP-932).

use crate::authorized;
use crate::broker::Broker;
use crate::coordinators::ask::{code_of, describe_each};
use crate::features::serves_share_groups;
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
    let include_authorized_operations = asked.include_authorized_operations;
    let part = |group_ids| ShareGroupDescribeRequest { group_ids, include_authorized_operations };
    let take = |told| match told {
        Ok(Response::ShareGroupDescribe(response)) => Ok(response.groups),
        other => Err(code_of(&other)),
    };
    let wanted = (asked.group_ids, serves_share_groups(broker));
    let mut groups = describe_each(broker, request, wanted, part, take, refused).await;
    if include_authorized_operations {
        let told = groups.iter_mut().filter(|group| group.error_code == 0);
        told.for_each(|group| group.authorized_operations = authorized::GROUP);
    }
    Ok(answer(request, &ShareGroupDescribeResponse { groups, ..Default::default() }))
}

fn refused(group_id: Str<'_>, code: ErrorCode) -> DescribedGroup<'_> {
    DescribedGroup { error_code: code.code(), group_id, ..Default::default() }
}
