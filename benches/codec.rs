//! The codecs of HTTP: an announce's head and query read, its reply written.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use retracker::http::codec::head;
use retracker::http::codec::head::Parsed;
use retracker::http::codec::query;
use retracker::http::codec::query::Parameters;
use retracker::http::codec::reply;
use retracker::http::codec::reply::{AnnounceFormat, Frame};
use retracker::tracker::{AnnounceReply, ListOptions, PeerAddresses, PeerList, ScrapeReply};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// As libtorrent sends it.
const HEAD: &[u8] = b"GET /announce?info_hash=%124Vx%9a%bc%de%f1%23Eg%89%ab%cd%ef%124Vx%9a&peer_id=-LT20B0-sr5%28t%2aqWe7%21z\
&port=6881&uploaded=0&downloaded=0&left=5242880&corrupt=0&key=1A2B3C4D&event=started&numwant=200&compact=1&no_peer_id=1\
&supportcrypto=1&redundant=0 HTTP/1.1\r\nHost: retracker.local\r\nUser-Agent: libtorrent/2.0.11.0\r\n\
Accept-Encoding: gzip\r\nConnection: close\r\n\r\n";

fn reading(bench: &mut Criterion) {
    bench.bench_function("head of an announce", |bench| {
        bench.iter(|| head::parse(black_box(HEAD)));
    });
    let Parsed::Complete(head) = head::parse(HEAD) else {
        return;
    };
    let addresses = PeerAddresses::of_source(IP);
    bench.bench_function("query of an announce", |bench| {
        bench.iter(|| {
            let parameters = Parameters::read(black_box(head.query), b"gc");
            let required = parameters.required().unwrap();
            (
                parameters.announce(&required, &addresses, ListOptions::default()),
                parameters.is_compact(),
            )
        });
    });
    let hash = "info_hash=%12%34%56%78%9a%bc%de%f1%23%45%67%89%ab%cd%ef%12%34%56%78%9a&";
    let mut hashes = Vec::new();
    bench.bench_function("query of a scrape of 50", |bench| {
        let query = hash.repeat(50);
        bench.iter(|| query::scrape(black_box(query.as_bytes()), 100, &mut hashes).unwrap());
    });
}

fn writing(bench: &mut Criterion) {
    let frame = Frame {
        closes: true,
        ..Frame::default()
    };
    let list = PeerList {
        v4: vec![[192, 0, 2, 1, 26, 225]; 50],
        ..PeerList::default()
    };
    let announced = AnnounceReply {
        complete: 40,
        incomplete: 11,
        downloaded: 321,
        interval: 1_776,
        min_interval: 1_598,
        warned_by: None,
    };
    let mut out = Vec::new();
    for (name, is_compact) in [
        ("reply of 50 compact peers", true),
        ("reply of 50 dictionaries", false),
    ] {
        let form = AnnounceFormat {
            is_compact,
            wants_v6: false,
            external_ip: None,
        };
        bench.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                let begun = reply::begin(&mut out, "200 OK", frame);
                reply::announce(
                    &mut out,
                    black_box(&announced),
                    black_box(&list),
                    form,
                    None,
                );
                reply::finish(&mut out, &begun);
                out.len()
            });
        });
    }
    bench.bench_function("reply of a scrape of 50", |bench| {
        let files = (0..50_u8).map(|number| {
            (
                retracker::tracker::InfoHash([number; 20]),
                ScrapeReply::default(),
            )
        });
        bench.iter(|| {
            out.clear();
            reply::scrape(&mut out, black_box(files.clone()));
            out.len()
        });
    });
}

criterion_group!(codec, reading, writing);
criterion_main!(codec);
