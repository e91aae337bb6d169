//! Which of all quotas holds for a client: the most specific one, in Kafka's order.

use controller::{ClientQuotas, QuotaEntity, QuotaKey, QuotaLimit};

/// A quota that holds for a client, and with whom the client shares it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Held<'a> {
    /// The limit.
    pub(super) limit: QuotaLimit,
    /// `None`: what all users do counts together.
    pub(super) user: Option<&'a str>,
    /// `None`: what all clients do counts together.
    pub(super) client: Option<&'a str>,
}

/// The quota of a key that holds for a client of a user; `None` if it may use as much as it can. A client without an id
/// is under the quotas of users only.
pub(super) fn find<'a>(
    quotas: &ClientQuotas,
    key: QuotaKey,
    user: &'a str,
    client: &'a str,
) -> Option<Held<'a>> {
    let name = |name: &str| Some(name.to_owned());
    let pair = |user: Option<String>, client: Option<String>| QuotaEntity::UserClientId(user, client);
    let (both, users, clients) = ((Some(user), Some(client)), (Some(user), None), (None, Some(client)));
    let order = [
        (pair(name(user), name(client)), both),
        (pair(name(user), None), both),
        (QuotaEntity::User(name(user)), users),
        (pair(None, name(client)), both),
        (pair(None, None), both),
        (QuotaEntity::User(None), users),
        (QuotaEntity::ClientId(name(client)), clients),
        (QuotaEntity::ClientId(None), clients),
    ];
    order.into_iter().filter(|(_, (_, by_client))| by_client.is_none() || !client.is_empty()).find_map(
        |(entity, (user, client))| {
            let limit = *quotas.of(&entity)?.get(&key)?;
            Some(Held { limit, user, client })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{Image, Record};

    const RATE: QuotaKey = QuotaKey::ProducerByteRate;

    fn entities() -> [QuotaEntity; 8] {
        let (user, client) = (|| Some("u".to_owned()), || Some("c".to_owned()));
        [
            QuotaEntity::UserClientId(user(), client()),
            QuotaEntity::UserClientId(user(), None),
            QuotaEntity::User(user()),
            QuotaEntity::UserClientId(None, client()),
            QuotaEntity::UserClientId(None, None),
            QuotaEntity::User(None),
            QuotaEntity::ClientId(client()),
            QuotaEntity::ClientId(None),
        ]
    }

    /// An image in which the limit of each entity is its number.
    fn image<'a>(key: QuotaKey, entities: impl IntoIterator<Item = (usize, &'a QuotaEntity)>) -> Image {
        let records: Vec<Record> = entities
            .into_iter()
            .map(|(number, entity)| Record::ClientQuota {
                entity: entity.clone(),
                key,
                limit: QuotaLimit::new(number as f64 + 1.0),
            })
            .collect();
        Image::default().with(&records, 1).expect("fits")
    }

    fn limit(image: &Image, user: &str, client: &str) -> Option<f64> {
        find(image.quotas(), RATE, user, client).map(|held| held.limit.value())
    }

    #[test]
    fn the_most_specific_holds() {
        let entities = entities();
        for first in 0..entities.len() {
            let image = image(RATE, entities.iter().enumerate().skip(first));
            assert_eq!(limit(&image, "u", "c"), Some(first as f64 + 1.0), "{:?}", entities[first]);
        }
        assert_eq!(limit(&Image::default(), "u", "c"), None);
        let image = image(QuotaKey::ConsumerByteRate, entities.iter().enumerate());
        assert_eq!(limit(&image, "u", "c"), None, "a quota of another kind");
    }

    #[test]
    fn others_have_what_is_meant_for_all() {
        let entities = entities();
        let image = image(RATE, entities.iter().enumerate());
        let cases = [
            (("u", "c"), 1.0),
            (("u", "other"), 2.0),
            (("other", "c"), 4.0),
            (("other", "other"), 5.0),
            (("u", ""), 3.0),
            (("other", ""), 6.0),
        ];
        for ((user, client), expected) in cases {
            assert_eq!(limit(&image, user, client), Some(expected), "{user} {client}");
        }
        let clients = self::image(RATE, entities.iter().enumerate().skip(6));
        assert_eq!(limit(&clients, "other", "other"), Some(8.0));
        assert_eq!(limit(&clients, "u", ""), None, "no id, no quota of ids");
    }

    #[test]
    fn it_is_shared_by_those_it_does_not_tell_apart() {
        let shared = [
            (Some("u"), Some("c")),
            (Some("u"), Some("c")),
            (Some("u"), None),
            (Some("u"), Some("c")),
            (Some("u"), Some("c")),
            (Some("u"), None),
            (None, Some("c")),
            (None, Some("c")),
        ];
        for (entity, (user, client)) in entities().iter().zip(shared) {
            let image = image(RATE, [(0, entity)]);
            let held = find(image.quotas(), RATE, "u", "c").expect("it holds");
            assert_eq!((held.user, held.client), (user, client), "{entity:?}");
        }
    }
}
