//! The UDP tracker (BEP 15, BEP 41).

pub mod connection_id;
pub mod handler;
pub mod packet;
