//! What cannot be otherwise, said where the code relies on it.
//!
//! Nothing on a server's path may panic, so a fallback stands even where none can be needed. These functions tell the two apart:
//! debug builds (all tests and all fuzzing) stop where an invariant is broken, and release builds go on with the fallback, at no cost.

use std::ops::Sub;

/// Hands on what must be there; `why` says by what it is.
#[inline(always)]
#[track_caller]
pub(crate) fn present<T>(found: Option<T>, why: &str) -> Option<T> {
    debug_assert!(found.is_some(), "missing: {why}");
    found
}

/// A value that is there, because `why`. Where it is not, a release build goes on with `otherwise`.
#[inline(always)]
#[track_caller]
pub(crate) fn certain<T>(value: Option<T>, otherwise: T, why: &'static str) -> T {
    present(value, why).unwrap_or(otherwise)
}

/// `whole` without `part`, which is never more than it, because `why`. Where it is, a release build goes on with 0.
#[inline(always)]
#[track_caller]
pub(crate) fn minus<T>(whole: T, part: T, why: &'static str) -> T
where
    T: Copy + Default + PartialOrd + Sub<Output = T>,
{
    debug_assert!(part <= whole, "{why}");
    if part <= whole {
        whole - part
    } else {
        T::default()
    }
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
