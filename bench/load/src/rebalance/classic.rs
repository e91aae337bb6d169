//! A member of a classic group: it has one request on its way at most.

use super::{RETRY, Shared};
use crate::{
    actors::NEVER,
    admin::is_passing,
    connection::Connection,
    error::Error,
    groups::{self, Joined, Member, Synced},
    wire::Get,
};

/// What a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    Join,
    Sync,
    Beat,
    Leave,
}

/// See the module's text.
#[derive(Debug)]
pub struct Classic {
    index: usize,
    member: Member,
    /// What the leader has for all members, until it is said.
    assignments: Vec<(String, Vec<u8>)>,
    said: Option<(i32, Say)>,
    /// What is to be said next, and when.
    next: Say,
    at: u64,
    leaving: bool,
    correlation: i32,
}

impl Classic {
    /// A member that is away.
    pub fn new(index: usize) -> Classic {
        Classic {
            index,
            member: Member { group: String::new(), id: String::new(), generation: -1 },
            assignments: Vec::new(),
            said: None,
            next: Say::Join,
            at: NEVER,
            leaving: false,
            correlation: 0,
        }
    }

    /// Begins to join.
    pub fn join(&mut self, shared: &mut Shared, connection: &mut Connection) {
        self.member = Member { group: shared.group.clone(), id: String::new(), generation: -1 };
        self.say(Say::Join, shared, connection);
    }

    /// Leaves, as soon as what it has said is answered.
    pub fn leave(&mut self, shared: &mut Shared, connection: &mut Connection) {
        self.leaving = true;
        if self.said.is_none() && !self.member.id.is_empty() {
            self.say(Say::Leave, shared, connection);
        }
    }

    /// It is no member and does not want to be one.
    pub fn away(&self) -> bool {
        self.said.is_none() && self.at == NEVER
    }

    /// When it has something to say.
    pub fn wake(&self) -> u64 {
        if self.said.is_some() { NEVER } else { self.at }
    }

    /// That time has come.
    pub fn due(&mut self, shared: &mut Shared, connection: &mut Connection) {
        let next = if shared.over || self.leaving { Say::Leave } else { self.next };
        self.say(next, shared, connection);
    }

    fn say(&mut self, what: Say, shared: &Shared, connection: &mut Connection) {
        let (api, body) = match what {
            Say::Join => (groups::JOIN, groups::join(&self.member, &shared.topic)),
            Say::Sync => {
                let assignments = std::mem::take(&mut self.assignments);
                let given = assignments.iter().map(|(id, bytes)| (id.as_str(), bytes.clone()));
                (groups::SYNC, groups::sync(&self.member, given))
            }
            Say::Beat => (groups::HEARTBEAT, groups::same_start(&self.member)),
            Say::Leave => (groups::LEAVE, groups::leave(&self.member)),
        };
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let mut request = connection.spare_head();
        groups::request(&mut request, api, self.correlation, &body);
        connection.push(request, None);
        self.said = Some((self.correlation, what));
        self.at = NEVER;
    }

    /// Takes the answer to what it has said, and goes on.
    pub fn answered(
        &mut self,
        shared: &mut Shared,
        connection: &mut Connection,
        answer: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        let (correlation, said) =
            self.said.take().ok_or(Error::Protocol("an answer that nothing asked for"))?;
        let mut get = Get::new(answer);
        if get.i32()? != correlation {
            return Err(Error::Protocol("an answer to something else"));
        }
        let (next, at) = match said {
            Say::Join => self.joined(Joined::parse(get.rest())?, shared, now)?,
            Say::Sync => self.synced(&Synced::parse(get.rest())?, shared, now)?,
            Say::Beat => self.beaten(groups::simple_code(get.rest())?, shared, now)?,
            Say::Leave => {
                self.member.id.clear();
                self.leaving = false;
                return Ok(());
            }
        };
        let leaves = self.leaving || shared.over;
        if leaves && self.member.id.is_empty() {
            self.leaving = false;
        } else if leaves {
            self.say(Say::Leave, shared, connection);
        } else if at <= now {
            self.say(next, shared, connection);
        } else {
            (self.next, self.at) = (next, at);
        }
        Ok(())
    }

    fn joined(&mut self, joined: Joined, shared: &Shared, now: u64) -> Result<(Say, u64), Error> {
        match joined.code {
            0 => {
                if joined.leader == joined.member {
                    self.assignments = ranges(joined.members, &shared.topic, shared.partitions);
                }
                (self.member.id, self.member.generation) = (joined.member, joined.generation);
                Ok((Say::Sync, now))
            }
            groups::MEMBER_ID_REQUIRED => {
                self.member.id = joined.member;
                Ok((Say::Join, now))
            }
            code => self.refused("JoinGroup", code, Say::Join, now),
        }
    }

    fn synced(&mut self, synced: &Synced, shared: &mut Shared, now: u64) -> Result<(Say, u64), Error> {
        if synced.code != 0 {
            return self.refused("SyncGroup", synced.code, Say::Join, now);
        }
        shared.placed(self.index, self.member.generation, &synced.partitions, now);
        Ok((Say::Beat, shared.next_beat(self.index, now)))
    }

    fn beaten(&mut self, code: i16, shared: &Shared, now: u64) -> Result<(Say, u64), Error> {
        match code {
            0 => Ok((Say::Beat, shared.next_beat(self.index, now))),
            code => self.refused("Heartbeat", code, Say::Beat, now),
        }
    }

    /// What a member does that is told to join again, or to ask later.
    fn refused(
        &mut self,
        request: &'static str,
        code: i16,
        again: Say,
        now: u64,
    ) -> Result<(Say, u64), Error> {
        match code {
            groups::REBALANCE_IN_PROGRESS | groups::ILLEGAL_GENERATION => Ok((Say::Join, now)),
            groups::UNKNOWN_MEMBER_ID => {
                self.member.id.clear();
                Ok((Say::Join, now))
            }
            code if is_passing(code) => Ok((again, now + RETRY)),
            code => Err(Error::Broker { request, subject: self.member.group.clone(), code }),
        }
    }
}

/// What a leader gives: the partitions in order to the members in order, as evenly as they go.
fn ranges(mut members: Vec<String>, topic: &str, partitions: i32) -> Vec<(String, Vec<u8>)> {
    members.sort_unstable();
    let count = members.len().max(1) as i32;
    let (each, more) = (partitions / count, partitions % count);
    let mut next = 0;
    let mut given = Vec::with_capacity(members.len());
    for (index, member) in (0..).zip(members) {
        let end = next + each + i32::from(index < more);
        let own: Vec<i32> = (next..end).collect();
        given.push((member, groups::assignment(topic, &own)));
        next = end;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Put;

    #[test]
    fn ranges_give_every_partition_once() {
        let members = ["c", "a", "b"].map(str::to_owned).to_vec();
        let mut all = Vec::new();
        let given = ranges(members, "t", 7);
        assert_eq!(given.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        for (_, bytes) in given {
            let mut answer = Vec::new();
            answer.put_i32(0);
            answer.put_i16(0);
            answer.put_i32(bytes.len() as i32);
            answer.extend_from_slice(&bytes);
            let partitions = Synced::parse(&answer).unwrap().partitions;
            assert!((2..=3).contains(&partitions.len()));
            all.extend(partitions);
        }
        assert_eq!(all, (0..7).collect::<Vec<_>>());
    }
}
