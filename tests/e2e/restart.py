"""The tracker is killed in the middle of a swarm, and the swarm goes on as if nothing had been (O1, P9 across restarts)."""

import os
import signal
import sqlite3

import ask
from clients import Libtorrent, Transmission
from lab import Fault, wait
from torrent import Torrent
from trackers import PORT, Retracker

# The leecher is still at it when the tracker has gone and come again, however long that takes: at this pace it would be an hour, and
# the pace is let go only then.
LENGTH, BYTES_PER_SECOND = 4 << 20, 1 << 10


class SlowLibtorrent(Libtorrent):
    options = ("--upload-limit", BYTES_PER_SECOND)

    def hurry(self):
        """Lets go of the limit."""
        self.process.signal(signal.SIGUSR1)


def check(lab, folder):
    host = lab.host("restart", "switch", "10.77.200.1/16", "fd77::200:1/64")
    tracker = Retracker(host, os.path.join(folder, "tracker"))
    torrent = Torrent("restart.bin", tracker.url(), LENGTH, seed=200)
    seeder, leecher, late = (
        kind(lab.host(f"restart{at}", "switch", f"10.77.200.{at}/16", f"fd77::200:{at}/64"),
             os.path.join(folder, f"client-{at}"), torrent)
        for at, kind in ((2, SlowLibtorrent), (3, SlowLibtorrent), (4, Transmission))
    )

    def scrape():
        return host.call(ask.http_scrape, host.v4, PORT, torrent.info_hash)

    def counts_are(*expected):
        wait(f"complete, incomplete, downloaded = {expected}", lambda: scrape() == expected or scrape())

    def counts_still_are(*expected):
        if scrape() != expected:
            raise Fault(f"after the restart: {scrape()}, before it {expected}")

    try:
        tracker.start()
        seeder.start(has_file=True)
        counts_are(1, 0, 0)
        leecher.start(has_file=False)
        counts_are(1, 1, 0)
        wait("a snapshot holds both", lambda: stored(tracker, torrent) == (2, 1) or stored(tracker, torrent))
        tracker.kill()
        tracker.start()
        # At once: no client has announced since; they would in a minute.
        counts_still_are(1, 1, 0)
        if leecher.has_the_file():
            raise Fault("the leecher was too fast for this check to mean anything")
        for client in (seeder, leecher):
            client.hurry()
        late.start(has_file=False)
        for client in (leecher, late):
            wait(f"the file of {client.name} is whole", lambda: client.has_the_file() or "not whole")
        counts_are(3, 0, 2)
        if tracker.stop() != 0:
            raise Fault(f"SIGTERM did not end the tracker with status 0\n{tracker.process.tail()}")
        tracker.start()
        counts_still_are(3, 0, 2)
        late.leave()
        counts_are(2, 0, 2)
        return "killed and stopped in mid-swarm, no peer and no count lost"
    finally:
        for client in (seeder, leecher, late):
            client.end()
        if tracker.process:
            tracker.stop()


def stored(tracker, torrent):
    """The peers and seeders of the torrent in the database, as anybody may read it while the tracker runs."""
    path = os.path.join(tracker.folder, "retracker.sqlite")
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)
        try:
            query = "SELECT peers, seeders FROM swarms WHERE info_hash = ?"
            return database.execute(query, (torrent.info_hash,)).fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        return str(error)
