//! A file: what is on the device, what is seen, and the changes that lie between the two.
//!
//! A device writes whole sectors. Every unsynced write is kept with the sectors it covers; when the machine
//! stops, each is found whole, not at all, or in part, whatever became of those before and after it.

use crate::content::Content;
use base::Random;
use std::ops::Range;

/// What a device writes as a unit.
pub(crate) const SECTOR: u64 = 512;

/// A change that is not on the device for sure.
enum Change {
    /// `data` at the sector boundary `offset`. `live`: the sectors, counted from the file's beginning, that no
    /// later durable write has settled.
    Write { offset: u64, data: Vec<u8>, live: Vec<Range<u64>> },
    /// A new size.
    Resize(u64),
}

/// What became of unsynced writes in a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Found whole.
    pub kept: u64,
    /// Gone.
    pub lost: u64,
    /// Found in part.
    pub torn: u64,
}

/// The contents of a file.
#[derive(Default)]
pub(crate) struct FileData {
    current: Content,
    durable: Content,
    /// In the order in which they were made, each with its number.
    changes: Vec<(u64, Change)>,
    last: u64,
}

impl FileData {
    pub(crate) fn current(&self) -> &Content {
        &self.current
    }

    pub(crate) fn durable(&self) -> &Content {
        &self.durable
    }

    /// The number of the last change so far: what a sync that begins now covers.
    pub(crate) fn last_change(&self) -> u64 {
        self.last
    }

    fn push(&mut self, change: Change) {
        self.last += 1;
        self.changes.push((self.last, change));
    }

    /// Sets the size.
    pub(crate) fn resize(&mut self, size: u64) {
        if size != self.current.size() {
            self.current.resize(size);
            self.push(Change::Resize(size));
        }
    }

    /// Writes `data` at `offset`, not durably.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len() as u64;
        if end > self.current.size() {
            self.resize(end);
        }
        self.current.write_within(offset, data);
        let sectors = offset / SECTOR..end.div_ceil(SECTOR);
        let whole =
            self.current.range(sectors.start * SECTOR, ((sectors.end - sectors.start) * SECTOR) as usize);
        self.push(Change::Write { offset: sectors.start * SECTOR, data: whole, live: vec![sectors] });
    }

    /// Makes a range durable as it is seen now, and the size.
    pub(crate) fn harden(&mut self, offset: u64, length: u64) {
        self.harden_sizes();
        let sectors = offset / SECTOR..(offset + length).div_ceil(SECTOR);
        let bytes =
            self.current.range(sectors.start * SECTOR, ((sectors.end - sectors.start) * SECTOR) as usize);
        self.durable.write_within(sectors.start * SECTOR, &bytes);
        self.changes.retain_mut(|(_, change)| match change {
            Change::Write { live, .. } => {
                *live = live.iter().flat_map(|part| without(part, &sectors)).collect();
                !live.is_empty()
            }
            Change::Resize(_) => true,
        });
    }

    /// Puts all sizes on the device. What a cut removed from an earlier write must not come back with it.
    fn harden_sizes(&mut self) {
        for at in 0..self.changes.len() {
            let (earlier, rest) = self.changes.split_at_mut(at);
            let (_, Change::Resize(size)) = rest[0] else { continue };
            self.durable.resize(size);
            for (_, change) in earlier {
                if let Change::Write { offset, data, .. } = change {
                    let keep = size.saturating_sub(*offset).min(data.len() as u64) as usize;
                    data[keep..].fill(0);
                }
            }
        }
        self.changes.retain(|(_, change)| !matches!(change, Change::Resize(_)));
    }

    /// Makes the changes up to number `upto` durable.
    pub(crate) fn sync(&mut self, upto: u64) {
        let covered = self.changes.iter().take_while(|(number, _)| *number <= upto).count();
        for (_, change) in self.changes.drain(..covered) {
            match change {
                Change::Resize(size) => self.durable.resize(size),
                Change::Write { offset, data, live } => {
                    put(&mut self.durable, offset, &data, live.into_iter().flatten());
                }
            }
        }
    }

    /// A sync that fails: each write up to `upto` gets to the device or is given up, for good and unseen.
    pub(crate) fn fail_sync(&mut self, upto: u64, random: &mut Random) {
        let durable = &mut self.durable;
        self.changes.retain(|(number, change)| match change {
            Change::Write { offset, data, live } if *number <= upto => {
                if random.one_in(2) {
                    put(durable, *offset, data, live.iter().cloned().flatten());
                }
                false
            }
            _ => true,
        });
    }

    /// The machine stops: what is not durable is kept, lost or torn.
    pub(crate) fn crash(&mut self, random: &mut Random, fates: &mut Fates) {
        let resizes = self.changes.iter().filter(|(_, change)| matches!(change, Change::Resize(_))).count();
        let mut resizes_kept = random.below(resizes as u64 + 1);
        for (_, change) in std::mem::take(&mut self.changes) {
            match change {
                Change::Resize(size) if resizes_kept > 0 => {
                    resizes_kept -= 1;
                    self.durable.resize(size);
                }
                Change::Resize(_) => {}
                Change::Write { offset, data, live } => {
                    let sectors = survivors(live.into_iter().flatten().collect(), random, fates);
                    put(&mut self.durable, offset, &data, sectors);
                }
            }
        }
        self.current = self.durable.clone();
    }

    /// Changes bits on the device, under everybody's eyes.
    pub(crate) fn rot(&mut self, offset: u64, mask: u8) {
        for content in [&mut self.current, &mut self.durable] {
            let mut byte = content.range(offset, 1);
            byte[0] ^= mask;
            content.write_within(offset, &byte);
        }
    }
}

/// Which sectors of an unsynced write are found after a crash.
pub(crate) fn survivors(sectors: Vec<u64>, random: &mut Random, fates: &mut Fates) -> Vec<u64> {
    let kinds = if sectors.len() > 1 { 3 } else { 2 };
    match random.below(kinds) {
        0 => {
            fates.kept += 1;
            sectors
        }
        1 => {
            fates.lost += 1;
            Vec::new()
        }
        _ => {
            fates.torn += 1;
            if random.one_in(2) {
                let count = random.between(1, sectors.len() as u64 - 1) as usize;
                return sectors[..count].to_vec();
            }
            let missing = sectors[random.below(sectors.len() as u64) as usize];
            sectors.into_iter().filter(|sector| *sector != missing && !random.one_in(2)).collect()
        }
    }
}

fn put(content: &mut Content, offset: u64, data: &[u8], sectors: impl IntoIterator<Item = u64>) {
    for sector in sectors {
        let start = (sector * SECTOR - offset) as usize;
        content.write_within(sector * SECTOR, &data[start..start + SECTOR as usize]);
    }
}

/// What of `part` lies outside of `gone`.
fn without(part: &Range<u64>, gone: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let before = part.start..part.end.min(gone.start);
    let after = part.start.max(gone.end)..part.end;
    [before, after].into_iter().filter(|range| range.start < range.end)
}
