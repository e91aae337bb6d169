//! The last offset of every key, in memory of a fixed size.
//!
//! Kafka's `SkimpyOffsetMap`: open addressing over entries of 24 bytes, the key's hash and its offset.

use super::hash::KeyHash;
use memory::Block;

const ENTRY_BYTES: usize = 24;
/// A map of less memory is not worth a run.
pub(crate) const BYTES_MIN: usize = 64 << 10;
/// How much is cleared at once.
pub(crate) const CLEAR_BYTES: usize = 1 << 20;

/// Keys' last offsets.
pub(crate) struct OffsetMap {
    block: Block,
    hash: KeyHash,
    slots: usize,
    entries: usize,
    entries_max: usize,
    /// The last offset that was looked at: records behind it are not known here. -1: none was.
    pub latest: i64,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

impl OffsetMap {
    /// A map in `block`, whose bytes must be zero; full at `load` of its slots.
    pub fn new(block: Block, hash: KeyHash, load: f64) -> OffsetMap {
        let slots = block.len() / ENTRY_BYTES;
        // One slot stays empty, so that a search ends.
        let entries_max = ((slots as f64 * load.clamp(0.0, 1.0)) as usize).clamp(1, slots - 1);
        OffsetMap { block, hash, slots, entries: 0, entries_max, latest: -1 }
    }

    /// Where the entry of a hash is, or the empty slot where it would be; true if it is there.
    fn find(&self, hash: [u64; 2]) -> (usize, bool) {
        let mut slot = (hash[0] % self.slots as u64) as usize;
        loop {
            let at = slot * ENTRY_BYTES;
            if word(&self.block, at + 16) == 0 {
                return (at, false);
            }
            if word(&self.block, at) == hash[0] && word(&self.block, at + 8) == hash[1] {
                return (at, true);
            }
            slot = if slot + 1 == self.slots { 0 } else { slot + 1 };
        }
    }

    /// Notes that a key's last record is at an offset; false if it is a new key and the map is full.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash.of(key);
        let (at, there) = self.find(hash);
        if !there {
            if self.entries == self.entries_max {
                return false;
            }
            self.entries += 1;
            self.block[at..at + 8].copy_from_slice(&hash[0].to_le_bytes());
            self.block[at + 8..at + 16].copy_from_slice(&hash[1].to_le_bytes());
        }
        // Zero is an empty slot.
        self.block[at + 16..at + 24].copy_from_slice(&(offset as u64 + 1).to_le_bytes());
        true
    }

    /// The offset of a key's last record; `None`: it is not known.
    pub fn get(&self, key: &[u8]) -> Option<i64> {
        let (at, there) = self.find(self.hash.of(key));
        there.then(|| (word(&self.block, at + 16) - 1) as i64)
    }

    /// How many keys there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Pool;

    #[test]
    fn it_holds_what_it_was_told_and_says_when_it_is_full() {
        let pool = Pool::new(BYTES_MIN).expect("maps");
        let mut block = pool.take(BYTES_MIN).expect("free");
        block.fill(0);
        let mut map = OffsetMap::new(block, KeyHash::new([1, 2]), 0.9);
        let key = |number: i64| format!("key {number}").into_bytes();
        let fits = (0..).take_while(|&number| map.put(&key(number), number)).count() as i64;
        assert_eq!(fits, (BYTES_MIN / 24) as i64 * 9 / 10);
        for number in 0..fits {
            assert_eq!(map.get(&key(number)), Some(number));
            assert!(map.put(&key(number), number + 100_000), "one that is there has room");
        }
        assert!((0..fits).all(|number| map.get(&key(number)) == Some(number + 100_000)));
        assert_eq!((map.get(b"other"), map.put(b"other", 1), map.len() as i64), (None, false, fits));
    }
}
