//! One UDP socket of the laboratory. Answers that wait hold up no other.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use arc_swap::ArcSwap;
use rustix::event::PollFlags;

use super::publisher::Place;
use super::shared::Shared;
use super::stop::Waited;
use crate::lab::exchange::{Answer, Body, Request, Step, Transport};
use crate::net::reported_address::Rules;
use crate::tracker::AnnounceContext;
use crate::udp::connection_id::ConnectionIds;
use crate::udp::handler::Handler;
use crate::udp::packet::MAX_REPLY_V4;

/// Longest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// Datagrams read before others that wait are looked at.
const BATCH: usize = 64;

/// Answers that wait at once, and their bytes with those of their requests; what comes beyond is answered without its steps from the first
/// wait on.
const MAX_WAITING: usize = 4_096;
const MAX_WAITING_BYTES: usize = 16 << 20;

/// One socket.
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    shared: Arc<Shared>,
    handler: Handler,
    rng: fastrand::Rng,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
}

/// An answer of which something is still to be sent.
struct Waiting {
    place: Place,
    request: Request,
    answer: Answer,
    steps: IntoIter<Step>,
    due: Duration,
}

impl Waiting {
    fn bytes(&self) -> usize {
        let request = match &self.request.body {
            Body::Datagram(bytes) | Body::Unreadable(bytes) => bytes.len(),
            Body::Http(head) => head.raw.len(),
        };
        let steps = self.steps.as_slice().iter().map(|step| match step {
            Step::Send(datagram) => datagram.len(),
            Step::Wait(_) | Step::Close | Step::Reset => 0,
        });
        request + self.answer.sent_bytes() + steps.sum::<usize>()
    }
}

impl Socket {
    pub(super) fn new(
        socket: UdpSocket,
        address: SocketAddr,
        shared: Arc<Shared>,
        ids: ConnectionIds,
    ) -> Socket {
        let reported = Arc::new(ArcSwap::from_pointee(Rules::default()));
        Socket {
            handler: Handler::new(Arc::clone(&shared.tracker), ids, reported),
            rng: fastrand::Rng::with_seed(shared.seed_of(0)),
            socket,
            address,
            shared,
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Serves until the end.
    pub(super) fn run(mut self) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        loop {
            let now = self.shared.clock.real();
            let due = self.waiting.iter().map(|waiting| waiting.due).min();
            let timeout = due.map(|due| due.saturating_sub(now));
            let waited = self.shared.stop.wait(&self.socket, PollFlags::IN, timeout);
            match waited {
                Waited::Over => return,
                Waited::TimedOut => {}
                Waited::Ready => self.receive(&mut datagram),
            }
            let now = self.shared.clock.real();
            let is_due = |waiting: &mut Waiting| waiting.due <= now;
            let due: Vec<Waiting> = self.waiting.extract_if(.., is_due).collect();
            for waiting in due {
                self.waiting_bytes -= waiting.bytes();
                self.go_on(waiting);
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            match self.socket.recv_from(buffer) {
                Ok((length, client)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    self.answer(datagram.to_vec(), client);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing more, or an error of a reply that nobody took.
                Err(_) => return,
            }
        }
    }

    fn answer(&mut self, datagram: Vec<u8>, client: SocketAddr) {
        let (place, at) = self.shared.begin();
        let now = self.shared.clock.now();
        self.shared.keep_up(now);
        let mut out = [0; MAX_REPLY_V4];
        let tracker = Arc::clone(&self.shared.tracker);
        let mut context = AnnounceContext {
            now,
            rng: &mut self.rng,
            counters: tracker.metrics().spare(),
        };
        let length = self
            .handler
            .answer(&datagram, client, &mut context, &mut out);
        let honest = length.and_then(|length| out.get(..length));
        let honest = honest.unwrap_or_default().to_vec();
        let honest = self.shared.told.translate(Transport::Udp, honest);
        let request = Request {
            number: place.number(),
            at,
            transport: Transport::Udp,
            client,
            tracker: self.address,
            connection: None,
            body: Body::Datagram(datagram),
        };
        let delivery = self.shared.decide(&request, honest.clone());
        let answer = Answer {
            honest,
            misbehaviour: delivery.misbehaviour,
            ..Answer::default()
        };
        self.go_on(Waiting {
            place,
            request,
            answer,
            steps: delivery.steps.into_iter(),
            due: at.real,
        });
    }

    /// Whether one more may wait.
    fn has_room(&self, waiting: &Waiting) -> bool {
        self.waiting.len() < MAX_WAITING
            && self.waiting_bytes + waiting.bytes() <= MAX_WAITING_BYTES
    }

    /// Takes the steps of an answer until the next wait.
    fn go_on(&mut self, mut waiting: Waiting) {
        while let Some(step) = waiting.steps.next() {
            match step {
                Step::Wait(time) if self.has_room(&waiting) => {
                    waiting.place.give_up();
                    waiting.due = self.shared.clock.real().saturating_add(time);
                    self.waiting_bytes += waiting.bytes();
                    self.waiting.push(waiting);
                    return;
                }
                Step::Send(datagram) => {
                    let client = waiting.request.client;
                    if self.socket.send_to(&datagram, client).is_ok() {
                        waiting.answer.note_sent(datagram);
                    }
                }
                Step::Wait(_) | Step::Close | Step::Reset => break,
            }
        }
        let Waiting {
            place,
            request,
            mut answer,
            ..
        } = waiting;
        answer.took = self.shared.clock.real().saturating_sub(request.at.real);
        Shared::tell(place, request, answer);
    }
}
