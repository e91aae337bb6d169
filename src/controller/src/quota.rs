//! Quotas of clients (KIP-546): whom they are for, what they limit, and all of them as part of the image.

use crate::sorted::SortedMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is limited. The numbers are those of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaKey {
    /// Bytes a second that are written, on each broker.
    ProducerByteRate = 1,
    /// Bytes a second that are read, on each broker.
    ConsumerByteRate = 2,
    /// Time of a core that requests take, in percent of one core, on each broker.
    RequestPercentage = 3,
    /// Partitions a second that are created and deleted (KIP-599).
    ControllerMutationRate = 4,
    /// Connections a second from an address, on each broker (KIP-612).
    ConnectionCreationRate = 5,
}

impl QuotaKey {
    /// All of them, in the order of their numbers.
    pub const ALL: [QuotaKey; 5] = [
        QuotaKey::ProducerByteRate,
        QuotaKey::ConsumerByteRate,
        QuotaKey::RequestPercentage,
        QuotaKey::ControllerMutationRate,
        QuotaKey::ConnectionCreationRate,
    ];

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            QuotaKey::ProducerByteRate => "producer_byte_rate",
            QuotaKey::ConsumerByteRate => "consumer_byte_rate",
            QuotaKey::RequestPercentage => "request_percentage",
            QuotaKey::ControllerMutationRate => "controller_mutation_rate",
            QuotaKey::ConnectionCreationRate => "connection_creation_rate",
        }
    }

    /// From Kafka's name.
    pub fn from_name(name: &str) -> Option<QuotaKey> {
        QuotaKey::ALL.into_iter().find(|key| key.name() == name)
    }

    /// From the log's number.
    pub fn from_number(number: u8) -> Option<QuotaKey> {
        QuotaKey::ALL.into_iter().find(|key| *key as u8 == number)
    }

    /// The largest value, if only whole numbers up to it are taken; `None`: any number.
    pub(crate) fn whole_max(self) -> Option<f64> {
        match self {
            QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => Some(i64::MAX as f64),
            QuotaKey::ConnectionCreationRate => Some(f64::from(i32::MAX)),
            QuotaKey::RequestPercentage | QuotaKey::ControllerMutationRate => None,
        }
    }
}

/// A limit: more than 0, and a number. Two are the same when their bits are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimit(u64);

impl QuotaLimit {
    /// The limit of this value; `None` if it is not more than 0.
    pub fn new(value: f64) -> Option<QuotaLimit> {
        (value > 0.0).then_some(QuotaLimit(value.to_bits()))
    }

    /// Its value, in the unit of its key.
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for QuotaLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "QuotaLimit({})", self.value())
    }
}

/// A part of the name of whom a quota is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaPart {
    /// The user.
    User = 1,
    /// What the client calls itself.
    ClientId = 2,
    /// The client's address.
    Ip = 3,
}

impl QuotaPart {
    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            QuotaPart::User => "user",
            QuotaPart::ClientId => "client-id",
            QuotaPart::Ip => "ip",
        }
    }

    /// From Kafka's name.
    pub fn from_name(name: &str) -> Option<QuotaPart> {
        [QuotaPart::User, QuotaPart::ClientId, QuotaPart::Ip].into_iter().find(|part| part.name() == name)
    }

    /// From the log's number.
    pub fn from_number(number: u8) -> Option<QuotaPart> {
        [QuotaPart::User, QuotaPart::ClientId, QuotaPart::Ip].into_iter().find(|part| *part as u8 == number)
    }
}

/// A name, or `None` for all that have no quota of their own.
pub type QuotaName = Option<String>;

/// Whom a quota is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaEntity {
    /// A user, whatever the client.
    User(QuotaName),
    /// A client, whoever the user.
    ClientId(QuotaName),
    /// A client of a user: user, client id.
    UserClientId(QuotaName, QuotaName),
    /// An address.
    Ip(QuotaName),
}

impl QuotaEntity {
    /// From its parts, in any order; `None` for what cannot be combined, or too many of one kind.
    pub fn from_parts(mut parts: Vec<(QuotaPart, QuotaName)>) -> Option<QuotaEntity> {
        parts.sort_by_key(|(part, _)| *part);
        let mut parts = parts.into_iter();
        Some(match (parts.next()?, parts.next(), parts.next()) {
            ((QuotaPart::User, name), None, None) => QuotaEntity::User(name),
            ((QuotaPart::ClientId, name), None, None) => QuotaEntity::ClientId(name),
            ((QuotaPart::Ip, name), None, None) => QuotaEntity::Ip(name),
            ((QuotaPart::User, user), Some((QuotaPart::ClientId, client)), None) => {
                QuotaEntity::UserClientId(user, client)
            }
            _ => return None,
        })
    }

    /// Its parts, in the order of their numbers; the name `None` is the default.
    pub fn parts(&self) -> impl Iterator<Item = (QuotaPart, Option<&str>)> {
        let (first, second) = match self {
            QuotaEntity::User(name) => ((QuotaPart::User, name), None),
            QuotaEntity::ClientId(name) => ((QuotaPart::ClientId, name), None),
            QuotaEntity::Ip(name) => ((QuotaPart::Ip, name), None),
            QuotaEntity::UserClientId(user, client) => {
                ((QuotaPart::User, user), Some((QuotaPart::ClientId, client)))
            }
        };
        std::iter::once(first).chain(second).map(|(part, name)| (part, name.as_deref()))
    }

    /// Its name in a part; `None` if it has no such part.
    pub fn part(&self, wanted: QuotaPart) -> Option<Option<&str>> {
        self.parts().find(|(part, _)| *part == wanted).map(|(_, name)| name)
    }
}

/// What is set for one entity.
pub type QuotaLimits = BTreeMap<QuotaKey, QuotaLimit>;

/// All quotas of the cluster. Cloning costs a few pointers.
#[derive(Clone, Debug, Default)]
pub struct ClientQuotas {
    by_entity: SortedMap<QuotaEntity, Arc<QuotaLimits>>,
}

impl ClientQuotas {
    /// Nobody has a quota.
    pub fn is_empty(&self) -> bool {
        self.by_entity.len() == 0
    }

    /// What is set for an entity, exactly this one.
    pub fn of(&self, entity: &QuotaEntity) -> Option<&QuotaLimits> {
        self.by_entity.get(entity).map(|limits| &**limits)
    }

    /// All entities that have something set, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &QuotaLimits)> {
        self.by_entity.iter().map(|(entity, limits)| (entity, &**limits))
    }

    pub(crate) fn set(&mut self, entity: &QuotaEntity, key: QuotaKey, limit: Option<QuotaLimit>) {
        let mut limits = self.of(entity).cloned().unwrap_or_default();
        match limit {
            Some(limit) => limits.insert(key, limit),
            None => limits.remove(&key),
        };
        if limits.is_empty() {
            self.by_entity.remove(entity);
        } else {
            self.by_entity.insert(entity.clone(), Arc::new(limits));
        }
    }
}

impl PartialEq for ClientQuotas {
    fn eq(&self, other: &ClientQuotas) -> bool {
        self.by_entity.iter().eq(other.by_entity.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_entity_again() {
        let name = |text: &str| Some(text.to_owned());
        let entities = [
            QuotaEntity::User(None),
            QuotaEntity::User(name("u")),
            QuotaEntity::ClientId(name("c")),
            QuotaEntity::UserClientId(None, name("c")),
            QuotaEntity::Ip(name("10.0.0.1")),
        ];
        for entity in entities {
            let mut parts: Vec<_> =
                entity.parts().map(|(part, name)| (part, name.map(str::to_owned))).collect();
            parts.reverse();
            assert_eq!(QuotaEntity::from_parts(parts), Some(entity));
        }
        let refused = [
            vec![],
            vec![(QuotaPart::Ip, None), (QuotaPart::User, None)],
            vec![(QuotaPart::User, None), (QuotaPart::User, name("u"))],
            vec![(QuotaPart::User, None), (QuotaPart::ClientId, None), (QuotaPart::Ip, None)],
        ];
        for parts in refused {
            assert_eq!(QuotaEntity::from_parts(parts), None);
        }
    }

    #[test]
    fn names_and_numbers_lead_back() {
        for key in QuotaKey::ALL {
            assert_eq!(QuotaKey::from_name(key.name()), Some(key));
            assert_eq!(QuotaKey::from_number(key as u8), Some(key));
        }
        assert_eq!((QuotaKey::from_number(0), QuotaKey::from_name("bytes")), (None, None));
        for value in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(QuotaLimit::new(value), None);
        }
    }

    #[test]
    fn an_entity_without_limits_is_gone() {
        let (entity, limit) = (QuotaEntity::User(None), QuotaLimit::new(5.0));
        let mut quotas = ClientQuotas::default();
        let before = quotas.clone();
        quotas.set(&entity, QuotaKey::ProducerByteRate, limit);
        assert_eq!(quotas.of(&entity).and_then(|all| all.get(&QuotaKey::ProducerByteRate)).copied(), limit);
        assert!(before.is_empty(), "copies stay as they were");
        quotas.set(&entity, QuotaKey::ConsumerByteRate, None);
        assert!(!quotas.is_empty());
        quotas.set(&entity, QuotaKey::ProducerByteRate, None);
        assert_eq!(quotas, before);
    }
}
