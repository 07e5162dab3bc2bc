"""Asks a tracker as a client would: scrapes and announces over HTTP (BEP 3, 48) and UDP (BEP 15)."""

import http.client
import os
import socket
import struct
import urllib.parse

import torrent

UDP_MAGIC = 0x41727101980


def http_get(address, port, path, headers=None, seconds=5):
    """One GET; gives status, headers and body."""
    connection = http.client.HTTPConnection(address, port, timeout=seconds)
    try:
        connection.request("GET", path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def http_announce(address, tracker_port, info_hash, headers=None, **parameters):
    """Announces; gives the reply as a dictionary."""
    query = {"info_hash": info_hash, "peer_id": b"-E20001-" + os.urandom(12), "port": 6881, "left": 1}
    query |= parameters
    text = "&".join(f"{key}={urllib.parse.quote(value if isinstance(value, bytes) else str(value), safe='')}"
                    for key, value in query.items())
    status, _, body = http_get(address, tracker_port, f"/announce?{text}", headers)
    if status != 200:
        raise ValueError(f"announce: HTTP {status}")
    return torrent.decode(body)


def http_scrape(address, port, info_hash):
    """Gives (complete, incomplete, downloaded) of one torrent."""
    status, _, body = http_get(address, port, "/scrape?info_hash=" + urllib.parse.quote(info_hash, safe=""))
    if status != 200:
        raise ValueError(f"scrape: HTTP {status}")
    counts = torrent.decode(body)[b"files"].get(info_hash, {})
    return tuple(counts.get(key, 0) for key in (b"complete", b"incomplete", b"downloaded"))


def udp_scrape(address, port, info_hash):
    """Gives (complete, incomplete, downloaded) of one torrent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.connect((address, port))
        asking.send(struct.pack(">QII", UDP_MAGIC, 0, 7))
        action, transaction, connection = struct.unpack(">IIQ", asking.recv(2048))
        if (action, transaction) != (0, 7):
            raise ValueError("connect: a wrong answer")
        asking.send(struct.pack(">QII", connection, 2, 8) + info_hash)
        reply = asking.recv(2048)
        action, transaction = struct.unpack_from(">II", reply)
        if (action, transaction) != (2, 8):
            raise ValueError(f"scrape: {reply[8:]!r}")
        complete, downloaded, incomplete = struct.unpack_from(">III", reply, 8)
        return complete, incomplete, downloaded


def addresses(reply):
    """The peers of an announce reply as a set of (address, port)."""
    found = set()
    peers = reply.get(b"peers", b"")
    if isinstance(peers, list):
        return {(peer[b"ip"].decode(), peer[b"port"]) for peer in peers}
    for family, data, size in ((socket.AF_INET, peers, 6), (socket.AF_INET6, reply.get(b"peers6", b""), 18)):
        if len(data) % size:
            raise ValueError("a peer list of a broken length")
        for at in range(0, len(data), size):
            address = socket.inet_ntop(family, data[at : at + size - 2])
            found.add((address, int.from_bytes(data[at + size - 2 : at + size], "big")))
    return found
