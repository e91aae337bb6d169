//! What of the configuration holds for a share group: its own settings within the broker's bounds, else the broker's.

use crate::broker::Broker;
use model::config::{BrokerConfig, Settings};
use share::Limits;
use storage::ReadBound;

/// Where a group begins that has no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// With the first record that there is.
    Earliest,
    /// Behind the last.
    Latest,
    /// With the first that is not older than so many milliseconds.
    Back(i64),
}

/// The settings of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupSettings {
    /// What bounds its share partitions.
    pub(crate) limits: Limits,
    /// `share.auto.offset.reset`.
    pub(crate) reset: Reset,
    /// `share.isolation.level`: how far its members read.
    pub(crate) bound: ReadBound,
    /// `share.renew.acknowledge.enable`: members may begin locks anew.
    pub(crate) may_renew: bool,
}

impl Broker {
    /// The settings that hold for a group now.
    pub(crate) fn share_settings(&self, group: &str) -> GroupSettings {
        let (config, image) = (self.config(), self.image());
        resolve(&config, image.group_configs(group), |key| self.group_own_number(&image, group, key))
    }
}

/// From what a group has set: texts, and numbers that are within the broker's bounds.
fn resolve(
    config: &BrokerConfig,
    own: Option<&Settings>,
    number: impl Fn(&str) -> Option<i32>,
) -> GroupSettings {
    let locks_max = number("share.partition.max.record.locks").unwrap_or(config.share_locks_max);
    let deliveries_max = number("share.delivery.count.limit").unwrap_or(config.share_deliveries_max);
    let lock_ms = number("share.record.lock.duration.ms").unwrap_or(config.share_lock_ms);
    let text = |key: &str| own.and_then(|own| own.get(key)).map_or("", |text| text.trim());
    GroupSettings {
        limits: Limits {
            locks_max: i64::from(locks_max),
            deliveries_max: i16::try_from(deliveries_max).unwrap_or(i16::MAX),
            lock_ms: i64::from(lock_ms),
        },
        reset: reset(text("share.auto.offset.reset")),
        bound: match text("share.isolation.level").eq_ignore_ascii_case("read_committed") {
            true => ReadBound::LastStable,
            false => ReadBound::HighWatermark,
        },
        may_renew: !text("share.renew.acknowledge.enable").eq_ignore_ascii_case("false"),
    }
}

/// The rule's text was checked when it was set.
fn reset(text: &str) -> Reset {
    match text.strip_prefix("by_duration:") {
        Some(duration) => duration_ms(duration).map_or(Reset::Latest, Reset::Back),
        None if text == "earliest" => Reset::Earliest,
        None => Reset::Latest,
    }
}

/// The milliseconds of an ISO 8601 duration such as `P1DT2H3M4.5S`.
fn duration_ms(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let rest = upper.strip_prefix('P')?;
    let (mut total, mut number, mut is_time) = (0f64, String::new(), false);
    for letter in rest.chars() {
        let unit = match letter {
            '0'..='9' | '.' => {
                number.push(letter);
                continue;
            }
            'T' => {
                is_time = true;
                continue;
            }
            'D' => 86_400_000.0,
            'H' if is_time => 3_600_000.0,
            'M' if is_time => 60_000.0,
            'S' if is_time => 1_000.0,
            _ => return None,
        };
        total += std::mem::take(&mut number).parse::<f64>().ok()? * unit;
    }
    (number.is_empty() && total.is_finite()).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::config::{Layers, Value, group_override};

    fn settings(own: &[(&str, &str)]) -> GroupSettings {
        let own: Settings = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        resolve(&BrokerConfig::default(), Some(&own), |key| {
            match group_override(key, &own, &Layers::empty()) {
                Some(Value::Int(number)) => Some(number),
                _ => None,
            }
        })
    }

    #[test]
    fn a_group_goes_by_the_brokers_settings_and_by_its_own() {
        let broker = settings(&[]);
        assert_eq!(broker.limits, Limits { locks_max: 2_000, deliveries_max: 5, lock_ms: 30_000 });
        assert_eq!(
            (broker.reset, broker.bound, broker.may_renew),
            (Reset::Latest, ReadBound::HighWatermark, true)
        );
        let own = settings(&[
            ("share.record.lock.duration.ms", "15000"),
            ("share.delivery.count.limit", "900"),
            ("share.partition.max.record.locks", "50000"),
            ("share.auto.offset.reset", "earliest"),
            ("share.isolation.level", "read_committed"),
            ("share.renew.acknowledge.enable", "false"),
        ]);
        assert_eq!(own.limits, Limits { locks_max: 4_000, deliveries_max: 10, lock_ms: 15_000 });
        assert_eq!((own.reset, own.bound, own.may_renew), (Reset::Earliest, ReadBound::LastStable, false));
    }

    #[test]
    fn durations_are_iso_ones() {
        for (text, expected) in [("PT1H", 3_600_000), ("P1DT2M3.5S", 86_523_500), ("pt10s", 10_000)] {
            assert_eq!(reset(&format!("by_duration:{text}")), Reset::Back(expected), "{text}");
        }
        assert_eq!(reset("by_duration:P1X"), Reset::Latest);
    }
}
