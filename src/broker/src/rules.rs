//! What configuration keys mean, for the controller, which does not know: [`Rules`] over the catalogue.
//!
//! The rules are Kafka's: of `LogConfig`, `DynamicBrokerConfig`, `GroupConfig` and `ClientMetricsConfigs`. They
//! differ in that an unknown broker key is refused as well (Kafka keeps it for plug-ins, which there are none of
//! here), and in that a resource's whole configuration is judged, not only what changes.

use controller::changes::ConfigRules;
use controller::{ControlError, ErrorKind, Image, Resource, ResourceKind};
use model::NodeId;
use model::config::{
    BrokerConfig, ConfigError, Key, Kind, Layers, Scope, Settings, TopicConfig, Update, Value, describe,
    group_value::group_bounds, lookup, lookup_broker, lookup_client_metrics, lookup_listener, require,
};
use std::cell::RefCell;
use std::sync::Arc;
use telemetry::Selector;

/// Milliseconds between two pushes of metrics: from 100 to an hour (KIP-714).
const PUSH_INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

/// Keys that a broker can be given at run time for one of its listeners only.
fn is_tls_material(name: &str) -> bool {
    name == "ssl.key.password" || name.starts_with("ssl.keystore.") || name.starts_with("ssl.truststore.")
}

/// Keys of a listener that can be set for the listener of that name on all brokers.
const CLUSTER_LISTENER_KEYS: [&str; 3] =
    ["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// What resources may be configured to, on this node.
#[derive(Debug)]
pub struct Rules {
    node: NodeId,
    fixed: Arc<Settings>,
    image: RefCell<Arc<Image>>,
}

impl Rules {
    /// Rules for a node with these settings of its file and command line, before any image is known.
    pub fn new(node: NodeId, fixed: Arc<Settings>) -> Rules {
        Rules { node, fixed, image: RefCell::default() }
    }

    /// From here on what brokers were configured to at run time counts as in this image.
    pub fn see(&self, image: &Arc<Image>) {
        self.image.replace(image.clone());
    }

    fn topic(&self, configs: &Settings, layers: &Layers<'_>) -> Result<(), ControlError> {
        TopicConfig::resolve(configs, layers).map_err(invalid)?;
        let tiered = configs.get("remote.storage.enable").map(String::as_str).unwrap_or_default();
        if tiered.trim().eq_ignore_ascii_case("true") {
            let message = "remote.storage.enable cannot be true: this broker has no tiered storage.";
            return Err(ControlError::new(ErrorKind::InvalidConfig, message));
        }
        Ok(())
    }

    /// A broker's settings, or with `every` the default of all brokers. Kafka answers a broker's bad setting with
    /// INVALID_REQUEST.
    fn broker(&self, configs: &Settings, every: bool, layers: &Layers<'_>) -> Result<(), ControlError> {
        for name in configs.keys() {
            check_dynamic(name, every)?;
        }
        let after = match every {
            true => Layers { default: configs, ..*layers },
            false => Layers { broker: configs, ..*layers },
        };
        let refuse = |error: ConfigError| ControlError::new(ErrorKind::InvalidRequest, error.to_string());
        BrokerConfig::resolve(&after).map_err(refuse)?;
        // Topics inherit from it, and what they inherit must go together.
        TopicConfig::resolve(&Settings::new(), &after).map(drop).map_err(refuse)
    }

    fn group(&self, configs: &Settings, layers: &Layers<'_>) -> Result<(), ControlError> {
        for (name, text) in configs {
            let key = require(Scope::Group, name).map_err(invalid)?;
            let value = key.parse(text).map_err(invalid)?;
            check_bounds(key, &value, layers)?;
        }
        let described = describe::group(configs, layers);
        let effective = |name: &str| {
            let found = described.iter().find(|one| one.name == name)?;
            found.value.as_deref()?.parse::<i64>().ok()
        };
        for protocol in ["consumer", "share", "streams"] {
            let (session, beat) =
                (format!("{protocol}.session.timeout.ms"), format!("{protocol}.heartbeat.interval.ms"));
            let is_set = configs.contains_key(&session) || configs.contains_key(&beat);
            if is_set
                && let (Some(timeout), Some(interval)) = (effective(&session), effective(&beat))
                && timeout <= interval
            {
                let message = format!("{session}, {timeout}, must be more than {beat}, {interval}.");
                return Err(ControlError::new(ErrorKind::InvalidConfig, message));
            }
        }
        Ok(())
    }
}

impl ConfigRules for Rules {
    fn validate(&self, resource: &Resource, configs: &Settings) -> Result<(), ControlError> {
        let image = self.image.borrow().clone();
        let nothing = Settings::new();
        let layers = Layers {
            broker: image.broker_configs(Some(self.node)).unwrap_or(&nothing),
            default: image.broker_configs(None).unwrap_or(&nothing),
            fixed: &self.fixed,
        };
        match resource.kind {
            ResourceKind::Topic => self.topic(configs, &layers),
            ResourceKind::Broker => self.broker(configs, resource.name.is_empty(), &layers),
            ResourceKind::Group => self.group(configs, &layers),
            ResourceKind::ClientMetrics => client_metrics(configs),
        }
    }

    fn is_list(&self, kind: ResourceKind, key: &str) -> bool {
        find(kind, key).is_some_and(|key| key.kind == Kind::List)
    }

    fn default_value(&self, kind: ResourceKind, key: &str) -> Option<String> {
        find(kind, key)?.default.map(str::to_owned)
    }
}

fn scope(kind: ResourceKind) -> Scope {
    match kind {
        ResourceKind::Topic => Scope::Topic,
        ResourceKind::Broker => Scope::Broker,
        ResourceKind::Group => Scope::Group,
        ResourceKind::ClientMetrics => Scope::ClientMetrics,
    }
}

fn find(kind: ResourceKind, name: &str) -> Option<&'static Key> {
    let listener = || match kind {
        ResourceKind::Broker => lookup_listener(name).map(|(_, key)| key),
        _ => None,
    };
    lookup(scope(kind), name).or_else(listener)
}

fn invalid(error: ConfigError) -> ControlError {
    ControlError::new(ErrorKind::InvalidConfig, error.to_string())
}

/// Whether a broker key can be set while brokers run, on one of them or on all.
fn check_dynamic(name: &str, every: bool) -> Result<(), ControlError> {
    let refuse = |why: &str| Err(ControlError::new(ErrorKind::InvalidRequest, format!("{name} {why}")));
    let one_only = "cannot be set for all brokers, only for one by its id.";
    if let Some((_, key)) = lookup_listener(name) {
        return match every && !CLUSTER_LISTENER_KEYS.contains(&key.name) {
            true => refuse(one_only),
            false => Ok(()),
        };
    }
    match lookup_broker(name) {
        // What is unknown is refused, with the nearest known name, where values are checked.
        None => Ok(()),
        Some(key) if key.read_only() => {
            refuse("cannot be changed while the broker runs; set it in the file and start the broker again.")
        }
        Some(_) if name == "listeners" => {
            refuse("cannot be changed while the broker runs: a core listens where it was started to.")
        }
        Some(_) if is_tls_material(name) => refuse(
            "can be changed while the broker runs only for a listener: listener.name.<listener>.<key>.",
        ),
        Some(key) if every && key.update == Update::PerBroker => refuse(one_only),
        Some(_) => Ok(()),
    }
}

/// Whether a group's value is between those that the broker sets as its bounds.
fn check_bounds(key: &Key, value: &Value, layers: &Layers<'_>) -> Result<(), ControlError> {
    let Some(number) = value.as_i64() else { return Ok(()) };
    let problem = match group_bounds(key, layers).map_err(invalid)? {
        (Some((name, min)), _) if number < min => format!("at least {min}, by {name}"),
        (_, Some((name, max))) if number > max => format!("at most {max}, by {name}"),
        _ => return Ok(()),
    };
    let message = format!("{} cannot be {number}: it must be {problem}.", key.name);
    Err(ControlError::new(ErrorKind::InvalidConfig, message))
}

/// A client metrics subscription. Kafka answers what is wrong with the whole with INVALID_REQUEST, and what is wrong
/// with a value's form with INVALID_CONFIG.
fn client_metrics(configs: &Settings) -> Result<(), ControlError> {
    for (name, text) in configs {
        let Some(key) = lookup_client_metrics(name) else {
            let error = require(Scope::ClientMetrics, name).err().map(|error| error.to_string());
            return Err(ControlError::new(ErrorKind::InvalidRequest, error.unwrap_or_default()));
        };
        let value = key.parse(text).map_err(invalid)?;
        match value {
            Value::Int(interval) if !PUSH_INTERVAL_MS.contains(&i64::from(interval)) => {
                let message =
                    format!("{name} cannot be {interval}: it must be from 100 to 3600000 (1 hour).");
                return Err(ControlError::new(ErrorKind::InvalidRequest, message));
            }
            Value::List(selectors) if name == "match" => check_selectors(&selectors)?,
            _ => {}
        }
    }
    Ok(())
}

/// The selectors of `match`. The patterns are regular expressions, compiled to see that they are.
fn check_selectors(selectors: &[String]) -> Result<(), ControlError> {
    let checked = selectors.iter().try_for_each(|one| Selector::parse(one).map(drop));
    checked.map_err(|why| ControlError::new(ErrorKind::InvalidConfig, why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::Record;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn rules() -> Rules {
        Rules::new(NodeId(1), Arc::new(Settings::new()))
    }

    fn validated(kind: ResourceKind, name: &str, pairs: &[(&str, &str)]) -> Result<(), ErrorKind> {
        rules().validate(&Resource::new(kind, name), &settings(pairs)).map_err(|error| error.kind)
    }

    #[test]
    fn topics_have_known_keys_and_good_values() {
        let topic = |pairs: &[(&str, &str)]| validated(ResourceKind::Topic, "t", pairs);
        assert_eq!(topic(&[("retention.ms", "5"), ("cleanup.policy", "compact,delete")]), Ok(()));
        assert_eq!(topic(&[("retention.ms", "soon")]), Err(ErrorKind::InvalidConfig));
        assert_eq!(topic(&[("no.such.key", "1")]), Err(ErrorKind::InvalidConfig));
        assert_eq!(topic(&[("remote.storage.enable", "true")]), Err(ErrorKind::InvalidConfig));
        assert_eq!(topic(&[("remote.storage.enable", "false")]), Ok(()));
    }

    #[test]
    fn what_brokers_were_configured_to_counts_for_topics() {
        let rules = rules();
        let lag = settings(&[("min.compaction.lag.ms", "10")]);
        let topic = Resource::new(ResourceKind::Topic, "t");
        assert_eq!(rules.validate(&topic, &lag), Ok(()));
        let record = Record::Config {
            resource: Resource::new(ResourceKind::Broker, ""),
            key: "log.cleaner.max.compaction.lag.ms".to_owned(),
            value: Some("5".to_owned()),
        };
        rules.see(&Arc::new(Image::default().with(&[record], 1).expect("the record fits")));
        let refused = rules.validate(&topic, &lag).expect_err("more than the largest");
        assert_eq!(refused.kind, ErrorKind::InvalidConfig);
    }

    #[test]
    fn brokers_take_at_run_time_what_needs_no_restart() {
        let one = |pairs: &[(&str, &str)]| validated(ResourceKind::Broker, "1", pairs);
        let all = |pairs: &[(&str, &str)]| validated(ResourceKind::Broker, "", pairs);
        let bad = Err(ErrorKind::InvalidRequest);
        assert_eq!(all(&[("log.retention.ms", "5")]), Ok(()));
        assert_eq!(one(&[("log.retention.ms", "5")]), Ok(()));
        assert_eq!(one(&[("node.id", "5")]), bad, "read-only");
        assert_eq!(one(&[("listeners", "PLAINTEXT://:1")]), bad);
        assert_eq!(all(&[("log.retention.ms", "soon")]), bad);
        assert_eq!(all(&[("no.such.key", "1")]), bad);
        assert_eq!(all(&[("sasl.enabled.mechanisms", "PLAIN")]), bad, "per broker only");
        assert_eq!(one(&[("sasl.enabled.mechanisms", "PLAIN")]), Ok(()));
        assert_eq!(one(&[("ssl.keystore.location", "/k")]), bad, "only for a listener");
        assert_eq!(one(&[("listener.name.tls.ssl.keystore.location", "/k")]), Ok(()));
        assert_eq!(all(&[("listener.name.tls.ssl.keystore.location", "/k")]), bad);
        assert_eq!(all(&[("listener.name.tls.max.connections", "5")]), Ok(()));
        assert_eq!(all(&[("max.connections.per.ip.overrides", "10.0.0.1:5")]), Ok(()));
        assert_eq!(all(&[("max.connections.per.ip.overrides", "a.host:5")]), bad, "names are not looked up");
        assert_eq!(all(&[("max.connections.per.ip", "0")]), bad, "nobody could connect");
        assert_eq!(one(&[("listener.security.protocol.map", "PLAINTEXT:SSL")]), bad, "there is no TLS");
        assert_eq!(
            all(&[("log.cleaner.min.compaction.lag.ms", "9"), ("log.cleaner.max.compaction.lag.ms", "8")]),
            bad,
            "what topics would inherit contradicts itself"
        );
    }

    #[test]
    fn groups_stay_within_the_brokers_bounds() {
        let group = |pairs: &[(&str, &str)]| validated(ResourceKind::Group, "g", pairs);
        let bad = Err(ErrorKind::InvalidConfig);
        assert_eq!(group(&[("consumer.session.timeout.ms", "50000")]), Ok(()));
        assert_eq!(group(&[("consumer.session.timeout.ms", "44999")]), bad, "below the smallest");
        assert_eq!(group(&[("consumer.session.timeout.ms", "60001")]), bad, "above the largest");
        assert_eq!(group(&[("streams.num.standby.replicas", "2")]), Ok(()));
        assert_eq!(group(&[("streams.num.standby.replicas", "3")]), bad);
        assert_eq!(group(&[("share.isolation.level", "read_committed")]), Ok(()));
        assert_eq!(group(&[("share.isolation.level", "none")]), bad);
        assert_eq!(group(&[("retention.ms", "1")]), bad);
    }

    #[test]
    fn a_group_beats_more_often_than_it_times_out() {
        let fixed = settings(&[
            ("group.consumer.max.heartbeat.interval.ms", "60000"),
            ("group.consumer.min.session.timeout.ms", "1"),
        ]);
        let rules = Rules::new(NodeId(1), Arc::new(fixed));
        let group = Resource::new(ResourceKind::Group, "g");
        let validate = |session: &str, beat: &str| {
            let pairs = [("consumer.session.timeout.ms", session), ("consumer.heartbeat.interval.ms", beat)];
            rules.validate(&group, &settings(&pairs)).map_err(|error| error.kind)
        };
        assert_eq!(validate("30000", "20000"), Ok(()));
        assert_eq!(validate("30000", "30000"), Err(ErrorKind::InvalidConfig));
        // The broker's own contradiction is no group's fault.
        let bad =
            settings(&[("group.share.session.timeout.ms", "1"), ("group.share.min.session.timeout.ms", "1")]);
        let rules = Rules::new(NodeId(1), Arc::new(bad));
        assert_eq!(rules.validate(&group, &settings(&[("consumer.session.timeout.ms", "50000")])), Ok(()));
    }

    #[test]
    fn client_metrics_are_checked_by_kip_714() {
        let metrics = |pairs: &[(&str, &str)]| validated(ResourceKind::ClientMetrics, "m", pairs);
        assert_eq!(metrics(&[("interval.ms", "100"), ("metrics", "*")]), Ok(()));
        assert_eq!(metrics(&[("interval.ms", "99")]), Err(ErrorKind::InvalidRequest));
        assert_eq!(metrics(&[("interval.ms", "3600001")]), Err(ErrorKind::InvalidRequest));
        assert_eq!(metrics(&[("interval.ms", "soon")]), Err(ErrorKind::InvalidConfig));
        assert_eq!(metrics(&[("no.such.key", "1")]), Err(ErrorKind::InvalidRequest));
        assert_eq!(metrics(&[("match", "client_id=a.*,client_software_name = b")]), Ok(()));
        for wrong in ["client_id", "client_id=", "client=a", "client_id=a=b", "client_id=[a"] {
            assert_eq!(metrics(&[("match", wrong)]), Err(ErrorKind::InvalidConfig), "{wrong}");
        }
    }

    #[test]
    fn lists_and_defaults_are_the_catalogues() {
        let rules = rules();
        assert!(rules.is_list(ResourceKind::Topic, "cleanup.policy"));
        assert!(!rules.is_list(ResourceKind::Topic, "retention.ms"));
        assert!(!rules.is_list(ResourceKind::Topic, "no.such.key"));
        assert!(rules.is_list(ResourceKind::Broker, "listener.name.tls.ssl.enabled.protocols"));
        assert_eq!(rules.default_value(ResourceKind::Topic, "cleanup.policy").as_deref(), Some("delete"));
        assert_eq!(rules.default_value(ResourceKind::Broker, "node.id"), None);
    }
}
