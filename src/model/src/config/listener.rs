//! Addresses to listen on and to tell clients.

use super::Value;
use super::typed::Field;
use std::collections::HashSet;
use std::fmt;

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// The listener's name in upper case, such as `PLAINTEXT`.
    pub name: String,
    /// Host name or address, IPv6 without brackets; empty for every address of the machine.
    pub host: String,
    /// Port; 0 lets the kernel choose.
    pub port: u16,
}

impl Listener {
    /// Reads `NAME://host:port`; an IPv6 address stands in brackets. `None` if it is not that.
    pub fn parse(text: &str) -> Option<Listener> {
        let (name, address) = text.trim().split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let hosted = host.chars().all(|c| c.is_ascii_alphanumeric() || "-%._:".contains(c));
        // Unlike a number's own parser, a port has no sign.
        let port = if port.starts_with('+') { None } else { port.parse().ok() }?;
        (named && hosted).then(|| Listener { name: name.to_ascii_uppercase(), host: host.to_owned(), port })
    }

    /// `host:port`, as it is written.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// As it is read: `NAME://host:port`.
impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.name, self.address())
    }
}

/// Listeners have names of their own.
impl Field for Vec<Listener> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let rule = || "NAME://host:port entries with commas, each with a name of its own".to_owned();
        let mut names = HashSet::new();
        let mut listeners = Vec::new();
        for entry in <Vec<String>>::from_value(value)? {
            let listener = Listener::parse(&entry).ok_or_else(rule)?;
            if !names.insert(listener.name.clone()) {
                return Err(rule());
            }
            listeners.push(listener);
        }
        Ok(listeners)
    }
}

/// Unset, or listeners that a client can connect to.
impl Field for Option<Vec<Listener>> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(None) };
        let listeners = <Vec<Listener>>::from_value(Some(value))?;
        if listeners.iter().any(|listener| listener.host == "0.0.0.0" || listener.host == "::") {
            return Err("addresses that clients can reach, not 0.0.0.0 or [::]".to_owned());
        }
        Ok(Some(listeners))
    }
}
