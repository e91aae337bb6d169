//! Positions in logs and who wrote them.

use std::fmt;

/// The position of a record in its partition. Offsets never go back and are never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// Of the first record of a new log.
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` records later.
    ///
    /// # Panics
    /// Past 2^63: no log gets there.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.checked_add(count).expect("an offset past 2^63"))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// How often a partition's leadership has changed (KIP-101).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// Not known: the wire's -1.
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

/// An idempotent producer (KIP-98); -1 on the wire is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub i64);

/// An incarnation of a producer: an older one is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerEpoch(pub i16);
