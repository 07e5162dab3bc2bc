"""Zones keep traffic at home: twelve real clients behind three routers, bytes counted on the links between (S7).

The same swarm trades twice, in two networks that differ in the section [ZONES] only. All addresses lie in one /24, so that without
zones none is nearer than another. It is a swarm that has been there for a while: the first peer of each zone has the file when
the others come, and those are known to the tracker before the first of them asks it. What the first peers fetched counts too.

Which peers a client picks is chance, and one swarm of twelve may cross twice as much as the next. So there are some of both kinds,
and their sums are compared. On a machine with other work to do zones are done at different times, and the seeds of those that
are help the others, so that more crosses: the gate asks for so much only that zones cannot be without effect. `run --long` asks
for the figure of docs/LOCALITY.md, with the machine to itself.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import ask
from clients import Libtorrent
from lab import Fault, wait
from torrent import Torrent
from trackers import PORT, Retracker

ROUNDS = 3
ZONES, PEERS = 3, 4
LENGTH = 8 << 20
# Lists shorter than a zone has neighbours, as a provider's are: longer ones would have to be filled with strangers.
NEIGHBOURS = PEERS - 2
AT_LEAST_SAVED, AT_LEAST_SAVED_ALONE = 0.25, 0.60
# Networks 10.78.0.0/24 and on: one for each swarm.
FIRST_NET = 78


class Peer(Libtorrent):
    options = ("--upload-limit", 2 << 20, "--numwant", NEIGHBOURS)


def check(lab, folder, at_least=AT_LEAST_SAVED):
    with open("/proc/sys/net/ipv4/ip_forward", "w") as forward:
        forward.write("1")
    copies = {True: 0, False: 0}
    for number in range(ROUNDS):
        net = FIRST_NET + len(copies) * number
        # Both at once, so that what else the machine does hits both.
        with ThreadPoolExecutor(len(copies)) as pool:
            runs = {on: pool.submit(swarm, lab, folder, net + on, on) for on in copies}
        for on, run in runs.items():
            copies[on] += run.result() / ROUNDS
    with_zones, without = copies[True], copies[False]
    saved = 1 - with_zones / without
    told = f"{with_zones:.1f} copies crossed with zones, {without:.1f} without: {saved:.0%} less"
    if saved < at_least:
        raise Fault(f"{told}, not {at_least:.0%}")
    return told


def swarm(lab, folder, net, with_zones):
    """Lets the swarm trade; gives how many copies of the file crossed from one zone into another."""
    folder = os.path.join(folder, f"net-{net}-zones-{with_zones}")
    os.makedirs(folder)
    # The core's bridge and each zone's are the legs of a router; what a zone's leg takes in has left the zone.
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

    tracker = Retracker(host(0, 2), os.path.join(folder, "tracker"), settings(net, with_zones))
    torrent = Torrent("zones.bin", tracker.url(), LENGTH, seed=net)
    peers = [
        Peer(host(zone, number), os.path.join(folder, f"peer-{zone}-{number}"), torrent)
        for zone in range(1, ZONES + 1) for number in range(PEERS)
    ]

    def scrape():
        return tracker.host.call(ask.http_scrape, tracker.host.v4, PORT, torrent.info_hash)

    try:
        tracker.start()
        before = left_the_zones(net)
        firsts = peers[::PEERS]
        # Zone by zone in turn: one that comes earlier would be done earlier, and its seeds would turn to the others.
        others = [peer for at in range(1, PEERS) for peer in peers[at::PEERS]]
        for known, first in enumerate(firsts):
            first.start(has_file=known == 0)
            wait("the first peers are known", lambda: sum(scrape()[:2]) > known or scrape())
        wait("the first peers have the file", lambda: all(peer.has_the_file() for peer in firsts) or missing(firsts))
        for peer in others:
            peer.host.call(ask.http_announce, tracker.host.v4, PORT, torrent.info_hash)
        for peer in others:
            peer.start(has_file=False)
        wait("all have the file", lambda: all(peer.has_the_file() for peer in peers) or missing(peers))
        return (left_the_zones(net) - before) / LENGTH
    finally:
        for peer in peers:
            if peer.process:
                peer.leave()
        for peer in peers:
            peer.end()
        tracker.stop()


def settings(net, with_zones):
    # Strangers only where neighbours do not fill the list; one stranger for everybody would be half of so short a list.
    chosen = {"TRACKER": {"local_share": 100, "min_external": 0}}
    if with_zones:
        chosen["ZONES"] = {f"town/street-{zone}": block(net, zone) for zone in range(1, ZONES + 1)}
    return chosen


def block(net, zone):
    """The four addresses of a zone."""
    return f"10.{net}.0.{zone * PEERS}/30"


def leg(net, zone):
    return f"n{net}z{zone}"


def left_the_zones(net):
    """Bytes that the router took in from all zones."""
    legs = [leg(net, zone) for zone in range(1, ZONES + 1)]
    with open("/proc/net/dev") as counters:
        fields = (line.replace(":", " ").split() for line in counters)
        return sum(int(line[1]) for line in fields if line[0] in legs)


def missing(peers):
    return f"{sum(not peer.has_the_file() for peer in peers)} of {len(peers)} have not"
