//! Static members (KIP-345) of groups in which the coordinator assigns. Streams groups have none, as in Kafka 4.3.

use crate::request::Refused;
use base::mistakes;
use kafka_wire::ErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The member of a request, by its id or, where it names an instance, by both. `statics` has member ids by instance.
pub(crate) fn member_of<'a, M>(
    group: &str,
    members: &'a BTreeMap<Arc<str>, M>,
    statics: &BTreeMap<Arc<str>, Arc<str>>,
    id: &str,
    instance: Option<&str>,
) -> Result<&'a M, Refused> {
    let Some(instance) = instance else {
        return members.get(id).ok_or_else(|| Refused::unknown_member(group, id));
    };
    let holder = statics.get(instance).and_then(|holder| members.get_key_value(holder));
    let Some((holder, member)) = holder else {
        let message = format!("Instance id {instance} is unknown.");
        return Err(Refused::new(ErrorCode::UnknownMemberId, message));
    };
    if &**holder != id && !mistakes::is_made("instances not fenced") {
        let message =
            format!("Static member {id} with instance id {instance} was fenced by member {holder}.");
        return Err(Refused::new(ErrorCode::FencedInstanceId, message));
    }
    Ok(member)
}
