"""Asks a tracker as a client would: scrapes and announces over HTTP (BEP 3, 48) and UDP (BEP 15)."""

import contextlib
import http.client
import os
import socket
import struct
import urllib.parse

import torrent

UDP_MAGIC = 0x41727101980
# Seconds to wait for a reply: whoever is not answered by then never will be, however busy the machine.
PATIENCE = 60


def http_get(address, port, path, headers=None, source=None):
    """One GET, from an address of this machine if one is named; gives status, headers and body."""
    bound = (source, 0) if source else None
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE, source_address=bound)
    try:
        connection.request("GET", path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def http_announce(address, tracker_port, info_hash, headers=None, source=None, **parameters):
    """Announces; gives the reply as a dictionary."""
    query = {"info_hash": info_hash, "peer_id": b"-E20001-" + os.urandom(12), "port": 6881, "left": 1}
    query |= parameters
    text = "&".join(f"{key}={urllib.parse.quote(value if isinstance(value, bytes) else str(value), safe='')}"
                    for key, value in query.items())
    status, _, body = http_get(address, tracker_port, f"/announce?{text}", headers, source=source)
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


def exchange(asking, packet, transaction):
    """Sends a packet, again when nothing comes, as clients do (BEP 15); gives the reply of that transaction."""
    asking.settimeout(5)
    for _ in range(PATIENCE // 5):
        asking.send(packet)
        with contextlib.suppress(TimeoutError):
            while True:
                reply = asking.recv(2048)
                if reply[4:8] == struct.pack(">I", transaction):
                    return reply
    raise TimeoutError(f"no reply of transaction {transaction}")


def udp_request(address, port, action, body, source=None):
    """Connects and asks one thing; gives the action of the reply and what follows its head."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        if source:
            asking.bind((source, 0))
        # Resolved first: an address tuple by hand would lose the interface of a link-local one.
        asking.connect(socket.getaddrinfo(address, port, family, socket.SOCK_DGRAM)[0][4])
        told, _, *connection = struct.unpack(">IIQ", exchange(asking, struct.pack(">QII", UDP_MAGIC, 0, 7), 7))
        if told != 0:
            raise ValueError("connect: a wrong answer")
        reply = exchange(asking, struct.pack(">QII", *connection, action, 8) + body, 8)
        told, = struct.unpack_from(">I", reply)
        return told, reply[8:]


def udp_announce(address, port, info_hash, source=None):
    """Announces as a leecher; gives the reason of a refusal, or None."""
    head = info_hash + b"-E20001-" + os.urandom(12)
    body = head + struct.pack(">QQQIIIiH", 0, 1, 0, 2, 0, 0, -1, 6881)
    action, rest = udp_request(address, port, 1, body, source)
    if action not in (1, 3):
        raise ValueError(f"announce: {rest!r}")
    return rest if action == 3 else None


def udp_scrape(address, port, info_hash):
    """Gives (complete, incomplete, downloaded) of one torrent."""
    action, rest = udp_request(address, port, 2, info_hash)
    if action != 2:
        raise ValueError(f"scrape: {rest!r}")
    complete, downloaded, incomplete = struct.unpack_from(">III", rest)
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
