#!/usr/bin/env python3
"""What anybody may send: R25, R26, R28, R29, R30 and R32 of the reliability page, on the built program.

    tests/e2e/strangers.py --binary target/release/retracker
    tests/e2e/strangers.py --binary … r28 r30

Part of the gate: it judges what is right or wrong on any machine, never how long something takes. It runs in a network of its own
whose loopback has 10.0.0.0/8, 172.16.0.0/12 and 2001:db8::/32, so that strangers come from any address, one /24 or one /64.
"""

import argparse
import contextlib
import http.client
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import ask
import flood
import lab
from abused import HEAD, HOST, PATIENCE, Failed, Tracker, expect
from flood import HOST_6

GZIPPED = zlib.compress(bytes(60 << 20), 9, wbits=31)


def r25_encoded_bodies(binary):
    """R25: request bodies that are encoded, or longer than their bound, are refused before anything is decoded."""
    bodies = [
        (f"Content-Encoding: {encoding}\r\nContent-Length: {len(GZIPPED)}\r\n", GZIPPED)
        for encoding in ("gzip", "GZIP", "deflate, gzip", "br")
    ] + [
        ("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(GZIPPED), GZIPPED)),
        (f"Content-Length: {1 << 20}\r\n", bytes(1 << 20)),
    ]

    def post(number):
        fields, body = bodies[number % len(bodies)]
        head = f"POST /login HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n{fields}\r\n"
        return flood.exchange(tracker, "10.25.0.1", [head.encode() + body])[:12]

    with Tracker(binary, flood.BOTH) as tracker:
        post(0)
        before = most = tracker.resident()
        with ThreadPoolExecutor(20) as pool:
            tasks = [pool.submit(post, number) for number in range(1_000)]
            while not all(task.done() for task in tasks):
                most = max(most, tracker.resident())
                time.sleep(0.01)
        said = {task.result() for task in tasks}
        told = {bytes(line).decode("latin-1") for line in said}
        refusals = {b"", b"HTTP/1.1 413", b"HTTP/1.1 415", b"HTTP/1.1 429", b"HTTP/1.1 503"}
        expect(said <= refusals, f"1,000 of them are refused or closed: {sorted(told)}")
        grown = (max(most, tracker.resident()) - before) / (1 << 20)
        expect(grown < 32, f"memory grew by {grown:.1f} MiB")
        expect(tracker.lives() and tracker.answers(PATIENCE), "it lives and answers")


def r26_answers_to_answers(binary):
    """R26: nothing comes of an answer that is taken for a request, and nobody who proved nothing gets more than he sent."""
    with Tracker(binary, flood.BOTH) as tracker:
        connect = struct.pack(">QI", ask.UDP_MAGIC, 0) + b"self"
        wrong = [struct.pack(">QI", 0x1234_5678_9ABC_DEF0, action) + b"self" + b"x" * rest
                 for action in range(5) for rest in (0, 1, 16, 17, 20, 82, 84, 200, 1_400)]
        for packet in [*wrong, connect]:
            flood.forge(packet, (HOST, tracker.port), (HOST, tracker.port))
        tracker.until(lambda: flood.received(tracker) > 0)
        # Whoever answers himself does so for ever, some ten thousand times a second.
        tracker.until(lambda: flood.is_flat(tracker), "what it sends to itself ends")
        for address, local in ((HOST, HOST), (HOST_6, HOST_6)):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.settimeout(PATIENCE)
                asker.bind((local, 0))
                asker.connect((address, tracker.port))
                for packet in wrong:
                    # A connect behind it: its reply says that nothing came of the packet.
                    asker.send(packet)
                    asker.send(connect)
                    reply = asker.recv(4_096)
                    while reply[:4] != bytes(4):
                        if len(reply) >= len(packet):
                            raise Failed(f"{len(packet)} bytes get {len(reply)}: {packet[:20]!r} {reply[:60]!r}")
                        reply = asker.recv(4_096)
                    if len(reply) > len(connect):
                        raise Failed(f"a connect gets {len(reply)} bytes")
        expect(True, f"{2 * len(wrong)} replies to wrong connection ids are shorter than what they answer, or none")


def r28_full_bounds(binary):
    """R28: whoever fills a bound, from one address, one /64, ten /64 or one /24, honest newcomers are stored and meet at once."""
    # The bound, and how many announces are made to fill it twice and more.
    bounds = {
        "torrents": ("max_torrents = 2000", 4_000),
        "torrents without peers": ("max_torrents = 2000", 4_000),
        "peers": ("max_peers = 2000", 4_000),
        # Ports of one source in one torrent are bounded before that, so here they are not.
        "peers of a torrent": ("max_peers_per_torrent = 100\nmax_ports_per_address = 0", 300),
    }
    faults = []
    for bound, (option, count) in bounds.items():
        options = f"{flood.BOTH}peer_cleanup_period = 1\n{option}\n[LOGGING]\nlevel = DEBUG\n"
        for name, sources in flood.SOURCES.items():
            with Tracker(binary, options) as tracker:
                honest = honest_counts(tracker)
                crowded = os.urandom(20)
                flood.FILL[bound](tracker, sources, count, crowded)
                met = sum(meet(tracker, number, crowded if bound == "peers of a torrent" else os.urandom(20)) for number in range(20))
                swept = tracker.log_text().count("sweep: ") + 1
                tracker.until(lambda: tracker.log_text().count("sweep: ") > swept)
                kept = {info_hash: ask.http_scrape(HOST, tracker.port, info_hash) for info_hash in honest}
                told = f"{bound} by {name}: {met} of 20 honest pairs meet"
                if kept != honest:
                    told += f"; what others have is counted as {list(kept.values())}, not {list(honest.values())}"
                print(f"      {told}", flush=True)
                if met < 20 or kept != honest:
                    faults.append(told)
    expect(not faults, f"honest pairs meet at every full bound{f', but not: {faults}' if faults else ''}")


def honest_counts(tracker):
    """A torrent with a download to its name and a peer in it, and what a scrape tells of it."""
    info_hash = os.urandom(20)
    peer = {"peer_id": b"-E20001-honestseeder", "key": "a1b2c3d4"}
    ask.http_announce(HOST, tracker.port, info_hash, source="10.99.1.1", event="started", left=1, **peer)
    ask.http_announce(HOST, tracker.port, info_hash, source="10.99.1.1", event="completed", left=0, **peer)
    counts = {info_hash: ask.http_scrape(HOST, tracker.port, info_hash)}
    if list(counts.values()) != [(1, 0, 1)]:
        raise Failed(f"an honest download is counted as {counts}")
    return counts


def meet(tracker, number, info_hash):
    """Whether two peers that come one after the other find one another."""
    first, second = f"10.{101 + number}.1.1", f"10.{131 + number}.1.1"
    ask.http_announce(HOST, tracker.port, info_hash, source=first, port=1_001, event="started", numwant=200)
    told = ask.http_announce(HOST, tracker.port, info_hash, source=second, port=1_002, event="started", numwant=200)
    return (first, 1_001) in ask.addresses(told)


def r29_crowding(binary):
    """R29: one address gets at most 4 % of a stranger's list of a swarm of 300, ten 20 %, one /64 4 %."""
    crowds = {
        "one address with 50 ports": ([("10.66.6.6", port) for port in range(1, 51)], 0.04),
        "ten addresses with 50 ports": ([(f"10.66.{host}.6", port) for host in range(10) for port in range(1, 51)], 0.20),
        "500 addresses of one /64": ([(f"2001:db8:66:6::{host:x}", 50) for host in range(1, 501)], 0.04),
    }
    for name, (crowd, most) in crowds.items():
        with Tracker(binary, flood.BOTH) as tracker:
            info_hash = os.urandom(20)
            for number in range(300):
                is_six = number % 2 and ":" in crowd[0][0]
                source = f"2001:db8:{100 + number:x}::1" if is_six else f"10.{100 + number // 250}.{number % 250}.9"
                flood.announce(tracker, source, [(info_hash, 6881)])
            for source in sorted({source for source, _ in crowd}):
                flood.announce(tracker, source, [(info_hash, port) for address, port in crowd if address == source])
            share, lists = 0, 40
            for number in range(lists):
                source = f"2001:db8:f{number:02x}::7" if ":" in crowd[0][0] else f"172.{16 + number % 16}.{number}.7"
                told = flood.ask_list(tracker, source, info_hash)
                if len(told) < 40:
                    raise Failed(f"{name}: a list of {len(told)}")
                addresses = {address for address, _ in crowd}
                share += sum(address in addresses for address, _ in told) / len(told) / lists
            expect(share <= most + 1e-9, f"{name}: {share:.1%} of {lists} strangers' lists")


def r30_places(binary):
    """R30: stalled bodies and idle connections of a few keep nobody from /health, the pages or an answer."""
    with Tracker(binary, flood.BOTH) as tracker, contextlib.ExitStack() as stack:
        def hold(source, request):
            client = stack.enter_context(flood.connection(tracker, source))
            client.sendall(request)
            return client

        def admin_gets(path):
            try:
                return ask.http_get(HOST, tracker.port, path)[0]
            except (OSError, http.client.HTTPException) as error:
                return str(error)

        # The tracker answers a moment before the pages have started.
        tracker.until(lambda: admin_gets("/health") == 200 and admin_gets("/login") == 200)
        post = b"POST /login HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nusername="
        for number in range(300):
            hold(f"10.30.0.{1 + number % 3}", post)
        # Some times over, since places are taken a little later than they are asked for.
        for _ in range(10):
            asked = {path: admin_gets(path) for path in ("/health", "/ready", "/metrics", "/login")}
            if set(asked.values()) != {200}:
                raise Failed(f"beside 300 stalled bodies of three addresses admins are not answered: {asked}")
            time.sleep(0.1)
        expect(True, "beside 300 stalled bodies of three addresses admins are answered")

        for number in range(100):
            client = hold("10.30.1.1", HEAD + b"\r\n")
            if not client.recv(4_096).startswith(b"HTTP/1.1 200"):
                raise Failed(f"idle connection {number} was not answered at first")
        request = HEAD + b"Connection: close\r\n\r\n"
        answered = sum(
            flood.exchange(tracker, "10.30.1.1", [request[:40], request[40:]], pause=0.05).startswith(b"HTTP/1.1 200")
            for _ in range(30)
        )
        expect(answered == 30, f"{answered} of 30 requests in two segments are answered beside 100 idle connections of their address")
        expect(admin_gets("/health") == 200, "/health answers")


def r32_early_signals(binary):
    """R32: a signal in the first 0.3 s ends it in order, or not at all."""
    chance = random.Random(32)
    ends = {}
    for number in range(100):
        name = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM")[number % 4]
        with Tracker(binary, starts=False) as tracker:
            delay = chance.random() * 0.3
            time.sleep(delay)
            tracker.process.send_signal(getattr(signal, name))
            if name == "SIGTERM":
                outcome = tracker.process.wait(PATIENCE)
            else:
                with contextlib.suppress(Failed):
                    tracker.until(lambda: not tracker.lives() or tracker.answers(PATIENCE))
                outcome = "lives" if tracker.lives() and tracker.answers(PATIENCE) else tracker.process.poll()
            if outcome not in (0, "lives") and not tracker.log_text():
                # Before the program's first line of code nobody can hear a signal; what has said nothing has done nothing.
                outcome = "had not begun"
            ends.setdefault((name, outcome), []).append(round(delay * 1e3))
    wrong = {end: delays for end, delays in ends.items() if end[1] not in (0, "lives", "had not begun")}
    told = ", ".join(f"{name}: {outcome} {len(delays)} ×" for (name, outcome), delays in sorted(ends.items(), key=str))
    expect(not wrong, f"{told}{f'; wrong after ms: {wrong}' if wrong else ''}")


CHECKS = {
    "r25": r25_encoded_bodies,
    "r26": r26_answers_to_answers,
    "r28": r28_full_bounds,
    "r29": r29_crowding,
    "r30": r30_places,
    "r32": r32_early_signals,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=os.path.abspath)
    parser.add_argument("checks", nargs="*", choices=[*CHECKS, []], default=[])
    arguments = parser.parse_args()
    lab.enter()
    flood.give_addresses()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    failed = 0
    names = arguments.checks or list(CHECKS)
    for name in names:
        check = CHECKS[name]
        print(f"{name.upper():4}  {check.__doc__.split(': ', 1)[1]}", flush=True)
        try:
            check(arguments.binary)
            print("      ok", flush=True)
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"      FAILED: {error}", flush=True)
    print(f"strangers: {len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
