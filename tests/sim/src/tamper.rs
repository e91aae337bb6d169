//! Deliberate bugs: a driver between the broker and the world that breaks one promise.
//!
//! They prove the checker: each must be found. The broker's own code stays as it is; what a mistake in it would do
//! (a flush left out, an acknowledgement too early, an error not looked at) is done to its operations below it. What
//! coordinators could do wrong does not show there: those mistakes are made where they could be ([`base::mistakes`]),
//! and a release has nothing of them.

use base::{Instant, Random};
use driver::{Capabilities, Completion, Driver, Errno, Handle, Operation, Outcome, Token, Wait, Wake};
use memory::Slice;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Durable writes are only written.
    WritesNotDurable,
    /// Syncs of files are answered and not done.
    SyncsLeftOut,
    /// Syncs of directories are answered and not done.
    DirectorySyncsLeftOut,
    /// Durable writes are answered when they begin.
    AcknowledgedTooEarly,
    /// As before, while all clients produce with acks 0: only what consumers were shown can tell.
    ShownTooEarly,
    /// Writes of the metadata's log are not durable.
    MetadataNotDurable,
    /// One write in a few is answered and not done.
    WritesLost,
    /// One write in a few lands one block further on.
    WritesMisdirected,
    /// Errors of writes and syncs are answered as if there were none.
    ErrorsSwallowed,
    /// Blocks of the journal read as they were in their earlier use.
    RecycledBlocksBelieved,
    /// A bit of a segment is wrong when it is read.
    SegmentsRotten,
    /// A byte of what is sent to clients is wrong: what a reader that checks no checksum would pass on.
    ChecksumNotChecked,
    /// Renames are answered and not done.
    RenamesLeftOut,
    /// One send in many is never answered.
    SendsForgotten,
    /// A client sends some requests twice that must be carried out once.
    ClientRepeatsItself,
    /// A client takes some refusals for acknowledgements.
    ClientBelievesRefusals,
    /// A transaction's coordinator answers before its records are durable.
    DecisionsNotDurable,
    /// One partition of a transaction is not told how it ended.
    MarkerLeftOut,
    /// Offsets that are committed in a transaction count before it is decided.
    OpenOffsetsCount,
    /// Readers of committed data are told of no aborted transactions.
    AbortedListEmpty,
    /// Readers of committed data are shown open transactions.
    LastStableIsHighWatermark,
    /// A transaction's coordinator takes requests of any epoch.
    FencingNotChecked,
    /// Offsets are taken from whoever commits them.
    GenerationNotChecked,
    /// A group's coordinator answers before its records are durable.
    CommitsNotDurable,
    /// Groups and their offsets are not loaded after a start.
    GroupsNotLoaded,
    /// Transactions are not loaded after a start.
    TransactionsNotLoaded,
    /// A group's members are given what others have yet.
    TwoOwners,
    /// Whoever had an instance id before is served as if it were whoever has it now.
    InstancesNotFenced,
    /// A static member that comes back has lost what it had.
    InstancePlacesLost,
    /// Topics that come to match a pattern are not seen.
    PatternsNotLookedAtAgain,
    /// A pattern matches names of which it describes only a part.
    PatternsMatchParts,
    /// A group that becomes one of the consumer protocol does not know who has what.
    UpgradeForgetsOwners,
    /// A group that becomes one of the consumer protocol loses its committed offsets.
    UpgradeLosesOffsets,
    /// What members of a share group say about records is not written.
    ShareWordsNotWritten,
    /// What a member of a share group has is given to others, too.
    SharedRecordsNotKept,
    /// How often a share group was given a record is not written.
    DeliveriesNotCounted,
    /// A share group that is to begin with the first record begins behind the last.
    ShareGroupsBeginAtTheEnd,
}

/// All of them.
pub const BUGS: [Bug; 37] = [
    Bug::WritesNotDurable,
    Bug::SyncsLeftOut,
    Bug::DirectorySyncsLeftOut,
    Bug::AcknowledgedTooEarly,
    Bug::ShownTooEarly,
    Bug::MetadataNotDurable,
    Bug::WritesLost,
    Bug::WritesMisdirected,
    Bug::ErrorsSwallowed,
    Bug::RecycledBlocksBelieved,
    Bug::SegmentsRotten,
    Bug::ChecksumNotChecked,
    Bug::RenamesLeftOut,
    Bug::SendsForgotten,
    Bug::ClientRepeatsItself,
    Bug::ClientBelievesRefusals,
    Bug::DecisionsNotDurable,
    Bug::MarkerLeftOut,
    Bug::OpenOffsetsCount,
    Bug::AbortedListEmpty,
    Bug::LastStableIsHighWatermark,
    Bug::FencingNotChecked,
    Bug::GenerationNotChecked,
    Bug::CommitsNotDurable,
    Bug::GroupsNotLoaded,
    Bug::TransactionsNotLoaded,
    Bug::TwoOwners,
    Bug::InstancesNotFenced,
    Bug::InstancePlacesLost,
    Bug::PatternsNotLookedAtAgain,
    Bug::PatternsMatchParts,
    Bug::UpgradeForgetsOwners,
    Bug::UpgradeLosesOffsets,
    Bug::ShareWordsNotWritten,
    Bug::SharedRecordsNotKept,
    Bug::DeliveriesNotCounted,
    Bug::ShareGroupsBeginAtTheEnd,
];

impl Bug {
    /// The mistake that the broker itself makes, where nothing below it could do as if it had.
    pub(crate) fn mistake(self) -> Option<&'static str> {
        Some(match self {
            Bug::DecisionsNotDurable => "decisions not durable",
            Bug::MarkerLeftOut => "marker left out",
            Bug::OpenOffsetsCount => "offsets of open transactions count",
            Bug::AbortedListEmpty => "aborted list empty",
            Bug::LastStableIsHighWatermark => "last stable is high watermark",
            Bug::FencingNotChecked => "fencing not checked",
            Bug::GenerationNotChecked => "generation not checked",
            Bug::CommitsNotDurable => "commits not durable",
            Bug::GroupsNotLoaded => "groups not loaded",
            Bug::TransactionsNotLoaded => "transactions not loaded",
            Bug::TwoOwners => "two owners",
            Bug::InstancesNotFenced => "instances not fenced",
            Bug::InstancePlacesLost => "places of instances lost",
            Bug::PatternsNotLookedAtAgain => "patterns not looked at again",
            Bug::PatternsMatchParts => "patterns match parts of names",
            Bug::UpgradeForgetsOwners => "owners forgotten by an upgrade",
            Bug::UpgradeLosesOffsets => "offsets lost by an upgrade",
            Bug::ShareWordsNotWritten => "share words not written",
            Bug::SharedRecordsNotKept => "shared records not kept",
            Bug::DeliveriesNotCounted => "deliveries not counted",
            Bug::ShareGroupsBeginAtTheEnd => "share groups begin at the end",
            _ => return None,
        })
    }

    /// Whether only seeds with groups and transactions can show it.
    pub fn needs_coordination(self) -> bool {
        self.mistake().is_some()
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

const BLOCK: usize = 4096;

/// What journal blocks held before they were last written, by path and offset; of all lives of a broker.
pub(crate) type Earlier = Rc<RefCell<BTreeMap<(String, u64), Uses>>>;

/// The last use of a block, and the one before.
type Uses = (Vec<u8>, Option<Vec<u8>>);

/// A driver with a bug.
pub(crate) struct Tamper {
    inner: Box<dyn Driver>,
    bug: Bug,
    random: Random,
    earlier: Earlier,
    /// Paths of what is open, and of what is being opened.
    files: BTreeMap<i32, String>,
    opening: BTreeMap<Token, String>,
    reading: BTreeMap<Token, (String, u64)>,
    /// Answered already: their completions are dropped.
    answered: BTreeSet<Token>,
    ready: Vec<Completion>,
}

impl Tamper {
    pub(crate) fn new(inner: Box<dyn Driver>, bug: Bug, seed: u64, earlier: Earlier) -> Tamper {
        Tamper {
            inner,
            bug,
            random: Random::new(seed),
            earlier,
            files: BTreeMap::new(),
            opening: BTreeMap::new(),
            reading: BTreeMap::new(),
            answered: BTreeSet::new(),
            ready: Vec::new(),
        }
    }

    fn answer(&mut self, token: Token, outcome: Outcome) {
        self.ready.push(Completion { token, outcome });
        self.inner.waker().wake();
    }

    fn path(&self, file: Handle) -> &str {
        self.files.get(&file.0).map_or("", String::as_str)
    }

    fn write(&mut self, token: Token, file: Handle, offset: u64, data: Slice, durable: bool) {
        let (mut offset, mut durable) = (offset, durable);
        match self.bug {
            Bug::WritesNotDurable => durable = false,
            Bug::MetadataNotDurable if self.path(file).contains("/metadata") => durable = false,
            Bug::AcknowledgedTooEarly | Bug::ShownTooEarly if durable => {
                self.answered.insert(token);
                self.answer(token, Outcome::Written(Ok(()), data.clone()));
            }
            Bug::WritesLost if self.random.one_in(20) => {
                return self.answer(token, Outcome::Written(Ok(()), data));
            }
            Bug::WritesMisdirected if self.random.one_in(20) => offset += BLOCK as u64,
            Bug::RecycledBlocksBelieved => self.remember(file, offset, &data),
            _ => {}
        }
        self.inner.submit(token, Operation::Write { file, offset, data, durable });
    }

    fn remember(&mut self, file: Handle, offset: u64, data: &Slice) {
        let path = self.path(file).to_owned();
        if !path.ends_with(".journal") {
            return;
        }
        let mut earlier = self.earlier.borrow_mut();
        for (number, block) in data.chunks(BLOCK).enumerate() {
            let at = (path.clone(), offset + (number * BLOCK) as u64);
            // Zeros are no use of a block.
            let before =
                earlier.remove(&at).map(|(last, _)| last).filter(|last| last.iter().any(|byte| *byte != 0));
            earlier.insert(at, (block.to_vec(), before));
        }
    }

    fn send(&mut self, token: Token, socket: Handle, slices: Vec<Slice>, skip: usize) {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut slices = slices;
        if self.bug == Bug::SendsForgotten && self.random.one_in(300) {
            return;
        }
        if self.bug == Bug::ChecksumNotChecked && total > 1_000 && self.random.one_in(20) {
            let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            bytes[total - 20] ^= 1;
            slices = vec![Slice::from(bytes)];
        }
        self.inner.submit(token, Operation::Send { socket, slices, skip });
    }

    /// What an operation came to, as the broker is told.
    fn complete(&mut self, completion: Completion) -> Option<Completion> {
        let Completion { token, outcome } = completion;
        if self.answered.remove(&token) {
            return None;
        }
        let outcome = match outcome {
            Outcome::Opened(result) => {
                if let (Some(path), Ok(handle)) = (self.opening.remove(&token), result) {
                    self.files.insert(handle.0, path);
                }
                Outcome::Opened(result)
            }
            Outcome::Read(Ok(length), mut block) => {
                if let Some((path, offset)) = self.reading.remove(&token) {
                    self.spoil(&path, offset, &mut block[..length]);
                }
                Outcome::Read(Ok(length), block)
            }
            Outcome::Written(Err(_), data) if self.bug == Bug::ErrorsSwallowed => {
                Outcome::Written(Ok(()), data)
            }
            Outcome::Done(Err(Errno::IO)) if self.bug == Bug::ErrorsSwallowed => Outcome::Done(Ok(())),
            other => other,
        };
        Some(Completion { token, outcome })
    }

    fn spoil(&mut self, path: &str, offset: u64, bytes: &mut [u8]) {
        match self.bug {
            Bug::SegmentsRotten if path.ends_with(".log") && !bytes.is_empty() && self.random.one_in(3) => {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1;
            }
            Bug::RecycledBlocksBelieved if path.ends_with(".journal") => {
                let earlier = self.earlier.borrow();
                for (number, block) in bytes.chunks_exact_mut(BLOCK).enumerate() {
                    let at = (path.to_owned(), offset + (number * BLOCK) as u64);
                    if let Some((_, Some(before))) = earlier.get(&at)
                        && before.len() == BLOCK
                        && self.random.one_in(4)
                    {
                        block.copy_from_slice(before);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Driver for Tamper {
    fn submit(&mut self, token: Token, operation: Operation) {
        match (self.bug, operation) {
            (_, Operation::Write { file, offset, data, durable }) => {
                self.write(token, file, offset, data, durable);
            }
            (_, Operation::Send { socket, slices, skip }) => self.send(token, socket, slices, skip),
            (Bug::SyncsLeftOut, Operation::Sync { .. })
            | (Bug::DirectorySyncsLeftOut, Operation::SyncDirectory { .. })
            | (Bug::RenamesLeftOut, Operation::Rename { .. }) => self.answer(token, Outcome::Done(Ok(()))),
            (Bug::MetadataNotDurable, Operation::Sync { file }) if self.path(file).contains("/metadata") => {
                self.answer(token, Outcome::Done(Ok(())));
            }
            (_, operation) => {
                match &operation {
                    Operation::Open { path, .. } => {
                        self.opening.insert(token, path.to_string_lossy().into_owned());
                    }
                    Operation::Read { file, offset, .. } => {
                        self.reading.insert(token, (self.path(*file).to_owned(), *offset));
                    }
                    Operation::Close { handle } => drop(self.files.remove(&handle.0)),
                    _ => {}
                }
                self.inner.submit(token, operation);
            }
        }
    }

    fn cancel(&mut self, token: Token) {
        self.inner.cancel(token);
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        let wait = if self.ready.is_empty() { wait } else { Wait::No };
        completions.append(&mut self.ready);
        let mut done = Vec::new();
        self.inner.turn(wait, &mut done);
        for completion in done {
            completions.extend(self.complete(completion));
        }
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wall_clock_ms(&self) -> i64 {
        self.inner.wall_clock_ms()
    }

    fn random(&mut self) -> u64 {
        self.inner.random()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inner.waker()
    }

    fn listen(&mut self, address: SocketAddr, share_port: bool) -> io::Result<(Handle, SocketAddr)> {
        self.inner.listen(address, share_port)
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
}
