//! Limits of single addresses: `max.connections.per.ip.overrides`.

use super::Value;
use super::typed::Field;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Pairs of an address and a count. Kafka takes names of hosts too, and looks them up once; a broker here never waits
/// for a name server, so names are refused. An IPv6 address may stand in brackets.
impl Field for BTreeMap<IpAddr, u32> {
    fn from_value(value: Option<Value>) -> Result<Self, String> {
        let rule = || {
            "address:count pairs with commas, each address once, such as 10.0.0.1:50; names of hosts are not \
             looked up"
                .to_owned()
        };
        let mut limits = BTreeMap::new();
        let text = String::from_value(value)?;
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (address, count) = pair.rsplit_once(':').ok_or_else(rule)?;
            let address = address.trim();
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
            let address: IpAddr = bare.parse().map_err(|_| rule())?;
            let count = count.trim().parse::<i32>().ok().and_then(|count| u32::try_from(count).ok());
            if limits.insert(address.to_canonical(), count.ok_or_else(rule)?).is_some() {
                return Err(rule());
            }
        }
        Ok(limits)
    }
}
