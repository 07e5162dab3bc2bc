//! Bencode (BEP 3) of the laboratory: read as it came, written as it is meant to be, right or wrong. The tracker has codecs of its own,
//! which know its messages only, and cannot write what is wrong.

mod reading;
pub(crate) mod writing;

pub use reading::{Entry, Value};
