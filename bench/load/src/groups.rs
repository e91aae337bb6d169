//! Requests of group members as bytes: the classic protocol (JoinGroup 5, SyncGroup 3, Heartbeat 3, LeaveGroup 2,
//! OffsetCommit 7: the last versions before the flexible ones) and that of KIP-848 (ConsumerGroupHeartbeat 1).
//!
//! Bodies only; [`request`] puts the header before them.

use crate::{
    error::Error,
    requests,
    wire::{Get, Put},
};

/// API and version.
pub type Api = (i16, i16);

pub const COMMIT: Api = (8, 7);
pub const JOIN: Api = (11, 5);
pub const HEARTBEAT: Api = (12, 3);
pub const LEAVE: Api = (13, 2);
pub const SYNC: Api = (14, 3);
pub const CONSUMER_HEARTBEAT: Api = (68, 1);

pub const ILLEGAL_GENERATION: i16 = 22;
pub const UNKNOWN_MEMBER_ID: i16 = 25;
pub const REBALANCE_IN_PROGRESS: i16 = 27;
pub const MEMBER_ID_REQUIRED: i16 = 79;
pub const FENCED_MEMBER_EPOCH: i16 = 110;

/// Kafka's default.
const SESSION_TIMEOUT_MS: i32 = 45_000;
/// Shorter than Kafka's default of five minutes: what an earlier run left behind is waited for no longer.
const REBALANCE_TIMEOUT_MS: i32 = 20_000;
const PROTOCOL: &str = "range";

/// A member of a classic group, as its requests name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub group: String,
    /// Empty until the broker has given one.
    pub id: String,
    pub generation: i32,
}

/// A whole request with its length prefix.
pub fn request(out: &mut Vec<u8>, api: Api, correlation: i32, body: &[u8]) {
    requests::begin(out, api.0, api.1, correlation, api == CONSUMER_HEARTBEAT);
    out.extend_from_slice(body);
    requests::finish(out, 0);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.extend_from_slice(bytes);
}

/// The body of JoinGroup, of a member that subscribes to one topic.
pub fn join(member: &Member, topic: &str) -> Vec<u8> {
    let mut subscription = Vec::new();
    subscription.put_i16(0); // version
    subscription.put_i32(1);
    subscription.put_string(topic);
    subscription.put_i32(-1); // no user data
    let mut body = Vec::new();
    body.put_string(&member.group);
    body.put_i32(SESSION_TIMEOUT_MS);
    body.put_i32(REBALANCE_TIMEOUT_MS);
    body.put_string(&member.id);
    body.put_i16(-1); // no instance id
    body.put_string("consumer");
    body.put_i32(1);
    body.put_string(PROTOCOL);
    put_bytes(&mut body, &subscription);
    body
}

/// What a leader gives a member of one topic: the bytes that SyncGroup carries.
pub fn assignment(topic: &str, partitions: &[i32]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i16(0); // version
    out.put_i32(1);
    out.put_string(topic);
    out.put_i32(partitions.len() as i32);
    partitions.iter().for_each(|partition| out.put_i32(*partition));
    out.put_i32(-1); // no user data
    out
}

/// The body of SyncGroup. Only a leader gives assignments.
pub fn sync<'a>(member: &Member, assignments: impl ExactSizeIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut body = same_start(member);
    body.put_i32(assignments.len() as i32);
    for (id, assignment) in assignments {
        body.put_string(id);
        put_bytes(&mut body, &assignment);
    }
    body
}

/// The body of Heartbeat, with which those of SyncGroup and OffsetCommit begin.
pub fn same_start(member: &Member) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_string(&member.group);
    body.put_i32(member.generation);
    body.put_string(&member.id);
    body.put_i16(-1); // no instance id
    body
}

/// The body of LeaveGroup.
pub fn leave(member: &Member) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_string(&member.group);
    body.put_string(&member.id);
    body
}

/// A whole OffsetCommit request for the first `partitions` of a topic, and where in it the offsets lie.
pub fn commit(member: &Member, topic: &str, partitions: i32) -> (Vec<u8>, Vec<usize>) {
    let mut body = same_start(member);
    body.put_i32(1);
    body.put_string(topic);
    body.put_i32(partitions);
    let mut offsets_at = Vec::new();
    for partition in 0..partitions {
        body.put_i32(partition);
        offsets_at.push(body.len());
        body.put_i64(0);
        body.put_i32(-1); // leader epoch: unknown
        body.put_string(""); // metadata
    }
    let mut whole = Vec::new();
    request(&mut whole, COMMIT, 0, &body);
    let header = whole.len() - body.len();
    offsets_at.iter_mut().for_each(|at| *at += header);
    (whole, offsets_at)
}

/// The first error of an answer to OffsetCommit without its correlation id, 0 for none, and how many partitions it
/// tells of.
pub fn parse_commit(answer: &[u8]) -> Result<(i16, usize), Error> {
    let mut get = Get::new(answer);
    get.i32()?; // throttle time
    let (mut first, mut partitions) = (0, 0);
    for _ in 0..get.count()? {
        get.string()?;
        for _ in 0..get.count()? {
            get.i32()?;
            let code = get.i16()?;
            first = if first == 0 { code } else { first };
            partitions += 1;
        }
    }
    Ok((first, partitions))
}

/// The error of an answer to Heartbeat or LeaveGroup without its correlation id.
pub fn simple_code(answer: &[u8]) -> Result<i16, Error> {
    let mut get = Get::new(answer);
    get.i32()?; // throttle time
    get.i16()
}

/// An answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub code: i16,
    pub generation: i32,
    pub leader: String,
    pub member: String,
    /// All members' ids, for the leader alone.
    pub members: Vec<String>,
}

impl Joined {
    /// From an answer without its correlation id.
    pub fn parse(answer: &[u8]) -> Result<Joined, Error> {
        let mut get = Get::new(answer);
        get.i32()?; // throttle time
        let (code, generation) = (get.i16()?, get.i32()?);
        get.string()?; // protocol
        let (leader, member) = (get.string()?.to_owned(), get.string()?.to_owned());
        let mut members = Vec::new();
        for _ in 0..get.count()? {
            members.push(get.string()?.to_owned());
            get.string()?; // instance id
            let length = get.count()?;
            get.take(length as usize)?; // its subscription, which is everybody's
        }
        Ok(Joined { code, generation, leader, member, members })
    }
}

/// An answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub code: i16,
    /// What the member has of the one topic.
    pub partitions: Vec<i32>,
}

impl Synced {
    /// From an answer without its correlation id.
    pub fn parse(answer: &[u8]) -> Result<Synced, Error> {
        let mut get = Get::new(answer);
        get.i32()?; // throttle time
        let (code, length) = (get.i16()?, get.count()?);
        let mut partitions = Vec::new();
        if code == 0 && length > 0 {
            let mut given = Get::new(get.take(length as usize)?);
            given.i16()?; // version
            for _ in 0..given.count()? {
                given.string()?;
                for _ in 0..given.count()? {
                    partitions.push(given.i32()?);
                }
            }
        }
        Ok(Synced { code, partitions })
    }
}

/// A topic's id.
pub type TopicId = [u8; 16];

/// What a member of the consumer protocol says.
#[derive(Debug, Clone, Copy)]
pub struct Beat<'a> {
    pub group: &'a str,
    pub member: &'a str,
    /// 0 joins, -1 leaves.
    pub epoch: i32,
    /// Said when joining.
    pub topic: Option<&'a str>,
    /// What the member has of a topic, where that has changed.
    pub owned: Option<(TopicId, &'a [i32])>,
}

/// The body of ConsumerGroupHeartbeat.
pub fn beat(beat: &Beat<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_compact_string(beat.group);
    body.put_compact_string(beat.member);
    body.put_i32(beat.epoch);
    body.put_uvarint(0); // no instance id
    body.put_uvarint(0); // no rack
    body.put_i32(if beat.topic.is_some() { REBALANCE_TIMEOUT_MS } else { -1 });
    match beat.topic {
        Some(topic) => {
            body.put_uvarint(2);
            body.put_compact_string(topic);
        }
        None => body.put_uvarint(0),
    }
    body.put_uvarint(0); // no regular expression
    body.put_uvarint(0); // the broker's own assignor
    match (beat.owned, beat.topic) {
        (Some((id, partitions)), _) if !partitions.is_empty() => {
            body.put_uvarint(2);
            body.extend_from_slice(&id);
            body.put_uvarint(partitions.len() as u64 + 1);
            partitions.iter().for_each(|partition| body.put_i32(*partition));
            body.put_uvarint(0);
        }
        // Who joins has nothing, and must say so.
        (Some(_), _) | (None, Some(_)) => body.put_uvarint(1),
        (None, None) => body.put_uvarint(0),
    }
    body.put_uvarint(0);
    body
}

/// An answer to ConsumerGroupHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    pub code: i16,
    pub epoch: i32,
    /// The topic's id and what the member shall have of it, where the broker tells; no id where that is nothing.
    pub assigned: Option<(Option<TopicId>, Vec<i32>)>,
}

impl Beaten {
    /// From an answer without its correlation id.
    pub fn parse(answer: &[u8]) -> Result<Beaten, Error> {
        let mut get = Get::new(answer);
        get.skip_tags()?; // of the header
        get.i32()?; // throttle time
        let code = get.i16()?;
        get.compact_string()?; // message
        get.compact_string()?; // member id
        let epoch = get.i32()?;
        get.i32()?; // how often to say so
        let mut assigned = None;
        if get.i8()? >= 0 {
            let (mut topic, mut partitions) = (None, Vec::new());
            for _ in 0..get.compact_count()? {
                topic = get.take(16)?.first_chunk().copied();
                for _ in 0..get.compact_count()? {
                    partitions.push(get.i32()?);
                }
                get.skip_tags()?;
            }
            get.skip_tags()?;
            partitions.sort_unstable();
            assigned = Some((topic, partitions));
        }
        Ok(Beaten { code, epoch, assigned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member() -> Member {
        Member { group: "g".into(), id: "m".into(), generation: 7 }
    }

    #[test]
    fn offsets_are_where_a_commit_says() {
        let (whole, offsets_at) = commit(&member(), "topic", 3);
        assert_eq!(i32::from_be_bytes(whole[..4].try_into().unwrap()) as usize, whole.len() - 4);
        for (partition, at) in offsets_at.into_iter().enumerate() {
            let mut get = Get::new(&whole[at - 4..]);
            assert_eq!((get.i32().unwrap(), get.i64().unwrap()), (partition as i32, 0));
            assert_eq!((get.i32().unwrap(), get.string().unwrap()), (-1, ""));
        }
    }

    #[test]
    fn an_assignment_comes_back_from_the_answer_that_carries_it() {
        let given = assignment("topic", &[3, 5]);
        let mut answer = Vec::new();
        answer.put_i32(0);
        answer.put_i16(0);
        put_bytes(&mut answer, &given);
        assert_eq!(Synced::parse(&answer).unwrap(), Synced { code: 0, partitions: vec![3, 5] });
        answer.truncate(answer.len() - 5);
        assert!(Synced::parse(&answer).is_err());
    }

    #[test]
    fn the_first_refused_partition_of_a_commit_is_told() {
        let mut answer = Vec::new();
        answer.put_i32(0);
        answer.put_i32(1);
        answer.put_string("topic");
        answer.put_i32(3);
        for (partition, code) in [(0, 0), (1, 27), (2, 25)] {
            answer.put_i32(partition);
            answer.put_i16(code);
        }
        assert_eq!(parse_commit(&answer).unwrap(), (REBALANCE_IN_PROGRESS, 3));
    }

    #[test]
    fn a_member_of_the_consumer_protocol_is_told_what_it_has() {
        let mut answer = Vec::new();
        answer.put_uvarint(0);
        answer.put_i32(0);
        answer.put_i16(0);
        answer.put_uvarint(0);
        answer.put_compact_string("m");
        answer.put_i32(9);
        answer.put_i32(5000);
        answer.put_i8(1);
        answer.put_uvarint(2);
        answer.extend_from_slice(&[4; 16]);
        answer.put_uvarint(3);
        answer.put_i32(8);
        answer.put_i32(2);
        answer.extend_from_slice(&[0, 0, 0]);
        let assigned = Some((Some([4; 16]), vec![2, 8]));
        assert_eq!(Beaten::parse(&answer).unwrap(), Beaten { code: 0, epoch: 9, assigned });
    }

    #[test]
    fn who_joins_says_that_it_has_nothing_and_who_stays_says_nothing() {
        let joins = beat(&Beat { group: "g", member: "m", epoch: 0, topic: Some("t"), owned: None });
        assert!(joins.ends_with(&[0, 0, 1, 0]), "no regular expression, no assignor, no partitions, no tags");
        let stays = beat(&Beat { group: "g", member: "m", epoch: 3, topic: None, owned: None });
        assert!(stays.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]));
        let nothing: &[i32] = &[];
        let owned = Some(([1; 16], nothing));
        let emptied = beat(&Beat { group: "g", member: "m", epoch: 3, topic: None, owned });
        assert!(emptied.ends_with(&[0, 0, 1, 0]));
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Joined::parse(&bytes);
            let _ = Synced::parse(&bytes);
            let _ = Beaten::parse(&bytes);
            let _ = parse_commit(&bytes);
            let _ = simple_code(&bytes);
        }
    }
}
