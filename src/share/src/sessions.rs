//! Share sessions: which partitions a member fetches from, as its requests build it up (KIP-932).
//!
//! A member has one session on a broker. Each of its requests names the session's epoch and goes on from what the
//! earlier ones said; the number of sessions is bounded, and those that were not used for long give way.

use crate::Refused;
use kafka_wire::ErrorCode;
use model::{PartitionId, TopicId, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// The epoch of a request that begins a session.
pub const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that ends it.
pub const FINAL_EPOCH: i32 = -1;
/// After how long without a request a session gives way to a new one.
const IDLE_MS: i64 = 120_000;

/// A request of a member, as far as it concerns its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// Its group.
    pub group: String,
    /// The member.
    pub member: String,
    /// The epoch that it names.
    pub epoch: i32,
    /// Partitions that it fetches from now on, too.
    pub added: Vec<TopicPartition>,
    /// Those that it does not fetch from any more.
    pub forgotten: Vec<TopicPartition>,
    /// It may begin a session: it fetches, and does not only acknowledge.
    pub may_begin: bool,
}

/// What a session is after a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of the session: the next of the same member has another.
    pub serial: u64,
    /// What is to be fetched from. After its end: what was.
    pub partitions: Vec<TopicPartition>,
}

#[derive(Debug)]
struct Session {
    serial: u64,
    /// The epoch that the next request has to name.
    next_epoch: i32,
    partitions: Vec<TopicPartition>,
    used_ms: i64,
}

/// Sessions of members.
#[derive(Debug)]
pub struct Sessions {
    most: usize,
    last_serial: u64,
    /// By group and member.
    sessions: BTreeMap<(String, String), Session>,
}

impl Sessions {
    /// Room for so many.
    pub fn new(most: usize) -> Sessions {
        Sessions { most, last_serial: 0, sessions: BTreeMap::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Goes on with a session as a request says: begins it, changes it, ends it.
    ///
    /// # Errors
    /// SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED.
    pub fn visit(&mut self, visit: Visit, now_ms: i64) -> Result<Seen, Refused> {
        let key = (visit.group, visit.member);
        match visit.epoch {
            INITIAL_EPOCH if visit.may_begin => {
                self.sessions.remove(&key);
                self.make_room(now_ms)?;
                self.last_serial += 1;
                let mut session = Session {
                    serial: self.last_serial,
                    next_epoch: 1,
                    partitions: Vec::new(),
                    used_ms: now_ms,
                };
                session.add(visit.added);
                let seen = session.seen();
                self.sessions.insert(key, session);
                Ok(seen)
            }
            INITIAL_EPOCH => Err(ErrorCode::InvalidShareSessionEpoch),
            FINAL_EPOCH => {
                let session = self.sessions.remove(&key).ok_or(ErrorCode::ShareSessionNotFound)?;
                Ok(session.seen())
            }
            epoch => {
                let session = self.sessions.get_mut(&key).ok_or(ErrorCode::ShareSessionNotFound)?;
                if session.next_epoch != epoch {
                    return Err(ErrorCode::InvalidShareSessionEpoch);
                }
                session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
                session.used_ms = now_ms;
                let forgotten: BTreeSet<TopicPartition> = visit.forgotten.into_iter().collect();
                session.partitions.retain(|one| !forgotten.contains(one));
                session.add(visit.added);
                Ok(session.seen())
            }
        }
    }

    /// Ends a session whose client is gone, unless the member has a newer one; gives what it fetched from.
    pub fn end(&mut self, group: &str, member: &str, serial: u64) -> Option<Seen> {
        let key = (group.to_owned(), member.to_owned());
        if self.sessions.get(&key)?.serial != serial {
            return None;
        }
        self.sessions.remove(&key).map(|session| session.seen())
    }

    fn make_room(&mut self, now_ms: i64) -> Result<(), Refused> {
        if self.sessions.len() >= self.most {
            self.sessions.retain(|_, session| now_ms.saturating_sub(session.used_ms) < IDLE_MS);
        }
        if self.sessions.len() >= self.most { Err(ErrorCode::ShareSessionLimitReached) } else { Ok(()) }
    }
}

impl Session {
    fn add(&mut self, added: Vec<TopicPartition>) {
        let mut known: BTreeSet<TopicPartition> = self.partitions.iter().copied().collect();
        self.partitions.extend(added.into_iter().filter(|one| known.insert(*one)));
    }

    fn seen(&self) -> Seen {
        Seen { serial: self.serial, partitions: self.partitions.clone() }
    }
}

/// The partition of a request.
pub fn partition(topic: [u8; 16], number: i32) -> TopicPartition {
    TopicPartition { topic: TopicId(topic), partition: PartitionId(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: i32) -> TopicPartition {
        partition([1; 16], number)
    }

    fn visit(member: &str, epoch: i32, added: &[i32], forgotten: &[i32]) -> Visit {
        Visit {
            group: "g".to_owned(),
            member: member.to_owned(),
            epoch,
            added: added.iter().map(|number| one(*number)).collect(),
            forgotten: forgotten.iter().map(|number| one(*number)).collect(),
            may_begin: true,
        }
    }

    fn numbers(seen: Result<Seen, Refused>) -> Result<Vec<i32>, Refused> {
        seen.map(|seen| seen.partitions.iter().map(|one| one.partition.0).collect())
    }

    #[test]
    fn a_session_goes_from_epoch_to_epoch() {
        let mut sessions = Sessions::new(8);
        assert_eq!(numbers(sessions.visit(visit("m", 1, &[], &[]), 0)), Err(ErrorCode::ShareSessionNotFound));
        assert_eq!(numbers(sessions.visit(visit("m", 0, &[1, 2, 1], &[]), 0)), Ok(vec![1, 2]));
        assert_eq!(numbers(sessions.visit(visit("m", 1, &[3], &[1]), 0)), Ok(vec![2, 3]));
        assert_eq!(
            numbers(sessions.visit(visit("m", 1, &[], &[]), 0)),
            Err(ErrorCode::InvalidShareSessionEpoch)
        );
        assert_eq!(numbers(sessions.visit(visit("m", 2, &[], &[]), 0)), Ok(vec![2, 3]));
        assert_eq!(numbers(sessions.visit(visit("m", -1, &[], &[]), 0)), Ok(vec![2, 3]));
        assert_eq!(
            numbers(sessions.visit(visit("m", -1, &[], &[]), 0)),
            Err(ErrorCode::ShareSessionNotFound)
        );
    }

    #[test]
    fn who_only_acknowledges_begins_nothing() {
        let mut sessions = Sessions::new(8);
        let only = Visit { may_begin: false, ..visit("m", 0, &[1], &[]) };
        assert_eq!(numbers(sessions.visit(only, 0)), Err(ErrorCode::InvalidShareSessionEpoch));
        assert!(sessions.is_empty());
    }

    #[test]
    fn room_is_bounded_and_the_idle_give_way() {
        let mut sessions = Sessions::new(1);
        assert!(sessions.visit(visit("a", 0, &[], &[]), 0).is_ok());
        assert!(sessions.visit(visit("a", 0, &[], &[]), 0).is_ok(), "its own place");
        let refused = sessions.visit(visit("b", 0, &[], &[]), IDLE_MS - 1);
        assert_eq!(refused, Err(ErrorCode::ShareSessionLimitReached));
        assert!(sessions.visit(visit("b", 0, &[], &[]), IDLE_MS).is_ok());
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_connection_that_ends_late_ends_no_newer_session() {
        let mut sessions = Sessions::new(4);
        let old = sessions.visit(visit("m", 0, &[1], &[]), 0).expect("room").serial;
        let new = sessions.visit(visit("m", 0, &[2], &[]), 0).expect("room").serial;
        assert_eq!(sessions.end("g", "m", old), None);
        assert_eq!(sessions.end("g", "m", new).map(|seen| seen.partitions), Some(vec![one(2)]));
        assert_eq!(sessions.end("g", "m", new), None);
    }
}
