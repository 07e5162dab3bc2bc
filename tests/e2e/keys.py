#!/usr/bin/env python3
"""A tracker that wants keys in announce addresses (O16): real clients trade with a key each, and are accounted for; who has none is
refused, and who loses his is gone. Runs alone too."""

import argparse
import os
import sqlite3
import sys
import tempfile

import ask
import clients
from lab import Fault, Lab, enter, wait
from torrent import Torrent
from trackers import PORT, Retracker

LENGTH = 4 << 20

# Seeder, leecher, and whether over UDP, where the key stands in the options of BEP 41: of these clients only libtorrent sends them.
PAIRS = [
    ("libtorrent", "transmission", False),
    ("transmission", "aria2", False),
    ("aria2", "qbittorrent", False),
    ("qbittorrent", "libtorrent", False),
    ("libtorrent", "qbittorrent", True),
]


def key_of(number, role):
    """The key of one client: as a site's passkey, 32 hex digits."""
    return f"{number:02}{role[0]}".encode().hex().ljust(32, "e")


def keys_file(folder, without=None):
    lines = [
        f"{key_of(number, role)} addresses=1 torrents=1 {number} {role}\n"
        for number in range(len(PAIRS)) for role in ("seeder", "leecher", "watcher") if (number, role) != without
    ]
    path = os.path.join(folder, "keys")
    # In its place at once, as a site's export would put it.
    with open(path + ".new", "w") as file:
        file.writelines(lines)
    os.rename(path + ".new", path)
    return path


def used(tracker, label):
    """What the database has of a key: uploaded and downloaded."""
    path = os.path.join(tracker.folder, "retracker.sqlite")
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)
        try:
            query = "SELECT uploaded, downloaded FROM keys WHERE label = ?"
            return database.execute(query, (label,)).fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        return str(error)


def keyed_url(tracker, key, udp):
    return tracker.url(udp=udp).replace("/announce", f"/{key}/announce")


def scrape(host, key, torrent):
    """Complete, incomplete, downloaded, asked for with a key."""
    query = f"/{key}/scrape?info_hash=" + "".join(f"%{byte:02x}" for byte in torrent.info_hash)
    _, _, body = ask.http_get(host.v4, PORT, query)
    return body


def trade(lab, tracker, number, folder):
    seeding, leeching, udp = PAIRS[number]
    hosts = [
        lab.host(f"k{number}{role}", "switch", f"10.77.22{number}.{last}/16", f"fd77::22{number}:{last}/64")
        for role, last in (("s", 2), ("l", 3))
    ]
    both = []
    for host, name, role in zip(hosts, (seeding, leeching), ("seeder", "leecher")):
        url = keyed_url(tracker, key_of(number, role), udp)
        torrent = Torrent(f"keyed-{number}.bin", url, LENGTH, seed=300 + number)
        both.append(clients.ALL[name](host, os.path.join(folder, f"{number}-{role}"), torrent, 4, udp))
    seeder, leecher = both
    watcher, torrent = key_of(number, "watcher"), seeder.torrent

    def counts_are(complete, incomplete):
        text = b"8:completei%de" % complete, b"10:incompletei%de" % incomplete

        def look():
            body = tracker.host.call(scrape, tracker.host, watcher, torrent)
            return all(part in body for part in text) or body

        wait(f"complete, incomplete = {complete}, {incomplete}", look)

    try:
        seeder.start(has_file=True)
        counts_are(1, 0)
        leecher.start(has_file=False)
        wait("the file is whole", lambda: leecher.has_the_file() or "not whole")
        counts_are(2, 0)
        leecher.leave()
        counts_are(1, 0)
        seeder.leave()
        counts_are(0, 0)

        def counted(role, at):
            seen = used(tracker, f"{number} {role}")
            return (seen and not isinstance(seen, str) and LENGTH <= seen[at] < 2 * LENGTH) or seen

        # What the clients say themselves: the payload, and of some the overhead too.
        wait("what the leecher downloaded is its key's", lambda: counted("leecher", 1))
        wait("what the seeder uploaded is its key's", lambda: counted("seeder", 0))
        return f"{seeding} -> {leeching}{' over UDP' if udp else ''}"
    except Fault as fault:
        logs = "".join(f"--- {client.name}\n{client.process.tail()}" for client in both if client.process)
        raise Fault(f"keys, {seeding} -> {leeching}: {fault}\n{logs}\n--- tracker\n{tracker.process.tail()}") from None
    finally:
        for client in both:
            client.end()
        for host in hosts:
            lab.remove(host)


def lose(lab, tracker, folder):
    """Who has no key is refused, and who loses his is gone."""
    host = lab.host("klost", "switch", "10.77.229.2/16", "fd77::229:2/64")
    key = key_of(0, "seeder")
    torrents = [
        Torrent("lost.bin", url, LENGTH, seed=399) for url in (tracker.url(), keyed_url(tracker, key, False))
    ]
    stranger, member = (
        clients.Libtorrent(host, os.path.join(folder, f"lost-{at}"), torrent) for at, torrent in enumerate(torrents)
    )

    def counted(complete):
        body = tracker.host.call(scrape, tracker.host, key_of(0, "watcher"), torrents[0])
        return b"8:completei%de" % complete in body or body

    try:
        stranger.start(has_file=True)
        wait("the stranger is told why", lambda: "needs an announce address with a key" in stranger.process.tail() or "not yet")
        if counted(0) is not True:
            raise Fault("the stranger is in the swarm")
        stranger.end()
        member.start(has_file=True)
        wait("the member is in the swarm", lambda: counted(1))
        keys_file(folder, without=(0, "seeder"))
        wait("who lost his key is gone", lambda: counted(0))
    finally:
        for client in (stranger, member):
            client.end()
        lab.remove(host)


def check(lab, folder):
    host = lab.host("keys", "switch", "10.77.220.1/16", "fd77::220:1/64")
    settings = {"TRACKER": {"keys": "required", "keys_file": keys_file(folder)}}
    tracker = Retracker(host, os.path.join(folder, "tracker"), settings)
    tracker.start()
    try:
        traded = [trade(lab, tracker, number, folder) for number in range(len(PAIRS))]
        lose(lab, tracker, folder)
    finally:
        tracker.stop()
    with open(os.path.join(tracker.folder, "log")) as file:
        log = file.read()
    if any(key_of(number, role) in log for number in range(len(PAIRS)) for role in ("seeder", "leecher", "watcher")):
        raise Fault("a key is in the log")
    return f"accounted for: {', '.join(traded)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/retracker")
    Retracker.binary = os.path.abspath(parser.parse_args().binary)
    enter()
    lab = Lab()
    lab.bridge("switch")
    with tempfile.TemporaryDirectory(prefix="retracker-e2e-") as folder:
        try:
            print(check(lab, folder))
        except Fault as fault:
            sys.exit(f"FAILED: {fault}")


if __name__ == "__main__":
    main()
