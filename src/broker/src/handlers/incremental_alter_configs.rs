//! IncrementalAlterConfigs: single keys of resources' configuration (KIP-339).

use crate::altering::{Wish, alter};
use crate::broker::Broker;
use crate::refusal::{Refusal, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::{Alteration, ConfigEdit, EditKind};
use kafka_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_wire::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use network::Answer;
use std::rc::Rc;

/// Alters the resources, or says what would become of it. What is answered is in force on every core.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: IncrementalAlterConfigsRequest<'_> = decoded(request, request.decode())?;
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
    Ok(answer(request, &IncrementalAlterConfigsResponse { responses, ..Default::default() }))
}

fn wish<'a>(resource: &'a AlterConfigsResource<'_>) -> Wish<'a> {
    let edits: Result<Vec<_>, _> = resource.configs.iter().map(edit).collect();
    Wish {
        kind: resource.resource_type,
        name: &resource.resource_name,
        alteration: edits.map(Alteration::Edit),
    }
}

fn edit(config: &AlterableConfig<'_>) -> Result<ConfigEdit, Refusal> {
    let kind = match config.config_operation {
        0 => EditKind::Set,
        1 => EditKind::Delete,
        2 => EditKind::Append,
        3 => EditKind::Subtract,
        other => return Err(Refusal::invalid(format!("There is no operation {other} on configuration."))),
    };
    let value = config.value.as_deref().map(str::to_owned);
    Ok(ConfigEdit { key: config.name.to_string(), kind, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_are_kafkas() {
        let kind = |operation| {
            let config = AlterableConfig { name: "k".into(), config_operation: operation, value: None };
            edit(&config).map(|edit| edit.kind)
        };
        assert_eq!(kind(0), Ok(EditKind::Set));
        assert_eq!(kind(1), Ok(EditKind::Delete));
        assert_eq!(kind(2), Ok(EditKind::Append));
        assert_eq!(kind(3), Ok(EditKind::Subtract));
        for strange in [-1, 4] {
            assert_eq!(kind(strange).expect_err("unknown").code, kafka_wire::ErrorCode::InvalidRequest);
        }
    }
}
