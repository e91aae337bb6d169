//! A loop for clients that hold a conversation: what is said next depends on the answer, and on the clock. One thread
//! that never sleeps while a run lasts, as [`Engine`](crate::engine::Engine)'s, with one client on each connection.

use crate::{
    connection::{Connection, Received},
    engine::Outcome,
    error::Error,
    meter::Meter,
    os::{Poll, Ready},
    stats::Window,
    turns::{Turns, drive},
};
use std::time::{Duration, Instant};

/// A time that never comes.
pub const NEVER: u64 = u64::MAX;

/// A client on one connection. Times are nanoseconds on the run's clock.
pub trait Actor {
    /// What all clients of a run share.
    type Shared;

    /// The run begins.
    fn start(&mut self, shared: &mut Self::Shared, connection: &mut Connection, now: u64);

    /// An answer came, without its length prefix. Answers of one connection come in the order of their requests.
    fn answered(
        &mut self,
        shared: &mut Self::Shared,
        connection: &mut Connection,
        answer: &[u8],
        now: u64,
    ) -> Result<(), Error>;

    /// When this client has something to do though no answer comes; [`NEVER`] if there is nothing. Asked after each
    /// of the other calls.
    fn wake(&self) -> u64;

    /// That time has come.
    fn due(&mut self, shared: &mut Self::Shared, connection: &mut Connection, now: u64) -> Result<(), Error>;

    /// The measured time is over: what was begun is brought to its end, and nothing new is begun.
    fn stop(&mut self, shared: &mut Self::Shared, connection: &mut Connection, now: u64);

    /// After [`stop`](Self::stop): whether all is at its end.
    fn finished(&self) -> bool;
}

#[derive(Debug)]
struct Slot<A> {
    connection: Connection,
    actor: A,
    wants_writable: bool,
    open: bool,
}

/// A run: its clients and what they share.
pub struct Stage<A: Actor> {
    poll: Poll,
    slots: Vec<Slot<A>>,
    pub shared: A::Shared,
    window: Window,
    /// No client has anything to do before this.
    next_wake: u64,
    start: Instant,
    /// Where an answer lies while its client deals with it.
    answer: Vec<u8>,
    outcome: Outcome,
}

impl<A: Actor> Stage<A> {
    pub fn new(shared: A::Shared, window: Window) -> Result<Stage<A>, Error> {
        Ok(Stage {
            poll: Poll::new()?,
            slots: Vec::new(),
            shared,
            window,
            next_wake: NEVER,
            start: Instant::now(),
            answer: Vec::new(),
            outcome: Outcome::default(),
        })
    }

    /// Adds a client, before the run.
    pub fn add(&mut self, connection: Connection, actor: A) -> Result<(), Error> {
        self.poll.add(connection.stream(), self.slots.len())?;
        self.slots.push(Slot { connection, actor, wants_writable: false, open: true });
        Ok(())
    }

    /// The clients, in the order in which they were added.
    pub fn actors(&self) -> impl Iterator<Item = &A> {
        self.slots.iter().map(|slot| &slot.actor)
    }

    /// Runs to the end. A lost connection ends the run: its client's part of the conversation is missing.
    pub fn run(&mut self, broker_pid: Option<u32>) -> Result<Outcome, Error> {
        self.start = Instant::now();
        for i in 0..self.slots.len() {
            self.with(i, |actor, shared, connection, now| {
                actor.start(shared, connection, now);
                Ok(())
            })?;
        }
        let (mut meter, window) = (Meter::new(broker_pid), self.window);
        let now = drive(self, window, &mut meter)?;
        self.outcome.unanswered = self.waiting();
        meter.fill(&mut self.outcome, now);
        Ok(self.outcome)
    }

    /// Clients that are not at their end.
    fn waiting(&self) -> u64 {
        self.slots.iter().filter(|slot| slot.open && !slot.actor.finished()).count() as u64
    }

    fn stop(&mut self) -> Result<(), Error> {
        for i in 0..self.slots.len() {
            self.with(i, |actor, shared, connection, now| {
                actor.stop(shared, connection, now);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Lets a client do something, and sends what it said.
    fn with(
        &mut self,
        i: usize,
        act: impl FnOnce(&mut A, &mut A::Shared, &mut Connection, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.act(i, act)?;
        let slot = &self.slots[i];
        if slot.connection.waiting() == 0 || slot.wants_writable { Ok(()) } else { self.flush(i) }
    }

    /// Lets a client do something, and notes when it wants to be called.
    fn act(
        &mut self,
        i: usize,
        act: impl FnOnce(&mut A, &mut A::Shared, &mut Connection, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let now = self.now();
        let slot = &mut self.slots[i];
        if !slot.open {
            return Ok(());
        }
        act(&mut slot.actor, &mut self.shared, &mut slot.connection, now)?;
        self.next_wake = self.next_wake.min(slot.actor.wake());
        Ok(())
    }

    /// Calls every client whose time has come. Whether there was one.
    fn wake_up(&mut self, now: u64) -> Result<bool, Error> {
        if now < self.next_wake {
            return Ok(false);
        }
        self.next_wake = NEVER;
        let mut worked = false;
        for i in 0..self.slots.len() {
            let at = self.slots[i].actor.wake();
            if at <= now {
                worked = true;
                self.with(i, |actor, shared, connection, now| actor.due(shared, connection, now))?;
            } else {
                self.next_wake = self.next_wake.min(at);
            }
        }
        Ok(worked)
    }

    fn handle(&mut self, event: Ready) -> Result<(), Error> {
        let i = event.number;
        if !self.slots[i].open {
            return Ok(());
        }
        if event.readable {
            match self.slots[i].connection.receive() {
                Ok(Received::Bytes) => self.answers(i)?,
                Ok(Received::Nothing) => {}
                Ok(Received::Closed) | Err(_) => return self.lose(i),
            }
        }
        let blocked = self.slots[i].wants_writable && !event.writable;
        if self.slots[i].connection.waiting() == 0 || blocked { Ok(()) } else { self.flush(i) }
    }

    fn answers(&mut self, i: usize) -> Result<(), Error> {
        let mut answer = std::mem::take(&mut self.answer);
        while let Some(frame) = self.slots[i].connection.next_frame()? {
            // It may say something to the connection whose buffer the answer lies in.
            answer.clear();
            answer.extend_from_slice(frame);
            self.act(i, |actor, shared, connection, now| actor.answered(shared, connection, &answer, now))?;
        }
        self.answer = answer;
        Ok(())
    }

    fn flush(&mut self, i: usize) -> Result<(), Error> {
        let slot = &mut self.slots[i];
        let Ok(all) = slot.connection.flush() else { return self.lose(i) };
        if slot.wants_writable == all {
            slot.wants_writable = !all;
            self.poll.want_writable(slot.connection.stream(), i, !all)?;
        }
        Ok(())
    }

    fn lose(&mut self, i: usize) -> Result<(), Error> {
        let slot = &mut self.slots[i];
        slot.open = false;
        self.poll.remove(slot.connection.stream());
        self.outcome.lost_connections += 1;
        Err(Error::Io("a connection is lost".into(), std::io::ErrorKind::ConnectionReset.into()))
    }
}

impl<A: Actor> Turns for Stage<A> {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn is_over(&self, _heard: bool) -> bool {
        false
    }

    fn end(&mut self, now: u64, meter: &mut Meter) -> Result<(), Error> {
        meter.end(now);
        self.stop()
    }

    fn turn(&mut self, now: u64, _measured: bool, ready: &mut Vec<Ready>) -> Result<bool, Error> {
        self.poll.wait(Duration::ZERO, ready)?;
        let worked = !ready.is_empty();
        for event in &*ready {
            self.handle(*event)?;
        }
        Ok(self.wake_up(now)? || worked)
    }

    fn drained(&self) -> bool {
        self.waiting() == 0
    }
}
