//! What clients did, as they saw it.

/// Identifies a value. A value is sent once in a history; a retry of the same send belongs to the same operation.
pub type Value = u64;
/// A place in a partition.
pub type Offset = i64;
/// A moment, in any unit, of one clock for all clients.
pub type Time = u64;

/// Later than everything.
pub const NEVER: Time = Time::MAX;

/// A partition; topics are numbered by whoever records the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: u32,
    /// The partition's number there.
    pub number: i32,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was not done, and never will be. A transaction: it was aborted.
    Fail,
    /// Nobody knows.
    Info,
}

/// A record that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// Where to.
    pub partition: Partition,
    /// What.
    pub value: Value,
    /// The offset that was acknowledged, if one was.
    pub offset: Option<Offset>,
}

/// What a poll got of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// From where.
    pub partition: Partition,
    /// The offset that was asked for.
    pub from: Offset,
    /// Where the next poll goes on: behind everything that this one showed or passed over.
    pub next: Offset,
    /// What was shown, in the order in which it came.
    pub values: Vec<(Offset, Value)>,
}

/// A poll that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Only what is committed was asked for.
    pub committed: bool,
    /// When the answer came.
    pub at: Time,
    /// What came.
    pub reads: Vec<Read>,
}

/// Offsets that are committed for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The group.
    pub group: u32,
    /// The member, if one commits; numbered anew each time that it joins as somebody new.
    pub member: Option<u32>,
    /// The generation that it named, where generations of a group are comparable.
    pub generation: Option<i32>,
    /// The offsets.
    pub offsets: Vec<(Partition, Offset)>,
    /// When this was asked for.
    pub asked: Time,
    /// When it was accepted; [`NEVER`] if nobody knows whether it was. In a transaction this does not yet mean that
    /// it counts.
    pub accepted: Time,
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record is sent.
    Send(Send),
    /// Records are polled.
    Poll(Poll),
    /// Offsets are committed with it.
    Commit(Commit),
}

/// A transaction, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What it consists of, in order.
    pub steps: Vec<Step>,
    /// When its commit was first asked for; without that it cannot be committed.
    pub ending: Option<Time>,
}

/// A coordinator has told a member, or confirmed to it, which partitions are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The group.
    pub group: u32,
    /// The member, numbered anew each time that it joins as somebody new.
    pub member: u32,
    /// What it is an incarnation of, if it is one: a static member, who comes back as another member of the same
    /// instance and takes the place of the one before. Within a generation they are one.
    pub instance: Option<u32>,
    /// The generation, where one generation is one assignment for all members (the classic protocol).
    pub generation: Option<i32>,
    /// What it had when it asked. That the coordinator answered it as a member proves that it had them still.
    pub held: Vec<Partition>,
    /// Its partitions from now on; none when it gives all of them back.
    pub partitions: Vec<Partition>,
}

/// An offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of which group.
    pub group: u32,
    /// Of which partition.
    pub partition: Partition,
    /// What was told; `None`: nothing is committed.
    pub offset: Option<Offset>,
    /// It was asked for in a way that waits for transactions which still decide on it (KIP-447).
    pub stable: bool,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A record is sent, outside of any transaction.
    Send(Send),
    /// Records are polled, outside of any transaction.
    Poll(Poll),
    /// A transaction: its outcome is that of its commit.
    Transaction(Transaction),
    /// The process goes to new positions: whatever it polls next says nothing of what it polled before.
    Assign,
    /// A partition was said to end here, uncommitted records included.
    End(Partition, Offset),
    /// Partitions of a member.
    Own(Own),
    /// Offsets are committed, outside of any transaction.
    Commit(Commit),
    /// A committed offset is asked for.
    Committed(Committed),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who did it. A process does one thing after the other.
    pub process: u32,
    /// When it began.
    pub invoked: Time,
    /// When it was known what came of it; [`NEVER`] if that never was.
    pub completed: Time,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was.
    pub action: Action,
}

/// Names an operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(usize);

/// Operations in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// An operation begins. What is never completed is [`Outcome::Info`].
    pub fn invoke(&mut self, process: u32, now: Time, action: Action) -> Ticket {
        let operation = Operation { process, invoked: now, completed: NEVER, outcome: Outcome::Info, action };
        self.operations.push(operation);
        Ticket(self.operations.len() - 1)
    }

    /// What an operation does, to be added to as it goes on.
    pub fn action(&mut self, ticket: Ticket) -> &mut Action {
        &mut self.operations[ticket.0].action
    }

    /// An operation comes to its end.
    pub fn complete(&mut self, ticket: Ticket, now: Time, outcome: Outcome) {
        let operation = &mut self.operations[ticket.0];
        operation.outcome = outcome;
        operation.completed = if outcome == Outcome::Info { NEVER } else { now };
    }

    /// An operation that began at one moment and was done at another.
    pub fn done(&mut self, process: u32, (invoked, completed): (Time, Time), action: Action) {
        let ticket = self.invoke(process, invoked, action);
        self.complete(ticket, completed, Outcome::Ok);
    }

    /// All of them.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}
