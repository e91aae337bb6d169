//! What may be wrong with a history.

use std::collections::BTreeSet;
use std::fmt;

/// A kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What was acknowledged, or shown once, is not there any more.
    LostWrite,
    /// G1a: what was aborted, or refused, was shown to a reader of committed data.
    AbortedRead,
    /// A reader of committed data was shown what nobody had asked to commit yet, or what it wrote itself.
    PrecommittedRead,
    /// A value was shown that nobody sent to that partition.
    UnwrittenRead,
    /// One value at two offsets.
    Duplicate,
    /// Two values at one offset.
    InconsistentOffsets,
    /// A poll goes back behind the one before it.
    NonmonotonicPoll,
    /// Offsets within a poll do not grow, or lie outside of what was asked for.
    IntNonmonotonicPoll,
    /// Between two polls lies a value that neither shows.
    PollSkip,
    /// Within what a poll passed over lies a value that it does not show, and that later polls do.
    IntPollSkip,
    /// A send got a smaller offset than the one before it.
    NonmonotonicSend,
    /// The same within one transaction.
    IntNonmonotonicSend,
    /// A cycle of writes that follow each other.
    G0,
    /// A cycle of reads of what others wrote: each transaction saw the next one's writes.
    G1c,
    /// A cycle of such reads and of writes that follow each other.
    G1cWithWrites,
    /// A cycle with a read of what was about to be written over.
    G2,
    /// A committed offset is not there any more, or an older one is in its place.
    CommittedOffsetLost,
    /// A committed offset was shown whose transaction was aborted.
    AbortedOffset,
    /// A committed offset was shown before anybody asked to commit its transaction.
    PrecommittedOffset,
    /// Two members own one partition: in one generation, or at one time.
    TwoOwners,
    /// An offset was taken from a member whose generation is over, or whose partition another one has.
    StaleCommit,
    /// Two committed transactions of one group consumed one record.
    ConsumedTwice,
}

impl Kind {
    /// Its name in reports, as Jepsen has it where Jepsen has one.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LostWrite => "lost-write",
            Kind::AbortedRead => "G1a (aborted-read)",
            Kind::PrecommittedRead => "precommitted-read",
            Kind::UnwrittenRead => "unwritten-read",
            Kind::Duplicate => "duplicate",
            Kind::InconsistentOffsets => "inconsistent-offsets",
            Kind::NonmonotonicPoll => "nonmonotonic-poll",
            Kind::IntNonmonotonicPoll => "int-nonmonotonic-poll",
            Kind::PollSkip => "poll-skip",
            Kind::IntPollSkip => "int-poll-skip",
            Kind::NonmonotonicSend => "nonmonotonic-send",
            Kind::IntNonmonotonicSend => "int-nonmonotonic-send",
            Kind::G0 => "G0",
            Kind::G1c => "G1c",
            Kind::G1cWithWrites => "G1c with ww",
            Kind::G2 => "G2",
            Kind::CommittedOffsetLost => "committed-offset-lost",
            Kind::AbortedOffset => "aborted-offset",
            Kind::PrecommittedOffset => "precommitted-offset",
            Kind::TwoOwners => "two-owners",
            Kind::StaleCommit => "stale-commit",
            Kind::ConsumedTwice => "consumed-twice",
        }
    }
}

/// An anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Of which kind it is.
    pub kind: Kind,
    /// What was found, in words.
    pub evidence: String,
    /// The operations that prove it, by their places in the history.
    pub operations: Vec<usize>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} (operations {:?})", self.kind.name(), self.evidence, self.operations)
    }
}

/// By which rules a history is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is reported and is no error.
    pub permitted: BTreeSet<Kind>,
    /// The history ends with polls of committed data that read every partition to its end, after everything was
    /// decided: what was acknowledged and never shown is lost.
    pub drained: bool,
}

impl Rules {
    /// What Kafka promises; the crate's page says why.
    pub fn kafka(drained: bool) -> Rules {
        Rules { permitted: BTreeSet::from([Kind::G0, Kind::G1cWithWrites, Kind::G2]), drained }
    }
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What must not be.
    pub errors: Vec<Anomaly>,
    /// What may be, by the rules, and is worth knowing.
    pub permitted: Vec<Anomaly>,
}

impl Verdict {
    /// Whether an error of a kind was found.
    pub fn has(&self, kind: Kind) -> bool {
        self.errors.iter().any(|one| one.kind == kind)
    }
}
