//! Fetch sessions (KIP-227): a client that fetches many partitions again and again names only what changed.
//!
//! A session belongs to the core whose connection made it. A client that reconnects to another core is told
//! FETCH_SESSION_ID_NOT_FOUND and begins anew, as after a broker's restart. When the slots are used up, the
//! session that was longest unused makes room if it has rested for a while; else the new client goes without. A client
//! that vanishes in the middle of a fetch leaves its session as it was handed out: it rests as others do.

use kafka_wire::Uuid;
use std::collections::HashMap;
use std::time::Duration;

use base::Instant;

/// A session may be pushed out when it was not used for that long, as Kafka has it.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// How a partition is named in a session: by name up to version 12 of Fetch, by id later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    /// The name.
    Name(Box<str>),
    /// The id.
    Id(Uuid),
}

/// What a client wants of a partition, and what it was told last.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
    /// High watermark and log start that the client knows; `None`: it was told nothing yet, or an error.
    pub(crate) told: Option<(i64, i64)>,
}

/// A session's partitions, in the order in which they are served next: those that gave data last come last, so
/// that one busy partition does not starve the others.
#[derive(Debug, Default)]
pub(crate) struct Session {
    partitions: Vec<Wanted>,
    /// Its topics go by id.
    by_id: bool,
    epoch: i32,
    last_used: Instant,
    busy: bool,
}

/// A core's sessions.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
}

/// Why a session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH.
    WrongEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: its topics go by name and the request's by id, or the other way round.
    OtherNames,
}

impl Sessions {
    /// No sessions, at most `slots`.
    pub(crate) fn new(slots: usize) -> Sessions {
        Sessions { slots, sessions: HashMap::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Makes a session of these partitions; its id, or `None` when there are none, or no room. `chance` gives ids.
    pub(crate) fn create(
        &mut self,
        partitions: Vec<Wanted>,
        now: Instant,
        mut chance: impl FnMut() -> u64,
    ) -> Option<i32> {
        let by_id = matches!(partitions.first()?.topic, TopicKey::Id(_));
        if self.sessions.len() >= self.slots && !self.evict(now) {
            return None;
        }
        let id = loop {
            let id = (chance() & 0x7fff_ffff) as i32;
            if id != 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        self.sessions.insert(id, Session { partitions, by_id, epoch: 1, last_used: now, busy: false });
        Some(id)
    }

    fn evict(&mut self, now: Instant) -> bool {
        // Also one that was never given back: nobody may be left who would. The order of a table must not choose.
        let oldest = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id));
        match oldest {
            Some((&id, session)) if now.since(session.last_used) > EVICTABLE_AFTER => {
                self.sessions.remove(&id);
                true
            }
            _ => false,
        }
    }

    /// Ends a session.
    pub(crate) fn remove(&mut self, id: i32) {
        self.sessions.remove(&id);
    }

    /// Goes on with a session: applies what the client changed and hands out its partitions, which
    /// [`finish`](Sessions::finish) gives back. The request has an epoch, and names topics by id or not.
    pub(crate) fn resume(
        &mut self,
        id: i32,
        (epoch, by_id): (i32, bool),
        changed: Vec<Wanted>,
        forgotten: &[(TopicKey, i32)],
        now: Instant,
    ) -> Result<Vec<Wanted>, SessionError> {
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch || session.busy {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != by_id {
            return Err(SessionError::OtherNames);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.last_used = now;
        session.busy = true;
        let mut partitions = std::mem::take(&mut session.partitions);
        if !forgotten.is_empty() {
            partitions.retain(|one| {
                !forgotten.iter().any(|(topic, partition)| *topic == one.topic && *partition == one.partition)
            });
        }
        merge(&mut partitions, changed);
        Ok(partitions)
    }

    /// Gives a session its partitions back, those of `gave_data` last.
    pub(crate) fn finish(&mut self, id: i32, partitions: Vec<(Wanted, bool)>) {
        // It may have been ended meanwhile.
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (gave, rest): (Vec<_>, Vec<_>) = partitions.into_iter().partition(|(_, gave_data)| *gave_data);
        session.partitions = rest.into_iter().chain(gave).map(|(wanted, _)| wanted).collect();
        session.busy = false;
    }
}

/// Replaces what is there and adds what is new.
fn merge(partitions: &mut Vec<Wanted>, changed: Vec<Wanted>) {
    if changed.is_empty() {
        return;
    }
    let places: HashMap<(TopicKey, i32), usize> = partitions
        .iter()
        .enumerate()
        .map(|(place, one)| ((one.topic.clone(), one.partition), place))
        .collect();
    for wanted in changed {
        match places.get(&(wanted.topic.clone(), wanted.partition)) {
            Some(&place) => {
                let told = partitions[place].told;
                partitions[place] = Wanted { told, ..wanted };
            }
            None => partitions.push(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(topic: &str, partition: i32, offset: i64) -> Wanted {
        Wanted {
            topic: TopicKey::Name(topic.into()),
            partition,
            leader_epoch: -1,
            offset,
            max_bytes: 1,
            told: None,
        }
    }

    fn names(partitions: &[Wanted]) -> Vec<(i32, i64)> {
        partitions.iter().map(|one| (one.partition, one.offset)).collect()
    }

    #[test]
    fn a_session_remembers_and_takes_changes() {
        let mut sessions = Sessions::new(1);
        let now = Instant::from_nanos(1);
        let id = sessions.create(vec![wanted("a", 0, 0), wanted("a", 1, 0)], now, || 9).expect("room");
        let forgotten = [(TopicKey::Name("a".into()), 0)];
        let changed = vec![wanted("a", 1, 5), wanted("a", 2, 0)];
        let partitions = sessions.resume(id, (1, false), changed, &forgotten, now).expect("the epoch");
        assert_eq!(names(&partitions), [(1, 5), (2, 0)]);
        let busy = sessions.resume(id, (2, false), Vec::new(), &[], now);
        assert_eq!(busy.err(), Some(SessionError::WrongEpoch), "one request at a time");
        let mut gave = partitions.into_iter().map(|one| (one, true)).collect::<Vec<_>>();
        gave[1].1 = false;
        sessions.finish(id, gave);
        let partitions = sessions.resume(id, (2, false), Vec::new(), &[], now).expect("the epoch is right");
        assert_eq!(names(&partitions), [(2, 0), (1, 5)], "who gave data comes last");
    }

    #[test]
    fn wrong_ids_and_epochs_are_told() {
        let mut sessions = Sessions::new(1);
        let now = Instant::from_nanos(1);
        let id = sessions.create(vec![wanted("a", 0, 0)], now, || 9).expect("room");
        assert_eq!(sessions.resume(id + 1, (1, false), vec![], &[], now).err(), Some(SessionError::NotFound));
        assert_eq!(sessions.resume(id, (2, false), vec![], &[], now).err(), Some(SessionError::WrongEpoch));
        assert_eq!(sessions.resume(id, (1, true), vec![], &[], now).err(), Some(SessionError::OtherNames));
        assert!(sessions.resume(id, (1, false), vec![], &[], now).is_ok(), "nothing has become of it");
        let by_id = Wanted { topic: TopicKey::Id(Uuid([7; 16])), ..wanted("", 0, 0) };
        let mut sessions = Sessions::new(1);
        assert_eq!(sessions.create(vec![], now, || 9), None, "of nothing");
        let id = sessions.create(vec![by_id], now, || 9).expect("room");
        assert_eq!(sessions.resume(id, (1, false), vec![], &[], now).err(), Some(SessionError::OtherNames));
        assert!(sessions.resume(id, (1, true), vec![], &[], now).is_ok());
    }

    #[test]
    fn a_full_table_keeps_the_active_and_drops_the_rested() {
        let mut sessions = Sessions::new(1);
        let now = Instant::from_nanos(1);
        let first = sessions.create(vec![wanted("a", 0, 0)], now, || 9).expect("room");
        assert_eq!(sessions.create(vec![wanted("b", 0, 0)], now, || 8), None);
        let later = now + EVICTABLE_AFTER + Duration::from_secs(1);
        let second = sessions.create(vec![wanted("b", 0, 0)], later, || 8).expect("the first has rested");
        assert_eq!(sessions.len(), 1);
        assert_ne!(first, second);
    }

    #[test]
    fn a_session_whose_client_vanished_in_a_fetch_makes_room_too() {
        let mut sessions = Sessions::new(1);
        let now = Instant::from_nanos(1);
        let first = sessions.create(vec![wanted("a", 0, 0)], now, || 9).expect("room");
        let partitions = sessions.resume(first, (1, false), vec![], &[], now).expect("the epoch is right");
        let other = || vec![wanted("b", 0, 0)];
        assert_eq!(sessions.create(other(), now + EVICTABLE_AFTER, || 8), None, "it has not rested for long");
        let later = now + EVICTABLE_AFTER + Duration::from_secs(1);
        let second = sessions.create(other(), later, || 8).expect("the first was never given back");
        sessions.finish(first, partitions.into_iter().map(|one| (one, false)).collect());
        assert_eq!(sessions.len(), 1, "it stays away");
        let gone = sessions.resume(first, (2, false), vec![], &[], later);
        assert_eq!(gone.err(), Some(SessionError::NotFound));
        assert!(sessions.resume(second, (1, false), vec![], &[], later).is_ok());
    }
}
