//! What may be asked of the controller, and Kafka's rules for each: a module a change.
//!
//! A change is planned: from the image so far come the records that carry it out, and a result for each of its
//! items. Planning does no I/O and asks nobody but its [`Context`] and the change's [`Budget`]; it is async only to
//! let other tasks run between portions ([`Plan::pace`]).

pub mod budget;
pub mod configs;
pub mod epochs;
pub mod features;
pub mod names;
pub mod nodes;
pub mod partitions;
mod plan;
pub mod producer_ids;
pub mod quotas;
pub mod topics_create;
pub mod topics_delete;

pub use budget::Budget;
pub use configs::{AlterConfigs, Alteration, ConfigEdit, EditKind};
pub use epochs::BumpLeaderEpochs;
pub use features::{FeatureRange, FeatureUpdate, UpdateFeatures, UpgradeType};
pub use nodes::RegisterNode;
pub use partitions::{CreatePartitions, MorePartitions};
pub use plan::{BYTES_MAX, Context, Plan, RECORDS_MAX};
pub use producer_ids::{AllocateProducerIds, PRODUCER_ID_BLOCK, ProducerIdBlock};
pub use quotas::{AlterClientQuotas, QuotaAlteration, QuotaEdit};
pub use topics_create::{CreateTopics, CreatedTopic, NewTopic, internal_topic};
pub use topics_delete::{DeleteTopics, DeletedTopic, TopicReference};

use crate::error::ControlError;
use crate::image::Configs;
use crate::record::{Resource, ResourceKind};

/// What configuration keys mean; the controller does not know.
pub trait ConfigRules {
    /// Whether a resource may have this configuration: what will be set for it, all of it.
    ///
    /// # Errors
    /// `InvalidConfig` as a rule, with the key and what is wrong with its value.
    fn validate(&self, resource: &Resource, configs: &Configs) -> Result<(), ControlError>;

    /// Whether a key holds a list, which can be appended to and subtracted from.
    fn is_list(&self, kind: ResourceKind, key: &str) -> bool;

    /// What a key has while it is not set.
    fn default_value(&self, kind: ResourceKind, key: &str) -> Option<String>;
}

/// Something to change in the cluster's metadata.
#[derive(Clone, Debug)]
pub enum Change {
    /// Topics with their partitions and configuration.
    CreateTopics(CreateTopics),
    /// Topics away, by name or id.
    DeleteTopics(DeleteTopics),
    /// More partitions for topics.
    CreatePartitions(CreatePartitions),
    /// Configuration of topics, brokers, groups, client metrics.
    AlterConfigs(AlterConfigs),
    /// Client quotas.
    AlterClientQuotas(AlterClientQuotas),
    /// Levels of features; all of them or none.
    UpdateFeatures(UpdateFeatures),
    /// A block of producer ids for a node.
    AllocateProducerIds(AllocateProducerIds),
    /// A node came up.
    RegisterNode(RegisterNode),
    /// A node came up without having gone down cleanly.
    BumpLeaderEpochs(BumpLeaderEpochs),
}

/// The result of an item, with the item's name.
pub type Named<T> = (String, Result<T, ControlError>);

/// What a change came to; the variant is the change's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// For each name, in the order in which they were first named.
    CreateTopics(Vec<Named<CreatedTopic>>),
    /// For each topic that was named; the order has no meaning.
    DeleteTopics(Vec<DeletedTopic>),
    /// For each name, in the order in which they were first named.
    CreatePartitions(Vec<Named<()>>),
    /// For each resource, in the order in which they were first named.
    AlterConfigs(Vec<(Resource, Result<(), ControlError>)>),
    /// For each entity, in the order in which they were first named.
    AlterClientQuotas(Vec<(quotas::AskedEntity, Result<(), ControlError>)>),
    /// For each feature. When one of them failed, none was changed.
    UpdateFeatures(Vec<Named<()>>),
    /// The block.
    AllocateProducerIds(ProducerIdBlock),
    /// The node's epoch.
    RegisterNode(i64),
    /// How many partitions have a new epoch.
    BumpLeaderEpochs(usize),
}

impl Change {
    /// Plans the change on top of what `plan` has so far.
    ///
    /// # Errors
    /// What concerns the change as a whole; then no record was added.
    pub async fn plan(&self, plan: &mut Plan<'_>) -> Result<Outcome, ControlError> {
        plan.begin_change();
        match self {
            Change::CreateTopics(change) => change.plan(plan).await.map(Outcome::CreateTopics),
            Change::DeleteTopics(change) => change.plan(plan).await.map(Outcome::DeleteTopics),
            Change::CreatePartitions(change) => change.plan(plan).await.map(Outcome::CreatePartitions),
            Change::AlterConfigs(change) => change.plan(plan).await.map(Outcome::AlterConfigs),
            Change::AlterClientQuotas(change) => change.plan(plan).await.map(Outcome::AlterClientQuotas),
            Change::UpdateFeatures(change) => change.plan(plan).map(Outcome::UpdateFeatures),
            Change::AllocateProducerIds(change) => change.plan(plan).map(Outcome::AllocateProducerIds),
            Change::RegisterNode(change) => change.plan(plan).map(Outcome::RegisterNode),
            Change::BumpLeaderEpochs(change) => change.plan(plan).await.map(Outcome::BumpLeaderEpochs),
        }
    }
}

#[cfg(test)]
mod tests;
