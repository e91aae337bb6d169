//! What a group subscribes to: names, patterns, and the digest by which it notices that topics have changed.

use super::ConsumerGroup;
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::topics::{Topics, digest};
use base::mistakes;
use kafka_wire::messages::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
use kafka_wire::{ErrorCode, Str};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The least time between two evaluations of patterns because topics have changed.
const MIN_REFRESH_MS: i64 = 10_000;
/// The most memory of a compiled pattern, in bytes: a client chooses the pattern.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// What a pattern stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// In order.
    pub topics: Vec<String>,
    /// The version of the topics it was evaluated against.
    pub version: i64,
    /// When that was.
    pub at_ms: i64,
    /// False of a pattern that has not been evaluated yet.
    pub is_known: bool,
    /// How many members use it.
    pub members: usize,
}

impl Resolved {
    /// Whether it is to be evaluated: for the first time, because topics have changed, or because it is time.
    pub fn is_due(&self, scene: &Scene<'_>) -> bool {
        let age = scene.now.saturating_sub(self.at_ms);
        let interval = i64::from(scene.settings.regex_refresh_interval_ms);
        let is_old = age >= interval || (self.version != scene.topics.version() && age >= MIN_REFRESH_MS);
        !self.is_known || is_old && !mistakes::is_made("patterns not looked at again")
    }
}

/// Compiles a pattern; as in Kafka, it has to match a topic's whole name.
pub(crate) fn compiled(pattern: &str) -> Result<Regex, Refused> {
    let whole = match mistakes::is_made("patterns match parts of names") {
        true => pattern.to_owned(),
        false => format!("^(?:{pattern})$"),
    };
    // The pattern on its own has to be one too: "a)(b" is not.
    let alone = RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build();
    let compiled = alone.and_then(|_| RegexBuilder::new(&whole).size_limit(MAX_COMPILED_BYTES).build());
    compiled.map_err(|error| {
        let message = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.");
        Refused::new(ErrorCode::InvalidRegularExpression, message)
    })
}

/// The topics that a pattern stands for; a pattern from the log that cannot be compiled stands for none.
fn matching(pattern: &str, topics: &dyn Topics) -> Vec<String> {
    let Ok(regex) = compiled(pattern) else { return Vec::new() };
    let mut found = Vec::new();
    topics.each_name(&mut |name| {
        if regex.is_match(name) {
            found.push(name.to_owned());
        }
    });
    found
}

impl ConsumerGroup {
    /// Evaluates patterns that are new or due, and forgets those that nobody uses; true if that changes the
    /// group's topics.
    pub fn refresh_patterns(&mut self, scene: &mut Scene<'_>) -> bool {
        let of_interest =
            self.patterns.iter().filter(|(_, resolved)| resolved.members == 0 || resolved.is_due(scene));
        let patterns: Vec<Arc<str>> = of_interest.map(|(pattern, _)| pattern.clone()).collect();
        let mut changed = false;
        for pattern in patterns {
            changed |= self.refresh_pattern(&pattern, scene);
        }
        changed
    }

    fn refresh_pattern(&mut self, pattern: &Arc<str>, scene: &mut Scene<'_>) -> bool {
        let Some(resolved) = self.patterns.get_mut(pattern) else { return false };
        if resolved.members == 0 {
            let was_known = resolved.is_known;
            self.patterns.remove(pattern);
            if was_known {
                scene.out.records.push(records::regex_tombstone(&self.id, pattern));
            }
            return was_known;
        }
        let topics = matching(pattern, scene.topics);
        let changed = !resolved.is_known || topics != resolved.topics;
        resolved.version = scene.topics.version();
        resolved.at_ms = scene.now;
        if changed {
            resolved.topics = topics;
            resolved.is_known = true;
            let value = ConsumerGroupRegularExpressionValue {
                topics: resolved.topics.iter().map(|topic| Str::Borrowed(topic.as_str())).collect(),
                version: resolved.version,
                timestamp: resolved.at_ms,
            };
            let record = records::regex(&self.id, pattern, &value);
            // What the log does not take is left out: after a crash the pattern is evaluated again.
            if record.bytes() <= scene.settings.record_bytes_max {
                scene.out.records.push(record);
            }
        }
        changed
    }

    /// All topics that the group subscribes to by name or pattern.
    pub fn topics(&self) -> BTreeSet<&str> {
        let by_pattern = self.patterns.values().filter(|resolved| resolved.members > 0);
        let by_pattern = by_pattern.flat_map(|resolved| resolved.topics.iter());
        self.named.keys().chain(by_pattern).map(String::as_str).collect()
    }

    /// A digest of what is known of those topics.
    fn digest(&self, topics: &dyn Topics) -> i64 {
        digest(self.topics().into_iter().filter_map(|name| topics.by_name(name)))
    }

    /// Raises the epoch if `changed`, or if topics have changed that the group subscribes to.
    pub fn refresh_epoch(&mut self, changed: bool, scene: &mut Scene<'_>) {
        let version = Some(scene.topics.version());
        if !changed && self.seen_topics == version {
            return;
        }
        self.seen_topics = version;
        let hash = self.digest(scene.topics);
        if changed || hash != self.metadata_hash {
            self.metadata_hash = hash;
            self.epoch = self.epoch.saturating_add(1);
            scene.out.records.push(records::group(&self.id, self.epoch, hash));
        }
    }
}
