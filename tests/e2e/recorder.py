"""A naive tracker that keeps every request as it came: it makes the fixtures, and tries the scripts without the real tracker.

recorder.py PORT FOLDER writes the first request of each kind that a client sends to FOLDER/CLIENT-VERSION/: HTTP requests byte
for byte as `.http`, datagrams as one line of hexadecimal as `.udp`. Every UDP client is given the same connection id.
"""

import os
import re
import signal
import socket
import struct
import sys
import threading
import urllib.parse

import ask
import torrent

CONNECTION_ID = bytes.fromhex("00c0ffee00c0ffee")
UDP_EVENTS = ["regular", "completed", "started", "stopped"]

# How the clients sign their peer ids.
SIGNATURES = [
    (rb"-TR(\d)(\d\d)0-", "transmission-{0}.{1}"),
    (rb"-qB(\d)(\d)(\d)0-", "qbittorrent-{0}.{1}.{2}"),
    (rb"-LT(\w)(\w)(\w)0-", "libtorrent-{0}.{1}.{2}"),
    (rb"A2-(\d+)-(\d+)-(\d+)-", "aria2-{0}.{1}.{2}"),
    # rtorrent signs with the version of its library: 0.13.8 belongs to 0.9.8.
    (rb"-lt0D80-", "rtorrent-0.9.8"),
]


def client_of(peer_id):
    for pattern, name in SIGNATURES:
        found = re.match(pattern, peer_id)
        if found:
            return name.format(*(part.decode() for part in found.groups()))
    return "unknown-" + re.sub(r"[^A-Za-z0-9]", "_", peer_id[:8].decode("latin-1"))


class Recorder:
    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.swarms = {}  # info hash -> {(address, port): left}
        self.completed = {}  # info hash -> count
        self.clients = {}  # source address -> client; a connect or a scrape carries no peer id
        self.connects = {}  # source address -> its last connect

    def keep(self, client, name, request):
        folder = os.path.join(self.folder, client)
        os.makedirs(folder, exist_ok=True)
        try:
            with open(os.path.join(folder, name), "xb") as file:
                file.write(request)
        except FileExistsError:
            pass  # the first of its kind is enough

    def announce(self, transport, request, source, info_hash, peer_id, port, left, event):
        with self.lock:
            client = self.clients[source] = client_of(peer_id)
            kind = event + ("-seeding" if event == "started" and left == 0 else "")
            self.keep(client, f"announce-{kind}-{'v6' if ':' in source else 'v4'}.{transport}", request)
            swarm = self.swarms.setdefault(info_hash, {})
            if event == "stopped":
                swarm.pop((source, port), None)
            else:
                swarm[source, port] = left
            if event == "completed":
                self.completed[info_hash] = self.completed.get(info_hash, 0) + 1
            others = [peer for peer in swarm if peer != (source, port) and event != "stopped"]
            return self.counts(info_hash), others

    def counts(self, info_hash):
        lefts = list(self.swarms.get(info_hash, {}).values())
        seeders = lefts.count(0)
        return seeders, len(lefts) - seeders, self.completed.get(info_hash, 0)

    def http(self, head, source):
        path, _, query = head.split(b" ", 2)[1].partition(b"?")
        pairs = [part.partition(b"=") for part in query.split(b"&")]
        asked = {key.decode(): urllib.parse.unquote_to_bytes(value) for key, _, value in pairs}
        info_hash = asked["info_hash"]
        if path == b"/scrape":
            with self.lock:
                if source in self.clients:
                    self.keep(self.clients[source], f"scrape-{'v6' if ':' in source else 'v4'}.http", head)
                names = ("complete", "incomplete", "downloaded")
                return {"files": {info_hash: dict(zip(names, self.counts(info_hash)))}}
        event = asked.get("event", b"regular").decode()
        counts, others = self.announce(
            "http", head, source, info_hash, asked["peer_id"], int(asked["port"]), int(asked["left"]), event
        )
        return {
            # No `downloaded`, so that clients which would like to scrape do.
            "interval": 60, "min interval": 30, "complete": counts[0], "incomplete": counts[1],
            "peers": compact(others, 4), "peers6": compact(others, 6),
        }

    def udp(self, packet, source, family):
        action, transaction = struct.unpack_from(">II", packet, 8)
        if action == 0 and struct.unpack_from(">Q", packet)[0] == ask.UDP_MAGIC:
            # Whose it is shows at the announce that follows.
            self.connects[source] = packet
            return struct.pack(">II", 0, transaction) + CONNECTION_ID
        if packet[:8] != CONNECTION_ID:
            return None
        if action == 2:
            with self.lock:
                if source in self.clients:
                    self.keep(self.clients[source], f"scrape-v{family}.udp", packet.hex().encode() + b"\n")
                complete, incomplete, downloaded = self.counts(packet[16:36])
            return struct.pack(">IIIII", 2, transaction, complete, downloaded, incomplete)
        left, = struct.unpack_from(">Q", packet, 64)
        event, = struct.unpack_from(">I", packet, 80)
        port, = struct.unpack_from(">H", packet, 96)
        line = packet.hex().encode() + b"\n"
        counts, others = self.announce(
            "udp", line, source, packet[16:36], packet[36:56], port, left, UDP_EVENTS[event]
        )
        with self.lock:
            if source in self.connects:
                self.keep(self.clients[source], f"connect-v{family}.udp", self.connects[source].hex().encode() + b"\n")
        return struct.pack(">IIIII", 1, transaction, 60, counts[1], counts[0]) + compact(others, family)

    def serve_http(self, connection, source):
        with connection:
            connection.settimeout(30)
            data = b""
            try:
                while b"\r\n\r\n" not in data:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                body = torrent.encode(self.http(data, source))
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + body)
            except (OSError, KeyError, IndexError, ValueError) as error:
                print(f"{source}: {error!r} at {data[:200]!r}", flush=True)


def compact(peers, family):
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    fitting = [(address, port) for address, port in peers if (":" in address) == (family == 6)]
    return b"".join(socket.inet_pton(kind, address) + struct.pack(">H", port) for address, port in fitting)


def main():
    port, recorder = int(sys.argv[1]), Recorder(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    def accept(listener):
        while True:
            connection, source = listener.accept()
            threading.Thread(target=recorder.serve_http, args=(connection, source[0]), daemon=True).start()

    def receive(endpoint, family):
        while True:
            packet, source = endpoint.recvfrom(2048)
            reply = recorder.udp(packet, source[0], family)
            if reply:
                endpoint.sendto(reply, source)

    threads = []
    for family, kind, any_address in ((4, socket.AF_INET, "0.0.0.0"), (6, socket.AF_INET6, "::")):
        endpoint = socket.socket(kind, socket.SOCK_DGRAM)
        if family == 6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        endpoint.bind((any_address, port))
        listener = socket.create_server((any_address, port), family=kind)
        threads.append(threading.Thread(target=accept, args=(listener,)))
        threads.append(threading.Thread(target=receive, args=(endpoint, family)))
    for thread in threads:
        thread.start()


main()
