//! What members of a consumer group tell each other, and the assignor `range`, as the first member of a group has to
//! do it for all of them.

use kafka_wire::messages::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use kafka_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kafka_wire::{Decode, Encode, Reader, WireError, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// The version of both messages that every member reads.
const VERSION: i16 = 0;
/// The newest that can be read here; a newer one begins with the same fields.
const VERSION_MAX: i16 = 3;

/// A member as the one who assigns sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    /// Its id in the group.
    pub id: String,
    /// The name that it keeps over restarts, if it has one.
    pub instance: Option<String>,
    /// What it wants to read.
    pub topics: Vec<String>,
}

impl Subscriber {
    /// Members with a name of their own come first.
    fn order(&self) -> (bool, Option<&str>, &str) {
        (self.instance.is_none(), self.instance.as_deref(), &self.id)
    }
}

/// Partitions of topics, by member.
pub(super) type Shares = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

/// A message with its version before it.
fn encoded(message: &impl Encode) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    writer.i16(VERSION);
    message.encode(&mut writer, VERSION)?;
    Ok(writer.into_parts().0)
}

fn decoded<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    T::decode(&mut reader, version.min(VERSION_MAX))
}

/// What a member of one topic says of itself.
pub(super) fn subscription(topic: &str) -> Result<Vec<u8>, WireError> {
    encoded(&ConsumerProtocolSubscription { topics: vec![topic.into()], ..Default::default() })
}

/// The topics of a subscription; none, if it is none.
pub(super) fn topics(subscription: &[u8]) -> Vec<String> {
    let message = decoded::<ConsumerProtocolSubscription<'_>>(subscription).unwrap_or_default();
    message.topics.into_iter().map(|topic| topic.into_owned()).collect()
}

/// What a member is told that it has.
pub(super) fn assignment(share: &BTreeMap<String, Vec<i32>>) -> Result<Vec<u8>, WireError> {
    let topics = share.iter().map(|(topic, partitions)| TopicPartition {
        topic: topic.as_str().into(),
        partitions: partitions.clone(),
    });
    encoded(&ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None })
}

/// The partitions of a topic in an assignment; of no bytes, none.
pub(super) fn partitions(assignment: &[u8], topic: &str) -> Result<Vec<i32>, WireError> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let message = decoded::<ConsumerProtocolAssignment<'_>>(assignment)?;
    let ours = message.assigned_partitions.iter().filter(|one| one.topic == topic);
    let ours: BTreeSet<i32> = ours.flat_map(|one| one.partitions.iter().copied()).collect();
    Ok(ours.into_iter().collect())
}

/// Deals partitions out as Kafka's `RangeAssignor`: of each topic every member gets a range, the first ones one more
/// where it does not come out even. Members with a name of their own come first, so that restarts move little.
pub(super) fn assign(members: &[Subscriber], sizes: &BTreeMap<String, Vec<i32>>) -> Shares {
    let mut shares: Shares = members.iter().map(|member| (member.id.clone(), BTreeMap::new())).collect();
    for (topic, partitions) in sizes {
        let wants = |member: &&Subscriber| member.topics.contains(topic);
        let mut readers: Vec<&Subscriber> = members.iter().filter(wants).collect();
        readers.sort_by(|one, other| one.order().cmp(&other.order()));
        if readers.is_empty() {
            continue;
        }
        let (each, more) = (partitions.len() / readers.len(), partitions.len() % readers.len());
        let mut rest = &partitions[..];
        for (place, reader) in readers.into_iter().enumerate() {
            let (range, behind) = rest.split_at(each + usize::from(place < more));
            rest = behind;
            if let (false, Some(share)) = (range.is_empty(), shares.get_mut(&reader.id)) {
                share.insert(topic.clone(), range.to_vec());
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            id: id.to_owned(),
            instance: instance.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    fn sizes(topics: &[(&str, i32)]) -> BTreeMap<String, Vec<i32>> {
        topics.iter().map(|(topic, count)| ((*topic).to_owned(), (0..*count).collect())).collect()
    }

    /// `member: topic partitions, topic partitions`.
    fn shown(shares: &Shares) -> Vec<String> {
        let share = |share: &BTreeMap<String, Vec<i32>>| {
            let topics = share.iter().map(|(topic, partitions)| format!(" {topic} {partitions:?}"));
            topics.collect::<String>()
        };
        shares.iter().map(|(id, topics)| format!("{id}:{}", share(topics))).collect()
    }

    #[test]
    fn ranges_are_kafkas() {
        // The examples of Kafka's own documentation of its RangeAssignor.
        let two = [member("C1", None, &["t0", "t1"]), member("C0", None, &["t0", "t1"])];
        let shares = assign(&two, &sizes(&[("t0", 3), ("t1", 3)]));
        assert_eq!(shown(&shares), ["C0: t0 [0, 1] t1 [0, 1]", "C1: t0 [2] t1 [2]"]);
        // More members than partitions, a topic that not all want, and one that is not there.
        let three =
            [member("a", None, &["t"]), member("b", None, &["t", "u"]), member("c", None, &["t", "x"])];
        let shares = assign(&three, &sizes(&[("t", 2), ("u", 3)]));
        assert_eq!(shown(&shares), ["a: t [0]", "b: t [1] u [0, 1, 2]", "c:"]);
        // Names of their own come first, by name.
        let named =
            [member("a", None, &["t"]), member("c", Some("1"), &["t"]), member("b", Some("2"), &["t"])];
        let shares = assign(&named, &sizes(&[("t", 4)]));
        assert_eq!(shown(&shares), ["a: t [3]", "b: t [2]", "c: t [0, 1]"]);
        assert_eq!(shown(&assign(&named, &sizes(&[]))), ["a:", "b:", "c:"]);
    }

    #[test]
    fn messages_come_back_and_no_bytes_panic() {
        let bytes = subscription("t").unwrap();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(topics(&bytes), ["t"]);
        assert!(topics(&bytes[..5]).is_empty() && topics(&[]).is_empty());
        // A version that is yet to come.
        let none = [0xff; 4];
        let newer =
            [&[0, 9, 0, 0, 0, 1, 0, 1, b'u'][..], &none, &[0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]].concat();
        assert_eq!(topics(&newer), ["u"]);
        let share = BTreeMap::from([("t".to_owned(), vec![2, 0]), ("u".to_owned(), vec![7])]);
        let bytes = assignment(&share).unwrap();
        assert_eq!(partitions(&bytes, "t"), Ok(vec![0, 2]));
        assert_eq!(partitions(&bytes, "x"), Ok(vec![]));
        assert_eq!(partitions(&[], "t"), Ok(vec![]));
        for cut in 1..bytes.len() {
            assert!(partitions(&bytes[..cut], "t").is_err(), "{cut}");
        }
    }
}
