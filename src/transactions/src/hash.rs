//! Which partition an id belongs to.

/// The partition, of `partitions`, that has the state of a transactional id or of a group: Kafka's rule, the
/// absolute value of Java's hash of the id, and the remainder. With no partitions it is 0.
///
/// ```
/// assert_eq!(transactions::partition_of("hello", 50), 22);
/// ```
pub fn partition_of(id: &str, partitions: i32) -> i32 {
    // The one number without an absolute value becomes 0.
    let positive = java_hash(id).checked_abs().unwrap_or(0);
    positive.checked_rem(partitions.max(1)).unwrap_or(0)
}

/// Java's `String.hashCode`, which counts in units of UTF-16.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        let cases = [
            ("", 0),
            ("a", 97),
            ("abc", 96_354),
            ("Aa", 2112),
            ("BB", 2112),
            ("hello", 99_162_322),
            ("\u{e9}", 233),
            // Outside the basic plane a character is two units: d83d, de00.
            ("\u{1f600}", 1_772_899),
            ("polygenelubricants", i32::MIN),
        ];
        for (text, hash) in cases {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }

    #[test]
    fn partitions_are_kafkas() {
        let cases = [
            ("hello", 50, 22),
            ("abc", 50, 4),
            // Negative hashes, and the one without an absolute value.
            ("copier", 50, 24),
            ("my-transactional-id", 50, 46),
            ("polygenelubricants", 50, 0),
            ("hello", 0, 0),
            ("hello", -3, 0),
        ];
        for (text, partitions, partition) in cases {
            assert_eq!(partition_of(text, partitions), partition, "{text} of {partitions}");
        }
        let all: std::collections::BTreeSet<i32> =
            (0..1000).map(|id| partition_of(&format!("id-{id}"), 50)).collect();
        assert_eq!(all, (0..50).collect(), "ids spread over all partitions, and no other");
    }
}
