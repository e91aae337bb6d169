//! What replay concludes from every cut and from damage at every byte.

use super::{Replayed, replay};
use crate::error::MetadataError;
use crate::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, FrameBuilder};
use crate::image::{Builder, Image, records};
use crate::inspect;
use crate::record::Record;
use crate::snapshot;
use crate::testing::{Planner, some_change};
use base::Random;
use std::path::Path;

/// A log of random changes: its bytes, and after each commit where it ends and the image.
struct Written {
    bytes: Vec<u8>,
    after: Vec<(u64, Image)>,
}

fn frame(base_offset: i64, records: &[Record]) -> Vec<u8> {
    let mut frame = FrameBuilder::new(base_offset, 1);
    records.iter().for_each(|record| frame.add(record));
    frame.finish().concat()
}

fn written(seed: u64, commits: usize) -> Written {
    let mut random = Random::new(seed);
    let mut planner = Planner::new(&[1, 2]);
    while planner.records.len() < commits {
        let change = some_change(&mut random, &planner.image);
        // Refused ones are as good as any: they write nothing.
        let _ = planner.change(change);
        if planner.last().is_empty() {
            planner.records.pop();
        }
    }
    let mut bytes = FileHeader::new(FileKind::Log, 0, 1).encode().to_vec();
    let mut image = Image::default();
    let mut after = vec![(bytes.len() as u64, image.clone())];
    for records in &planner.records {
        bytes.extend(frame(image.offset(), records));
        image = image.with(records, 1).expect("fits");
        after.push((bytes.len() as u64, image.clone()));
    }
    assert_eq!(image, planner.image, "the image after replay is the image that was planned");
    Written { bytes, after }
}

fn replayed(bytes: &[u8]) -> Result<(Image, Replayed), MetadataError> {
    let mut builder = Builder::new(&Image::default(), 0);
    let replayed = replay(Path::new("0.log"), bytes, 0, &mut builder)?;
    let image = builder.finish();
    Ok((image, replayed))
}

impl Written {
    /// What is certain when the first `length` bytes are as they were written.
    fn whole_within(&self, length: usize) -> &(u64, Image) {
        let count = self.after.iter().take_while(|(end, _)| *end <= length as u64).count();
        &self.after[count.max(1) - 1]
    }
}

#[test]
fn every_prefix_is_a_prefix_of_commits() {
    let log = written(1, 12);
    for length in 0..=log.bytes.len() {
        let (image, replayed) = replayed(&log.bytes[..length]).expect("a cut is no damage");
        if length < FILE_HEADER_BYTES {
            assert!(!replayed.headed && image.offset() == 0);
            continue;
        }
        let (end, expected) = log.whole_within(length);
        assert_eq!((replayed.end, replayed.torn), (*end, length as u64 - *end));
        if image.offset() > 0 {
            assert_eq!(image, *expected, "cut at {length}");
        }
    }
}

#[test]
fn a_cut_filled_up_with_zeros_or_old_bytes_is_still_a_cut() {
    let log = written(2, 8);
    for length in (FILE_HEADER_BYTES..log.bytes.len()).step_by(3) {
        for filling in [0u8, 0xff, b'F'] {
            let mut bytes = log.bytes[..length].to_vec();
            bytes.resize(length + 700, filling);
            let (image, replayed) = replayed(&bytes).expect("nothing whole follows");
            let (end, expected) = log.whole_within(length);
            // The filling may happen to be what was cut off.
            if replayed.end == *end {
                assert_eq!(image.offset(), expected.offset());
            } else {
                assert!(
                    log.after.iter().any(|(end, image_then)| *end == replayed.end && image == *image_then)
                );
            }
        }
    }
}

#[test]
fn space_that_was_only_reserved_is_no_torn_commit() {
    let log = written(6, 8);
    let end = log.bytes.len();
    let mut bytes = log.bytes.clone();
    bytes.resize(end + 5000, 0);
    let (image, found) = replayed(&bytes).expect("no damage");
    assert_eq!((found.end, found.torn, found.reserved), (end as u64, 0, 5000));
    assert_eq!(image, log.after[log.after.len() - 1].1);
    // One byte that was written there was of a commit.
    bytes[end + 4000] = 1;
    let (_, found) = replayed(&bytes).expect("no damage");
    assert_eq!((found.end, found.torn, found.reserved), (end as u64, 5000, 0));
    // A snapshot has no such space.
    let mut bytes = snapshot_bytes(&image, 4);
    bytes.push(0);
    assert!(snapshot::decode(Path::new("s"), &bytes, image.offset()).is_err());
}

#[test]
fn a_changed_byte_is_damage_unless_it_is_in_the_last_commit() {
    let log = written(3, 8);
    let last_begins = log.after[log.after.len() - 2].0 as usize;
    for position in 0..log.bytes.len() {
        let mut bytes = log.bytes.clone();
        bytes[position] ^= 0x10;
        match replayed(&bytes) {
            Err(MetadataError::Damaged { position: at, .. }) => {
                assert!(position < last_begins, "damage at {position} in the last commit is a torn end");
                let (begins, _) = log.whole_within(position);
                let expected = if position < FILE_HEADER_BYTES { 0 } else { *begins };
                assert_eq!(at, expected, "the commit's position is named, changed at {position}");
            }
            Ok((image, replayed)) => {
                assert!(position >= last_begins, "a change at {position} was not noticed");
                assert_eq!(replayed.end as usize, last_begins);
                assert_eq!(image, log.after[log.after.len() - 2].1);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn commits_out_of_order_or_of_nonsense_are_refused() {
    let header = FileHeader::new(FileKind::Log, 0, 1).encode();
    let cluster = [Record::Cluster { id: "c".into() }];
    let gap = [&header[..], &frame(0, &cluster), &frame(5, &cluster)].concat();
    assert!(matches!(replayed(&gap), Err(MetadataError::Damaged { .. })));
    let orphan = [Record::RemoveTopic { id: model::TopicId([3; 16]) }];
    let nonsense = [&header[..], &frame(0, &orphan)].concat();
    let error = replayed(&nonsense).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("offset 0 does not fit"), "{error}");
    let other = FileHeader::new(FileKind::Snapshot, 0, 1).encode();
    assert!(matches!(replayed(&other), Err(MetadataError::Damaged { position: 0, .. })));
    let later = FileHeader { version: 2, ..FileHeader::new(FileKind::Log, 0, 1) }.encode();
    assert!(matches!(replayed(&later), Err(MetadataError::Version { version: 2, .. })));
}

/// A snapshot's bytes, as the writer lays them out, with a frame for every so many records.
fn snapshot_bytes(image: &Image, per_frame: usize) -> Vec<u8> {
    let mut bytes = FileHeader::new(FileKind::Snapshot, image.offset(), image.epoch()).encode().to_vec();
    let all: Vec<Record> = records(image).collect();
    let mut index = 0;
    for part in all.chunks(per_frame) {
        bytes.extend(frame(index, part));
        index += part.len() as i64;
    }
    bytes.extend(frame(index, &[]));
    bytes
}

#[test]
fn a_snapshot_and_the_tail_are_the_full_replay() {
    for seed in 10..30 {
        let log = written(seed, 40);
        let (_, last) = &log.after[log.after.len() - 1];
        for (end, image) in log.after.iter().skip(1).step_by(7) {
            let bytes = snapshot_bytes(image, 3);
            let loaded = snapshot::decode(Path::new("s"), &bytes, image.offset()).expect("whole");
            assert_eq!(loaded, *image);
            let mut builder = Builder::new(&loaded, 1);
            for commit in inspect::commits(&log.bytes) {
                let commit = commit.expect("whole");
                for record in commit.records().filter(|_| commit.position >= *end) {
                    builder.apply(&record.expect("readable")).expect("fits");
                }
            }
            assert_eq!(builder.finish(), *last);
        }
    }
}

#[test]
fn a_snapshot_that_is_not_whole_is_damage() {
    let log = written(4, 10);
    let (_, image) = &log.after[10];
    let bytes = snapshot_bytes(image, 4);
    let decode = |bytes: &[u8]| snapshot::decode(Path::new("s"), bytes, image.offset());
    assert!(decode(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        assert!(decode(&changed).is_err(), "changed at {position}");
    }
    assert!(snapshot::decode(Path::new("s"), &bytes, image.offset() + 1).is_err());
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random::new(8);
    let log = written(5, 6);
    for _ in 0..20_000 {
        let mut bytes = vec![0; random.below(200) as usize];
        random.fill(&mut bytes);
        assert!(Record::decode(&bytes).is_err() || bytes.len() > 6);
        let _ = replayed(&bytes);
        // And bytes that are nearly right, with right checksums: only the decoder stands between.
        let mut payload: Vec<u8> = Vec::new();
        for commit in inspect::commits(&log.bytes).flatten() {
            payload.extend_from_slice(commit.payload);
        }
        let at = random.below(payload.len() as u64) as usize;
        payload[at] = random.below(256) as u8;
        let from = random.below(payload.len() as u64) as usize;
        let mut rest = &payload[from..];
        while let Ok((record, taken)) = Record::decode(rest) {
            let mut again = Vec::new();
            record.encode(&mut again);
            assert_eq!(again, rest[..taken], "one record has one way of being written");
            rest = &rest[taken..];
        }
    }
}
