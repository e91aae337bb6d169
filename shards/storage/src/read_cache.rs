//! The memory of what was read from segments: chunks of their files, and reading ahead of those who go through them.
//!
//! A chunk belongs to an open file, not to a path: what takes a file's place is opened anew and has chunks of its own,
//! and with the file the chunks go when its last user has closed it. So nobody is ever served from a file that was
//! deleted, compacted or made anew. What is written to a segment never changes; a chunk that was read when less was
//! written is read again by who needs more of it.
//!
//! The blocks are the pool's. The least recently used goes first, when the budget is used up and when the pool is
//! short: appends come before old data.

use crate::error::StorageError;
use crate::open_files::OpenFile;
use crate::stats::{self, StoreStats};
use executor::{Event, io, spawn};
use memory::{Block, Pool, Slice};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Size of a chunk; the last one of a file is smaller.
pub(crate) const CHUNK_BYTES: u64 = 256 << 10;
/// Chunks that are read ahead of one reader at most.
const AHEAD_MAX: u64 = 8;
/// Reads of a store that are under way at once, and how many of them nobody waits for yet.
const FLIGHTS_MAX: usize = 16;
const FLIGHTS_AHEAD_MAX: usize = 12;
/// Readers whose further chunks wait for a read to end.
const LATER_MAX: usize = 64;
/// What was read ahead is given up when so many times the budget was read since and nobody has asked for it. It has
/// half of the budget for at least so long: no more than a quarter of what is read is given up.
const GIVEN_UP_AFTER: u64 = 2;
/// Readers of one file whose places are known.
const STREAMS_MAX: usize = 4;
const ALIGN: u64 = 4096;
/// Where the count of uses begins; below are chunks that were gone through.
const USED: u64 = 1 << 40;

/// Which chunk of which open file.
type Key = (u64, u64);

/// A read under way, for whoever waits for it.
struct Flight {
    landed: Event,
    result: RefCell<Option<Result<Slice, StorageError>>>,
}

impl Flight {
    async fn end(&self) -> Result<Slice, StorageError> {
        loop {
            let seen = self.landed.count();
            if let Some(result) = &*self.result.borrow() {
                return result.clone();
            }
            self.landed.after(seen).await;
        }
    }
}

enum Chunk {
    Flying(Rc<Flight>),
    There { bytes: Slice, held: usize, used: u64 },
}

/// Where a reader of a file has ended, and how far is read ahead of it.
#[derive(Clone, Copy)]
struct Stream {
    end: u64,
    depth: u64,
}

/// Chunks that are to be read ahead as soon as fewer reads are under way.
struct Later {
    file: Weak<OpenFile>,
    number: u64,
    /// The next chunk.
    index: u64,
    /// No chunk that begins there or behind it.
    until: u64,
    /// Up to where the file is written.
    limit: u64,
}

#[derive(Default)]
struct Inner {
    chunks: BTreeMap<Key, Chunk>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    /// Chunks that a reader has gone through to the end.
    passed: u64,
    /// Memory of the chunks, of those that are being read too.
    bytes: usize,
    streams: BTreeMap<u64, VecDeque<Stream>>,
    /// The memory of chunks that were read ahead and that nobody has asked for yet, and what `begun` was then.
    unasked: BTreeMap<Key, (usize, u64)>,
    /// The same by what `begun` was.
    unasked_since: BTreeMap<u64, Key>,
    unasked_bytes: usize,
    /// Memory of all chunks that were ever begun to be read.
    begun: u64,
    /// In turns; one of a file at most.
    later: VecDeque<Later>,
}

impl Inner {
    /// A chunk that has at least `needed` bytes.
    fn find(&mut self, key: Key, needed: usize) -> Option<Result<Slice, Rc<Flight>>> {
        self.asked(key);
        match self.chunks.get_mut(&key)? {
            Chunk::Flying(flight) => return Some(Err(flight.clone())),
            Chunk::There { bytes, used, .. } if bytes.len() >= needed => {
                self.uses += 1;
                self.by_use.remove(used);
                *used = USED + self.uses;
                self.by_use.insert(*used, key);
                return Some(Ok(bytes.clone()));
            }
            Chunk::There { .. } => {}
        }
        self.remove(key);
        None
    }

    /// A chunk is being read.
    fn begin(&mut self, key: Key, flight: Rc<Flight>, held: usize, ahead: bool) {
        self.bytes += held;
        self.begun += held as u64;
        if ahead {
            self.unasked.insert(key, (held, self.begun));
            self.unasked_since.insert(self.begun, key);
            self.unasked_bytes += held;
        }
        self.chunks.insert(key, Chunk::Flying(flight));
    }

    /// The chunk is no longer one that was read ahead for nobody.
    fn asked(&mut self, key: Key) {
        if let Some((held, since)) = self.unasked.remove(&key) {
            self.unasked_since.remove(&since);
            self.unasked_bytes -= held;
        }
    }

    /// Gives up what nobody has asked for while `most` bytes were read: its reader has gone, or went on in the tail.
    /// It counts as read ahead no more and goes soon. Those who go through files would leave it where it is for ever,
    /// as what they have passed goes first.
    fn give_up(&mut self, most: u64) {
        while let Some((&since, &key)) = self.unasked_since.first_key_value()
            && self.begun - since >= most
        {
            self.asked(key);
            self.pass(key);
        }
    }

    fn put(&mut self, key: Key, bytes: Slice, held: usize) {
        self.uses += 1;
        let used = USED + self.uses;
        self.by_use.insert(used, key);
        self.chunks.insert(key, Chunk::There { bytes, held, used });
    }

    /// A reader has gone through the chunk to its end: it goes before those that are still ahead of it, however early
    /// these were read.
    fn pass(&mut self, key: Key) {
        if let Some(Chunk::There { used, .. }) = self.chunks.get_mut(&key)
            && *used >= USED
        {
            self.by_use.remove(used);
            *used = self.passed;
            self.passed += 1;
            self.by_use.insert(*used, key);
        }
    }

    fn remove(&mut self, key: Key) {
        self.asked(key);
        if let Some(Chunk::There { held, used, .. }) = self.chunks.remove(&key) {
            self.by_use.remove(&used);
            self.bytes -= held;
        }
    }

    /// Lets the chunk go that was used longest ago; one that is being read is none.
    fn evict(&mut self) -> bool {
        let oldest = self.by_use.first_key_value().map(|(_, key)| *key);
        oldest.inspect(|&key| self.remove(key)).is_some()
    }
}

/// The chunks of a store's segments that are in memory.
pub(crate) struct ReadCache {
    inner: RefCell<Inner>,
    pool: Pool,
    limit: usize,
    stats: Arc<StoreStats>,
    flying: Cell<usize>,
    landed: Event,
    closed: Cell<bool>,
}

impl ReadCache {
    /// A cache that takes up to `limit` bytes of the pool, no more than a quarter of it; with less than a chunk there
    /// is none.
    pub fn new(pool: Pool, limit: usize, stats: Arc<StoreStats>) -> ReadCache {
        let limit = limit.min(pool.budget_bytes() / 4);
        let (flying, closed) = (Cell::new(0), Cell::new(limit < CHUNK_BYTES as usize));
        ReadCache { inner: RefCell::default(), pool, limit, stats, flying, landed: Event::new(), closed }
    }

    /// Gives memory back, to those who need it more; false if there is none.
    pub fn give_back(&self) -> bool {
        let gone = self.inner.borrow_mut().evict();
        self.show();
        gone
    }

    /// Forgets what was read of an open file. What is being read lands nevertheless.
    pub fn forget(&self, file: u64) {
        let mut inner = self.inner.borrow_mut();
        let of_file = inner.chunks.range((file, 0)..=(file, u64::MAX));
        let there = of_file.filter(|(_, chunk)| matches!(chunk, Chunk::There { .. }));
        let keys: Vec<Key> = there.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| inner.remove(key));
        inner.streams.remove(&file);
        inner.later.retain(|later| later.number != file);
        drop(inner);
        self.show();
    }

    /// Keeps nothing from now on, and waits for the reads that are under way; at the end of the store.
    pub async fn close(&self) {
        self.closed.set(true);
        while self.give_back() {}
        loop {
            let seen = self.landed.count();
            if self.flying.get() == 0 {
                return;
            }
            self.landed.after(seen).await;
        }
    }

    fn show(&self) {
        self.stats.cache_bytes.store(self.inner.borrow().bytes as u64, Ordering::Relaxed);
    }

    /// A block, within the budget. A sixteenth of the pool is left to others, as far as the cache has it; what is read
    /// ahead of all readers is half of the budget at most, so that it does not push itself out.
    fn room(&self, size: usize, ahead: bool) -> Option<Block> {
        let flights = if ahead { FLIGHTS_AHEAD_MAX } else { FLIGHTS_MAX };
        if self.closed.get() || self.flying.get() >= flights {
            return None;
        }
        let mut inner = self.inner.borrow_mut();
        if ahead && inner.unasked_bytes + size > self.limit / 2 {
            inner.give_up(self.limit as u64 * GIVEN_UP_AFTER);
            if inner.unasked_bytes + size > self.limit / 2 {
                return None;
            }
        }
        let left = self.pool.budget_bytes() / 16 + size;
        while (inner.bytes + size > self.limit || self.pool.free_bytes() < left) && inner.evict() {}
        if inner.bytes + size > self.limit || (ahead && self.pool.free_bytes() < left) {
            return None;
        }
        self.pool.take(size)
    }

    /// Begins to read a chunk as far as it lies before `limit`. `None`: there is no room for it now.
    fn begin(
        self: &Rc<Self>,
        file: &Rc<OpenFile>,
        index: u64,
        limit: u64,
        ahead: bool,
    ) -> Option<Rc<Flight>> {
        let start = index * CHUNK_BYTES;
        let length = limit.next_multiple_of(ALIGN).checked_sub(start)?.min(CHUNK_BYTES) as usize;
        let block = self.room(length.next_power_of_two(), ahead)?;
        let flight = Rc::new(Flight { landed: Event::new(), result: RefCell::default() });
        self.inner.borrow_mut().begin((file.number, index), flight.clone(), block.len(), ahead);
        self.flying.set(self.flying.get() + 1);
        self.show();
        let read = Reading { file: file.clone(), index, length, limit, ahead };
        drop(spawn("segment read", fly(self.clone(), read, block, flight.clone())));
        Some(flight)
    }

    /// Whether a chunk is there or being read, from now on at the latest. False: there is no room for it now.
    fn is_begun(self: &Rc<Self>, file: &Rc<OpenFile>, index: u64, limit: u64, ahead: bool) -> bool {
        let known = self.inner.borrow().chunks.contains_key(&(file.number, index));
        known || self.begin(file, index, limit, ahead).is_some()
    }

    /// The chunk, of which at least `needed` bytes are wanted. `None`: it is to be read without the cache.
    async fn chunk(
        self: &Rc<Self>,
        file: &Rc<OpenFile>,
        index: u64,
        needed: usize,
        limit: u64,
    ) -> Result<Option<Slice>, StorageError> {
        // A read under way may have begun when less was written: then it is read again, once.
        for _ in 0..2 {
            let found = self.inner.borrow_mut().find((file.number, index), needed);
            let known = if found.is_some() { &self.stats.cache_hits } else { &self.stats.cache_misses };
            stats::add(known, 1);
            let flight = match found {
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                Some(Err(flight)) => flight,
                None => match self.begin(file, index, limit, false) {
                    Some(flight) => flight,
                    None => return Ok(None),
                },
            };
            let bytes = flight.end().await?;
            if bytes.len() >= needed {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Begins to read what is not there of the chunks from `index` on that begin before `until`; `ahead`: nobody waits
    /// for them yet.
    fn ahead(self: &Rc<Self>, file: &Rc<OpenFile>, index: u64, until: u64, limit: u64, ahead: bool) {
        // Never more than half of the memory, so that what is read ahead does not push itself out.
        let most = AHEAD_MAX.min(self.limit as u64 / CHUNK_BYTES / 2);
        let first = index;
        for index in first..first + most {
            if index * CHUNK_BYTES >= until.min(limit) {
                return;
            }
            if !self.is_begun(file, index, limit, ahead) {
                if ahead && self.flying.get() >= FLIGHTS_AHEAD_MAX {
                    self.later(file, index, until.min((first + most) * CHUNK_BYTES), limit);
                }
                return;
            }
        }
    }

    /// Keeps in mind what is to be read ahead when a read has ended.
    fn later(&self, file: &Rc<OpenFile>, index: u64, until: u64, limit: u64) {
        let number = file.number;
        let mut inner = self.inner.borrow_mut();
        inner.later.retain(|later| later.number != number);
        if inner.later.len() == LATER_MAX {
            inner.later.pop_front();
        }
        inner.later.push_back(Later { file: Rc::downgrade(file), number, index, until, limit });
    }

    /// Reads ahead what was kept in mind, a chunk of each reader in turn: while an answer is sent, the device reads
    /// what the next one will ask for.
    fn go_on(self: &Rc<Self>) {
        while self.flying.get() < FLIGHTS_AHEAD_MAX {
            let Some(mut later) = self.inner.borrow_mut().later.pop_front() else { return };
            let Some(file) = later.file.upgrade() else { continue };
            if later.index * CHUNK_BYTES >= later.until.min(later.limit) {
                continue;
            }
            if !self.is_begun(&file, later.index, later.limit, true) {
                // No memory: the readers begin anew when they come back. Nothing is kept for then: who does not come
                // back would have it read by whatever read ends next.
                self.inner.borrow_mut().later.clear();
                return;
            }
            later.index += 1;
            self.inner.borrow_mut().later.push_back(later);
        }
    }

    /// How many chunks are to be read ahead of a reader that begins here: none, unless another has ended here.
    fn depth(&self, file: u64, begin: u64) -> u64 {
        let inner = self.inner.borrow();
        let before = inner.streams.get(&file).and_then(|all| all.iter().find(|stream| stream.end == begin));
        match before.map(|stream| stream.depth) {
            None => 0,
            Some(0) => 1,
            Some(1) => 4,
            Some(_) => AHEAD_MAX,
        }
    }

    /// A reader has gone from `begin` to `end`.
    fn went(&self, file: u64, begin: u64, end: u64, depth: u64) {
        let mut inner = self.inner.borrow_mut();
        if depth > 0 {
            (begin / CHUNK_BYTES..end / CHUNK_BYTES).for_each(|index| inner.pass((file, index)));
        }
        let streams = inner.streams.entry(file).or_default();
        let same = streams.iter().position(|stream| stream.end == begin);
        if let Some(at) = same.or((streams.len() == STREAMS_MAX).then_some(0)) {
            streams.remove(at);
        }
        streams.push_back(Stream { end, depth });
    }
}

/// What is read.
struct Reading {
    file: Rc<OpenFile>,
    index: u64,
    length: usize,
    limit: u64,
    ahead: bool,
}

/// Reads a chunk. A task of its own: a reader that gives up leaves it to the others who wait for it.
async fn fly(cache: Rc<ReadCache>, read: Reading, block: Block, flight: Rc<Flight>) {
    let (start, held) = (read.index * CHUNK_BYTES, block.len());
    let (result, block) = io::read(read.file.handle, start, block, read.length).await;
    let result = result.map_err(StorageError::io("read", &read.file.path)).map(|count| {
        stats::add(&cache.stats.read_bytes, count as u64);
        if read.ahead {
            stats::add(&cache.stats.read_ahead_bytes, count as u64);
        }
        block.freeze((count as u64).min(read.limit.saturating_sub(start)) as usize)
    });
    let key = (read.file.number, read.index);
    let mut inner = cache.inner.borrow_mut();
    match &result {
        Ok(bytes) if !cache.closed.get() => inner.put(key, bytes.clone(), held),
        _ => {
            inner.asked(key);
            inner.chunks.remove(&key);
            inner.bytes -= held;
        }
    }
    drop(inner);
    cache.flying.set(cache.flying.get() - 1);
    cache.show();
    *flight.result.borrow_mut() = Some(result);
    flight.landed.notify();
    cache.landed.notify();
    cache.go_on();
}

/// The first and the last chunk in which something of `position..end` lies.
fn span(position: u64, end: u64) -> (u64, u64) {
    (position / CHUNK_BYTES, end.saturating_sub(1).max(position) / CHUNK_BYTES)
}

/// Up to where a chunk is needed by who wants what lies before `end`, which is in it or behind it.
fn needed(index: u64, end: u64) -> usize {
    (end - index * CHUNK_BYTES).min(CHUNK_BYTES) as usize
}

/// One reader's way through a file.
pub(crate) struct Reader {
    cache: Rc<ReadCache>,
    file: Rc<OpenFile>,
    begin: u64,
    depth: u64,
    /// Up to where chunks are to be on their way.
    until: u64,
}

impl Reader {
    /// A reader that wants single chunks.
    pub fn new(cache: Rc<ReadCache>, file: Rc<OpenFile>) -> Reader {
        Reader { cache, file, begin: 0, depth: 0, until: 0 }
    }

    /// It will go on from `begin` for about so many bytes: all of them are read at once, and more if it goes on where
    /// another ended.
    pub fn wants(&mut self, begin: u64, bytes: u64, limit: u64) {
        self.begin = begin;
        self.depth = self.cache.depth(self.file.number, begin);
        self.until = begin.saturating_add(bytes).saturating_add(self.depth * CHUNK_BYTES);
        self.cache.ahead(&self.file, begin / CHUNK_BYTES + 1, self.until, limit, true);
    }

    /// It has ended; it may come back for what follows.
    pub fn ends(&self, end: u64) {
        if end > self.begin {
            self.cache.went(self.file.number, self.begin, end, self.depth);
        }
    }

    /// Bytes of the file that begin at or before `position`, and where they begin: a chunk, which holds what is wanted
    /// from there up to its own end. `None`: they are to be read without the cache.
    pub async fn some(
        &self,
        position: u64,
        wanted: usize,
        limit: u64,
    ) -> Result<Option<(u64, Slice)>, StorageError> {
        let end = position + wanted as u64;
        let (first, last) = span(position, end);
        if first < last {
            self.cache.ahead(&self.file, first, end, limit, false);
        }
        self.cache.ahead(&self.file, last + 1, self.until, limit, true);
        let bytes = self.cache.chunk(&self.file, first, needed(first, end), limit).await?;
        Ok(bytes.map(|bytes| (first * CHUNK_BYTES, bytes)))
    }

    /// The same with all that is wanted, in one piece.
    pub async fn at(
        &self,
        position: u64,
        wanted: usize,
        limit: u64,
    ) -> Result<Option<(u64, Slice)>, StorageError> {
        let Some((start, bytes)) = self.some(position, wanted, limit).await? else { return Ok(None) };
        let end = position + wanted as u64;
        let (first, last) = span(position, end);
        if first == last {
            return Ok(Some((start, bytes)));
        }
        // In one piece only if it is copied together.
        let Some(mut whole) = self.take(wanted) else { return Ok(None) };
        let part = &bytes[(position - start) as usize..];
        whole[..part.len()].copy_from_slice(part);
        let mut filled = part.len();
        for index in first + 1..=last {
            let Some(bytes) = self.cache.chunk(&self.file, index, needed(index, end), limit).await? else {
                return Ok(None);
            };
            let part = &bytes[..needed(index, end)];
            whole[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        Ok(Some((position, whole.freeze(wanted))))
    }

    fn take(&self, bytes: usize) -> Option<Block> {
        loop {
            match self.cache.pool.take(bytes) {
                None if self.cache.give_back() => {}
                taken => return taken,
            }
        }
    }

    /// What the file holds is not what it should: what is known of it is forgotten.
    pub fn forget(&self) {
        self.cache.forget(self.file.number);
    }

    /// Gives memory of the cache back.
    pub fn give_back(&self) -> bool {
        self.cache.give_back()
    }
}
