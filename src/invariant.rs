//! What cannot be otherwise, said where the code relies on it.
//!
//! Nothing on a server's path may panic, so a fallback stands even where none can be needed. These functions tell the two apart:
//! debug builds (all tests and all fuzzing) stop where an invariant is broken, and release builds go on with the fallback, at no cost.

/// Hands on what must be there; `why` says by what it is.
#[inline]
#[track_caller]
pub(crate) fn present<T>(found: Option<T>, why: &str) -> Option<T> {
    debug_assert!(found.is_some(), "missing: {why}");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "missing: there are two")]
    fn a_broken_invariant_is_loud() {
        assert_eq!(present(Some(1), "there are two"), Some(1));
        let _: Option<u8> = present(None, "there are two");
    }
}
