//! Which of the listeners clients are served on: one, without TLS and SASL. More would have to be refused by somebody,
//! and who asks for a protected one must not get an open one.

use super::listener::Listener;
use super::typed::Field;
use super::{BrokerConfig, ConfigError, Layers, Scope, Value, require};
use std::collections::BTreeMap;

/// The only protocol that is served.
const PLAINTEXT: &str = "PLAINTEXT";
const PROTOCOLS: [&str; 4] = [PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// What may be limited for a listener alone and is: connections at one time, and new ones in a second.
const LISTENER_LIMITS: [&str; 2] = ["max.connections", "max.connection.creation.rate"];

/// The security protocol of each listener, by the listener's name in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection(BTreeMap<String, String>);

impl Field for Protection {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let rule = || {
            let known = PROTOCOLS.join(", ");
            format!("NAME:PROTOCOL pairs with commas, each name once, with protocols of {known}")
        };
        let mut protocols = BTreeMap::new();
        let text = String::from_value(value)?;
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, protocol) = pair.rsplit_once(':').ok_or_else(rule)?;
            let [name, protocol] = [name, protocol].map(|part| part.trim().to_ascii_uppercase());
            let known = !name.is_empty() && PROTOCOLS.contains(&protocol.as_str());
            if !known || protocols.insert(name, protocol).is_some() {
                return Err(rule());
            }
        }
        Ok(Protection(protocols))
    }
}

/// Whether a name is that of such a limit, of the listener whose settings begin with the prefix.
pub(super) fn is_listener_limit(name: &str, prefix: Option<&str>) -> bool {
    let key = prefix.and_then(|prefix| name.strip_prefix(prefix));
    key.is_some_and(|key| LISTENER_LIMITS.contains(&key))
}

impl BrokerConfig {
    /// Where clients are listened for. [`resolve`](BrokerConfig::resolve) sees to it that there is one.
    pub fn client_listener(&self) -> Option<&Listener> {
        self.listeners.iter().find(|listener| !self.is_of_controllers(listener))
    }

    /// The address that clients are told; `None` for the one that is listened on.
    pub fn client_address(&self) -> Option<&Listener> {
        self.advertised().find(|listener| !self.is_of_controllers(listener))
    }

    /// Listeners of `controller.listener.names`. A `server.properties` of a Kafka that is broker and controller in one
    /// has such; here the controller is inside of the process, and nothing listens for it.
    pub fn controller_listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |listener| self.is_of_controllers(listener))
    }

    /// What the names of settings for the one listener of clients begin with.
    pub(super) fn listener_prefix(&self) -> Option<String> {
        let listener = self.client_listener()?;
        Some(format!("listener.name.{}.", listener.name.to_ascii_lowercase()))
    }

    /// Takes the limits that are set for that listener alone. Those for all listeners hold as well.
    pub(super) fn limit_listener(&mut self, layers: &Layers<'_>) -> Result<(), ConfigError> {
        let Some(prefix) = self.listener_prefix() else { return Ok(()) };
        let [total, pace] = LISTENER_LIMITS;
        let limits = [(total, &mut self.max_connections), (pace, &mut self.max_connection_creation_rate)];
        for (key, limit) in limits {
            let name = format!("{prefix}{key}");
            let Some(text) = layers.set(&name) else { continue };
            if let Value::Int(own) = require(Scope::Broker, &name)?.parse(text)? {
                *limit = (*limit).min(own);
            }
        }
        Ok(())
    }

    fn advertised(&self) -> impl Iterator<Item = &Listener> {
        self.advertised_listeners.iter().flatten()
    }

    fn is_of_controllers(&self, listener: &Listener) -> bool {
        let mut names = self.controller_listener_names.iter().flatten();
        names.any(|name| name.eq_ignore_ascii_case(&listener.name))
    }

    /// Refuses listeners that would not be served as they ask for.
    pub(super) fn check_listeners(&self) -> Result<(), ConfigError> {
        let refuse = |key, value: &str, rule: String| {
            Err(ConfigError::Conflict { key, value: value.to_owned(), rule })
        };
        let text = |listeners: &[&Listener]| {
            listeners.iter().map(|listener| listener.to_string()).collect::<Vec<_>>().join(",")
        };
        let ours: Vec<&Listener> =
            self.listeners.iter().filter(|listener| !self.is_of_controllers(listener)).collect();
        let [listener] = ours[..] else {
            let rule = "one listener for clients: Flumen listens on a single address (listeners that \
                        controller.listener.names has are left out)";
            let all: Vec<&Listener> = self.listeners.iter().collect();
            return refuse("listeners", &text(&all), rule.to_owned());
        };
        match self.protection.0.get(&listener.name).map(String::as_str) {
            Some(PLAINTEXT) => {}
            Some(protocol) => {
                let rule = format!(
                    "a listener of the protocol {PLAINTEXT}, not {protocol}: Flumen has neither TLS nor \
                     SASL; listen on {PLAINTEXT}://{}, where only those can connect whom you trust, or a \
                     proxy that has both",
                    listener.address()
                );
                return refuse("listeners", &listener.to_string(), rule);
            }
            None => {
                let rule = format!(
                    "a listener that listener.security.protocol.map names: add {}:{PLAINTEXT} to it",
                    listener.name
                );
                return refuse("listeners", &listener.to_string(), rule);
            }
        }
        let told: Vec<&Listener> =
            self.advertised().filter(|listener| !self.is_of_controllers(listener)).collect();
        match told[..] {
            [] => Ok(()),
            [one] if one.name == listener.name => Ok(()),
            _ => {
                let rule = format!("one address for clients, that of the listener {}", listener.name);
                refuse("advertised.listeners", &text(&told), rule)
            }
        }
    }
}
