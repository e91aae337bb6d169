//! Ids made of chance.

use model::TopicId;

/// Kafka reserves zero and one: no topic, and the metadata log.
fn is_reserved(id: TopicId) -> bool {
    u128::from_be_bytes(id.0) <= 1
}

/// A random id with the marks of a version 4 UUID, from a source of random words. As Kafka, it gives none that is
/// reserved and none whose text begins with `-`, which a command line would take for an option.
pub(crate) fn random_id(mut word: impl FnMut() -> u64) -> TopicId {
    loop {
        let bits = u128::from(word()) << 64 | u128::from(word());
        let mut bytes = bits.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let id = TopicId(bytes);
        if !is_reserved(id) && !id.to_string().starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_looks_like_an_option_and_all_are_version_4() {
        let mut random = base::Random::new(9);
        for _ in 0..2000 {
            let id = random_id(|| random.next_u64());
            assert!(!id.to_string().starts_with('-'));
            assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (4, 2));
        }
        let mut words = [0xf8ff_ffff_ffff_ffffu64, 0, 7, 7].into_iter();
        assert_eq!(random_id(|| words.next().expect("four are enough")).0[7], 7, "the first begins with -");
    }
}
