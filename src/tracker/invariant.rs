//! What must be true, and is checked where that costs nothing: debug builds, tests and fuzzers stop at a broken invariant with its
//! reason. A release build goes on with a value that does no harm, since nothing that arrives over the network may end the process.

use std::ops::Sub;

/// A value that is there, because `why`. Where it is not, a release build goes on with `otherwise`.
#[inline(always)]
#[track_caller]
pub(super) fn certain<T>(value: Option<T>, otherwise: T, why: &'static str) -> T {
    debug_assert!(value.is_some(), "{why}");
    value.unwrap_or(otherwise)
}

/// `whole` without `part`, which is never more than it, because `why`. Where it is, a release build goes on with 0.
#[inline(always)]
#[track_caller]
pub(super) fn minus<T>(whole: T, part: T, why: &'static str) -> T
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
