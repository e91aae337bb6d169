//! AlterConfigs: all of a resource's configuration at once. What is not named goes back to its default.

use crate::altering::{Wish, alter};
use crate::broker::Broker;
use crate::refusal::told;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::Alteration;
use kafka_wire::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use kafka_wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};
use network::Answer;
use std::rc::Rc;

/// Alters the resources, or says what would become of it. What is answered is in force on every core.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: AlterConfigsRequest<'_> = decoded(request, request.decode())?;
    let wishes = asked.resources.iter().map(wish).collect();
    let results = alter(broker, wishes, asked.validate_only).await;
    let responses = asked
        .resources
        .iter()
        .zip(results)
        .map(|(resource, result)| {
            let (error_code, error_message) = told(result);
            AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        })
        .collect();
    Ok(answer(request, &AlterConfigsResponse { responses, ..Default::default() }))
}

fn wish<'a>(resource: &'a AlterConfigsResource<'_>) -> Wish<'a> {
    let configs = resource.configs.iter();
    let pairs = configs.map(|one| (one.name.to_string(), one.value.as_deref().map(str::to_owned))).collect();
    Wish {
        kind: resource.resource_type,
        name: &resource.resource_name,
        alteration: Ok(Alteration::Replace(pairs)),
    }
}
