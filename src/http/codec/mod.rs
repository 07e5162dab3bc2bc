//! Bytes in, values out, and back: headers of proxies, request heads (RFC 9112), queries, bencoded replies. No state and no socket.

pub mod head;
pub mod proxy_protocol;
pub mod query;
pub mod reply;
