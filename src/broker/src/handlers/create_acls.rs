//! CreateAcls: there is no authorizer that could keep them.

use super::describe_acls::disabled;
use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::create_acls_request::CreateAclsRequest;
use kafka_wire::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use network::Answer;
use std::rc::Rc;

/// Says so of each rule.
pub async fn handle(_: Rc<Broker>, request: Request) -> Answer {
    answered(run(&request)).await
}

async fn run(request: &Request) -> Result<Answer, Answer> {
    let asked: CreateAclsRequest<'_> = decoded(request, request.decode())?;
    let refused = |_| {
        let (error_code, error_message) = disabled();
        AclCreationResult { error_code, error_message }
    };
    let results = asked.creations.iter().map(refused).collect();
    Ok(answer(request, &CreateAclsResponse { results, ..Default::default() }))
}
