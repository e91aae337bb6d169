//! Deliberate mistakes, so that a simulator can prove that its checks would find them.
//!
//! Where one can be made, the code asks [`is_made`]; a simulator chooses with [`make`], for its thread. Without debug
//! assertions, and so in a release, the answer is a constant and nothing is left of the place.

use std::cell::Cell;

thread_local! {
    static MADE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Makes this mistake from now on, or none.
pub fn make(mistake: Option<&'static str>) {
    MADE.set(mistake);
}

/// Whether this one is to be made.
#[inline]
pub fn is_made(mistake: &str) -> bool {
    cfg!(debug_assertions) && MADE.get().is_some_and(|made| made == mistake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_made_at_a_time_and_none_in_a_release() {
        assert!(!is_made("a"));
        make(Some("a"));
        assert_eq!((is_made("a"), is_made("b")), (cfg!(debug_assertions), false));
        make(None);
        assert!(!is_made("a"));
    }
}
