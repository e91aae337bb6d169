//! DescribeAcls, and what every request about access rules is told while there is no authorizer: SECURITY_DISABLED, as
//! a Kafka without `authorizer.class.name` says.

use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::describe_acls_request::DescribeAclsRequest;
use kafka_wire::messages::describe_acls_response::DescribeAclsResponse;
use kafka_wire::{ErrorCode, Str};
use network::Answer;
use std::rc::Rc;

/// Says so of the whole request.
pub async fn handle(_: Rc<Broker>, request: Request) -> Answer {
    answered(run(&request)).await
}

async fn run(request: &Request) -> Result<Answer, Answer> {
    let _: DescribeAclsRequest<'_> = decoded(request, request.decode())?;
    let (error_code, error_message) = disabled();
    Ok(answer(request, &DescribeAclsResponse { error_code, error_message, ..Default::default() }))
}

/// The error and its text.
pub(crate) fn disabled() -> (i16, Option<Str<'static>>) {
    (ErrorCode::SecurityDisabled.code(), Some(Str::Borrowed("No Authorizer is configured on the broker.")))
}
