//! Decisions that are taken back because the log would not take one of their records.
//!
//! Kafka finds that out when it writes: it goes back to its snapshot of the state, and the request fails. What a
//! request brings is measured here before anything changes (`sizes`). What comes of the state, such as a target or what
//! a member has, can be too large only where a group reads very many partitions, or `max.message.bytes` was lowered
//! beneath what it has. Only there, and only for a request that may lead to records, the group is kept as it was
//! until they are measured.

use crate::effects::Record;
use crate::request::Refused;
use crate::settings::Settings;
use crate::sizes;

/// What a partition takes in a record of a group, at most, also if it is the only one of its topic.
const PARTITION_BYTES: usize = 48;
/// What such a record has besides partitions and texts, with room to spare.
const RECORD_BYTES: usize = 256;

/// Whether a record that names so many partitions, and has so many bytes of texts, may be more than the log takes.
pub(crate) fn may_outgrow(partitions: usize, texts: usize, settings: &Settings) -> bool {
    let bytes = partitions.saturating_mul(PARTITION_BYTES).saturating_add(texts);
    bytes.saturating_add(RECORD_BYTES) > settings.record_bytes_max
}

/// A group as it was before a decision, if that may have to be taken back.
#[derive(Debug)]
pub(crate) struct Undo<G> {
    before: Option<G>,
    /// How many records there were.
    written: usize,
}

impl<G: Clone> Undo<G> {
    pub fn of(group: &G, is_needed: bool, out: &[Record]) -> Undo<G> {
        Undo { before: is_needed.then(|| group.clone()), written: out.len() }
    }

    /// Measures the records of the decision.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR if the log would not take one of them. Then they are gone, and the group is what it was.
    pub fn check(self, group: &mut G, out: &mut Vec<Record>, settings: &Settings) -> Result<(), Refused> {
        let Some(before) = self.before else { return Ok(()) };
        let largest = out.iter().skip(self.written).map(Record::bytes).max();
        let checked = sizes::check(largest.unwrap_or(0), settings);
        if checked.is_err() {
            *group = before;
            out.truncate(self.written);
        }
        checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::ErrorCode;

    fn record(bytes: usize) -> Record {
        Record { key: vec![0; bytes], value: None }
    }

    #[test]
    fn a_decision_is_taken_back_only_for_its_own_records() {
        let settings = Settings { record_bytes_max: 10, ..Settings::default() };
        for (is_needed, bytes, is_kept) in [(true, 10, true), (true, 11, false), (false, 11, true)] {
            let mut out = vec![record(20)];
            let mut group = 1;
            let undo = Undo::of(&group, is_needed, &out);
            group = 2;
            out.extend([record(1), record(bytes), record(2)]);
            let checked = undo.check(&mut group, &mut out, &settings);
            let expected = if is_kept { Ok(()) } else { Err(ErrorCode::UnknownServerError) };
            assert_eq!(checked.map_err(|refused| refused.code), expected, "{bytes} bytes");
            let expected = if is_kept { (2, 4) } else { (1, 1) };
            assert_eq!((group, out.len()), expected, "{bytes} bytes");
        }
    }

    #[test]
    fn only_many_partitions_outgrow_the_log() {
        let settings = Settings::default();
        assert!(!may_outgrow(10_000, 1_000, &settings));
        assert!(may_outgrow(100_000, 0, &settings) && may_outgrow(usize::MAX, usize::MAX, &settings));
    }
}
