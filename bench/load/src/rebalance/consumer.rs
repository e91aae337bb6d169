//! A member of a group of the consumer protocol (KIP-848): all it says is a heartbeat.

use super::{RETRY, Shared};
use crate::{
    actors::NEVER,
    admin::is_passing,
    connection::Connection,
    error::Error,
    groups::{self, Beat, Beaten, TopicId},
    wire::Get,
};

const JOINS: i32 = 0;
const LEAVES: i32 = -1;

/// See the module's text.
#[derive(Debug)]
pub struct Consumer {
    index: usize,
    run: u64,
    /// How often it has joined: each time it is somebody else.
    joined: u32,
    id: String,
    epoch: i32,
    topic: TopicId,
    owned: Vec<i32>,
    /// The broker does not know yet that it has what it owns, and no more.
    to_tell: bool,
    said: Option<i32>,
    at: u64,
    leaving: bool,
    correlation: i32,
}

impl Consumer {
    /// A member that is away. `run` tells it apart from those of other runs.
    pub fn new(index: usize, run: u64) -> Consumer {
        Consumer {
            index,
            run,
            joined: 0,
            id: String::new(),
            epoch: LEAVES,
            topic: TopicId::default(),
            owned: Vec::new(),
            to_tell: false,
            said: None,
            at: NEVER,
            leaving: false,
            correlation: 0,
        }
    }

    /// Begins to join.
    pub fn join(&mut self, shared: &mut Shared, connection: &mut Connection) {
        self.joined += 1;
        self.id = format!("{:016x}-{}-{}", self.run, self.index, self.joined);
        self.forget();
        self.say(shared, connection);
    }

    /// Leaves, as soon as what it has said is answered.
    pub fn leave(&mut self, shared: &mut Shared, connection: &mut Connection) {
        self.leaving = true;
        if self.said.is_none() {
            self.say(shared, connection);
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
        self.leaving |= shared.over;
        self.say(shared, connection);
    }

    /// It is to join, with nothing.
    fn forget(&mut self) {
        self.epoch = JOINS;
        self.owned.clear();
        self.to_tell = false;
    }

    fn say(&mut self, shared: &Shared, connection: &mut Connection) {
        if self.leaving {
            self.epoch = LEAVES;
        }
        let body = groups::beat(&Beat {
            group: &shared.group,
            member: &self.id,
            epoch: self.epoch,
            topic: (self.epoch == JOINS).then_some(shared.topic.as_str()),
            owned: (self.to_tell && self.epoch > JOINS).then_some((self.topic, self.owned.as_slice())),
        });
        self.to_tell = false;
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let mut request = connection.spare_head();
        groups::request(&mut request, groups::CONSUMER_HEARTBEAT, self.correlation, &body);
        connection.push(request, None);
        self.said = Some(self.correlation);
        self.at = NEVER;
    }

    /// Takes the answer to its heartbeat, and goes on.
    pub fn answered(
        &mut self,
        shared: &mut Shared,
        connection: &mut Connection,
        answer: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        let correlation = self.said.take().ok_or(Error::Protocol("an answer that nothing asked for"))?;
        let mut get = Get::new(answer);
        if get.i32()? != correlation {
            return Err(Error::Protocol("an answer to something else"));
        }
        if self.epoch == LEAVES {
            self.leaving = false;
            return Ok(());
        }
        let at = self.beaten(Beaten::parse(get.rest())?, shared, now)?;
        self.leaving |= shared.over;
        if self.leaving || at <= now {
            self.say(shared, connection);
        } else {
            self.at = at;
        }
        Ok(())
    }

    /// When it has to say something again.
    fn beaten(&mut self, beaten: Beaten, shared: &mut Shared, now: u64) -> Result<u64, Error> {
        match beaten.code {
            0 => {
                self.epoch = beaten.epoch;
                if let Some((topic, partitions)) = beaten.assigned
                    && partitions != self.owned
                {
                    self.topic = topic.unwrap_or(self.topic);
                    self.owned = partitions;
                    self.to_tell = true;
                }
                shared.placed(self.index, self.epoch, &self.owned, now);
                Ok(if self.to_tell { now } else { shared.next_beat(self.index, now) })
            }
            groups::FENCED_MEMBER_EPOCH | groups::UNKNOWN_MEMBER_ID => {
                self.forget();
                shared.placed(self.index, -1, &[], now);
                Ok(now)
            }
            code if is_passing(code) => {
                // What it has to tell was not heard.
                self.to_tell = self.epoch != JOINS;
                Ok(now + RETRY)
            }
            code => {
                let subject = shared.group.clone();
                Err(Error::Broker { request: "ConsumerGroupHeartbeat", subject, code })
            }
        }
    }
}
