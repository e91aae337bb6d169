//! A request of a client on its way to the core that keeps it.

use crate::request::Request;
use kafka_wire::Uuid;
use memory::Slice;
use std::net::IpAddr;
use telemetry::{Client, Push};

/// What a client wants.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To know what to push.
    Ask,
    /// To push, as the metrics came in their frame.
    Push { push: Push, metrics: Slice },
}

/// A client and what it wants.
#[derive(Debug)]
pub struct TelemetryQuestion {
    pub(crate) id: Uuid,
    pub(crate) client_id: Option<String>,
    software_name: String,
    software_version: String,
    address: String,
    port: String,
    pub(crate) wish: Wish,
}

/// What a client is told that has asked; empty for one that has pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryAnswer {
    /// The number of the subscription.
    pub subscription_id: i32,
    /// Milliseconds between two pushes.
    pub interval_ms: i32,
    /// Prefixes of the names of metrics.
    pub metrics: Vec<String>,
}

impl TelemetryQuestion {
    /// Of the client that sent a request, and has this instance id.
    pub(crate) fn new(id: Uuid, request: &Request, wish: Wish) -> TelemetryQuestion {
        let software = request.connection.software();
        TelemetryQuestion {
            id,
            client_id: request.client_id().map(|id| id.into_owned()),
            software_name: software.name.to_string(),
            software_version: software.version.to_string(),
            address: text_of(request.peer),
            port: request.connection.port.to_string(),
            wish,
        }
    }

    /// The client as subscriptions see it; `instance` is the text of its id.
    pub(crate) fn client<'a>(&'a self, instance: &'a str) -> Client<'a> {
        Client {
            client_id: self.client_id.as_deref(),
            instance,
            software_name: &self.software_name,
            software_version: &self.software_version,
            address: &self.address,
            port: &self.port,
        }
    }
}

/// An address as Java writes it: that of version 6 in eight numbers, none left out.
fn text_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let numbers = address.segments().map(|number| format!("{number:x}"));
            numbers.join(":")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_java_does() {
        for (address, text) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("fe80::a", "fe80:0:0:0:0:0:0:a"),
        ] {
            assert_eq!(text_of(address.parse().expect("an address")), text);
        }
    }
}
