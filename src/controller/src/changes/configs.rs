//! Altering configuration: one value at a time (KIP-339), or all of a resource at once.

use super::plan::Plan;
use crate::error::{ControlError, ErrorKind};
use crate::image::Configs;
use crate::record::{Record, Resource, ResourceKind, TEXT_BYTES_MAX};
use model::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// What is done with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// It gets the value.
    Set,
    /// It goes back to its default.
    Delete,
    /// The values, parted by commas, are added to its list, those that are not in it yet.
    Append,
    /// The values, parted by commas, are taken out of its list.
    Subtract,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The key.
    pub key: String,
    /// What is done with it.
    pub kind: EditKind,
    /// The value. The wire can leave it out, which is refused except when deleting.
    pub value: Option<String>,
}

/// A change of a resource's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// These keys change, the others stay (IncrementalAlterConfigs).
    Edit(Vec<ConfigEdit>),
    /// These keys have these values, all others their defaults (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
}

/// Changes of resources' configuration.
#[derive(Clone, Debug, Default)]
pub struct AlterConfigs {
    /// The resources and what changes.
    pub resources: Vec<(Resource, Alteration)>,
    /// Says what would happen, and does nothing.
    pub validate_only: bool,
}

fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Result<T, ControlError> {
    Err(ControlError::new(kind, message))
}

/// Whether a key and its value can be kept in a record.
pub(super) fn check_texts(key: &str, value: Option<&str>) -> Result<(), ControlError> {
    let too_long = |text: &str| text.len() > TEXT_BYTES_MAX;
    if too_long(key) || value.is_some_and(too_long) {
        let message = format!("Configuration keys and values have {TEXT_BYTES_MAX} bytes at most.");
        return refuse(ErrorKind::InvalidConfig, message);
    }
    Ok(())
}

impl AlterConfigs {
    pub(super) async fn plan(
        &self,
        plan: &mut Plan<'_>,
    ) -> Result<Vec<(Resource, Result<(), ControlError>)>, ControlError> {
        let mut times: BTreeMap<&Resource, u32> = BTreeMap::new();
        for (resource, _) in &self.resources {
            *times.entry(resource).or_default() += 1;
        }
        let mut results = Vec::new();
        for (resource, alteration) in &self.resources {
            let result = match times.remove(resource) {
                None => continue,
                Some(1) => self.plan_resource(resource, alteration, plan).await,
                Some(_) => {
                    refuse(ErrorKind::InvalidRequest, "The request names this resource more than once.")
                }
            };
            results.push((resource.clone(), result));
            plan.pace(8).await;
        }
        Ok(results)
    }

    async fn plan_resource(
        &self,
        resource: &Resource,
        alteration: &Alteration,
        plan: &mut Plan<'_>,
    ) -> Result<(), ControlError> {
        check_exists(resource, plan)?;
        let current = plan.image().configs(resource).cloned().unwrap_or_default();
        let (after, touched) = match alteration {
            Alteration::Edit(edits) => edited(resource, &current, edits, plan)?,
            Alteration::Replace(pairs) => replaced(pairs)?,
        };
        plan.context().rules.validate(resource, &after)?;
        let records = records(resource, &current, &after, &touched);
        if self.validate_only {
            return plan.check_room(records.len());
        }
        plan.add(records).await
    }
}

/// Whether there is something of that name to configure. Groups and client metrics need not be there first.
fn check_exists(resource: &Resource, plan: &mut Plan<'_>) -> Result<(), ControlError> {
    let name = resource.name.as_str();
    match resource.kind {
        ResourceKind::Topic if plan.image().topic(name).is_none() => {
            refuse(ErrorKind::UnknownTopicOrPartition, format!("There is no topic '{}'.", shortened(name)))
        }
        ResourceKind::Broker if !name.is_empty() => {
            // Only the plain way of writing a number: another would be a second resource for one node.
            let Some(id) = name.parse::<i32>().ok().filter(|id| id.to_string() == name) else {
                let message = format!("'{}' is not the id of a broker.", shortened(name));
                return refuse(ErrorKind::InvalidRequest, message);
            };
            if plan.image().node(NodeId(id)).is_none() {
                return refuse(ErrorKind::BrokerIdNotRegistered, format!("There is no broker {id}."));
            }
            Ok(())
        }
        ResourceKind::Group | ResourceKind::ClientMetrics if name.is_empty() => refuse(
            ErrorKind::InvalidRequest,
            "Groups and client metrics have no default configuration to set.",
        ),
        ResourceKind::Group | ResourceKind::ClientMetrics => check_texts(name, None),
        ResourceKind::Topic | ResourceKind::Broker => Ok(()),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(super::names::NAME_LENGTH_MAX).collect()
}

/// Configuration after a change, and the keys that the change names.
type Altered<'a> = (Configs, BTreeSet<&'a str>);

fn edited<'a>(
    resource: &Resource,
    current: &Configs,
    edits: &'a [ConfigEdit],
    plan: &Plan<'_>,
) -> Result<Altered<'a>, ControlError> {
    let (mut after, mut touched) = (current.clone(), BTreeSet::new());
    for edit in edits {
        let key = edit.key.as_str();
        if !touched.insert(key) {
            return refuse(
                ErrorKind::InvalidRequest,
                format!("The request names the key {key} more than once."),
            );
        }
        let value = match (edit.kind, &edit.value) {
            (EditKind::Delete, _) => {
                after.remove(key);
                continue;
            }
            (_, None) => return refuse(ErrorKind::InvalidRequest, format!("The key {key} has no value.")),
            (EditKind::Set, Some(value)) => value.clone(),
            (kind, Some(value)) => edited_list(resource, current, key, kind, value, plan)?,
        };
        check_texts(key, Some(&value))?;
        after.insert(edit.key.clone(), value);
    }
    Ok((after, touched))
}

/// A list with values added or taken out. What is not set begins with its default.
fn edited_list(
    resource: &Resource,
    current: &Configs,
    key: &str,
    kind: EditKind,
    values: &str,
    plan: &Plan<'_>,
) -> Result<String, ControlError> {
    let rules = plan.context().rules;
    if !rules.is_list(resource.kind, key) {
        let message = format!("The key {key} does not hold a list: nothing can be added to it or taken out.");
        return refuse(ErrorKind::InvalidConfig, message);
    }
    let old = current.get(key).cloned().or_else(|| rules.default_value(resource.kind, key));
    let old = old.unwrap_or_default();
    let mut list: Vec<&str> = old.split(',').filter(|part| !part.is_empty()).collect();
    for value in values.split(',') {
        let place = list.iter().position(|part| *part == value);
        match (kind, place) {
            (EditKind::Append, None) => list.push(value),
            (EditKind::Subtract, Some(place)) => {
                list.remove(place);
            }
            _ => {}
        }
    }
    Ok(list.join(","))
}

fn replaced(pairs: &[(String, Option<String>)]) -> Result<Altered<'_>, ControlError> {
    let (mut after, mut touched) = (Configs::new(), BTreeSet::new());
    for (key, value) in pairs {
        if !touched.insert(key.as_str()) {
            return refuse(
                ErrorKind::InvalidRequest,
                format!("The request names the key {key} more than once."),
            );
        }
        let Some(value) = value else {
            return refuse(ErrorKind::InvalidRequest, format!("The key {key} has no value."));
        };
        check_texts(key, Some(value))?;
        after.insert(key.clone(), value.clone());
    }
    Ok((after, touched))
}

/// What differs, as records. Of brokers also what was set to what it had: Kafka's users reload files (such as
/// certificates) by setting their path again.
fn records(resource: &Resource, current: &Configs, after: &Configs, touched: &BTreeSet<&str>) -> Vec<Record> {
    let keys: BTreeSet<&String> = current.keys().chain(after.keys()).collect();
    let again = |key: &str| resource.kind == ResourceKind::Broker && touched.contains(key);
    keys.into_iter()
        .filter(|key| current.get(*key) != after.get(*key) || again(key))
        .map(|key| Record::Config {
            resource: resource.clone(),
            key: key.clone(),
            value: after.get(key).cloned(),
        })
        .collect()
}
