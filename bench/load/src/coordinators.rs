//! Calls around runs that work with coordinators, one at a time: finding them, the configuration of the topics that
//! they keep their state in, and groups' members that come, commit and go.

use crate::{
    admin::{Admin, is_passing},
    error::Error,
    groups,
    wire::{Get, Put},
};
use std::time::{Duration, Instant};

/// Patience for a coordinator: the first to ask has its topic made.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Whose coordinator, with the number that the protocol has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinated {
    Group = 0,
    Transaction = 1,
}

impl Admin {
    /// The address of the node that coordinates a group or a transactional id.
    pub fn coordinator(&mut self, of: Coordinated, key: &str) -> Result<String, Error> {
        let mut body = Vec::new();
        body.put_string(key);
        body.put_i8(of as i8);
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.call_any(10, 1, &body)?;
            let mut get = Get::new(&answer);
            get.i32()?; // throttle time
            let code = get.i16()?;
            get.string()?; // message
            get.i32()?; // node
            match code {
                0 => return Ok(format!("{}:{}", get.string()?, get.i32()?)),
                code if is_passing(code) && Instant::now() < until => std::thread::sleep(PAUSE),
                code => {
                    let subject = key.to_owned();
                    return Err(Error::Broker { request: "FindCoordinator", subject, code });
                }
            }
        }
    }

    /// Sets configurations of a topic, or with no value goes back to what is inherited. `false` if there is no such
    /// topic.
    pub fn alter_topic(&mut self, topic: &str, configs: &[(String, Option<String>)]) -> Result<bool, Error> {
        let mut body = Vec::new();
        body.put_i32(1);
        body.put_i8(2); // a topic
        body.put_string(topic);
        body.put_i32(configs.len() as i32);
        for (name, value) in configs {
            body.put_string(name);
            body.put_i8(i8::from(value.is_none())); // 0 sets, 1 deletes
            match value {
                Some(value) => body.put_string(value),
                None => body.put_i16(-1),
            }
        }
        body.put_i8(0); // not only to validate
        let answer = self.call_any(44, 0, &body)?;
        let mut get = Get::new(&answer);
        get.i32()?; // throttle time
        if get.count()? != 1 {
            return Err(Error::Protocol("an answer for another number of topics"));
        }
        match get.i16()? {
            0 => Ok(true),
            3 => Ok(false),
            code => {
                let subject = topic.to_owned();
                Err(Error::Broker { request: "IncrementalAlterConfigs", subject, code })
            }
        }
    }

    /// Makes a group of one member, which subscribes to `topic` and is given all of its `partitions`.
    pub fn join_alone(&mut self, group: &str, topic: &str, partitions: i32) -> Result<groups::Member, Error> {
        let until = Instant::now() + PATIENCE;
        let mut member = groups::Member { group: group.to_owned(), id: String::new(), generation: -1 };
        let all: Vec<i32> = (0..partitions).collect();
        loop {
            let answer = self.call_any(groups::JOIN.0, groups::JOIN.1, &groups::join(&member, topic))?;
            let joined = groups::Joined::parse(&answer)?;
            if joined.code == 0 || joined.code == groups::MEMBER_ID_REQUIRED {
                (member.id, member.generation) = (joined.member.clone(), joined.generation);
            }
            let code = if joined.code == 0 {
                let given = joined.members.iter().map(|id| (id.as_str(), groups::assignment(topic, &all)));
                let body = groups::sync(&member, given);
                groups::Synced::parse(&self.call_any(groups::SYNC.0, groups::SYNC.1, &body)?)?.code
            } else {
                joined.code
            };
            match code {
                0 => return Ok(member),
                groups::MEMBER_ID_REQUIRED => {}
                groups::REBALANCE_IN_PROGRESS | 14..=16 if Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                code => {
                    let subject = group.to_owned();
                    return Err(Error::Broker { request: "JoinGroup or SyncGroup", subject, code });
                }
            }
        }
    }

    /// A member leaves its group.
    pub fn leave(&mut self, member: &groups::Member) -> Result<(), Error> {
        let answer = self.call_any(groups::LEAVE.0, groups::LEAVE.1, &groups::leave(member))?;
        match groups::simple_code(&answer)? {
            // Who is no member any more has left.
            0 | groups::UNKNOWN_MEMBER_ID => Ok(()),
            code => Err(Error::Broker { request: "LeaveGroup", subject: member.group.clone(), code }),
        }
    }

    /// What a group has committed for the first `partitions` of a topic; -1 where it has nothing.
    pub fn committed(&mut self, group: &str, topic: &str, partitions: i32) -> Result<Vec<i64>, Error> {
        let mut body = Vec::new();
        body.put_string(group);
        body.put_i32(1);
        body.put_string(topic);
        body.put_i32(partitions);
        (0..partitions).for_each(|partition| body.put_i32(partition));
        let answer = self.call_any(9, 5, &body)?;
        let mut get = Get::new(&answer);
        get.i32()?; // throttle time
        let mut offsets = vec![-1; partitions as usize];
        for _ in 0..get.count()? {
            get.string()?;
            for _ in 0..get.count()? {
                let (partition, offset) = (get.i32()?, get.i64()?);
                get.i32()?; // leader epoch
                get.string()?; // metadata
                let code = get.i16()?;
                if code != 0 {
                    let subject = format!("{group}, partition {partition}");
                    return Err(Error::Broker { request: "OffsetFetch", subject, code });
                }
                let place = usize::try_from(partition).ok().and_then(|i| offsets.get_mut(i));
                *place.ok_or(Error::Protocol("OffsetFetch told of an unknown partition"))? = offset;
            }
        }
        match get.i16()? {
            0 => Ok(offsets),
            code => Err(Error::Broker { request: "OffsetFetch", subject: group.to_owned(), code }),
        }
    }
}
