//! ConsumerGroupDescribe: groups of the consumer protocol and their members (KIP-848).

use crate::authorized;
use crate::broker::Broker;
use crate::coordinators::ask::{code_of, describe_each};
use crate::features::serves_consumer_groups;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use groups::Response;
use kafka_wire::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_wire::messages::consumer_group_describe_response::{ConsumerGroupDescribeResponse, DescribedGroup};
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;

/// Answers for each group.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: ConsumerGroupDescribeRequest<'_> = decoded(request, request.decode())?;
    let include_authorized_operations = asked.include_authorized_operations;
    let part = |group_ids| ConsumerGroupDescribeRequest { group_ids, include_authorized_operations };
    let take = |told| match told {
        Ok(Response::ConsumerGroupDescribe(response)) => Ok(response.groups),
        other => Err(code_of(&other)),
    };
    let wanted = (asked.group_ids, serves_consumer_groups(broker));
    let mut groups = describe_each(broker, request, wanted, part, take, refused).await;
    if include_authorized_operations {
        let told = groups.iter_mut().filter(|group| group.error_code == 0);
        told.for_each(|group| group.authorized_operations = authorized::GROUP);
    }
    Ok(answer(request, &ConsumerGroupDescribeResponse { groups, ..Default::default() }))
}

fn refused(group_id: Str<'_>, code: ErrorCode) -> DescribedGroup<'_> {
    DescribedGroup { error_code: code.code(), group_id, ..Default::default() }
}
