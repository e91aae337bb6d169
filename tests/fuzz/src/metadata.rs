//! Files of the metadata log and its snapshots.

use controller::{Record, inspect};

/// A file, or its records alone.
///
/// Commits and flaws must come in the order of the file, and a record that is read must be written as it was read.
pub fn run(data: &[u8]) {
    let _ = inspect::header(data);
    let mut end = 0;
    for piece in inspect::commits(data) {
        match piece {
            Ok(commit) => {
                assert!(commit.position >= end && commit.end() <= data.len() as u64);
                end = commit.end();
                commit.records().flatten().for_each(|record| check(&record));
            }
            Err(flaw) => {
                assert!(flaw.position >= end && flaw.resumes_at.is_none_or(|next| next > flaw.position));
                end = flaw.resumes_at.unwrap_or(data.len() as u64);
            }
        }
    }
    // Past the checksums, which a fuzzer cannot guess.
    let mut rest = data;
    while let Ok((record, bytes)) = Record::decode(rest) {
        assert!(bytes > 0 && bytes <= rest.len());
        check(&record);
        rest = &rest[bytes..];
    }
}

fn check(record: &Record) {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let (again, length) = Record::decode(&bytes).expect("what was written can be read");
    assert_eq!((&again, length), (record, bytes.len()));
}
