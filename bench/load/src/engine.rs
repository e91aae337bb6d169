//! The loop: one thread that never sleeps while a run lasts.

use crate::{
    connection::{Connection, Received},
    consumer::{Consumer, Consuming},
    error::Error,
    meter::Meter,
    os::{Poll, Ready, Usage},
    producer::{Answered, Producer, Producing},
    turns::{Turns, drive},
};
use std::time::{Duration, Instant};

/// What a connection does.
#[derive(Debug)]
pub enum Role {
    Producer(Producer),
    Consumer(Consumer),
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    role: Role,
    wants_writable: bool,
    open: bool,
}

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The measured time has passed, all is answered, and tail consumers have caught up.
    TimeIsOver,
    /// Every consumer has read as far as it must.
    AllIsRead,
}

/// How the run went as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Seconds that were measured.
    pub seconds: f64,
    /// Share of them that this tool's thread was doing something: near 1, the tool was the limit.
    pub busy: f64,
    /// The broker's usage at the start and at the end of what was measured.
    pub broker: Option<(Usage, Usage)>,
    /// Cores that neither the broker (where its process is known) nor this tool used: other
    /// programs, and the kernel's own threads. Large figures spoil a measurement.
    pub others: f64,
    /// Cores that the host of a virtual machine took away.
    pub stolen: f64,
    /// Connections that broke.
    pub lost_connections: u64,
    /// Requests that were never answered.
    pub unanswered: u64,
    /// Consumers did not reach the end in time.
    pub unread: bool,
}

/// A run: its connections and what they share.
pub struct Engine {
    poll: Poll,
    slots: Vec<Slot>,
    /// Slots that produce, in the order that the open loop serves them.
    producers: Vec<usize>,
    pub producing: Option<Producing>,
    pub consuming: Option<Consuming>,
    until: Until,
    broker_pid: Option<u32>,
    /// Nothing is due from then on.
    end: u64,
    start: Instant,
    outcome: Outcome,
}

impl Engine {
    pub fn new(
        producing: Option<Producing>,
        consuming: Option<Consuming>,
        until: Until,
        broker_pid: Option<u32>,
    ) -> Result<Engine, Error> {
        Ok(Engine {
            poll: Poll::new()?,
            slots: Vec::new(),
            producers: Vec::new(),
            producing,
            consuming,
            until,
            broker_pid,
            end: 0,
            start: Instant::now(),
            outcome: Outcome::default(),
        })
    }

    /// Adds a connection, before the run.
    pub fn add(&mut self, connection: Connection, role: Role) -> Result<(), Error> {
        self.poll.add(connection.stream(), self.slots.len())?;
        if matches!(role, Role::Producer(_)) {
            self.producers.push(self.slots.len());
        }
        self.slots.push(Slot { connection, role, wants_writable: false, open: true });
        Ok(())
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<Outcome, Error> {
        self.start = Instant::now();
        let producing = self.producing.as_ref().map(|p| p.flow.window);
        let Some(window) = producing.or(self.consuming.as_ref().map(|c| c.flow.window)) else {
            return Ok(self.outcome);
        };
        self.end = window.to;
        self.start_all()?;
        let mut meter = Meter::new(self.broker_pid);
        let now = drive(self, window, &mut meter)?;
        self.finish(now);
        meter.fill(&mut self.outcome, now);
        Ok(self.outcome)
    }

    /// The run was to send a number of requests, and all of these are answered.
    fn all_is_sent(&self) -> bool {
        self.producing.as_ref().is_some_and(|p| p.exhausted() && p.outstanding == 0)
    }

    fn all_is_read(&self) -> bool {
        self.until == Until::AllIsRead
            && self.slots.iter().all(|s| !s.open || !matches!(&s.role, Role::Consumer(c) if !c.finished()))
    }

    /// Tail consumers have all that was acknowledged; a catch-up has all that it began for.
    fn caught_up(&self) -> bool {
        match (&self.producing, self.until) {
            (_, Until::AllIsRead) => self.all_is_read(),
            (None, Until::TimeIsOver) => true,
            (Some(p), Until::TimeIsOver) => self
                .slots
                .iter()
                .all(|s| !s.open || !matches!(&s.role, Role::Consumer(c) if !c.reached(&p.acknowledged_end))),
        }
    }

    fn start_all(&mut self) -> Result<(), Error> {
        for i in 0..self.slots.len() {
            self.refill(i);
            let Slot { connection, role, .. } = &mut self.slots[i];
            if let (Role::Consumer(c), Some(shared)) = (role, &self.consuming) {
                c.fetch(shared, connection, 0);
            }
            self.flush(i)?;
        }
        Ok(())
    }

    /// Sends what the schedule says. Requests without an answer are refilled here too, as no
    /// event would do it.
    fn send_due(&mut self, now: u64) -> Result<bool, Error> {
        let Some(shared) = &mut self.producing else { return Ok(false) };
        if self.producers.is_empty() {
            return Ok(false);
        }
        if !shared.open_loop() {
            if shared.options.acks == 0 {
                for i in 0..self.producers.len() {
                    let i = self.producers[i];
                    self.refill(i);
                    if !self.slots[i].wants_writable {
                        self.flush(i)?;
                    }
                }
            }
            return Ok(shared_acks0(&self.producing));
        }
        let mut worked = false;
        while let Some(shared) = &mut self.producing
            && let Some((number, due)) = shared.next_due(now)
        {
            if due >= self.end {
                break;
            }
            worked = true;
            let i = self.producers[number as usize % self.producers.len()];
            let slot = &mut self.slots[i];
            if !slot.open {
                self.outcome.unanswered += 1;
                continue;
            }
            if let Role::Producer(p) = &mut slot.role {
                p.due(shared, &mut slot.connection, due, now);
            }
            // A socket that took nothing a moment ago is told by the poll, not asked again.
            if !self.slots[i].wants_writable {
                self.flush(i)?;
            }
        }
        Ok(worked)
    }

    fn refill(&mut self, i: usize) {
        let now = self.now();
        let slot = &mut self.slots[i];
        if let (Role::Producer(p), Some(shared)) = (&mut slot.role, &mut self.producing)
            && slot.open
            && !shared.open_loop()
        {
            p.refill(shared, &mut slot.connection, now);
        }
    }

    fn handle(&mut self, event: Ready, sending: bool) -> Result<(), Error> {
        let i = event.number;
        if !self.slots[i].open {
            return Ok(());
        }
        if event.readable {
            match self.slots[i].connection.receive() {
                Ok(Received::Bytes) => self.answers(i, sending)?,
                Ok(Received::Nothing) => {}
                Ok(Received::Closed) | Err(_) => return self.lose(i),
            }
            if sending {
                self.refill(i);
            }
        }
        let blocked = self.slots[i].wants_writable && !event.writable;
        if self.slots[i].connection.waiting() == 0 || blocked { Ok(()) } else { self.flush(i) }
    }

    fn answers(&mut self, i: usize, sending: bool) -> Result<(), Error> {
        let now = self.now();
        let Slot { connection, role, .. } = &mut self.slots[i];
        match (role, &mut self.producing, &mut self.consuming) {
            (Role::Producer(producer), Some(shared), _) => {
                while let Some(frame) = connection.next_frame()? {
                    let answer = Answered::parse(frame)?;
                    producer.answered(shared, connection, answer, now)?;
                }
            }
            (Role::Consumer(consumer), producing, Some(shared)) => {
                while let Some(frame) = connection.next_frame()? {
                    consumer.answered(shared, frame, now)?;
                    // After the end, a tail consumer goes on until it has all; then it rests.
                    let more = sending
                        || producing.as_ref().is_some_and(|p| {
                            self.until == Until::TimeIsOver
                                && (p.outstanding > 0 || !consumer.reached(&p.acknowledged_end))
                        });
                    if more {
                        consumer.fetch(shared, connection, now);
                    }
                }
            }
            _ => return Err(Error::Protocol("an answer on a connection without a task")),
        }
        Ok(())
    }

    fn flush(&mut self, i: usize) -> Result<(), Error> {
        let slot = &mut self.slots[i];
        if !slot.open {
            return Ok(());
        }
        let Ok(all) = slot.connection.flush() else { return self.lose(i) };
        if slot.wants_writable == all {
            slot.wants_writable = !all;
            self.poll.want_writable(slot.connection.stream(), i, !all)?;
        }
        Ok(())
    }

    fn lose(&mut self, i: usize) -> Result<(), Error> {
        let now = self.now();
        let slot = &mut self.slots[i];
        slot.open = false;
        self.poll.remove(slot.connection.stream());
        self.outcome.lost_connections += 1;
        if let (Role::Producer(p), Some(shared)) = (&mut slot.role, &mut self.producing) {
            self.outcome.unanswered += p.lost(shared, now);
        }
        if self.slots.iter().any(|s| s.open) {
            return Ok(());
        }
        Err(Error::Io(
            "every connection is lost".into(),
            std::io::Error::from(std::io::ErrorKind::ConnectionReset),
        ))
    }

    /// Counts what is still open when the patience is over.
    fn finish(&mut self, now: u64) {
        self.outcome.unread = !self.caught_up();
        for slot in &mut self.slots {
            if let (Role::Producer(p), Some(shared)) = (&mut slot.role, &mut self.producing) {
                self.outcome.unanswered += p.lost(shared, now);
            }
        }
    }
}

impl Turns for Engine {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn is_over(&self, heard: bool) -> bool {
        self.all_is_sent() || heard && self.all_is_read()
    }

    fn end(&mut self, now: u64, meter: &mut Meter) -> Result<(), Error> {
        // What fell due while others had the core is due all the same.
        self.send_due(now)?;
        meter.end(now);
        Ok(())
    }

    fn turn(&mut self, now: u64, measured: bool, ready: &mut Vec<Ready>) -> Result<bool, Error> {
        let sent = measured && self.send_due(now)?;
        self.poll.wait(Duration::ZERO, ready)?;
        for event in &*ready {
            self.handle(*event, measured)?;
        }
        Ok(sent || !ready.is_empty())
    }

    /// All answered, and the tail consumers have what was acknowledged.
    fn drained(&self) -> bool {
        let answered = self.producing.as_ref().is_none_or(|p| p.outstanding == 0);
        let mut open = self.slots.iter().filter(|slot| slot.open);
        let sent = open.all(|s| matches!(s.role, Role::Consumer(_)) || s.connection.waiting() == 0);
        answered && sent && self.caught_up()
    }
}

/// A closed loop without acknowledgements is always at work.
fn shared_acks0(producing: &Option<Producing>) -> bool {
    producing.as_ref().is_some_and(|p| p.options.acks == 0)
}
