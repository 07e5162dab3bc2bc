//! Who has left.
