//! At which offsets a partition's leader epochs began: `leader-epoch-checkpoint`, in Kafka's text format.

use crate::error::StorageError;
use crate::window::{read_file, replace_file};
use memory::Pool;
use model::{LeaderEpoch, Offset};
use std::path::Path;

/// The file's name in a partition's directory.
const FILE: &str = "leader-epoch-checkpoint";

/// More are not kept: the oldest go.
pub(crate) const EPOCHS_MAX: usize = 4096;

/// The epochs of a log and their first offsets, both growing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<(i32, i64)>,
}

impl Epochs {
    /// Records of `epoch` begin at `offset`. An epoch that is not newer is no news.
    pub fn begin(&mut self, epoch: i32, offset: i64) -> bool {
        if epoch < 0 || self.entries.last().is_some_and(|&(last, _)| last >= epoch) {
            return false;
        }
        // Of an epoch in which nothing was appended nothing is left to say.
        while self.entries.last().is_some_and(|&(_, start)| start >= offset) {
            self.entries.pop();
        }
        self.entries.push((epoch, offset));
        if self.entries.len() > EPOCHS_MAX {
            self.entries.remove(0);
        }
        true
    }

    /// Takes in what a start has found by reading batches. Those that were to begin behind the log's end are of records
    /// that a crash has taken; what begins before everything that was read, begins with the log.
    pub fn take_in(&mut self, seen: &Epochs, log_start: i64, log_end: i64) {
        self.entries.retain(|&(_, start)| start < log_end);
        for &(epoch, start) in &seen.entries {
            let start = if self.entries.is_empty() { start.min(log_start) } else { start };
            self.begin(epoch, start);
        }
    }

    /// The newest epoch that is not after `wanted`, and where it ends, as Kafka's OffsetForLeaderEpoch has it:
    /// -1 and -1 when there is none.
    pub fn end_of(&self, wanted: i32, log_end: i64) -> (LeaderEpoch, Offset) {
        let none = (LeaderEpoch::UNKNOWN, Offset(-1));
        let Some(&(newest, _)) = self.entries.last() else { return none };
        if wanted < 0 {
            return none;
        }
        if wanted == newest {
            return (LeaderEpoch(newest), Offset(log_end));
        }
        if wanted > newest {
            return none;
        }
        let after = self.entries.partition_point(|&(epoch, _)| epoch <= wanted);
        match after.checked_sub(1) {
            // Before the first epoch: it begins where the first one does.
            None => (LeaderEpoch(wanted), Offset(self.entries[0].1)),
            Some(index) => (LeaderEpoch(self.entries[index].0), Offset(self.entries[after].1)),
        }
    }

    /// The epoch of the record at an offset; -1 if it is not known.
    pub fn at(&self, offset: i64) -> LeaderEpoch {
        let after = self.entries.partition_point(|&(_, start)| start <= offset);
        after.checked_sub(1).map_or(LeaderEpoch::UNKNOWN, |index| LeaderEpoch(self.entries[index].0))
    }

    /// Where the newest epoch began.
    pub fn latest(&self) -> Option<(LeaderEpoch, Offset)> {
        self.entries.last().map(|&(epoch, start)| (LeaderEpoch(epoch), Offset(start)))
    }

    /// The newest epoch; -1: there is none.
    pub fn newest(&self) -> i32 {
        self.entries.last().map_or(-1, |&(epoch, _)| epoch)
    }

    /// How many there are up to an epoch.
    pub fn count_through(&self, epoch: i32) -> usize {
        self.entries.partition_point(|&(known, _)| known <= epoch)
    }

    /// All of them, oldest first, each with its first offset.
    pub fn entries(&self) -> impl Iterator<Item = (LeaderEpoch, Offset)> {
        self.entries.iter().map(|&(epoch, start)| (LeaderEpoch(epoch), Offset(start)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The file's text.
    pub fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    /// The epochs in a file's bytes; `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Epochs> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut epochs = Epochs::default();
        for line in lines {
            let (epoch, start) = line.split_once(' ')?;
            let (epoch, start) = (epoch.parse().ok()?, start.parse().ok()?);
            if epochs.entries.last().is_some_and(|&(last, at)| last >= epoch || at >= start) {
                return None;
            }
            epochs.entries.push((epoch, start));
        }
        (epochs.len() == count).then_some(epochs)
    }
}

/// The epochs that a partition's directory tells of; `None`: there is no file, or one that is none of these.
pub(crate) async fn read(directory: &Path, pool: &Pool) -> Result<Option<Epochs>, StorageError> {
    let path = directory.join(FILE);
    let Some(bytes) = read_file(&path, pool, 1 << 20).await? else { return Ok(None) };
    let epochs = Epochs::decode(&bytes);
    if epochs.is_none() {
        log::warn!("{}: not a file of leader epochs; going on without", path.display());
    }
    Ok(epochs)
}

/// Puts the file in place, synced.
pub(crate) async fn write(directory: &Path, epochs: &Epochs) -> Result<(), StorageError> {
    replace_file(&directory.join(FILE), epochs.encode().into_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_end_where_the_next_begins() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.end_of(0, 9), (LeaderEpoch(-1), Offset(-1)));
        for (epoch, start) in [(1, 0), (2, 10), (2, 15), (3, 20), (5, 20), (4, 30)] {
            epochs.begin(epoch, start);
        }
        let end = |wanted| {
            let (epoch, offset) = epochs.end_of(wanted, 99);
            (epoch.0, offset.0)
        };
        assert_eq!((end(0), end(1), end(2)), ((0, 0), (1, 10), (2, 20)));
        assert_eq!((end(3), end(4), end(5), end(6)), ((2, 20), (2, 20), (5, 99), (-1, -1)));
        assert_eq!((epochs.at(9).0, epochs.at(10).0, epochs.at(500).0), (1, 2, 5));
        assert_eq!(Epochs::decode(epochs.encode().as_bytes()), Some(epochs));
        for wrong in ["", "0\n", "0\n1\n", "0\n1\n1 x\n", "1\n0\n", "0\n2\n1 5\n1 6\n"] {
            assert_eq!(Epochs::decode(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
