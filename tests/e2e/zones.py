"""Zones keep traffic at home: 24 real clients behind three routers, bytes counted on the links into the zones (S15, S7).

The same crowd trades in networks that differ in the tracker's configuration only: without zones (lists are random: all addresses lie
in one /24, so that none is nearer than another), with zones and the rule `shares`, with zones and the rule `few`. It is a crowd as it
is in life: clients ask for 200 peers, come one after another, and the only seed is outside of all zones. They stay when they are
done, or leave at once. Beside libtorrent's there are crowds with qBittorrent and Transmission, and crowds with peer exchange
(`run --crowd`): five times slower, as these clients have intervals of their own, and told of only.

Which peers a client picks is chance, and one crowd may fetch twice as many copies as the next. So there are some of each kind, those
that are compared trade at the same time, and their sums are compared. The gate judges copies only, for a busy machine makes
downloads take longer. `run --long` runs all kinds and tells download times too; docs/LOCALITY.md has the figures.
"""

import itertools
import os
import random
import statistics
import time
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor

from clients import Libtorrent, Qbittorrent, Transmission
from lab import PATIENCE, Fault, wait
from torrent import Torrent
from trackers import Retracker

ZONES, PEERS = 3, 8
LENGTH = 4 << 20
# Bytes a second: a crowd takes about a minute.
UPLOAD = 160 << 10
# Seconds within which the clients of a crowd come.
ARRIVAL = 20
# Networks 10.78.0.0/24 and on: one for each crowd.
NETS = itertools.count(78)
# Seconds between announces, regular and by the rule `few`: a hundredth of what they are in life, as the crowd's time is.
INTERVAL, SHORT_INTERVAL = 60, 10

POLICIES = {
    "random": {},
    "shares": {"selection": "shares"},
    "few": {"selection": "few"},
}


class Peer:
    """What a client in a crowd knows beside what it does in a pair. `slowness` is that of its crowd."""

    def __init__(self, host, folder, torrent, crowd, leaves):
        super().__init__(host, folder, torrent)
        self.crowd, self.leaves = crowd, leaves
        self.upload_limit, self.has_pex = UPLOAD // crowd.slowness, crowd.has_pex
        self.arrived, self.looked, self.done = None, 0, None

    def start(self, has_file):
        self.arrived = time.monotonic()
        super().start(has_file)

    def done_at(self):
        """When it was seen to have the file, which is looked at once a second; None before."""
        now = time.monotonic()
        if self.done or now - self.looked < 1:
            return self.done
        self.looked = now
        try:
            has_all = os.stat(self.file).st_blocks * 512 >= LENGTH
        except FileNotFoundError:
            return None
        if has_all and self.has_the_file():
            self.done = now
        return self.done


class QbittorrentPeer(Peer, Qbittorrent):
    pass


class TransmissionPeer(Peer, Transmission):
    pass


class LibtorrentPeer(Peer, Libtorrent):
    @property
    def options(self):
        interval = 5 * self.crowd.slowness
        return ("--upload-limit", self.upload_limit, "--min-announce-interval", interval, *(["--leave"] if self.leaves else []))

    def done_at(self):
        """When it had the file, as its log tells; None before."""
        with open(self.process.log, errors="replace") as log:
            for line in log:
                at, _, state = line.partition(" ")
                if state.startswith("seeding"):
                    return float(at)
        return None


# `zone` are the clients of each zone; all times are `slowness` times those above. libtorrent, and qBittorrent with it, exchange peers
# once a minute, and qBittorrent comes back to a tracker after five minutes at the earliest, whatever that says: in a crowd that is done
# after one minute neither would happen.
Crowd = namedtuple("Crowd", "zone has_pex slowness")
OF_LIBTORRENT = (LibtorrentPeer,) * PEERS
MIXED = (LibtorrentPeer,) * 3 + (QbittorrentPeer,) * 3 + (TransmissionPeer,) * 2
USUAL = Crowd(OF_LIBTORRENT, has_pex=False, slowness=1)
CROWDS = {
    "mixed": Crowd(MIXED, has_pex=False, slowness=5),
    "pex": Crowd(OF_LIBTORRENT, has_pex=True, slowness=5),
    "mixed-pex": Crowd(MIXED, has_pex=True, slowness=5),
}


def check(lab, folder, rounds=3, policies=("random", "few"), kinds=(False,), at_most=0.75, of=USUAL):
    """Compares the last of `policies` with the first; a fault when more than `at_most` of its copies cross (None: judges nothing)."""
    with open("/proc/sys/net/ipv4/ip_forward", "w") as forward:
        forward.write("1")
    told = []
    for leaves in kinds:
        copies = {policy: 0 for policy in policies}
        times = {policy: [] for policy in policies}
        for number in range(rounds):
            # At the same time, so that what else the machine does hits all of them.
            with ThreadPoolExecutor(len(policies)) as pool:
                runs = {
                    policy: pool.submit(trade, lab, folder, next(NETS), policy, of, leaves, number) for policy in policies
                }
            for policy, run in runs.items():
                crossed, seconds = run.result()
                copies[policy] += crossed / rounds
                times[policy] += seconds
        first, *_, last = policies
        kind = "leave" if leaves else "stay"
        told.append(f"{kind}: " + ", ".join(f"{policy} {copies[policy]:.2f} of {PEERS} copies" + pace(times[policy]) for policy in policies))
        if at_most is not None and copies[last] > at_most * copies[first]:
            raise Fault(f"{told[-1]}: more than {at_most:.0%}")
    return "; ".join(told)


def pace(seconds):
    """Mean of the download times, and what all but a twentieth stayed below: told and not judged."""
    return f" ({statistics.mean(seconds):.0f} s, {sorted(seconds)[len(seconds) * 95 // 100]:.0f} s)"


def trade(lab, folder, net, policy, crowd, leaves, seed):
    """Lets a crowd trade; gives how many copies of the file came into a zone on average, and how long each download took."""
    folder = os.path.join(folder, f"net-{net}")
    os.makedirs(folder)
    # The core's bridge and each zone's are the legs of a router; what a zone's leg sends has come into the zone.
    gateway = f"10.{net}.0.1"
    for zone in range(ZONES + 1):
        lab.bridge(leg(net, zone), f"{gateway}/32")

    def host(zone, number):
        address = f"10.{net}.0.{zone * PEERS + number}/32"
        lab.ip("route", "add", address, "dev", leg(net, zone))
        name = f"{leg(net, zone)}h{number}"
        host = lab.host(name, leg(net, zone), address, f"fd{net}:{zone}::{number + 1}/64", gateway)
        # Neighbours are reached without the router.
        lab.ip("route", "add", block(net, zone), "dev", "eth0", host=name)
        return host

    tracker = Retracker(host(0, 2), os.path.join(folder, "tracker"), settings(net, policy, crowd))
    torrent = Torrent("zones.bin", tracker.url(), LENGTH, seed=net, is_private=not crowd.has_pex)
    seed_peer = LibtorrentPeer(host(0, 3), os.path.join(folder, "seed"), torrent, crowd, leaves=False)
    peers = [
        kind(host(zone, number), os.path.join(folder, f"peer-{zone}-{number}"), torrent, crowd, leaves)
        for zone in range(1, ZONES + 1) for number, kind in enumerate(crowd.zone)
    ]
    started = [seed_peer]
    try:
        tracker.start()
        before = into_zones(net)
        seed_peer.start(has_file=True)
        # The same order and the same pauses for all policies.
        chance = random.Random(seed)
        coming = sorted((chance.uniform(0, ARRIVAL * crowd.slowness), number) for number in range(len(peers)))
        began = time.monotonic()
        for after, number in coming:
            time.sleep(max(0, began + after - time.monotonic()))
            peers[number].start(has_file=False)
            started.append(peers[number])
        wait("all have the file", lambda: not missing(peers) or f"{missing(peers)} have not", PATIENCE * crowd.slowness)
        crossed = (into_zones(net) - before) / LENGTH / ZONES
        broken = [peer.host.name for peer in peers if not peer.has_the_file()]
        if broken:
            raise Fault(f"not the file: {' '.join(broken)}")
        return crossed, [peer.done_at() - peer.arrived for peer in peers]
    finally:
        for peer in started:
            peer.leave()
        for peer in started:
            peer.end()
        tracker.stop()


def settings(net, policy, crowd):
    intervals = {"announce_interval": INTERVAL * crowd.slowness, "short_interval": SHORT_INTERVAL * crowd.slowness}
    chosen = {"TRACKER": {**intervals, **POLICIES[policy]}}
    if policy != "random":
        chosen["ZONES"] = {f"town-{zone}": block(net, zone) for zone in range(1, ZONES + 1)}
    return chosen


def block(net, zone):
    """The eight addresses of a zone."""
    return f"10.{net}.0.{zone * PEERS}/29"


def leg(net, zone):
    return f"n{net}z{zone}"


def into_zones(net):
    """Bytes that the router has sent into all zones."""
    legs = [leg(net, zone) for zone in range(1, ZONES + 1)]
    with open("/proc/net/dev") as counters:
        fields = (line.replace(":", " ").split() for line in counters)
        return sum(int(line[9]) for line in fields if line[0] in legs)


def missing(peers):
    """The clients that have not the file yet, by kind."""
    return " ".join(f"{kind} {number}" for kind, number in Counter(peer.name for peer in peers if not peer.done_at()).items())
