//! What AlterConfigs and IncrementalAlterConfigs have in common: which resources can be altered, and by whom a
//! wish is refused, here or by the controller.

use crate::broker::Broker;
use crate::refusal::{Refusal, change};
use controller::changes::{AlterConfigs, Alteration};
use controller::{Change, Outcome, Resource, ResourceKind};
use model::NodeId;
use std::collections::HashMap;

/// What a client wants altered.
pub(crate) struct Wish<'a> {
    /// Kafka's number of the kind of resource.
    pub(crate) kind: i8,
    pub(crate) name: &'a str,
    /// What is to change, or why that cannot be understood.
    pub(crate) alteration: Result<Alteration, Refusal>,
}

/// What became of each wish, in their order.
pub(crate) async fn alter(
    broker: &Broker,
    wishes: Vec<Wish<'_>>,
    validate_only: bool,
) -> Vec<Result<(), Refusal>> {
    let mut results = Vec::with_capacity(wishes.len());
    let mut resources = Vec::new();
    let mut places = HashMap::new();
    for (alteration, resource) in resolve(wishes, broker.identity.node) {
        match resource.and_then(|resource| Ok((resource, alteration?))) {
            Ok((resource, alteration)) => {
                places.insert(resource.clone(), results.len());
                resources.push((resource, alteration));
                results.push(Ok(()));
            }
            Err(refusal) => results.push(Err(refusal)),
        }
    }
    if resources.is_empty() {
        return results;
    }
    let wanted = Change::AlterConfigs(AlterConfigs { resources, validate_only });
    let changed = change(broker, wanted, |outcome| match outcome {
        Outcome::AlterConfigs(results) => Some(results),
        _ => None,
    });
    match changed.await {
        Ok(altered) => {
            for (resource, result) in altered {
                if let Some(&place) = places.get(&resource) {
                    results[place] = result.map_err(Refusal::from);
                }
            }
        }
        Err(refusal) => places.values().for_each(|&place| results[place] = Err(refusal.clone())),
    }
    results
}

type Resolved = (Result<Alteration, Refusal>, Result<Resource, Refusal>);

/// The resources that are named. One that is named twice is refused both times, as Kafka does.
fn resolve(wishes: Vec<Wish<'_>>, node: NodeId) -> Vec<Resolved> {
    let mut times: HashMap<(i8, String), u32> = HashMap::new();
    for wish in &wishes {
        *times.entry((wish.kind, wish.name.to_owned())).or_default() += 1;
    }
    let resolve = |wish: Wish<'_>| {
        let once = times.get(&(wish.kind, wish.name.to_owned())) == Some(&1);
        let resource = if once {
            resource(wish.kind, wish.name, node)
        } else {
            Err(Refusal::invalid("The request names this resource more than once."))
        };
        (wish.alteration, resource)
    };
    wishes.into_iter().map(resolve).collect()
}

fn resource(kind: i8, name: &str, node: NodeId) -> Result<Resource, Refusal> {
    let known = u8::try_from(kind).ok().and_then(ResourceKind::from_number);
    // Loggers, which have a number too, are not configured one by one.
    let kind =
        known.ok_or_else(|| Refusal::invalid(format!("There is no resource type {kind} to alter.")))?;
    if kind == ResourceKind::Broker && !name.is_empty() {
        check_broker(name, node)?;
    }
    Ok(Resource::new(kind, name))
}

/// Whether a broker's resource name is that of this node.
pub(crate) fn check_broker(name: &str, node: NodeId) -> Result<(), Refusal> {
    match name.parse::<i32>() {
        Err(_) => {
            Err(Refusal::invalid(format!("A broker goes by its id, a number, not by '{}'.", short(name))))
        }
        Ok(id) if id != node.0 => Err(Refusal::invalid(format!(
            "This is broker {node}; it does not know the configuration of {id}."
        ))),
        Ok(_) => Ok(()),
    }
}

/// The beginning of a name that is told back to its sender.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(kind: i8, name: &str) -> Wish<'_> {
        Wish { kind, name, alteration: Ok(Alteration::Edit(Vec::new())) }
    }

    #[test]
    fn only_what_has_a_configuration_is_altered() {
        let wishes = vec![wish(2, "t"), wish(4, "1"), wish(4, ""), wish(16, "m"), wish(32, "g")];
        assert!(resolve(wishes, NodeId(1)).iter().all(|(_, resource)| resource.is_ok()));
        let strange = vec![wish(8, "1"), wish(0, "t"), wish(-1, "t"), wish(4, "2"), wish(4, "one")];
        for (_, resource) in resolve(strange, NodeId(1)) {
            let code = resource.expect_err("nothing to alter").code;
            assert_eq!(code, kafka_wire::ErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn what_is_named_twice_is_refused_both_times() {
        let wishes = vec![wish(2, "a"), wish(2, "b"), wish(2, "a"), wish(32, "a")];
        let good: Vec<bool> = resolve(wishes, NodeId(1)).iter().map(|(_, one)| one.is_ok()).collect();
        assert_eq!(good, [false, true, false, true]);
    }
}
