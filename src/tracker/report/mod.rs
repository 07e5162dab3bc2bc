//! What people read of the tracker: the census, pages of peers and torrents, one swarm. Off the request path.

mod builder;
pub mod census;
pub mod flows;
mod order;
mod pagination;
mod queries;
