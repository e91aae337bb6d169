//! DescribeClientQuotas: how much clients may use (KIP-546).

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::request::{Request, answered, decoded};
use crate::response::answer;
use controller::{ClientQuotas, QuotaEntity, QuotaPart};
use kafka_wire::ErrorCode;
use kafka_wire::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use kafka_wire::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use network::Answer;
use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

/// An entity's part has the name that is asked for.
const EXACT: i8 = 0;
/// It is the default.
const DEFAULT: i8 = 1;
/// It is there.
const SPECIFIED: i8 = 2;

/// Gives all that is set for the entities that match.
pub async fn handle(broker: Rc<Broker>, request: Request) -> Answer {
    answered(run(&broker, &request)).await
}

async fn run(broker: &Rc<Broker>, request: &Request) -> Result<Answer, Answer> {
    let asked: DescribeClientQuotasRequest<'_> = decoded(request, request.decode())?;
    let image = broker.image();
    let response = match Filter::new(&asked) {
        Ok(filter) => {
            let entries = Some(described(image.quotas(), &filter));
            DescribeClientQuotasResponse { error_message: None, entries, ..Default::default() }
        }
        Err(refusal) => {
            let (error_code, error_message) = refusal.told();
            DescribeClientQuotasResponse { error_code, error_message, entries: None, ..Default::default() }
        }
    };
    Ok(answer(request, &response))
}

/// What a part must be.
#[derive(Debug)]
enum Wanted<'a> {
    /// This name, or the default.
    Name(Option<Cow<'a, str>>),
    /// Anything.
    Any,
}

/// Which entities are asked for.
#[derive(Debug)]
struct Filter<'a> {
    parts: Vec<(QuotaPart, Wanted<'a>)>,
    /// No other parts than these.
    strict: bool,
}

impl<'a> Filter<'a> {
    fn new(asked: &'a DescribeClientQuotasRequest<'a>) -> Result<Filter<'a>, Refusal> {
        let mut parts: Vec<(QuotaPart, Wanted<'a>)> = Vec::new();
        for component in &asked.components {
            if component.entity_type.is_empty() {
                return Err(Refusal::invalid("A filter must name a type of entities."));
            }
            let Some(part) = QuotaPart::from_name(&component.entity_type) else {
                return Err(Refusal::new(
                    ErrorCode::UnsupportedVersion,
                    "There are quotas for entities of type user, client-id and ip only.",
                ));
            };
            if parts.iter().any(|(known, _)| *known == part) {
                let message = format!("The filter names the type {} more than once.", part.name());
                return Err(Refusal::invalid(message));
            }
            parts.push((part, wanted(part, component)?));
        }
        if parts.len() > 1 && parts.iter().any(|(part, _)| *part == QuotaPart::Ip) {
            return Err(Refusal::invalid("A quota for an ip is never one for a user or client-id too."));
        }
        Ok(Filter { parts, strict: asked.strict })
    }

    fn matches(&self, entity: &QuotaEntity) -> bool {
        if self.strict && entity.parts().count() != self.parts.len() {
            return false;
        }
        self.parts.iter().all(|(part, wanted)| match (entity.part(*part), wanted) {
            (None, _) => false,
            (Some(_), Wanted::Any) => true,
            (Some(name), Wanted::Name(wanted)) => name == wanted.as_deref(),
        })
    }
}

fn wanted<'a>(part: QuotaPart, component: &'a ComponentData<'a>) -> Result<Wanted<'a>, Refusal> {
    match (component.match_type, component.r#match.as_deref()) {
        (EXACT, Some(name)) => {
            // Addresses are kept as they are written canonically.
            let address = (part == QuotaPart::Ip).then(|| name.parse::<IpAddr>().ok()).flatten();
            let canonical = address.map(|address| address.to_canonical().to_string());
            Ok(Wanted::Name(Some(canonical.map_or(Cow::Borrowed(name), Cow::Owned))))
        }
        (DEFAULT, None) => Ok(Wanted::Name(None)),
        (SPECIFIED, None) => Ok(Wanted::Any),
        (EXACT, None) => Err(Refusal::invalid("An exact match needs a name.")),
        (DEFAULT | SPECIFIED, Some(_)) => Err(Refusal::invalid("Only an exact match has a name.")),
        (other, _) => Err(Refusal::invalid(format!("The match type {other} is not known."))),
    }
}

fn described<'a>(quotas: &'a ClientQuotas, filter: &Filter<'_>) -> Vec<EntryData<'a>> {
    let matching = quotas.iter().filter(|(entity, _)| filter.matches(entity));
    matching
        .map(|(entity, limits)| EntryData {
            entity: entity
                .parts()
                .map(|(part, name)| EntityData {
                    entity_type: part.name().into(),
                    entity_name: name.map(Into::into),
                })
                .collect(),
            values: limits
                .iter()
                .map(|(key, limit)| ValueData { key: key.name().into(), value: limit.value() })
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{Image, QuotaKey, QuotaLimit, Record};

    /// Each entity once, with its number as limit.
    fn image() -> Image {
        let name = |name: &str| Some(name.to_owned());
        let entities = [
            QuotaEntity::User(name("u")),
            QuotaEntity::User(None),
            QuotaEntity::ClientId(name("c")),
            QuotaEntity::UserClientId(name("u"), name("c")),
            QuotaEntity::UserClientId(None, name("c")),
            QuotaEntity::Ip(name("10.0.0.1")),
        ];
        let records: Vec<Record> = (1u8..)
            .zip(entities)
            .map(|(number, entity)| {
                let key = match entity {
                    QuotaEntity::Ip(_) => QuotaKey::ConnectionCreationRate,
                    _ => QuotaKey::ProducerByteRate,
                };
                Record::ClientQuota { entity, key, limit: QuotaLimit::new(f64::from(number)) }
            })
            .collect();
        Image::default().with(&records, 1).expect("the records fit")
    }

    type Part<'a> = (&'a str, i8, Option<&'a str>);

    fn asked<'a>(parts: &[Part<'a>], strict: bool) -> DescribeClientQuotasRequest<'a> {
        let components = parts.iter().map(|(kind, match_type, name)| ComponentData {
            entity_type: (*kind).into(),
            match_type: *match_type,
            r#match: name.map(Into::into),
        });
        DescribeClientQuotasRequest { components: components.collect(), strict }
    }

    fn limits(parts: &[Part<'_>], strict: bool) -> Vec<f64> {
        let asked = asked(parts, strict);
        let image = image();
        let filter = Filter::new(&asked).expect("a good filter");
        let mut limits: Vec<f64> =
            described(image.quotas(), &filter).iter().map(|entry| entry.values[0].value).collect();
        limits.sort_by(f64::total_cmp);
        limits
    }

    #[test]
    fn entities_that_match() {
        let cases: [(&[Part<'_>], bool, &[f64]); 12] = [
            (&[], false, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            (&[], true, &[]),
            (&[("user", EXACT, Some("u"))], false, &[1.0, 4.0]),
            (&[("user", EXACT, Some("u"))], true, &[1.0]),
            (&[("user", EXACT, Some("other"))], false, &[]),
            (&[("user", DEFAULT, None)], false, &[2.0, 5.0]),
            (&[("user", SPECIFIED, None)], true, &[1.0, 2.0]),
            (&[("client-id", SPECIFIED, None)], false, &[3.0, 4.0, 5.0]),
            (&[("user", SPECIFIED, None), ("client-id", EXACT, Some("c"))], true, &[4.0, 5.0]),
            (&[("client-id", EXACT, Some("c")), ("user", DEFAULT, None)], false, &[5.0]),
            (&[("ip", EXACT, Some("::ffff:10.0.0.1"))], false, &[6.0]),
            (&[("ip", DEFAULT, None)], false, &[]),
        ];
        for (parts, strict, expected) in cases {
            assert_eq!(limits(parts, strict), expected, "{parts:?} {strict}");
        }
    }

    #[test]
    fn filters_that_are_refused() {
        let cases: [(&[Part<'_>], ErrorCode); 8] = [
            (&[("", SPECIFIED, None)], ErrorCode::InvalidRequest),
            (&[("group", SPECIFIED, None)], ErrorCode::UnsupportedVersion),
            (&[("user", SPECIFIED, None), ("user", DEFAULT, None)], ErrorCode::InvalidRequest),
            (&[("user", EXACT, None)], ErrorCode::InvalidRequest),
            (&[("user", DEFAULT, Some("u"))], ErrorCode::InvalidRequest),
            (&[("user", SPECIFIED, Some("u"))], ErrorCode::InvalidRequest),
            (&[("user", 3, None)], ErrorCode::InvalidRequest),
            (&[("ip", DEFAULT, None), ("user", DEFAULT, None)], ErrorCode::InvalidRequest),
        ];
        for (parts, expected) in cases {
            let asked = asked(parts, false);
            assert_eq!(Filter::new(&asked).expect_err("refused").code, expected, "{parts:?}");
        }
    }

    #[test]
    fn an_entry_has_its_parts_and_values_by_name() {
        let parts = [("user", DEFAULT, None), ("client-id", SPECIFIED, None)];
        let (asked, image) = (asked(&parts, true), image());
        let entries = described(image.quotas(), &Filter::new(&asked).expect("a good filter"));
        let expected = EntryData {
            entity: vec![
                EntityData { entity_type: "user".into(), entity_name: None },
                EntityData { entity_type: "client-id".into(), entity_name: Some("c".into()) },
            ],
            values: vec![ValueData { key: "producer_byte_rate".into(), value: 5.0 }],
        };
        assert_eq!(entries, [expected]);
    }
}
