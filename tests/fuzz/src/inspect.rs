//! The files of a data directory from plain bytes, as tools read them: `storage::inspect`, and of transactions what
//! recovery reads batch by batch.

use storage::inspect::{self, Flaw};
use storage::transactions::{AbortedIndex, TransactionScan, marker};

const INPUT_BYTES_MAX: usize = 32 << 10;

/// Any bytes, as each of the files.
///
/// What is found must lie in the file, in its order; and where a format has one form only, what is read must be
/// written as it was.
pub fn run(data: &[u8]) {
    if data.len() > INPUT_BYTES_MAX {
        return;
    }
    journal(data);
    segment(data);
    indexes(data);
    let (checkpoint, flaw) = inspect::checkpoint(data);
    assert!(checkpoint.is_some() || flaw.is_some());
    if let Ok(epochs) = inspect::leader_epochs(data) {
        assert!(epochs.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1), "{epochs:?}");
    }
    let _ = inspect::producer_snapshot(data);
    aborted(data);
    transactions(data);
}

/// Where a reader stands behind a flaw.
fn behind(flaw: &Flaw, from: u64, length: usize) -> u64 {
    assert!(flaw.position >= from && flaw.position <= length as u64, "{flaw:?}");
    let end = flaw.resumes_at.unwrap_or(length as u64);
    assert!(end >= flaw.position && end <= length as u64, "{flaw:?}");
    end
}

fn journal(data: &[u8]) {
    let mut end = 0;
    for piece in inspect::journal(data).commits() {
        match piece {
            Ok(commit) => {
                assert!(commit.position >= end && commit.position < data.len() as u64);
                end = commit.position + u64::from(commit.header.length);
                assert!(end <= data.len() as u64);
                assert!(commit.entries().count() <= commit.header.entries as usize);
            }
            Err(flaw) => end = behind(&flaw, end, data.len()),
        }
    }
}

fn segment(data: &[u8]) {
    let (mut end, mut next) = (0, 0);
    for piece in inspect::segment(data, 0) {
        match piece {
            Ok(batch) => {
                assert!(batch.position >= end && batch.base_offset >= next);
                assert!(batch.last_offset >= batch.base_offset);
                (end, next) = (batch.position + batch.bytes.len() as u64, batch.last_offset + 1);
                assert!(end <= data.len() as u64);
            }
            Err(flaw) => end = behind(&flaw, end, data.len()),
        }
    }
}

fn indexes(data: &[u8]) {
    let mut last = None;
    for entry in inspect::offset_index(data).flatten() {
        let grows = |last: inspect::OffsetEntry| {
            last.offset_delta < entry.offset_delta && last.position < entry.position
        };
        assert!(last.replace(entry).is_none_or(grows), "{entry:?}");
    }
    let mut last = None;
    for entry in inspect::time_index(data).flatten() {
        let grows = |last: inspect::TimeEntry| last.timestamp <= entry.timestamp;
        assert!(last.replace(entry).is_none_or(grows), "{entry:?}");
    }
}

/// What tools read entry by entry, and what a broker takes as a whole or not at all.
fn aborted(data: &[u8]) {
    let entries: Result<Vec<_>, _> = inspect::aborted_transactions(0, data).collect();
    let index = AbortedIndex::decode(0, data);
    assert_eq!(entries.ok().as_deref(), index.as_ref().ok().map(AbortedIndex::entries));
    if let Ok(index) = index {
        assert_eq!(index.encode(), data);
        let mut found = Vec::new();
        index.collect(0, i64::MAX, &mut found);
        assert!(found.len() <= index.entries().len());
    }
}

/// One batch is enough: the walk over a log gives them one by one.
fn transactions(data: &[u8]) {
    let mut scan = TransactionScan::default();
    let read = marker::read(data);
    if let Ok(Some(marker)) = &read {
        assert!(data.len() >= marker::MARKER_BYTES - 1, "{marker:?}");
    }
    let _ = scan.batch(data);
    // It may have come in the middle of a transaction: then it ends nothing.
    assert!(scan.take_aborted().is_empty());
}
