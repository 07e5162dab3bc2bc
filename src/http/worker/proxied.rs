//! What a proxy says of a connection before anything else is said on it: its header is taken off the first bytes, and from then on
//! the client that it names is the other end, for addresses, admins, permits, limits and pages alike.
//!
//! A header counts from trusted proxies only, and where they are to send one, their connection without it is nobody's. It comes within
//! the time of a first request; its length is bounded by [`MAX_LENGTH`](super::super::codec::proxy_protocol::MAX_LENGTH).

use super::Worker;
use super::advance::{Disposition, FITS, may_hold, send};
use super::connection::Connection;
use super::permits::Purpose;
use crate::http::codec::proxy_protocol::{Origin, Preamble};
use crate::http::codec::{proxy_protocol, reply};
use crate::http::pipeline::CLOSING;
use crate::invariant::present;
use crate::metrics::{Failure, Transport};
use crate::net::client_address::NOBODY;
use crate::net::limits::Refused as Limited;

impl Worker {
    /// Takes a proxy's header off the first `filled` bytes of the input, and goes on with what is behind it.
    #[cold]
    pub(super) fn take_proxy_header(
        &mut self,
        connection: &mut Connection,
        filled: usize,
    ) -> Disposition {
        match self.take_header(connection, filled) {
            Ok(from) if from == filled => {
                // The time for the first request goes on.
                connection.pending = Vec::new();
                Disposition::Stays
            }
            Ok(from) => self.exchange(connection, from, filled),
            Err(disposition) => disposition,
        }
    }

    /// Takes a proxy's header off the first `filled` bytes of the input; where what is behind it begins.
    ///
    /// # Errors
    /// What becomes of the connection when there is none to be taken yet, or ever.
    #[cold]
    pub(super) fn take_header(
        &mut self,
        connection: &mut Connection,
        filled: usize,
    ) -> Result<usize, Disposition> {
        let input = present(self.input.get(..filled), FITS).unwrap_or_default();
        let address_rules = &self.live.settings.address_rules;
        let is_believed = address_rules.believes(connection.peer.ip());
        let (from, peer) = match (proxy_protocol::read(input), is_believed) {
            (Preamble::Partial { is_certain }, _) if is_believed || !is_certain => {
                self.keep(connection, 0, filled);
                return Err(Disposition::Stays);
            }
            (Preamble::Absent, false) => (0, connection.peer),
            (Preamble::Absent, true) => (0, NOBODY),
            (Preamble::Whole { length, origin }, true) => match origin {
                Origin::Client(named) => (length, address_rules.peer_named(named)),
                Origin::Proxy | Origin::Unknown => (length, NOBODY),
            },
            (Preamble::Partial { .. } | Preamble::Malformed | Preamble::Whole { .. }, _) => {
                return Err(self.refuse_proxy_header(connection));
            }
        };
        connection.expects_proxy_header = false;
        if peer != connection.peer {
            connection.peer = peer;
            // The proxy was asked for when it connected, and it is exempt.
            if let Err(limited) = self.handler.admit_connection(peer.ip()) {
                self.turn_away_named(connection, limited, from, filled);
                return Err(Disposition::Gone);
            }
            // One that came in pieces is held as the proxy's.
            let was_held = connection.hold.take().is_some();
            if was_held && !may_hold(&self.shared, &self.live, connection, Purpose::Work) {
                let counters = self.handler.counters();
                counters.failed(Transport::Http, Failure::Connections);
                return Err(Disposition::Gone);
            }
        }
        Ok(from)
    }

    /// Tells a client that a proxy has named, and that is not to be served, if it has asked already. Who begins TLS understands nothing
    /// before it.
    fn turn_away_named(
        &mut self,
        connection: &Connection,
        limited: Limited,
        from: usize,
        filled: usize,
    ) {
        if connection.tls.is_some() {
            return;
        }
        let input = std::mem::take(&mut self.input);
        let read = present(input.get(from..filled), FITS).unwrap_or_default();
        self.turn_away_read(&connection.socket, None, limited, read);
        self.input = input;
    }

    /// Tells whoever sent a header that it is not taken, and ends the connection.
    fn refuse_proxy_header(&mut self, connection: &mut Connection) -> Disposition {
        let counters = self.handler.counters();
        counters.failed(Transport::Http, Failure::ProxyHeader);
        self.out.clear();
        connection.tls = None;
        let text = "no such PROXY header is taken from here\n";
        reply::text(&mut self.out, "400 Bad Request", CLOSING, text);
        // What does not go out at once is not sent.
        match send(&connection.socket, &self.out) {
            Ok(_) => self.begin_to_drain(connection),
            Err(_) => Disposition::Gone,
        }
    }
}
