//! Altering client quotas (KIP-546).

use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::quota::{QuotaEntity, QuotaKey, QuotaLimit, QuotaName, QuotaPart};
use crate::record::{Record, TEXT_BYTES_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An entity as it is asked for: kinds of its parts by Kafka's names, and for each a name or the default.
pub type AskedEntity = Vec<(String, QuotaName)>;

/// A change of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaEdit {
    /// Kafka's name of the key.
    pub key: String,
    /// The limit, in the unit of the key; `None` takes it away.
    pub value: Option<f64>,
}

/// A change of one entity's quotas.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaAlteration {
    /// Whom the quotas are for.
    pub entity: AskedEntity,
    /// What changes; all of it or nothing.
    pub edits: Vec<QuotaEdit>,
}

/// Changes of client quotas.
#[derive(Clone, Debug, Default)]
pub struct AlterClientQuotas {
    /// The entities and what changes.
    pub alterations: Vec<QuotaAlteration>,
    /// Says what would happen, and does nothing.
    pub validate_only: bool,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, ControlError> {
    Err(ControlError::new(ErrorKind::InvalidRequest, message))
}

impl AlterClientQuotas {
    pub(super) async fn plan(
        &self,
        plan: &mut Plan<'_>,
    ) -> Result<Vec<(AskedEntity, Result<(), ControlError>)>, ControlError> {
        let mut times: BTreeMap<AskedEntity, u32> = BTreeMap::new();
        for alteration in &self.alterations {
            *times.entry(in_order(&alteration.entity)).or_default() += 1;
        }
        let mut results = Vec::new();
        for alteration in &self.alterations {
            let result = match times.remove(&in_order(&alteration.entity)) {
                None => continue,
                Some(1) => self.plan_entity(alteration, plan).await,
                // Kafka carries out the first and reports an error all the same: better nothing and an error.
                Some(_) => refuse("The request names this entity more than once."),
            };
            results.push((alteration.entity.clone(), result));
            plan.pace(8).await;
        }
        Ok(results)
    }

    async fn plan_entity(
        &self,
        alteration: &QuotaAlteration,
        plan: &mut Plan<'_>,
    ) -> Result<(), ControlError> {
        let entity = entity(&alteration.entity)?;
        let current = plan.image().quotas().of(&entity).cloned().unwrap_or_default();
        let (mut records, mut named) = (Vec::new(), BTreeSet::new());
        for edit in &alteration.edits {
            if !named.insert(edit.key.as_str()) {
                return refuse(format!("The request names the key {} more than once.", shown(&edit.key)));
            }
            let Some((key, limit)) = edited(&entity, edit)? else { continue };
            if current.get(&key).copied() != limit {
                records.push(Record::ClientQuota { entity: entity.clone(), key, limit });
            }
        }
        if self.validate_only {
            return plan.check_room(records.len());
        }
        plan.add(records).await
    }
}

/// The same entity however its parts are ordered.
fn in_order(entity: &AskedEntity) -> AskedEntity {
    let mut entity = entity.clone();
    entity.sort();
    entity
}

/// The beginning of a text that is told back to its sender.
fn shown(text: &str) -> String {
    text.chars().take(super::names::NAME_LENGTH_MAX).collect()
}

fn entity(asked: &AskedEntity) -> Result<QuotaEntity, ControlError> {
    if asked.is_empty() {
        return refuse("A quota must be for somebody: the entity is empty.");
    }
    let mut parts: Vec<(QuotaPart, QuotaName)> = Vec::new();
    for (kind, name) in asked {
        let Some(part) = QuotaPart::from_name(kind) else {
            return refuse(format!("There are no quotas for entities of type {}.", shown(kind)));
        };
        if parts.iter().any(|(known, _)| *known == part) {
            return refuse(format!("The entity has more than one {kind}."));
        }
        match name.as_deref() {
            Some("") => return refuse(format!("The name of a {kind} cannot be empty.")),
            Some(name) if name.len() > TEXT_BYTES_MAX => {
                return refuse(format!("The name of a {kind} has {TEXT_BYTES_MAX} bytes at most."));
            }
            // Names of hosts are not looked up: what they mean may differ from node to node and day to day.
            Some(name) if part == QuotaPart::Ip && name.parse::<IpAddr>().is_err() => {
                return refuse(format!("{} is not an IP address.", shown(name)));
            }
            _ => {}
        }
        parts.push((part, canonical(part, name)));
    }
    let Some(entity) = QuotaEntity::from_parts(parts) else {
        return refuse("A quota for an ip cannot be one for a user or client-id too.");
    };
    Ok(entity)
}

/// An address has one way of being written, by which connections find it.
fn canonical(part: QuotaPart, name: &QuotaName) -> QuotaName {
    match (part, name.as_deref().map(str::parse::<IpAddr>)) {
        (QuotaPart::Ip, Some(Ok(address))) => Some(address.to_canonical().to_string()),
        _ => name.clone(),
    }
}

/// The key and its new limit; `None` for taking away what nobody can set.
fn edited(
    entity: &QuotaEntity,
    edit: &QuotaEdit,
) -> Result<Option<(QuotaKey, Option<QuotaLimit>)>, ControlError> {
    let of_addresses = matches!(entity, QuotaEntity::Ip(_));
    let key = QuotaKey::from_name(&edit.key)
        .filter(|key| of_addresses == (*key == QuotaKey::ConnectionCreationRate));
    let (key, value) = match (key, edit.value) {
        (None, None) => return Ok(None),
        (None, Some(_)) => {
            return refuse(format!("There is no quota {} for such an entity.", shown(&edit.key)));
        }
        (Some(key), None) => return Ok(Some((key, None))),
        (Some(key), Some(value)) => (key, value),
    };
    let Some(limit) = QuotaLimit::new(value) else {
        return refuse(format!("The quota {} must be more than 0.", key.name()));
    };
    if let Some(max) = key.whole_max() {
        if value > max {
            return refuse(format!("The quota {} is {max} at most.", key.name()));
        }
        if value % 1.0 > 1e-6 {
            return refuse(format!("The quota {} must be a whole number.", key.name()));
        }
    }
    Ok(Some((key, Some(limit))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{Change, Outcome};
    use crate::testing::Planner;

    fn alteration(entity: &[(&str, Option<&str>)], edits: &[(&str, Option<f64>)]) -> QuotaAlteration {
        QuotaAlteration {
            entity: entity.iter().map(|(kind, name)| ((*kind).into(), name.map(Into::into))).collect(),
            edits: edits.iter().map(|(key, value)| QuotaEdit { key: (*key).into(), value: *value }).collect(),
        }
    }

    fn alter(planner: &mut Planner, alterations: Vec<QuotaAlteration>, validate_only: bool) -> Vec<bool> {
        let change = AlterClientQuotas { alterations, validate_only };
        match planner.change(Change::AlterClientQuotas(change)) {
            Ok(Outcome::AlterClientQuotas(results)) => results
                .into_iter()
                .map(|(_, result)| match result {
                    Ok(()) => true,
                    Err(error) => {
                        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
                        false
                    }
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    type Asked<'a> = (&'a [(&'a str, Option<&'a str>)], &'a [(&'a str, Option<f64>)], bool);

    #[test]
    fn quotas_that_can_be_set() {
        let long = "n".repeat(TEXT_BYTES_MAX + 1);
        let (user, ip) = ([("user", Some("u"))], [("ip", Some("10.0.0.1"))]);
        let rate = [("producer_byte_rate", Some(1024.0))];
        let connections = [("connection_creation_rate", Some(5.0))];
        let cases: &[Asked<'_>] = &[
            (&user, &rate, true),
            (&[("user", None)], &rate, true),
            (&[("client-id", Some("c"))], &rate, true),
            (&[("client-id", Some("c")), ("user", None)], &rate, true),
            (&ip, &connections, true),
            (&[("ip", None)], &connections, true),
            (&[("ip", Some("::1"))], &connections, true),
            (&[("ip", Some("localhost"))], &connections, false),
            (&ip, &rate, false),
            (&user, &connections, false),
            (&[("ip", None), ("user", None)], &connections, false),
            (&[], &rate, false),
            (&[("user", Some(""))], &rate, false),
            (&[("user", Some(long.as_str()))], &rate, false),
            (&[("user", Some("u")), ("user", None)], &rate, false),
            (&[("group", Some("g"))], &rate, false),
            (&user, &[("no_such_rate", Some(1.0))], false),
            (&user, &[("producer_byte_rate", Some(0.0))], false),
            (&user, &[("producer_byte_rate", Some(-1.0))], false),
            (&user, &[("producer_byte_rate", Some(f64::NAN))], false),
            (&user, &[("producer_byte_rate", Some(1.5))], false),
            (&user, &[("producer_byte_rate", Some(1e19))], false),
            (&user, &[("request_percentage", Some(0.5))], true),
            (&user, &[("controller_mutation_rate", Some(1.5))], true),
            (&ip, &[("connection_creation_rate", Some(3e9))], false),
            (&user, &[rate[0], rate[0]], false),
            (&user, &[rate[0], ("consumer_byte_rate", Some(0.0))], false),
        ];
        for (entity, edits, good) in cases {
            for validate_only in [true, false] {
                let mut planner = Planner::new(&[1]);
                let before = planner.image.clone();
                let results = alter(&mut planner, vec![alteration(entity, edits)], validate_only);
                assert_eq!(results, [*good], "{entity:?} {edits:?}");
                let changed = *good && !validate_only;
                assert_eq!(planner.image != before, changed, "{entity:?} {edits:?}");
                assert_eq!(planner.image.quotas().is_empty(), !changed);
            }
        }
    }

    #[test]
    fn a_quota_is_changed_and_taken_away() {
        let entity: &[_] = &[("user", Some("u")), ("client-id", None)];
        let known = QuotaEntity::UserClientId(Some("u".into()), None);
        let mut planner = Planner::new(&[1]);
        let mut set = |rate: Option<f64>, read: Option<f64>| {
            let edits = [("producer_byte_rate", rate), ("consumer_byte_rate", read)];
            assert_eq!(alter(&mut planner, vec![alteration(entity, &edits)], false), [true]);
            let limits = planner.image.quotas().of(&known).cloned().unwrap_or_default();
            let limits: Vec<_> = limits.into_iter().map(|(key, limit)| (key, limit.value())).collect();
            (planner.last().len(), limits)
        };
        let (produce, consume) = (QuotaKey::ProducerByteRate, QuotaKey::ConsumerByteRate);
        assert_eq!(set(Some(5.0), None), (1, vec![(produce, 5.0)]));
        assert_eq!(set(Some(5.0), Some(6.0)), (1, vec![(produce, 5.0), (consume, 6.0)]), "what is new");
        assert_eq!(set(Some(7.0), None), (2, vec![(produce, 7.0)]));
        assert_eq!(set(None, None), (1, vec![]));
        assert_eq!(set(None, None), (0, vec![]), "there was nothing to take away");
    }

    #[test]
    fn entities_have_results_of_their_own() {
        let rate = [("producer_byte_rate", Some(9.0))];
        let mut planner = Planner::new(&[1]);
        let alterations = vec![
            alteration(&[("user", Some("a"))], &rate),
            alteration(&[("user", Some("b")), ("client-id", Some("c"))], &rate),
            alteration(&[("user", Some(""))], &rate),
            alteration(&[("client-id", Some("c")), ("user", Some("b"))], &rate),
        ];
        assert_eq!(alter(&mut planner, alterations, false), [true, false, false]);
        let set: Vec<_> = planner.image.quotas().iter().map(|(entity, _)| entity.clone()).collect();
        assert_eq!(set, [QuotaEntity::User(Some("a".into()))]);
    }

    #[test]
    fn an_address_has_one_way_of_being_written() {
        let mut planner = Planner::new(&[1]);
        let connections = [("connection_creation_rate", Some(5.0))];
        for name in ["::ffff:10.0.0.1", "10.0.0.1"] {
            let alterations = vec![alteration(&[("ip", Some(name))], &connections)];
            assert_eq!(alter(&mut planner, alterations, false), [true]);
        }
        let set: Vec<_> = planner.image.quotas().iter().map(|(entity, _)| entity.clone()).collect();
        assert_eq!(set, [QuotaEntity::Ip(Some("10.0.0.1".into()))]);
    }
}
