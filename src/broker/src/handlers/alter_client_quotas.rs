//! AlterClientQuotas: how much clients may use (KIP-546).

use crate::broker::Broker;
use crate::refusal::{Refusal, change, told};
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::changes::quotas::AskedEntity;
use controller::changes::{AlterClientQuotas, QuotaAlteration, QuotaEdit};
use controller::{Change, ControlError, Outcome};
use kafka_wire::messages::alter_client_quotas_request as asked;
use kafka_wire::messages::alter_client_quotas_response::{AlterClientQuotasResponse, EntityData, EntryData};
use network::Answer;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Sets and takes away limits, or says what would become of it; every entity has a result of its own.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: asked::AlterClientQuotasRequest<'_> = decoded(request, request.decode())?;
    let alterations: Vec<QuotaAlteration> = asked.entries.iter().map(wanted).collect();
    let entities: Vec<AskedEntity> = alterations.iter().map(|one| one.entity.clone()).collect();
    let wanted =
        Change::AlterClientQuotas(AlterClientQuotas { alterations, validate_only: asked.validate_only });
    let altered = change(broker, wanted, |outcome| match outcome {
        Outcome::AlterClientQuotas(results) => Some(results),
        _ => None,
    });
    let entries = results(entities, altered.await);
    Ok(answer(request, &AlterClientQuotasResponse { entries, ..Default::default() }))
}

fn wanted(entry: &asked::EntryData<'_>) -> QuotaAlteration {
    let name = |part: &asked::EntityData<'_>| part.entity_name.as_ref().map(ToString::to_string);
    let edit = |op: &asked::OpData<'_>| QuotaEdit {
        key: op.key.to_string(),
        value: (!op.remove).then_some(op.value),
    };
    QuotaAlteration {
        entity: entry.entity.iter().map(|part| (part.entity_type.to_string(), name(part))).collect(),
        edits: entry.ops.iter().map(edit).collect(),
    }
}

/// What became of an entity.
type Altered = (AskedEntity, Result<(), ControlError>);

/// A result for each entity; a change that was refused as a whole is refused for each of them once.
fn results(entities: Vec<AskedEntity>, altered: Result<Vec<Altered>, Refusal>) -> Vec<EntryData<'static>> {
    match altered {
        Ok(results) => {
            results.into_iter().map(|(entity, result)| entry(entity, result.map_err(Refusal::from))).collect()
        }
        Err(refusal) => {
            let mut seen = BTreeSet::new();
            let once = entities.into_iter().filter(|entity| seen.insert(entity.clone()));
            once.map(|entity| entry(entity, Err(refusal.clone()))).collect()
        }
    }
}

fn entry(entity: AskedEntity, result: Result<(), Refusal>) -> EntryData<'static> {
    let (error_code, error_message) = told(result);
    let part = |(kind, name): (String, Option<String>)| EntityData {
        entity_type: kind.into(),
        entity_name: name.map(Into::into),
    };
    EntryData { error_code, error_message, entity: entity.into_iter().map(part).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::ErrorCode;

    fn user(name: &str) -> AskedEntity {
        vec![("user".to_owned(), Some(name.to_owned()))]
    }

    #[test]
    fn a_request_becomes_a_change() {
        let part = |kind: &'static str, name: Option<&'static str>| asked::EntityData {
            entity_type: kind.into(),
            entity_name: name.map(Into::into),
        };
        let op = |key: &'static str, value, remove| asked::OpData { key: key.into(), value, remove };
        let entry = asked::EntryData {
            entity: vec![part("user", None), part("client-id", Some("c"))],
            ops: vec![op("producer_byte_rate", 5.0, false), op("consumer_byte_rate", 6.0, true)],
        };
        let expected = QuotaAlteration {
            entity: vec![("user".into(), None), ("client-id".into(), Some("c".into()))],
            edits: vec![
                QuotaEdit { key: "producer_byte_rate".into(), value: Some(5.0) },
                QuotaEdit { key: "consumer_byte_rate".into(), value: None },
            ],
        };
        assert_eq!(wanted(&entry), expected);
    }

    #[test]
    fn every_entity_is_told_its_result_once() {
        let refused = ControlError::new(controller::ErrorKind::InvalidRequest, "no");
        let told = results(Vec::new(), Ok(vec![(user("a"), Ok(())), (user("b"), Err(refused))]));
        let codes: Vec<_> = told.iter().map(|one| (one.error_code, one.error_message.as_deref())).collect();
        assert_eq!(codes, [(0, None), (ErrorCode::InvalidRequest as i16, Some("no"))]);
        assert_eq!(told[1].entity[0].entity_name.as_deref(), Some("b"));
        let all = vec![user("a"), user("b"), user("a")];
        let told = results(all, Err(ErrorCode::NotController.into()));
        let codes: Vec<_> = told.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [ErrorCode::NotController as i16; 2]);
    }
}
