//! Which partition of `__consumer_offsets` a group lives in.

/// The partition of `__consumer_offsets` for a group, of `partitions` that there are.
///
/// Java's `String.hashCode`, over UTF-16, without its sign bit. Clients and tools compute the same, so it cannot
/// be changed. With no partitions at all it is 0.
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash =
        group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_javas_hash() {
        // The hashes are those that Java's documentation of hashCode gives by its formula.
        let cases = [
            ("", 0),
            ("a", 97),
            ("ab", 97 * 31 + 98),
            ("hello", 99_162_322),
            ("Hello World", -862_545_276 & i32::MAX),
            ("polygenelubricants", 0),
            ("\u{1f600}", 0xd83d * 31 + 0xde00),
        ];
        for (group, hash) in cases {
            assert_eq!(partition_for(group, i32::MAX), hash % i32::MAX, "{group}");
            assert_eq!(partition_for(group, 50), hash % 50, "{group}");
        }
    }

    #[test]
    fn it_is_a_partition_whatever_comes() {
        for partitions in [i32::MIN, -1, 0, 1] {
            assert_eq!(partition_for("g", partitions), 0);
        }
    }
}
