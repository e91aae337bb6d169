//! Settings: keys and values as files, flags and AlterConfigs bring them.

use model::config::{BrokerConfig, Layers, Scope, Settings, TopicConfig, require};

/// A name that is not known is compared with all that are: a few of them suffice.
const LINES_MAX: usize = 8;

/// Lines of `key=value`.
///
/// Settings that are allowed one by one must be resolved to a configuration, or refused, without a panic.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut broker, mut topic) = (Settings::new(), Settings::new());
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')).take(LINES_MAX) {
        for (scope, settings) in [(Scope::Broker, &mut broker), (Scope::Topic, &mut topic)] {
            match require(scope, key) {
                Ok(known) if known.parse(value).is_ok() => drop(settings.insert(key.into(), value.into())),
                Ok(_) => {}
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
    let layers = Layers::fixed(&broker);
    let _ = BrokerConfig::resolve(&layers);
    let _ = TopicConfig::resolve(&topic, &layers);
}
