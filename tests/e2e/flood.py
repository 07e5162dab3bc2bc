"""Strangers from any address: a loopback that has whole networks, floods of announces over UDP, forged datagrams."""

import contextlib
import os
import random
import re
import socket
import struct
import zlib
import subprocess
import time

import ask
from abused import HOST, PATIENCE, Failed

HOST_6 = "::1"
# Both loopbacks; the port is the one of the configuration.
BOTH = "host = 127.0.0.1 ::1\n"
NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "2001:db8::/32")
IPV6_FREEBIND = 78
RANDOM = random.Random(28)

# Who floods, as source addresses; each takes its turn.
SOURCES = {
    "one address": ["10.66.6.6"],
    "one /64": [f"2001:db8:66:6:{RANDOM.getrandbits(16):x}::{host:x}" for host in range(1, 201)],
    "ten /64": [f"2001:db8:66:{network:x}::{host:x}" for network in range(10) for host in range(1, 21)],
    "one /24": [f"10.66.7.{host}" for host in range(1, 255)],
}


def give_addresses():
    """Makes every address of the networks one of this host's own."""
    for network in NETWORKS:
        family = ["-6"] if ":" in network else []
        subprocess.run(["ip", *family, "route", "add", "local", network, "dev", "lo"], check=True)


def bound(kind, source):
    """A socket of that kind with that source address."""
    is_six = ":" in source
    made = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET, kind)
    made.settimeout(PATIENCE)
    if is_six:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    made.bind((source, 0))
    return made


def host_for(source):
    return HOST_6 if ":" in source else HOST


def connection(tracker, source):
    made = bound(socket.SOCK_STREAM, source)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.connect((host_for(source), tracker.port))
    return made


def exchange(tracker, source, pieces, pause=0.0):
    """Sends the pieces one by one, then reads to the end; nothing when it was closed without a byte."""
    said = b""
    with contextlib.suppress(ConnectionError, BrokenPipeError), connection(tracker, source) as client:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            for number, piece in enumerate(pieces):
                time.sleep(pause if number else 0)
                client.sendall(piece)
        while more := client.recv(65_536):
            said += more
    return said


class Peer:
    """A UDP client with a connection id."""

    def __init__(self, tracker, source):
        self.socket = bound(socket.SOCK_DGRAM, source)
        self.socket.connect((host_for(source), tracker.port))
        # Clients with the same id, key and port would be one client (S14).
        self.own = zlib.crc32(source.encode())
        reply = ask.exchange(self.socket, struct.pack(">QII", ask.UDP_MAGIC, 0, 7), 7)
        self.id = reply[8:16]

    def packet(self, info_hash, port, event=2, left=1, wanted=0, transaction=8):
        head = self.id + struct.pack(">II", 1, transaction) + info_hash
        peer_id = b"-E20001-" + struct.pack(">IQ", port, self.own)
        return head + peer_id + struct.pack(">QQQIIIiH", 0, left, 0, event, 0, self.own | 1, wanted, port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_all(self, packets):
        """Sends them, a few ahead of the replies; those that are lost are not sent again."""
        self.socket.settimeout(5)
        waiting = 0
        for packet in packets:
            self.socket.send(packet)
            waiting += 1
            if waiting >= 32:
                waiting -= self.drain(waiting - 16)
        self.drain(waiting)

    def drain(self, count):
        for _ in range(count):
            try:
                self.socket.recv(4_096)
            except TimeoutError:
                return count
        return count


def announce(tracker, source, entries):
    """Announces each (info hash, port) as a leecher that starts."""
    with Peer(tracker, source) as peer:
        peer.send_all(peer.packet(info_hash, port) for info_hash, port in entries)


def ask_list(tracker, source, info_hash):
    """The peers that a stranger is handed, who then leaves, as (address, port)."""
    with Peer(tracker, source) as peer:
        reply = ask.exchange(peer.socket, peer.packet(info_hash, 6_999, wanted=50), 8)
        family, size = (socket.AF_INET6, 18) if ":" in source else (socket.AF_INET, 6)
        rest = reply[20:]
        told = [(socket.inet_ntop(family, rest[at : at + size - 2]), int.from_bytes(rest[at + size - 2 : at + size], "big"))
                for at in range(0, len(rest), size)]
        ask.exchange(peer.socket, peer.packet(info_hash, 6_999, event=3, transaction=9), 9)
        return told


def spread(sources, count):
    """How many of so many announces each source makes."""
    return [(source, count // len(sources) + (number < count % len(sources))) for number, source in enumerate(sources)]


def fill_torrents(tracker, sources, count, _):
    for source, share in spread(sources, count):
        announce(tracker, source, [(os.urandom(20), 6881) for _ in range(share)])


def fill_counts(tracker, sources, count, _):
    """Downloads to the name of ever new torrents, of peers that leave at once."""
    for source, share in spread(sources, count):
        with Peer(tracker, source) as peer:
            for _ in range(share):
                info_hash = os.urandom(20)
                peer.send_all([peer.packet(info_hash, 6881, event=2, left=1), peer.packet(info_hash, 6881, event=1, left=0),
                               peer.packet(info_hash, 6881, event=3, left=0)])


def fill_peers(tracker, sources, count, _):
    hashes = [os.urandom(20) for _ in range(1 + count // 20)]
    for number, (source, share) in enumerate(spread(sources, count)):
        announce(tracker, source, [(hashes[(number + at // 20) % len(hashes)], 2_000 + at % 20) for at in range(share)])


def fill_torrent(tracker, sources, count, info_hash):
    for source, share in spread(sources, count):
        announce(tracker, source, [(info_hash, 2_000 + at) for at in range(share)])


FILL = {
    "torrents": fill_torrents,
    "torrents without peers": fill_counts,
    "peers": fill_peers,
    "peers of a torrent": fill_torrent,
}


def forge(payload, source, destination):
    """Sends a datagram in the name of somebody else."""
    (source_ip, source_port), (ip, port) = source, destination
    length = 8 + len(payload)
    # Without checksums: the kernel fills in that of the IP header, and 0 means none in UDP over IPv4.
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source_ip), socket.inet_aton(ip))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + struct.pack(">HHHH", source_port, port, length, 0) + payload, (ip, 0))


def received(tracker):
    """Bytes that came over UDP, as /metrics tells."""
    status, _, text = ask.http_get(HOST, tracker.port, "/metrics")
    if status != 200:
        raise Failed(f"/metrics: HTTP {status}")
    return int(float(re.search(rb'retracker_received_bytes_total\{transport="udp"\} ([0-9.e+]+)', text)[1]))


def is_flat(tracker):
    """Whether nothing comes for a second."""
    before = received(tracker)
    time.sleep(1)
    return received(tracker) == before
