#!/usr/bin/env python3
"""A crowd of UDP clients that announce at a steady rate, from the addresses of a network that is this host's own.

Every client is a leecher in one torrent; all of them are told by their number, so that whoever asks knows what must be there: torrent
`hash_of(seed, n % torrents)`, the address and the port of client n. Prints one line of JSON: announces, replies, refusals, and how late
the slowest reply came.
"""

import argparse
import hashlib
import ipaddress
import json
import select
import socket
import struct
import sys
import time
import zlib

UDP_MAGIC = 0x41727101980
# Clients that share an address have ports from here on.
FIRST_PORT = 2_000
FREEBIND = 15
# A connection id is to be used for a minute (BEP 15).
ID_SECONDS = 60


def hash_of(seed, number):
    return hashlib.sha1(f"{seed}/{number}".encode()).digest()


def client(network, sources, number):
    """Address and port of a client."""
    first = int(ipaddress.ip_network(network)[1])
    return str(ipaddress.ip_address(first + number % sources)), FIRST_PORT + number // sources


class Source:
    """One address with a connection id."""

    def __init__(self, address, tracker):
        self.own = zlib.crc32(address.encode())
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
        self.socket.bind((address, 0))
        self.socket.connect(tracker)
        self.id = None

    def connect(self):
        self.socket.send(struct.pack(">QII", UDP_MAGIC, 0, 0xFFFFFFFF))

    def announce(self, number, info_hash, port, event, left, downloaded=0):
        peer_id = b"-E20001-" + struct.pack(">IQ", number, self.own)
        self.socket.send(self.id + struct.pack(">II", 1, number) + info_hash + peer_id
                         + struct.pack(">QQQIIIiH", downloaded, left, 0, event, 0, number + 1, 0, port))


class Crowd:
    """Clients, what of theirs is under way, and what has come of it."""

    def __init__(self, options):
        self.options = options
        self.by_file = {}
        for number in range(options.sources):
            address, _ = client(options.network, options.sources, number)
            source = Source(address, (options.tracker, options.port))
            self.by_file[source.socket.fileno()] = source
        self.sources = list(self.by_file.values())
        self.poll = select.epoll()
        for source in self.sources:
            self.poll.register(source.socket.fileno(), select.EPOLLIN)
        self.waiting, self.slowest = {}, 0.0
        self.told = dict.fromkeys(("announces", "repeats", "replies", "refusals"), 0)

    def read(self, seconds):
        for file, _ in self.poll.poll(seconds):
            source = self.by_file[file]
            try:
                while True:
                    self.take(source, source.socket.recv(2_048, socket.MSG_DONTWAIT))
            except BlockingIOError:
                continue
            except ConnectionRefusedError:
                # Nobody listens for the moment: what was sent is sent again.
                continue

    def take(self, source, reply):
        action, transaction = struct.unpack_from(">II", reply)
        if action == 0:
            source.id = reply[8:16]
            return
        sent = self.waiting.pop(transaction, None)
        if sent is None:
            return
        self.slowest = max(self.slowest, time.monotonic() - sent[0])
        self.told["replies" if action == 1 else "refusals"] += 1
        if action != 1:
            self.told.setdefault("why", reply[8:].decode(errors="replace"))

    def connect(self):
        end = time.monotonic() + 60
        while not all(source.id for source in self.sources):
            if time.monotonic() > end:
                sys.exit("no connection id")
            for source in self.sources:
                if not source.id:
                    source.connect()
            self.read(0.5)

    def send(self, number):
        options = self.options
        source = self.sources[(number - options.first) % len(self.sources)]
        at = number - options.first
        _, port = client(options.network, options.sources, at)
        info_hash = hash_of(options.seed, at % options.torrents)
        event = {"started": 2, "completed": 1, "stopped": 3, "none": 0}[options.event]
        source.announce(number, info_hash, port, event, 0 if options.event == "completed" else options.left)

    def run(self):
        options = self.options
        self.connect()
        began, sent = time.monotonic(), 0
        renewed, give_up = began, None
        while sent < options.count or self.waiting:
            now = time.monotonic()
            if now - renewed > ID_SECONDS / 2:
                # The old ids are used until the new ones are there.
                renewed = now
                for source in self.sources:
                    source.connect()
            due = min(options.count, int((now - began) * options.rate) + 1)
            while sent < due:
                number = options.first + sent
                self.waiting[number] = (time.monotonic(), time.monotonic())
                self.told["announces"] += 1
                self.send(number)
                sent += 1
            self.read(0.001 if sent < options.count else 0.1)
            self.repeat()
            if sent == options.count:
                give_up = give_up or now + 60
                if now > give_up:
                    break
        self.told |= {"lost": len(self.waiting), "slowest_ms": round(self.slowest * 1e3), "seconds": round(time.monotonic() - began, 1)}
        print(json.dumps(self.told))

    def repeat(self):
        """What is not answered after two seconds is sent again: datagrams may be lost."""
        now = time.monotonic()
        if now - getattr(self, "repeated", 0) < 0.5:
            return
        self.repeated = now
        late = [number for number, (_, last) in self.waiting.items() if now - last > 2]
        for number in late[:1_000]:
            self.waiting[number] = (self.waiting[number][0], now)
            self.told["repeats"] += 1
            self.send(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracker")
    parser.add_argument("port", type=int)
    parser.add_argument("--network", required=True)
    parser.add_argument("--sources", type=int, default=251, help="addresses; no divisor in common with the torrents")
    parser.add_argument("--torrents", type=int, default=100)
    parser.add_argument("--seed", default="crowd")
    parser.add_argument("--first", type=int, default=0, help="number of the first client, which tells it from those of other crowds")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=1_000, help="announces per second")
    parser.add_argument("--event", choices=["started", "completed", "stopped", "none"], default="started")
    parser.add_argument("--left", type=int, default=1)
    Crowd(parser.parse_args()).run()


if __name__ == "__main__":
    main()
