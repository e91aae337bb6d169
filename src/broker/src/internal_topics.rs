//! Topics that the broker makes for itself when they are first needed.

use crate::broker::Broker;
use controller::changes::names::{SHARE_GROUP_STATE, TRANSACTION_STATE};
use controller::changes::{CreateTopics, NewTopic, internal_topic};
use controller::{Change, ControlError, ErrorKind, Outcome};
use model::config::BrokerConfig;

/// The least that a topic takes as `segment.bytes`.
const SEGMENT_BYTES_MIN: i32 = 1 << 20;

/// The topic to create for a name: an internal one as Kafka makes it, or one with all defaults.
pub(crate) fn new_topic(name: &str, config: &BrokerConfig) -> NewTopic {
    let (partitions, segment_bytes) = match name {
        TRANSACTION_STATE => (config.transaction_log_partitions, config.transaction_log_segment_bytes),
        SHARE_GROUP_STATE => (config.share_state_partitions, config.share_state_segment_bytes),
        _ => (config.offsets_topic_partitions, config.offsets_topic_segment_bytes),
    };
    // The brokers' settings may be less: a topic that is refused would leave all groups without a coordinator.
    let segment_bytes = segment_bytes.max(SEGMENT_BYTES_MIN);
    internal_topic(name, partitions, -1, segment_bytes).unwrap_or_else(|| NewTopic::named(name))
}

/// Makes sure that an internal topic is there; when this returns, every core has its partitions.
pub(crate) async fn ensure(broker: &Broker, name: &'static str) -> Result<(), ControlError> {
    if broker.image().topic(name).is_some() {
        return Ok(());
    }
    let topics = vec![new_topic(name, &broker.config())];
    let wanted = CreateTopics { topics, validate_only: false, budget: None };
    let created = broker.change(Change::CreateTopics(wanted)).await?;
    let Outcome::CreateTopics(results) = created else { return Ok(()) };
    match results.into_iter().find_map(|(_, result)| result.err()) {
        // Another request was faster.
        Some(error) if error.kind != ErrorKind::TopicAlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::changes::names::CONSUMER_OFFSETS;

    #[test]
    fn internal_topics_have_the_partitions_and_segments_that_are_configured_for_each() {
        let config = BrokerConfig {
            offsets_topic_partitions: 5,
            transaction_log_partitions: 7,
            share_state_partitions: 9,
            offsets_topic_segment_bytes: 5 << 20,
            transaction_log_segment_bytes: 7 << 20,
            share_state_segment_bytes: 100,
            ..BrokerConfig::default()
        };
        let compacted = ("cleanup.policy".to_owned(), Some("compact".to_owned()));
        let segments = |bytes: i32| ("segment.bytes".to_owned(), Some(bytes.to_string()));
        for (name, partitions) in [(CONSUMER_OFFSETS, 5), (TRANSACTION_STATE, 7)] {
            let topic = new_topic(name, &config);
            assert_eq!((topic.name.as_str(), topic.partitions), (name, partitions));
            assert!(topic.configs.contains(&compacted));
            assert!(topic.configs.contains(&segments(partitions << 20)));
        }
        let topic = new_topic(SHARE_GROUP_STATE, &config);
        assert_eq!(topic.partitions, 9);
        assert!(topic.configs.contains(&segments(1 << 20)), "what a topic cannot be is not asked for");
        assert!(topic.configs.contains(&("retention.ms".to_owned(), Some("-1".to_owned()))));
        assert_eq!(new_topic("t", &config), NewTopic::named("t"));
    }
}
