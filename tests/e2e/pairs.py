"""Pairs of real clients: one seeds, the other leeches, and only the tracker can have brought them together."""

import os
import time
from dataclasses import dataclass

import ask
import clients
from lab import Fault, wait
from torrent import Torrent
from trackers import PORT

LENGTH = 4 << 20
# Seconds that both stay when they have traded; the recorder then gets their regular announces too.
LINGER = 0


@dataclass(frozen=True)
class Pair:
    seeder: str
    leecher: str
    family: int
    udp: bool

    def __str__(self):
        return f"{self.seeder} -> {self.leecher}, {'UDP' if self.udp else 'HTTP'} over IPv{self.family}"

    def why_not(self):
        return clients.impossible(self.seeder, self.leecher, self.family, self.udp)


def ring(names, family, udp):
    """Each client seeds once and leeches once; where a pair cannot be, the order is turned around."""
    for step in range(1, len(names)):
        pairs = [Pair(name, names[(at + step) % len(names)], family, udp) for at, name in enumerate(names)]
        if not any(pair.why_not() for pair in pairs):
            return pairs
    raise ValueError("no order of these clients can do")


def matrix(names, family, udp):
    return [Pair(seeder, leecher, family, udp) for seeder in names for leecher in names]


def trade(pair, lab, tracker, number, folder):
    """Lets one pair trade and compares file and counts. Tells how long the leecher took."""
    torrent = Torrent(f"file-{number}.bin", tracker.url(pair.family, pair.udp), LENGTH, seed=number)
    # All hosts have both families; the tracker's address decides which one it gets to know and to hand out.
    hosts = [
        lab.host(f"p{number}{role}", "switch", f"10.77.{number}.{last}/16", f"fd77::{number}:{last}/64")
        for role, last in (("s", 1), ("l", 2))
    ]
    seeder, leecher = (
        clients.ALL[name](host, os.path.join(folder, role), torrent, pair.family, pair.udp)
        for name, host, role in ((pair.seeder, hosts[0], "seeder"), (pair.leecher, hosts[1], "leecher"))
    )
    scrape = ask.udp_scrape if pair.udp else ask.http_scrape

    def counts_are(*expected):
        def look():
            if not tracker.process.is_running():
                raise Fault("the tracker ended by itself")
            for client in (seeder, leecher):
                if client.process and client.must_run and not client.process.is_running():
                    raise Fault(f"{client.name} ended by itself")
            try:
                seen = tracker.host.call(scrape, tracker.host.address(pair.family), PORT, torrent.info_hash)
            except (OSError, ValueError) as error:
                return str(error)
            return seen == expected or seen

        wait(f"complete, incomplete, downloaded = {expected}", look)

    seeder.must_run = leecher.must_run = True
    try:
        seeder.start(has_file=True)
        counts_are(1, 0, 0)
        began = time.monotonic()
        leecher.start(has_file=False)
        wait("the file is whole", lambda: leecher.has_the_file() or "not whole")
        seconds = time.monotonic() - began
        counts_are(2, 0, 1)
        time.sleep(LINGER)
        leecher.must_run = False
        leecher.leave()
        counts_are(1, 0, 1)
        seeder.must_run = False
        seeder.leave()
        counts_are(0, 0, 1)
        return f"whole after {seconds:.1f} s"
    except Fault as fault:
        logs = "".join(f"--- {client.name}\n{client.process.tail()}" for client in (seeder, leecher) if client.process)
        raise Fault(f"{fault}\n{logs}") from None
    finally:
        for client in (seeder, leecher):
            client.end()
        for host in hosts:
            lab.remove(host)
