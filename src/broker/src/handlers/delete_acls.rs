//! DeleteAcls: there is no authorizer that could have any.

use super::describe_acls::disabled;
use crate::broker::Broker;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use kafka_wire::messages::delete_acls_request::DeleteAclsRequest;
use kafka_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};
use network::Answer;
use std::rc::Rc;

/// Says so of each filter.
pub async fn handle(_: Rc<Broker>, request: Request) -> Answer {
    answered(run(&request)).await
}

async fn run(request: &Request) -> Result<Answer, Answer> {
    let asked: DeleteAclsRequest<'_> = decoded(request, request.decode())?;
    let refused = |_| {
        let (error_code, error_message) = disabled();
        DeleteAclsFilterResult { error_code, error_message, ..Default::default() }
    };
    let filter_results = asked.filters.iter().map(refused).collect();
    Ok(answer(request, &DeleteAclsResponse { filter_results, ..Default::default() }))
}
