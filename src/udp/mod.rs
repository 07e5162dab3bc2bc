//! The UDP tracker (BEP 15, BEP 41): its settings, its sockets and its threads.
//!
//! Every worker thread has a socket of its own for one address; the system spreads the clients over the sockets by a hash of
//! their addresses. [`handler`] decides what is answered; `worker` moves datagrams in batches.

pub mod connection_id;
pub mod handler;
pub mod packet;

mod sender;
mod socket;
mod watched;
mod worker;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{JoinHandle, available_parallelism};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::net::limits::Limits;
use crate::net::reported_address::Rules;
use crate::supervise;
use crate::tracker::Tracker;
use crate::watch::Watch;
use connection_id::ConnectionIds;
use handler::Handler;
use worker::Worker;

/// Workers for one address at most, whatever is configured.
pub const MAX_WORKERS: usize = 256;

/// How the UDP tracker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether there is a UDP tracker (`enabled`). Default yes.
    pub is_enabled: bool,
    /// Where it listens (`listen`, or `port` on the tracker's addresses); a v6 address takes v6 clients only. Default all v4 and
    /// all v6 addresses, port 8080.
    pub listen: Vec<SocketAddr>,
    /// Threads for each address (`workers`). Default 0: one for each core. At most 256.
    pub workers: usize,
    /// Receive buffer of each socket in bytes (`receive_buffer`). The system may grant less (`net.core.rmem_max`) to a process
    /// that is not privileged. Default 4 MiB: about 10,000 waiting announces. 0: what the system gives.
    pub receive_buffer: usize,
    /// Send buffer of each socket in bytes (`send_buffer`). Default 0: what the system gives.
    pub send_buffer: usize,
    /// Whether a reply leaves from the address that its request came to, when a socket listens on all addresses
    /// (`pin_source`). The system would choose by the route back, and a client drops what comes from elsewhere. It costs
    /// a quarter of a microsecond of four for each request. Default yes.
    pub pin_source: bool,
    /// Whether it listens at addresses that the host does not have yet (`free_bind`). Default no: such an address is an error.
    pub free_bind: bool,
    /// When the address in an announce counts (`ignore_reported_ip` and what goes with it). Only v4 clients can report one: the
    /// field has four bytes. Default: never.
    pub reported: Rules,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            is_enabled: true,
            listen: vec![
                SocketAddr::from(([0; 4], 8080)),
                SocketAddr::from(([0_u16; 8], 8080)),
            ],
            workers: 0,
            receive_buffer: 4 << 20,
            send_buffer: 0,
            pin_source: true,
            free_bind: false,
            reported: Rules::default(),
        }
    }
}

/// Opens the sockets, one for each worker and address. Sockets that were `inherited` (from a service manager) replace
/// all configured addresses; the workers of an address share one then.
///
/// # Errors
/// When an address is taken, by another instance too, or is none of this host.
pub fn bind(settings: &Settings, inherited: Vec<UdpSocket>) -> io::Result<Bound> {
    let workers = match settings.workers {
        0 => available_parallelism().map_or(1, usize::from),
        workers => workers.min(MAX_WORKERS),
    };
    let mut bound = Bound {
        sockets: Vec::new(),
        addresses: Vec::new(),
        reported: Arc::new(ArcSwap::from_pointee(settings.reported.clone())),
        ids: None,
        limits: Arc::default(),
        watch: Arc::new(Watch::new(Clock::start())),
    };
    if !settings.is_enabled {
        return Ok(bound);
    }
    if inherited.is_empty() {
        for address in &settings.listen {
            match socket::open(*address, workers, settings) {
                Ok(sockets) => bound.add(sockets)?,
                Err(error) if socket::is_family_missing(*address, &error) => {
                    log::warn!("no IPv6 on this host: UDP is served over IPv4 only");
                }
                Err(error) => return Err(error),
            }
        }
    }
    for socket in inherited {
        bound.add(socket::adopt(socket, workers, settings)?)?;
    }
    Ok(bound)
}

/// Sockets that wait for their threads.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<socket::Opened>,
    addresses: Vec<SocketAddr>,
    reported: Arc<ArcSwap<Rules>>,
    ids: Option<ConnectionIds>,
    limits: Arc<Limits>,
    watch: Arc<Watch>,
}

impl Bound {
    /// Drops what comes from sources that send too much, or are banned.
    pub fn limit(&mut self, limits: Arc<Limits>) {
        self.limits = limits;
    }

    /// Tells what is answered to whoever watches; without it nobody can.
    pub fn watch(&mut self, watch: Arc<Watch>) {
        self.watch = watch;
    }

    /// Goes on with `ids` of a process before this. Without them ids are made under a key of their own.
    pub fn resume(&mut self, ids: ConnectionIds) {
        self.ids = Some(ids);
    }

    fn add(&mut self, sockets: Vec<socket::Opened>) -> io::Result<()> {
        if let Some(first) = sockets.first() {
            self.addresses.push(first.socket.local_addr()?);
        }
        self.sockets.extend(sockets);
        Ok(())
    }

    /// The addresses with their real ports, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many threads there will be, each of which has counters of its own.
    pub fn threads(&self) -> usize {
        self.sockets.len()
    }

    /// Starts the threads; their counters are those from `first_worker` on, and they report on `ends` if they end.
    ///
    /// # Errors
    /// When the system gives no thread or no random bytes; what was started has been stopped then.
    pub fn start(
        self,
        tracker: &Arc<Tracker>,
        clock: Clock,
        first_worker: usize,
        ends: &Sender<supervise::Exit>,
    ) -> io::Result<Running> {
        let ids = match self.ids {
            Some(ids) => ids,
            None => ConnectionIds::generate().map_err(io::Error::other)?,
        };
        let mut running = Running {
            stop: Arc::default(),
            threads: Vec::new(),
            reported: self.reported,
        };
        for (index, opened) in self.sockets.into_iter().enumerate() {
            let handler = Handler::new(Arc::clone(tracker), ids, Arc::clone(&running.reported));
            let worker = Worker {
                opened,
                handler: handler.limited(&self.limits).watched(&self.watch),
                metrics: Arc::clone(tracker.metrics()),
                index: first_worker + index,
                clock,
                stop: Arc::clone(&running.stop),
            };
            let thread =
                supervise::start(&format!("udp-{index}"), ends.clone(), move || worker.run());
            match thread {
                Ok(thread) => running.threads.push(thread),
                Err(error) => {
                    running.stop();
                    return Err(error);
                }
            }
        }
        Ok(running)
    }
}

/// The threads of a UDP tracker that serves.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    reported: Arc<ArcSwap<Rules>>,
}

impl Running {
    /// Puts `reported` of the settings in force; the rest is taken at the start only.
    pub fn configure(&self, settings: &Settings) {
        self.reported.store(Arc::new(settings.reported.clone()));
    }

    /// Lets every worker finish its batch and waits for it: a quarter of a second at most.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A panic has been reported where it was caught.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Failure, Metrics};
    use crate::tracker;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    /// A UDP tracker on ports of its own.
    struct Served {
        running: Running,
        metrics: Arc<Metrics>,
        addresses: Vec<SocketAddr>,
        ends: Receiver<supervise::Exit>,
    }

    fn serve(settings: &Settings, inherited: Vec<UdpSocket>) -> Served {
        let bound = bind(settings, inherited).unwrap();
        let metrics = Arc::new(Metrics::new(bound.threads()));
        let tracker = Tracker::new(tracker::Settings::default(), Arc::clone(&metrics));
        let addresses = bound.addresses().to_vec();
        let (sender, ends) = channel();
        let running = bound
            .start(&Arc::new(tracker), Clock::start(), 0, &sender)
            .unwrap();
        Served {
            running,
            metrics,
            addresses,
            ends,
        }
    }

    fn on(listen: &[&str], workers: usize) -> Settings {
        Settings {
            listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
            workers,
            ..Settings::default()
        }
    }

    fn client(bind: &str, to: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind(bind).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        socket.connect(to).unwrap();
        socket
    }

    fn ask(socket: &UdpSocket, request: &[u8]) -> Vec<u8> {
        socket.send(request).unwrap();
        let mut reply = [0; 2_048];
        let length = socket.recv(&mut reply).unwrap();
        reply[..length].to_vec()
    }

    const CONNECT: &[u8] = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0tran";

    fn announce(socket: &UdpSocket, port: u16) -> Vec<u8> {
        let mut packet = ask(socket, CONNECT)[8..].to_vec();
        packet.extend(b"\0\0\0\x01tran");
        packet.extend([7; 20]);
        packet.extend([port.to_be_bytes()[1]; 20]);
        packet.extend([1; 24]);
        packet.extend([0; 12]);
        packet.extend([255; 4]);
        packet.extend(port.to_be_bytes());
        ask(socket, &packet)
    }

    /// P13, P15
    #[test]
    fn both_families_are_served_from_one_swarm_each_with_its_own_peers() {
        let served = serve(&on(&["127.0.0.1:0", "[::1]:0"], 2), Vec::new());
        let [v4, v6] = served.addresses[..] else {
            panic!("two addresses");
        };
        let first = client("127.0.0.1:0", v4);
        assert_eq!(announce(&first, 1).len(), 20);
        let second = client("127.0.0.2:0", v4);
        assert_eq!(announce(&second, 2)[20..], *b"\x7f\0\0\x01\0\x01");
        let third = client("[::1]:0", v6);
        let reply = announce(&third, 3);
        assert_eq!((reply.len(), reply[15]), (20, 3));
        served.running.stop();
        assert!(served.ends.iter().all(|end| end.fault.is_none()));
    }

    #[test]
    fn a_second_instance_on_the_same_port_does_not_start() {
        let settings = on(&["127.0.0.1:0"], 2);
        let bound = bind(&settings, Vec::new()).unwrap();
        let taken = Settings {
            listen: bound.addresses().to_vec(),
            ..settings
        };
        let error = bind(&taken, Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(bound);
        bind(&taken, Vec::new()).unwrap();
    }

    #[test]
    fn every_worker_gets_its_share_of_the_clients() {
        let bound = bind(&on(&["127.0.0.1:0"], 3), Vec::new()).unwrap();
        for _ in 0..300 {
            let socket = client("127.0.0.1:0", bound.addresses()[0]);
            socket.send(CONNECT).unwrap();
        }
        let shares = bound.sockets.iter().map(|opened| {
            opened.socket.set_nonblocking(true).unwrap();
            let received = std::iter::from_fn(|| opened.socket.recv(&mut [0; 16]).ok());
            received.count()
        });
        let shares: Vec<usize> = shares.collect();
        assert_eq!(shares.iter().sum::<usize>(), 300);
        assert!(shares.iter().all(|share| *share > 30), "{shares:?}");
    }

    /// P25: a connected socket drops what comes from elsewhere
    #[test]
    fn a_reply_leaves_from_the_address_that_was_asked() {
        let served = serve(&on(&["0.0.0.0:0", "[::]:0"], 1), Vec::new());
        let port = served.addresses[0].port();
        for host in [1, 9] {
            let socket = client("127.0.0.1:0", SocketAddr::from(([127, 0, 0, host], port)));
            assert_eq!(announce(&socket, 1).len(), 20);
        }
        let v6 = SocketAddr::new("::1".parse().unwrap(), served.addresses[1].port());
        assert_eq!(announce(&client("[::1]:0", v6), 2).len(), 20);
        served.running.stop();
    }

    /// P25, P13: as a service manager hands them over, the v6 one for both families
    #[test]
    fn an_inherited_socket_replies_from_the_address_that_was_asked() {
        for (bound, hosts) in [
            ("0.0.0.0:0", ["127.0.0.9", "127.0.0.1"]),
            ("[::]:0", ["127.0.0.9", "::1"]),
        ] {
            let socket = UdpSocket::bind(bound).unwrap();
            let port = socket.local_addr().unwrap().port();
            let served = serve(&on(&[], 2), vec![socket]);
            for host in hosts {
                let to = SocketAddr::new(host.parse().unwrap(), port);
                let from = if to.is_ipv4() {
                    "127.0.0.1:0"
                } else {
                    "[::1]:0"
                };
                assert_eq!(announce(&client(from, to), 1).len(), 20, "{bound} {host}");
            }
            served.running.stop();
            assert_eq!(served.metrics.totals().failures(Failure::Socket), 0);
        }
    }

    /// P25: a burst to several addresses at once
    #[test]
    fn replies_of_one_batch_leave_from_the_addresses_that_were_asked() {
        let served = serve(&on(&["0.0.0.0:0"], 1), Vec::new());
        let port = served.addresses[0].port();
        let clients: Vec<UdpSocket> = (0..60_u8)
            .map(|host| {
                client(
                    "127.0.0.1:0",
                    SocketAddr::from(([127, 0, host % 7, 1 + host / 20], port)),
                )
            })
            .collect();
        for _ in 0..20 {
            for socket in &clients {
                socket.send(CONNECT).unwrap();
            }
            for socket in &clients {
                assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 16);
            }
        }
        served.running.stop();
    }

    /// C3: the standby of an address that moves between hosts
    #[test]
    fn an_address_that_comes_later_is_listened_at_with_free_bind_only() {
        let settings = on(&["192.0.2.77:0", "[2001:db8::77]:0"], 2);
        let error = bind(&settings, Vec::new()).unwrap_err().to_string();
        assert!(
            error.contains("192.0.2.77") && error.contains("free_bind"),
            "{error}"
        );
        let settings = Settings {
            free_bind: true,
            ..settings
        };
        assert_eq!(bind(&settings, Vec::new()).unwrap().threads(), 4);
    }

    #[test]
    fn inherited_sockets_take_the_place_of_the_configured_addresses() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let served = serve(&on(&["192.0.2.1:1"], 2), vec![socket]);
        assert_eq!(served.addresses, [address]);
        assert_eq!(announce(&client("127.0.0.1:0", address), 1).len(), 20);
        served.running.stop();
    }

    #[test]
    fn no_thread_runs_when_it_is_disabled() {
        let settings = Settings {
            is_enabled: false,
            ..on(&["127.0.0.1:0"], 1)
        };
        assert_eq!(bind(&settings, Vec::new()).unwrap().threads(), 0);
    }

    /// R5: errors that ICMP brings back end no worker
    #[test]
    fn clients_that_vanish_do_not_hurt_those_that_stay() {
        let served = serve(&on(&["127.0.0.1:0"], 1), Vec::new());
        let to = served.addresses[0];
        for _ in 0..300 {
            client("127.0.0.1:0", to).send(CONNECT).unwrap();
        }
        for _ in 0..10 {
            assert_eq!(ask(&client("127.0.0.1:0", to), CONNECT).len(), 16);
        }
        served.running.stop();
        assert_eq!(served.metrics.totals().failures(Failure::Malformed), 0);
    }

    /// R5
    #[test]
    fn bursts_are_answered_in_batches_and_to_the_right_clients() {
        let served = serve(&on(&["127.0.0.1:0"], 1), Vec::new());
        let clients: Vec<UdpSocket> = (0..50)
            .map(|_| client("127.0.0.1:0", served.addresses[0]))
            .collect();
        for round in 0..20_u8 {
            for (index, socket) in clients.iter().enumerate() {
                let mut connect = CONNECT.to_vec();
                connect[14..].copy_from_slice(&[round, u8::try_from(index).unwrap()]);
                socket.send(&connect).unwrap();
            }
            for (index, socket) in clients.iter().enumerate() {
                let mut reply = [0; 100];
                assert_eq!(socket.recv(&mut reply).unwrap(), 16);
                assert_eq!(reply[6..8], [round, u8::try_from(index).unwrap()]);
            }
        }
        served.running.stop();
    }
}
