"""Slow clients of every kind, held before a tracker until it has let go of the last."""

import contextlib
import socket
import time

from abused import HEAD, HOST, PATIENCE


def connect(tracker, number, per_address, receive_buffer=None):
    """A connection that does not block, from an address that so many share."""
    address = 2 + number // per_address
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.bind((f"127.66.{address // 250}.{1 + address % 250}", 0))
    client.settimeout(PATIENCE)
    client.connect((HOST, tracker.port))
    client.setblocking(False)
    return client


def is_open(client):
    """Whether the server still holds its side; reads what there is."""
    try:
        while client.recv(65_536):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


class Slow:
    """A slow client: what it says first, what it drips, and whether it reads."""

    def __init__(self, first, drip=None, floods=False):
        self.first, self.drip, self.floods = first, drip, floods


SLOW = {
    "silent": Slow(b""),
    "dripping head": Slow(b"GET /announce?info_hash=", drip=b"a"),
    "dripping second head": Slow(HEAD + b"\r\n", drip=b"G"),
    "stalled body": Slow(b"POST /announce HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\nabc"),
    "not reading": Slow(b"", floods=True),
    "idle": Slow(HEAD + b"\r\n"),
}
FLOOD = (HEAD + b"\r\n") * 20


class Held:
    """Slow clients before a tracker: so many of each kind, and so many that only idle."""

    def __init__(self, tracker, each, idle):
        self.began = time.monotonic()
        self.clients = []
        # Seconds after which the last of a kind was still held.
        self.longest = {}
        for kind, slow in SLOW.items():
            for _ in range(idle if kind == "idle" else each):
                client = connect(tracker, len(self.clients), 50, 4_096 if slow.floods else None)
                client.send(slow.first)
                self.clients.append((kind, slow, client))

    def seconds(self):
        return time.monotonic() - self.began

    def kinds(self):
        return sorted({kind for kind, *_ in self.clients})

    def go_on(self):
        """Lets each do what it does, and forgets those that the server has let go."""
        now = self.seconds()
        still = []
        for kind, slow, client in self.clients:
            if acts(slow, client, now):
                self.longest[kind] = now
                still.append((kind, slow, client))
            else:
                client.close()
        self.clients = still


def acts(slow, client, now):
    """Whether the client is still held when it has done what its kind does."""
    try:
        if slow.floods:
            # Never reads: asks on until nothing more is taken, and sees the end by the failing send.
            with contextlib.suppress(BlockingIOError):
                for _ in range(500):
                    client.send(FLOOD)
            return True
        open_now = is_open(client)
        if open_now and slow.drip and now > 1:
            client.send(slow.drip)
        return open_now
    except OSError:
        return False
