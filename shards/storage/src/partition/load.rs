//! Finding a log's end at a start, and its older segments and indexes when they are needed.

use super::end::{Seen, Stop, cut, follow, hole};
use super::{Log, LogState, PartitionSpec, delete, index_pair, leftovers, producers};
use crate::batch::BatchHeader;
use crate::checkpoint::{CheckpointEntry, LogPlace};
use crate::cleaner::{CleanerState, state};
use crate::epochs::{self, Epochs};
use crate::error::StorageError;
use crate::segment::cursor::Cursor;
use crate::segment::{Segment, file_name, offset_of_name, topic_directory};
use crate::store::Shared;
use driver::{DirectoryEntry, Errno};
use executor::io;
use std::path::Path;
use std::rc::Rc;

/// Where to begin to look for an offset.
pub(crate) struct Start {
    /// The segment's first offset.
    pub segment: i64,
    /// At or before the batch.
    pub position: u32,
    /// Where the part of the segment that is in its file ends.
    pub written: u32,
    /// The first offset that is not in that part.
    pub offset_limit: i64,
}

/// The first offsets of the segments among the entries of a partition's directory, in order.
fn segments_among(entries: &[DirectoryEntry]) -> Vec<i64> {
    let mut bases: Vec<i64> = entries.iter().filter_map(|entry| offset_of_name(&entry.name, "log")).collect();
    bases.sort_unstable();
    bases
}

/// The segments of a partition's directory: their first offsets, in order.
pub(crate) async fn list_segments(directory: &Path) -> Result<Vec<i64>, StorageError> {
    match io::list_directory(directory).await {
        Ok(entries) => Ok(segments_among(&entries)),
        Err(Errno::NOENT) => Ok(Vec::new()),
        Err(errno) => Err(StorageError::io("list", directory)(errno)),
    }
}

async fn file_bytes(path: &Path) -> Result<u64, StorageError> {
    match io::stat(path).await {
        Ok(found) => Ok(found.bytes),
        Err(Errno::NOENT) => Ok(0),
        Err(errno) => Err(StorageError::io("stat", path)(errno)),
    }
}

/// A log as it was left: by a clean stop, then nothing is read, or by a crash, then what was not verified
/// is.
pub(crate) async fn open(
    shared: &Rc<Shared>,
    spec: &PartitionSpec,
    entry: Option<CheckpointEntry>,
) -> Result<Log, StorageError> {
    let directory = topic_directory(&shared.options.data, &spec.topic_name, spec.id.topic)
        .join(spec.id.partition.to_string());
    let log = Log::new(spec, directory, Rc::downgrade(shared));
    let seen = match entry {
        Some(entry) if entry.exact => {
            log.state.borrow_mut().begin(&entry, entry.verified);
            None
        }
        entry => Some(look(shared, &log, spec, entry).await?),
    };
    if entry.is_none_or(|entry| entry.epoch_history || entry.leader_epoch < 0) {
        load_epochs(shared, &log).await?;
    }
    if let Some(seen) = seen {
        log.state.borrow_mut().take_epochs(&seen, spec.leader_epoch.0);
    }
    Ok(log)
}

/// Finds out from its files where a log ends that was not stopped cleanly, and the leader epochs of what it reads. Its
/// directory is listed once: there may be many logs.
async fn look(
    shared: &Rc<Shared>,
    log: &Log,
    spec: &PartitionSpec,
    entry: Option<CheckpointEntry>,
) -> Result<Epochs, StorageError> {
    let entries = leftovers::remove(log).await?;
    let bases = segments_among(&entries);
    let mut seen = Seen::new(spec.leader_epoch);
    let cleaned = match entries.iter().any(|found| found.name == state::FILE) {
        true => CleanerState::read(&log.directory, &shared.options.pool).await?,
        false => None,
    };
    match entry {
        Some(mut entry) => {
            if let Some(cleaned) = cleaned {
                log.cleaned.set(Some(cleaned));
                entry.begin_behind(cleaned.boundary);
            }
            let bases = find_end(shared, log, entry, bases, &mut seen).await?;
            remove_deleted(shared, log, entry.log_start, &bases).await?;
            if cleaned.is_some() {
                // What the checkpoint says of their size may be from before a compaction.
                list_older(log).await?;
            }
        }
        None => {
            if let (Some(&first), Some(&last)) = (bases.first(), bases.last()) {
                // Nothing of it needed a replay. Where nobody waits for the device, that may be because the journal is
                // lost, and then an older segment may be as well.
                let segment = if shared.waits_for_device() { last } else { first };
                let verified = LogPlace { segment, position: 0, offset: segment };
                let mut entry = CheckpointEntry {
                    id: spec.id,
                    exact: false,
                    leader_epoch: -1,
                    epoch_history: true,
                    log_start: first,
                    verified,
                    claimed: verified,
                    older_bytes: 0,
                };
                if let Some(cleaned) = cleaned {
                    log.cleaned.set(Some(cleaned));
                    entry.begin_behind(cleaned.boundary);
                }
                find_end(shared, log, entry, bases, &mut seen).await?;
            }
        }
    }
    producers::remove_beyond(log, &entries).await?;
    Ok(seen.epochs)
}

impl CheckpointEntry {
    /// Whether all that was durable lies before `end`. Of a segment that had only been begun there may be no file.
    pub(super) fn is_reached(&self, end: &LogPlace) -> bool {
        *end >= self.claimed || (self.claimed.position == 0 && end.offset >= self.claimed.offset)
    }

    /// Before `boundary` everything was whole, and places may be others now: nothing is looked for there.
    fn begin_behind(&mut self, boundary: i64) {
        if self.verified.segment < boundary {
            self.verified = LogPlace { segment: boundary, position: 0, offset: boundary };
            self.claimed = self.claimed.max(self.verified);
        }
    }
}

impl LogState {
    /// The log ends at `end`.
    fn begin(&mut self, entry: &CheckpointEntry, end: LogPlace) {
        self.log_start = entry.log_start;
        self.producers = None;
        self.high_watermark = end.offset;
        self.log_end = end.offset;
        self.epochs.begin(entry.leader_epoch, entry.log_start);
        self.epochs_saved = entry.leader_epoch;
        if self.segments.is_empty() && end.position > 0 {
            let mut segment = Segment::stored(end.segment, end.position, end.offset);
            // Until its first batch was looked at.
            segment.created_ms = executor::wall_clock_ms();
            self.segments.push(segment);
        }
        let first = self.segments.first().map_or(end.offset, |segment| segment.base);
        self.older_unknown = first > entry.log_start;
        // Of a checkpoint from before a deletion they may be bytes of segments that are gone.
        self.older_bytes = if self.older_unknown { entry.older_bytes } else { 0 };
    }

    /// Takes in the epochs of what was read, which no file may have; a log that tells of none is of the current one.
    fn take_epochs(&mut self, seen: &Epochs, current: i32) {
        let known = self.epochs.clone();
        self.epochs.take_in(seen, self.log_start, self.log_end);
        if self.epochs.len() == 0 {
            let epoch = known.latest().map_or(current, |(epoch, _)| epoch.0);
            self.epochs.begin(epoch, self.log_start);
        }
        // For those that were read the oldest may have gone.
        let first = self.epochs.entries().next();
        let known = known.entries().skip_while(|&before| Some(before) != first);
        let same = self.epochs.entries().zip(known).take_while(|(now, before)| now == before);
        let newest = same.last().map_or(-1, |((epoch, _), _)| epoch.0);
        self.epochs_saved = self.epochs_saved.min(newest);
    }
}

/// Removes those of the segments there are that lie before the log start as a whole: a crash may have come before that
/// was done, and a replay makes some of them again.
async fn remove_deleted(
    shared: &Shared,
    log: &Log,
    log_start: i64,
    bases: &[i64],
) -> Result<(), StorageError> {
    let (dropped, first) = {
        let mut state = log.state.borrow_mut();
        let mut count = state.segments.partition_point(|segment| segment.base <= log_start).saturating_sub(1);
        // One that the log does not go on from, because what followed on it was deleted as well.
        let ends_early = state.segments.last().is_some_and(|last| last.written_next < state.log_end);
        if count + 1 == state.segments.len() && ends_early && state.segments[count].written_next <= log_start
        {
            count += 1;
        }
        let dropped: Vec<i64> = state.segments.drain(..count).map(|segment| segment.base).collect();
        (dropped, state.segments.first().map_or(state.log_end, |segment| segment.base))
    };
    for (index, &base) in bases.iter().enumerate() {
        let end = bases.get(index + 1).copied().unwrap_or(first);
        if base < first && (end <= log_start || dropped.contains(&base)) {
            let path = log.segment_path(base);
            shared.files.forget(&path);
            delete::remove(&path).await?;
            delete::remove_index(log, base).await?;
        }
    }
    Ok(())
}

/// Follows the batches from the verified place on to the end, and cuts off what is behind it. Returns those of the
/// segments `bases` that are left.
async fn find_end(
    shared: &Rc<Shared>,
    log: &Log,
    entry: CheckpointEntry,
    mut bases: Vec<i64>,
    seen: &mut Seen,
) -> Result<Vec<i64>, StorageError> {
    let mut end = first_there(&entry, &bases);
    let (mut segments, mut holes) = (Vec::<Segment>::new(), Vec::new());
    let why = loop {
        let path = log.directory.join(file_name(end.segment, "log"));
        let size = file_bytes(&path).await?;
        // Some of what was synced is gone: then nothing says that the log ends there, and what is behind only began.
        let is_short = size < u64::from(end.position);
        let Stop { why, reserved } = follow(shared, log, &entry, size, &mut end, &mut holes, seen).await?;
        if end.position > 0 {
            let mut segment = Segment::stored(end.segment, end.position, end.offset);
            segment.created_ms = executor::wall_clock_ms();
            // What is reserved stays, and need not be reserved again.
            segment.allocated = if reserved { size } else { 0 };
            segments.push(segment);
        }
        if bases.contains(&end.offset) && end.offset > end.segment {
            end = LogPlace { segment: end.offset, position: 0, offset: end.offset };
            continue;
        }
        let is_part = |base: i64| base > end.segment && (is_short || base <= entry.claimed.segment);
        let later = bases.iter().copied().find(|&base| is_part(base));
        if let Some(base) = later.filter(|_| is_short || !entry.is_reached(&end)) {
            holes.push(hole(log, &end, base, why));
            end = LogPlace { segment: base, position: 0, offset: base };
            continue;
        }
        if entry.is_reached(&end) {
            match reserved {
                true => shared.note_reserved(&end, size),
                false => cut(shared, log, &path, size, end, why).await?,
            }
            let last = segments.last().map_or(-1, |segment| segment.base);
            // Older ones than where the look began are not known here, and stay.
            let is_torn = |base: &i64| *base > last && *base >= end.segment;
            remove_torn(shared, log, bases.iter().filter(|&base| is_torn(base))).await?;
            bases.retain(|base| !is_torn(base));
        }
        break why;
    };
    if entry.is_reached(&end) && end.offset < entry.log_start {
        // Nobody had waited for what was deleted, and it is lost: nothing is missing of what is left.
        end = LogPlace { segment: entry.log_start, position: 0, offset: entry.log_start };
    }
    let mut state = log.state.borrow_mut();
    state.segments = segments;
    state.begin(&entry, end);
    if !entry.is_reached(&end) {
        holes.push(hole(log, &end, entry.claimed.offset, why));
        state.high_watermark = entry.claimed.offset;
        state.log_end = entry.claimed.offset;
    }
    // What was deleted is not missed.
    holes.retain(|hole| hole.offsets.is_none_or(|(_, to)| to.0 > entry.log_start));
    for hole in &holes {
        log::error!("damaged: {hole}");
    }
    state.damage = holes;
    drop(state);
    Ok(bases)
}

/// Where to begin to look: the verified place, unless its segment was deleted since, as a whole and on purpose, whether
/// its file is gone or not. Then the segment that the log starts in; or, where everything is deleted, its start.
fn first_there(entry: &CheckpointEntry, bases: &[i64]) -> LogPlace {
    let verified = entry.verified;
    let at = |base| LogPlace { segment: base, position: 0, offset: base };
    let holds_start = bases.iter().rev().find(|&&base| base <= entry.log_start && base > verified.segment);
    match holds_start {
        Some(&base) => at(base),
        None if bases.contains(&verified.segment) || entry.log_start <= verified.segment => verified,
        None if entry.log_start >= entry.claimed.offset => at(entry.log_start),
        // The file is missing, and not because of a deletion.
        None => verified,
    }
}

/// Removes files of segments behind the last one that holds anything: they were begun when the broker stopped, and
/// the log may now go on in the segment before, so that a later look would take them for a part of it.
async fn remove_torn(
    shared: &Rc<Shared>,
    log: &Log,
    bases: impl Iterator<Item = &i64>,
) -> Result<(), StorageError> {
    let mut removed = false;
    for &base in bases {
        let path = log.segment_path(base);
        shared.files.forget(&path);
        io::remove(&path).await.map_err(StorageError::io("remove", &path))?;
        log::info!("{}: {}: removed, nothing in it was acknowledged", log.id, path.display());
        removed = true;
    }
    if removed {
        // Or a crash brings them back, among the segments that the log went on with.
        io::sync_directory(&log.directory).await.map_err(StorageError::io("sync", &log.directory))?;
    }
    Ok(())
}

/// Lists the segments before those that are known.
pub(crate) async fn list_older(log: &Log) -> Result<(), StorageError> {
    let bases = list_segments(&log.directory).await?;
    match io::stat(log.directory.join(state::FILE)).await {
        Ok(_) => log.has_gaps.set(true),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(StorageError::io("stat", log.directory.join(state::FILE))(errno)),
    }
    let known = {
        let state = log.state.borrow();
        state.segments.first().map_or(state.log_end, |segment| segment.base)
    };
    let mut older = Vec::new();
    for base in bases.into_iter().filter(|&base| base < known) {
        let bytes = file_bytes(&log.segment_path(base)).await?;
        older.push(Segment::stored(base, bytes.min(u64::from(u32::MAX)) as u32, known));
    }
    for index in 1..older.len() {
        older[index - 1].written_next = older[index].base;
    }
    older.iter_mut().for_each(|segment| segment.finished = true);
    let mut state = log.state.borrow_mut();
    // Somebody else may have done the same meanwhile.
    if state.older_unknown {
        state.older_unknown = false;
        state.older_bytes = 0;
        let mut newer = std::mem::take(&mut state.segments);
        if newer.is_empty() && !older.is_empty() {
            // Nothing is appended to an old one again.
            newer.push(Segment::new(state.log_end, executor::wall_clock_ms(), 0));
        }
        state.segments = older.into_iter().chain(newer).collect();
    }
    Ok(())
}

/// Where to begin to look for an offset that is in a file; `None` if no segment has it.
pub(crate) async fn locate(
    shared: &Rc<Shared>,
    log: &Rc<Log>,
    at: i64,
) -> Result<Option<Start>, StorageError> {
    loop {
        let (base, index_missing) = {
            let state = log.state.borrow();
            let after = state.segments.partition_point(|segment| segment.base <= at);
            match after.checked_sub(1) {
                Some(index) => (state.segments[index].base, state.segments[index].index.is_none()),
                None if state.older_unknown => (-1, false),
                None => return Ok(None),
            }
        };
        if base < 0 {
            list_older(log).await?;
            continue;
        }
        if index_missing {
            build_index(shared, log, base).await?;
        }
        let state = log.state.borrow();
        let Some(index) = state.segments.iter().position(|segment| segment.base == base) else {
            return Ok(None);
        };
        let segment = &state.segments[index];
        let offset_limit = segment.written_next;
        let position = segment
            .index
            .as_ref()
            .map_or(0, |index| index.position_for_offset(u32::try_from(at - base).unwrap_or(u32::MAX)));
        let written = segment.written;
        return Ok(Some(Start { segment: base, position: position.min(written), written, offset_limit }));
    }
}

/// Takes the epochs of the partition's file, if there is one.
async fn load_epochs(shared: &Rc<Shared>, log: &Log) -> Result<(), StorageError> {
    if let Some(epochs) = epochs::read(&log.directory, &shared.options.pool).await? {
        let mut state = log.state.borrow_mut();
        state.epochs = epochs;
        state.epochs_saved = state.epochs.newest();
    }
    Ok(())
}

/// Makes the index of a segment from its files, or from the headers of its batches.
pub(crate) async fn build_index(shared: &Rc<Shared>, log: &Rc<Log>, base: i64) -> Result<(), StorageError> {
    let layout = log.layout.get();
    let written = {
        let state = log.state.borrow();
        state.segments.iter().find(|segment| segment.base == base).map_or(0, |segment| segment.written)
    };
    let interval_bytes = log.config.borrow().index_interval_bytes;
    let file = shared.files.open(&log.segment_path(base), false).await?;
    let mut index = index_pair::read(shared, log, base, written).await.unwrap_or_default();
    let from = index.entries().last().map_or(0, |entry| entry.position);
    let mut cursor = Cursor::new(file, shared.options.pool.clone(), u64::from(from), u64::from(written));
    let gaps = log.may_have_gaps();
    let mut expected = (from == 0 && !gaps).then_some(base);
    while cursor.position < u64::from(written) {
        let header: BatchHeader = match cursor.peek().await? {
            Ok(header) if header.base_offset >= base => header,
            // What is here is found, and reported, by who reads it.
            _ => match cursor.resume(base, i64::MAX).await? {
                Some(header) => {
                    // It was looked at as a whole, and what comes before it is missing.
                    expected = None;
                    header
                }
                None => break,
            },
        };
        // Nobody may be led to a batch whose offset is not its own.
        match expected {
            Some(follows) if header.base_offset != follows => {
                index.note_time(header.max_timestamp, (follows - base) as u32);
                expected = None;
            }
            _ => {
                index.push(base, cursor.position as u32, &header, interval_bytes);
                expected = (!gaps).then_some(header.last_offset() + 1);
            }
        }
        cursor.skip(&header);
    }
    let mut state = log.state.borrow_mut();
    // It may be another file by now.
    let same = log.layout.get() == layout;
    if let Some(segment) = state.segments.iter_mut().find(|segment| segment.base == base && same) {
        segment.adopt(index);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Partition;
    use crate::tests::spec;
    use std::path::PathBuf;
    use std::rc::Weak;

    #[test]
    fn what_was_deleted_since_a_checkpoint_is_no_part_of_a_logs_size() {
        let end = LogPlace { segment: 10, position: 0, offset: 10 };
        for (log_start, left) in [(0, 500), (9, 500), (10, 0)] {
            let log = Log::new(&spec(0), PathBuf::new(), Weak::new());
            let entry = CheckpointEntry {
                id: log.id,
                exact: false,
                leader_epoch: 0,
                epoch_history: false,
                log_start,
                verified: end,
                claimed: end,
                older_bytes: 500,
            };
            log.state.borrow_mut().begin(&entry, end);
            assert_eq!(Partition { log: Rc::new(log) }.size_bytes(), left, "the log begins at {log_start}");
        }
    }
}
