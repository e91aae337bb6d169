//! Segments: a partition's batches in files, each named after its first offset.
//!
//! - [`index`]: where in a segment an offset or a time is, roughly.
//! - [`index_files`]: the same on disk, in Kafka's format.
//! - [`cursor`]: walks the batches of a file.

pub(crate) mod cursor;
pub(crate) mod index;
pub(crate) mod index_files;

use crate::batch::BatchHeader;
use index::Index;
use model::TopicId;
use std::path::{Path, PathBuf};

/// The first timestamp of a segment whose file was not looked into.
pub(crate) const UNREAD: i64 = -2;

/// What is known of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its first offset, which its files are named after.
    pub base: i64,
    /// Bytes of batches in it, in memory or on the device.
    pub bytes: u32,
    /// Of these, how many are written to its file.
    pub written: u32,
    /// The offset after the last record of these.
    pub written_next: i64,
    /// Space that is reserved for its file.
    pub allocated: u64,
    /// Something was appended to it since it was opened.
    pub grown: bool,
    /// Its file is cut to its size and its index is in files: nothing is left to be done for it.
    pub finished: bool,
    /// The largest timestamp of its first batch; -1: none; [`UNREAD`]: not read from its file yet.
    pub first_timestamp: i64,
    /// When its first batch was appended; of one that was found at the start: when it was first looked at, 0 before.
    pub created_ms: i64,
    /// Taken off `segment.ms`.
    pub jitter_ms: i64,
    /// `None`: not read from its file yet, which is done when it is needed.
    pub index: Option<Index>,
    /// The largest timestamp that was appended since the segment was opened, and its batch's last offset,
    /// relative.
    pub live_max: Option<(i64, u32)>,
    /// The largest timestamp of what was in its file when it was looked for, -1 if there is none; `None`: not
    /// looked for yet.
    pub newest: Option<i64>,
}

impl Segment {
    /// A segment that holds nothing yet.
    pub fn new(base: i64, now_ms: i64, jitter_ms: i64) -> Segment {
        Segment {
            base,
            bytes: 0,
            written: 0,
            written_next: base,
            allocated: 0,
            grown: false,
            finished: false,
            first_timestamp: -1,
            created_ms: now_ms,
            jitter_ms,
            index: Some(Index::default()),
            live_max: None,
            newest: None,
        }
    }

    /// A segment of which so much is in its file.
    pub fn stored(base: i64, bytes: u32, next: i64) -> Segment {
        Segment {
            bytes,
            written: bytes,
            written_next: next,
            first_timestamp: UNREAD,
            index: None,
            ..Segment::new(base, 0, 0)
        }
    }

    /// Takes note of a batch that comes next.
    pub fn push(&mut self, header: &BatchHeader, interval_bytes: u32) {
        self.grown = true;
        if self.bytes == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        if let Some(index) = &mut self.index {
            index.push(self.base, self.bytes, header, interval_bytes);
        }
        if header.max_timestamp > self.live_max.map_or(-1, |(timestamp, _)| timestamp) {
            self.live_max = Some((header.max_timestamp, (header.last_offset() - self.base) as u32));
        }
        self.bytes += header.bytes as u32;
    }

    /// Takes an index that was made of the segment's file. What was appended meanwhile has no entries in it,
    /// which costs some reading; its largest timestamp is counted early, which is on the safe side.
    pub fn adopt(&mut self, mut index: Index) {
        if self.index.is_none() {
            index.max_timestamp = index.max_timestamp.max(self.live_max);
            self.index = Some(index);
        }
    }
}

/// Characters of a topic's name in its directory's, to which the id adds 23: no file system takes more than 255, and
/// names may have 249.
const NAME_BYTES: usize = 232;

/// `<data>/topics/<name>.<topic id>`, of a long name its beginning.
pub(crate) fn topic_directory(data: &Path, name: &str, id: TopicId) -> PathBuf {
    let name = name.get(..NAME_BYTES).unwrap_or(name);
    data.join("topics").join(format!("{name}.{id}"))
}

/// The name of a partition's file that begins at an offset.
pub(crate) fn file_name(base: i64, extension: &str) -> String {
    format!("{base:020}.{extension}")
}

/// The offset in a file's name, if it has this extension.
pub(crate) fn offset_of_name(name: &str, extension: &str) -> Option<i64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_directory_has_a_name_that_file_systems_take() {
        let name = |length: usize, id: u8| {
            let path = topic_directory(Path::new("/data"), &"n".repeat(length), TopicId([id; 16]));
            path.file_name().and_then(|name| name.to_str()).expect("text").to_owned()
        };
        for length in [1, 231, 232, 233, 249] {
            let (one, other) = (name(length, 1), name(length, 2));
            assert!(one.len() <= 255 && one != other, "{length}: {one}");
            assert!(one.starts_with(&format!("{}.", "n".repeat(length.min(232)))), "{length}: {one}");
        }
    }
}
