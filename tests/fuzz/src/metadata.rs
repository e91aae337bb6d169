//! Files of the metadata log and its snapshots.

use controller::image::Builder;
use controller::{Image, Record, inspect};

/// A file, or its records alone.
///
/// Commits and flaws must come in the order of the file, a record that is read must be written as it was read, and an
/// image must be what its records say.
pub fn run(data: &[u8]) {
    let _ = inspect::header(data);
    let (mut end, mut records) = (0, Vec::new());
    for piece in inspect::commits(data) {
        match piece {
            Ok(commit) => {
                assert!(commit.position >= end && commit.end() <= data.len() as u64);
                end = commit.end();
                records.extend(commit.records().flatten());
            }
            Err(flaw) => {
                assert!(flaw.position >= end && flaw.resumes_at.is_none_or(|next| next > flaw.position));
                end = flaw.resumes_at.unwrap_or(data.len() as u64);
            }
        }
    }
    records.iter().for_each(check);
    apply(&records);
    // Past the checksums, which a fuzzer cannot guess.
    let (mut rest, mut records) = (data, Vec::new());
    while let Ok((record, bytes)) = Record::decode(rest) {
        assert!(bytes > 0 && bytes <= rest.len());
        check(&record);
        records.push(record);
        rest = &rest[bytes..];
    }
    apply(&records);
}

/// As a start does with a log, up to the first record that fits nowhere.
fn apply(records: &[Record]) {
    let mut builder = Builder::new(&Image::default(), 1);
    if records.iter().any(|record| builder.apply(record).is_err()) {
        return;
    }
    let image = builder.finish();
    assert_eq!(image.offset(), records.len() as i64);
    assert_eq!(image.topics().count(), image.topic_count());
    let partitions: usize = image.topics().map(|topic| topic.partitions.len()).sum();
    assert_eq!(partitions, image.partition_count());
    for topic in image.topics() {
        assert_eq!(image.topic_by_id(topic.id).map(|found| &found.name), Some(&topic.name));
    }
}

fn check(record: &Record) {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let (again, length) = Record::decode(&bytes).expect("what was written can be read");
    assert_eq!((&again, length), (record, bytes.len()));
}
