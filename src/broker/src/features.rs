//! The features that this broker has, as levels that a cluster agrees on (KIP-584).

use crate::broker::Broker;
use controller::changes::FeatureRange;
use kafka_wire::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};

/// Name, lowest level, highest level, level of a new cluster. The numbers of `metadata.version` are Kafka's: 7 is
/// 3.3-IV3, the lowest that Kafka 4 accepts, 30 is 4.3-IV0. Flumen's records are its own; the level tells tools which
/// Kafka this broker answers like. `group.version` 1 is the consumer protocol (KIP-848), `share.version` 1 share groups
/// (KIP-932), `streams.version` 1 the streams protocol (KIP-1071), `transaction.version` 2 an epoch for each transaction
/// (KIP-890).
const FEATURES: &[(&str, i16, i16, i16)] = &[
    (GROUP_VERSION, 0, 1, 1),
    ("metadata.version", 7, 30, 30),
    (SHARE_VERSION, 0, 1, 1),
    (STREAMS_VERSION, 0, 1, 1),
    (TRANSACTION_VERSION, 0, 2, 2),
];

/// The feature that says which protocols groups have.
pub(crate) const GROUP_VERSION: &str = "group.version";

/// The feature that says whether there are streams groups.
const STREAMS_VERSION: &str = "streams.version";
/// The feature that says whether there are share groups.
const SHARE_VERSION: &str = "share.version";

/// The feature that says how transactions end.
pub(crate) const TRANSACTION_VERSION: &str = "transaction.version";

/// For the controller.
pub(crate) fn ranges() -> Vec<FeatureRange> {
    FEATURES
        .iter()
        .map(|&(name, min, max, initial)| FeatureRange { name: name.to_owned(), min, max, initial })
        .collect()
}

/// For ApiVersions: what this broker could do. Older clients cannot bear a lowest level of 0, so these are left out
/// where the version says so (KIP-1022).
pub(crate) fn supported<'a>(version: i16) -> Vec<SupportedFeatureKey<'a>> {
    FEATURES
        .iter()
        .filter(|(_, min, ..)| version >= 4 || *min > 0)
        .map(|&(name, min_version, max_version, _)| SupportedFeatureKey {
            name: name.into(),
            min_version,
            max_version,
        })
        .collect()
}

/// For ApiVersions: what the cluster has agreed on.
pub(crate) fn finalized(image: &controller::Image) -> Vec<FinalizedFeatureKey<'static>> {
    image
        .features()
        .map(|(name, level)| FinalizedFeatureKey {
            name: name.to_owned().into(),
            max_version_level: level,
            min_version_level: level,
        })
        .collect()
}

/// Whether groups may have the streams protocol: the cluster has agreed on it, and
/// `group.coordinator.rebalance.protocols` has it.
pub(crate) fn serves_streams_groups(broker: &Broker) -> bool {
    broker.config().protocols.streams && broker.image().feature(STREAMS_VERSION) >= 1
}

/// Whether there may be share groups: the cluster has agreed on them. That `group.coordinator.rebalance.protocols` has
/// `share` or not does not matter, as in Kafka 4.3: it was the way to try them before there was the feature.
pub(crate) fn serves_share_groups(broker: &Broker) -> bool {
    broker.image().feature(SHARE_VERSION) >= 1
}

/// Whether groups may have the consumer protocol: the cluster has agreed on it, and
/// `group.coordinator.rebalance.protocols` has it.
pub(crate) fn serves_consumer_groups(broker: &Broker) -> bool {
    broker.config().protocols.consumer && broker.image().feature(GROUP_VERSION) >= 1
}
