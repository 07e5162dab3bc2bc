#!/usr/bin/env python3
"""Several trackers act as one over Redis (O18): three trackers, two engines, in network namespaces, two sites with a long cable.

A and the engine E1 are in the west, B, C and E2 (TLS) in the east; the cable between them takes 30 ms a way and loses 1 % of what it
carries. Everything is killed, hung, cut off and lied to in turn, and each time all trackers have to come to the same swarms: the same
digest of living peers and of totals. Right and wrong are judged, and no times: `--long` runs all at full length and tells those.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

import ask
import crowd
import engines
import trackers
from lab import Fault, Lab, Process, enter, wait

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = trackers.PORT
NAMES = ("a", "b", "c")
# Networks of the clients of each tracker, which are addresses of its own host.
NETWORKS = {"a": "10.81.0.0/16", "b": "10.82.0.0/16", "c": "10.83.0.0/16"}


def expect(holds, text):
    if not holds:
        raise Fault(text)


class Site(trackers.Retracker):
    """A tracker that is one of several."""

    def __init__(self, network, name, host, reachable, folder, settings=None):
        self.network, self.name = network, name
        os.makedirs(folder, exist_ok=True)
        self.password = os.path.join(folder, "password")
        with open(os.open(self.password, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(engines.password_of(name) + "\n")
        sites = {"name": name, "engines": " ".join(engine.url() for engine in reachable), "user": name,
                 "password_file": self.password, "ca_file": os.path.join(network.certificates, "ca.pem")}
        # All the crowd of a site is of one network, which has a share of its own; and no bound of all shall be reached.
        tracker = {"announce_interval": 1_800, "max_torrents_per_address": 200_000, "max_peers": 10_000_000}
        base = {"TRACKER": tracker, "SITES": sites, "LOGGING": {"level": "INFO"}}
        for section, values in (settings or {}).items():
            base.setdefault(section, {}).update(values)
        super().__init__(host, folder, base)
        self.token = None
        self.wrapper = []

    def command(self):
        return [*self.wrapper, *super().command()]

    def start(self):
        super().start()
        if self.token is None:
            database = os.path.join(self.folder, "retracker.sqlite")
            words = [self.binary, "token", "--file", database, "new", "sites", "--scope", "admin"]
            told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            self.token = re.search(r"rt_[0-9a-f]+", told)[0]
        self.wait_for("the cold start is over", self.is_ready)

    def wait_for(self, what, condition, patience=120):
        def safely():
            if not self.process.is_running():
                raise Fault(f"{self.name} ended:\n{self.process.tail()}")
            try:
                return condition()
            except (OSError, ValueError) as error:
                return str(error)

        wait(f"{self.name}: {what}", safely, patience)

    def lose_database(self):
        for name in os.listdir(self.folder):
            if name.startswith("retracker.sqlite"):
                with contextlib.suppress(IsADirectoryError):
                    os.remove(os.path.join(self.folder, name))
        self.token = None

    def log_text(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read()

    def get(self, path, method="GET", body=None):
        return self.host.call(self.get_here, path, method, body)

    def get_here(self, path, method, body):
        import http.client
        connection = http.client.HTTPConnection(self.host.v4, PORT, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, body and json.dumps(body), headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def api(self, path, method="GET", body=None):
        status, text = self.get(f"/api/v1/{path}", method, body)
        if status >= 300:
            raise Fault(f"{self.name}: {method} {path}: HTTP {status} {text[:300]!r}")
        return json.loads(text) if text else None

    def is_ready(self):
        status, text = self.get("/ready")
        return True if status == 200 else f"{status} {text[:300]!r}"

    def status(self):
        return self.api("sites")

    def digest(self):
        told = self.api("sites/digest")
        return told["digest"], told["peers"], told["downloads"]

    def announce(self, info_hash, source=None, **named):
        """An announce from an address of this tracker's clients."""
        source = source or crowd.client(NETWORKS[self.name], 251, 250)[0]
        return self.host.call(self.announce_here, info_hash, source, named)

    def announce_here(self, info_hash, source, named):
        return ask.http_announce(self.host.v4, PORT, info_hash, source=source, **named)

    def scrape(self, info_hash):
        return self.host.call(ask.http_scrape, self.host.v4, PORT, info_hash)

    def crowd(self, folder=None, **named):
        """A crowd of clients of this tracker, under way."""
        words = [word for key, value in named.items() for word in (f"--{key}", str(value))]
        log = os.path.join(folder or self.folder, f"crowd-{time.monotonic_ns()}")
        return Crowd(self.host.start(
            [sys.executable, os.path.join(HERE, "crowd.py"), self.host.v4, str(PORT), "--network", NETWORKS[self.name], *words], log
        ))

    def metric(self, name):
        """The sum of all series of that name whose text begins so."""
        _, text = self.get("/api/v1/metrics")
        return sum(float(line.rsplit(b" ", 1)[1]) for line in text.splitlines() if line.startswith(name.encode()))


class Crowd:
    def __init__(self, process: Process):
        self.process = process

    def done(self, patience=900):
        """What came of it; a fault when any request failed."""
        status = self.process.end(patience)
        if status != 0:
            raise Fault(f"the crowd ended with {status}: {self.process.tail()}")
        told = json.loads(self.process.tail(1))
        if told["lost"] or told["refusals"]:
            raise Fault(f"requests failed: {told}")
        return told


class Network:
    """Both sites, running."""

    def __init__(self, folder, is_long):
        self.folder, self.is_long = folder, is_long
        self.lab = Lab()
        self.lab.bridge("west")
        self.lab.bridge("east")
        self.lay_cable()
        hosts = {}
        for at, (name, side) in enumerate((("a", "west"), ("b", "east"), ("c", "east"), ("e1", "west"), ("e2", "east"), ("d", "east")), 1):
            hosts[name] = self.lab.host(f"site-{name}", side, f"10.80.0.{at}/16", f"fd80::{at}/64")
        self.hosts = hosts
        for name in NAMES:
            for network in NETWORKS.values():
                self.lab.ip("route", "add", "local", network, "dev", "lo", host=hosts[name].name)
        self.certificates = os.path.join(folder, "certificates")
        os.makedirs(self.certificates)
        engines.make_certificates(self.certificates, [hosts["e2"]])
        # Where there is a Valkey, the engines are one of each kind.
        other = "valkey-server" if shutil.which("valkey-server") else "redis-server"
        print(f"  engines: redis-server and {other}", flush=True)
        self.engines = {
            "e1": engines.Engine(hosts["e1"], os.path.join(folder, "e1"), (*NAMES, "d")),
            "e2": engines.Engine(hosts["e2"], os.path.join(folder, "e2"), (*NAMES, "d"), self.certificates, other),
        }
        for engine in self.engines.values():
            engine.start()
        self.hosts["e2"].call(engines.verified, self.engines["e2"])
        near = {"a": ("e1", "e2"), "b": ("e2", "e1"), "c": ("e2", "e1")}
        self.sites = {
            name: Site(self, name, hosts[name], [self.engines[engine] for engine in near[name]], os.path.join(folder, name))
            for name in NAMES
        }
        for site in self.sites.values():
            site.start()

    def lay_cable(self):
        """Joins the bridges. Not every kernel has a delay of its own (netem), and not every machine taps: there the cable is short."""
        self.cable = None
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            self.lab.ip("link", "add", "cable-w", "type", "veth", "peer", "name", "cable-e")
            for end, side in (("cable-w", "west"), ("cable-e", "east")):
                self.lab.ip("link", "set", end, "master", side, "up")
            print("  no taps on this machine: nothing is delayed or lost between the sites", flush=True)
            return
        for end, side in (("cable-w", "west"), ("cable-e", "east")):
            self.lab.ip("tuntap", "add", "dev", end, "mode", "tap")
            self.lab.ip("link", "set", end, "master", side, "up")
        self.cable = Process([sys.executable, os.path.join(HERE, "cable.py"), "cable-w", "cable-e"], os.path.join(self.folder, "cable"))
        wait("the cable is laid", lambda: "laid" in self.cable.tail())

    def cut(self, is_cut):
        self.lab.ip("link", "set", "cable-w", "down" if is_cut else "up")

    def stop(self):
        for site in self.sites.values():
            if site.process and site.process.is_running():
                status = site.stop()
                expect(status == 0, f"{site.name} ended with {status}:\n{site.process.tail()}")
        for engine in self.engines.values():
            if engine.process:
                engine.thaw()
                engine.kill()
        if self.cable:
            self.cable.signal(signal.SIGTERM)
            self.cable.end()

    def running(self):
        return [site for site in self.sites.values() if site.process.is_running()]

    def equal(self, peers=None, downloads=None):
        """Waits until all have the same swarms; gives how long that took. With numbers, that many are in them."""
        began = time.monotonic()

        def alike():
            told = {site.name: site.digest() for site in self.running()}
            if len(set(told.values())) != 1:
                return told
            _, has_peers, has_downloads = next(iter(told.values()))
            right = peers in (None, has_peers) and downloads in (None, has_downloads)
            return True if right else told

        wait("all trackers have the same swarms", alike, 180)
        return time.monotonic() - began

    def count(self):
        """Living peers and downloads, as the first tracker has them; all have come to the same before."""
        self.equal()
        _, peers, downloads = next(iter(self.running())).digest()
        return peers, downloads


def seen_elsewhere(network):
    """A peer that announced to one is handed out by all, in its own zone, with its id; who leaves is gone everywhere."""
    a, b, c = (network.sites[name] for name in NAMES)
    lags = []
    for number in range(200 if network.is_long else 20):
        info_hash = os.urandom(20)
        source = crowd.client(NETWORKS["a"], 251, number)[0]
        a.announce(info_hash, source, port=4_001, event="started")
        began = time.monotonic()
        wait("B hands out the peer of A", lambda: (source, 4_001) in ask.addresses(b.announce(info_hash, port=0)), 60)
        lags.append(time.monotonic() - began)
    wait("C hands it out too", lambda: (source, 4_001) in ask.addresses(c.announce(info_hash, port=0)), 60)
    a.announce(info_hash, source, port=4_001, event="stopped", peer_id=b"-E20001-000000000001")
    # Not its own id: nothing of that happens.
    expect((source, 4_001) in ask.addresses(b.announce(info_hash, port=0)), "who has another id removes nobody")
    own = {"peer_id": b"-E20001-000000000002", "port": 4_002}
    a.announce(info_hash, source, event="started", **own)
    wait("B counts both", lambda: b.scrape(info_hash)[1] == 2, 60)
    # It moves to another tracker, and leaves there.
    b.announce(info_hash, source_of("a", 19), event="completed", left=0, peer_id=b"-E20001-000000000003", port=4_003)
    wait("A counts the seeder of B", lambda: a.scrape(info_hash) == (1, 2, 1) or a.scrape(info_hash), 60)
    network.equal()
    return f"p50 {statistics.median(lags) * 1e3:.0f} ms, worst {max(lags) * 1e3:.0f} ms"


def source_of(name, number):
    return crowd.client(NETWORKS[name], 251, number)[0]


def load(network):
    """Many announces a second at all three: none fails, and all come to the same."""
    rate, seconds = (7_000, 60) if network.is_long else (1_000, 5)
    crowds = [site.crowd(seed="load", rate=rate, count=rate * seconds, torrents=2_000, first=10_000_000 * number)
              for number, site in enumerate(network.sites.values())]
    told = [crowd.done() for crowd in crowds]
    took = network.equal()
    lags = {site.name: site.status()["lag"] for site in network.sites.values()}
    return f"{sum(one['announces'] for one in told)} announces, equal {took:.1f} s later; lags of the last minute {lags}"


def tracker_dies(network):
    """O18, O24: kill -9 of a tracker: its peers are handed out by the others; it comes back with its database, and without it."""
    a, b = network.sites["a"], network.sites["b"]
    peers, downloads = network.count()
    info_hash = os.urandom(20)
    a.announce(info_hash, source_of("a", 7), port=4_007, event="started")
    wait("B has it", lambda: b.scrape(info_hash)[1] == 1, 60)
    told = []
    for has_database in (True, False):
        a.kill()
        expect((source_of("a", 7), 4_007) in ask.addresses(b.announce(info_hash, port=0)), "a dead tracker's peers are handed out")
        late = os.urandom(20)
        b.announce(late, source_of("b", 7), port=4_008, event="started")
        if not has_database:
            a.lose_database()
        began = time.monotonic()
        a.start()
        told.append(f"{time.monotonic() - began:.1f} s until it serves {'with' if has_database else 'without'} its database")
        expect(ask.addresses(a.announce(info_hash, port=0)) >= {(source_of("a", 7), 4_007)}, "it hands out its peers again")
        expect(ask.addresses(a.announce(late, port=0)) >= {(source_of("b", 7), 4_008)}, "and those of the others")
    network.equal(peers + 3, downloads)
    return ", ".join(told)


def engine_dies(network):
    """kill -9 of an engine under load: announces go on, all come to the same, also with a cold tracker whose log is lost."""
    a, b = network.sites["a"], network.sites["b"]
    rate, seconds = (7_000, 30) if network.is_long else (500, 10)
    crowds = [site.crowd(seed="dying", rate=rate, count=rate * seconds, torrents=2_000, first=20_000_000 + 1_000_000 * number)
              for number, site in enumerate(network.sites.values())]
    time.sleep(seconds / 3)
    network.engines["e2"].kill()
    time.sleep(seconds / 3)
    # Back, and empty.
    network.engines["e2"].start()
    for one in crowds:
        one.done()
    took = network.equal()
    peers, downloads = network.count()
    # Now the other: what E1 had is gone. A tells all of its own again; only then it may lose its memory too.
    before = a.status()["resends"]
    network.engines["e1"].kill()
    network.engines["e1"].start()
    a.wait_for("it has told all of its own again", lambda: has_told_again(a, before))
    a.kill()
    a.lose_database()
    a.start()
    later = network.equal(peers, downloads)
    expect(b.is_ready() is True, "B is ready")
    return f"equal {took:.1f} s later; a cold tracker whole {later:.1f} s after it serves"


def has_told_again(site, before):
    told = site.status()
    return True if told["resends"] > before and told["resend_left"] == 0 else (told["resends"], told["resend_left"])


def engine_hangs(network):
    """An engine that is stopped in the middle: the others are used, and nothing is lost when it goes on."""
    a, b = network.sites["a"], network.sites["b"]
    network.engines["e1"].freeze()
    try:
        crowds = a.crowd(seed="hanging", rate=200, count=2_000, torrents=100, first=30_000_000)
        info_hash = os.urandom(20)
        began = time.monotonic()
        a.announce(info_hash, source_of("a", 8), port=4_009, event="started")
        wait("what A is told reaches B over the other engine", lambda: b.scrape(info_hash)[1] == 1, 120)
        changed = time.monotonic() - began
        crowds.done()
        if network.is_long:
            time.sleep(60)
    finally:
        network.engines["e1"].thaw()
    network.equal()
    return f"over the other engine after {changed:.1f} s"


def all_engines_die(network):
    """Without any engine every site serves for itself; afterwards all are one again."""
    before = {site.name: site.metric("process_resident_memory_bytes") for site in network.running()}
    for engine in network.engines.values():
        engine.kill()
    rate, seconds = (2_000, 600) if network.is_long else (1_000, 15)
    crowds = [site.crowd(seed="alone", rate=rate, count=rate * seconds, torrents=1_000, first=40_000_000 + 5_000_000 * number)
              for number, site in enumerate(network.sites.values())]
    told = [one.done() for one in crowds]
    expect(all(site.is_ready() is True for site in network.running()), "all are ready: a tracker without engines serves")
    grown = {site.name: f"{(site.metric('process_resident_memory_bytes') - before[site.name]) / (1 << 20):.0f} MiB"
             for site in network.running()}
    for engine in network.engines.values():
        engine.start()
    took = network.equal()
    return f"{sum(one['announces'] for one in told)} announces, memory grew by {grown}, equal {took:.1f} s after"


def partition(network):
    """The cable is cut: both sides serve; joined again they come to the same, without ghosts."""
    a, b = network.sites["a"], network.sites["b"]
    gone = os.urandom(20)
    own = {"peer_id": b"-E20001-00000000part", "port": 4_010}
    a.announce(gone, source_of("a", 9), event="started", **own)
    wait("B has it", lambda: b.scrape(gone)[1] == 1, 60)
    network.cut(True)
    try:
        rate, seconds = (2_000, 300) if network.is_long else (500, 15)
        crowds = [site.crowd(seed="apart", rate=rate, count=rate * seconds, torrents=1_000, first=60_000_000 + 5_000_000 * number)
                  for number, site in enumerate(network.sites.values())]
        a.announce(gone, source_of("a", 9), event="stopped", **own)
        for one in crowds:
            one.done()
        expect(b.scrape(gone)[1] == 1, "B cannot know that it has left")
        # Neither side has waited for the other.
        both = os.urandom(20)
        b.announce(both, source_of("b", 9), port=4_011, event="started")
        wait("C has what B is told", lambda: network.sites["c"].scrape(both)[1] == 1, 60)
    finally:
        network.cut(False)
    took = network.equal()
    expect(b.scrape(gone)[1] == 0, "who left is gone everywhere")
    return f"{sum(1 for _ in crowds)} crowds, equal {took:.1f} s after"


def downloads(network):
    """Downloads are counted once: also those that are told to two trackers, over a change of engine and a restart."""
    a, b, c = (network.sites[name] for name in NAMES)
    count = 10_000 if network.is_long else 1_000
    _, before = network.count()
    named = {"seed": "downloads", "torrents": 97, "rate": 1_000}
    first = 80_000_000
    a.crowd(**named, first=first, count=count).done()
    network.equal()
    a.crowd(**named, first=first, count=count, event="completed").done()
    network.equal(downloads=before + count)
    # A tenth tells a second tracker too: the same clients, from the same addresses.
    tenth = b.host.start([sys.executable, os.path.join(HERE, "crowd.py"), b.host.v4, str(PORT), "--network", NETWORKS["a"],
                          "--seed", "downloads", "--torrents", "97", "--rate", "1000", "--first", str(first),
                          "--count", str(count // 10), "--event", "completed"], os.path.join(b.folder, "tenth"))
    Crowd(tenth).done()
    network.equal(downloads=before + count)
    network.engines["e1"].kill()
    network.engines["e1"].start()
    for site in (a, c):
        site.api("sites/resend", "POST")
    b.kill()
    b.lose_database()
    b.start()
    network.equal(downloads=before + count)
    return f"exactly {count}"


def hostile_partner(network):
    """A partner that floods and writes nonsense: nothing grows beyond its bound, nobody else's peers are touched."""
    b = network.sites["b"]
    peers, downloads = network.count()
    stream = f"rt:{engines.NETWORK}:d:d"
    info_hash = os.urandom(20)
    count = 1_000_000 if network.is_long else 20_000

    with network.engines["e2"].operator() as operator:
        good = operator.entries(f"rt:{engines.NETWORK}:d:b", 20)
        expect(good, "B has written nothing")
        field, frame = next(iter(good[0].items()))
    with network.engines["e2"].user("d") as partner:
        sent = 0
        while sent < count:
            batch = min(500, count - sent)
            for number in range(batch):
                wrong = bytearray(os.urandom(64) if number % 4 == 0 else frame[: 1 + (sent + number) % len(frame)] if number % 4 == 1 else frame)
                if number % 4 == 2 and wrong:
                    wrong[(sent + number) % len(wrong)] ^= 1 << number % 8
                if number % 4 == 3:
                    wrong = bytearray(20_000)
                partner.send("XADD", stream, "MAXLEN", "~", 10_000, "*", field, bytes(wrong))
            for _ in range(batch):
                partner.reply()
            sent += batch
        # The frames of another, under its own name; and fields that nobody knows.
        for fields in ((field, frame), (b"x", frame), (field, b""), (field, frame, field, frame)):
            partner.ask("XADD", stream, "*", *fields)
        for stranger in (f"rt:{engines.NETWORK}:d:b", f"rt:{engines.NETWORK}:d:"):
            try:
                partner.ask("XADD", stranger, "*", field, frame)
                raise Fault("a partner may write into another's stream")
            except Fault as fault:
                expect("NOPERM" in str(fault), f"refused for its rights: {fault}")
    b.announce(info_hash, source_of("b", 10), port=4_012, event="started")
    wait("the others go on", lambda: network.sites["a"].scrape(info_hash)[1] == 1, 120)
    def has_counted(site):
        told = {other["name"]: other["dropped"] for other in site.status()["sites"]}
        return True if sum(told.get("d", {}).values()) > 0 else told

    for site in network.running():
        wait(f"{site.name} has counted what d wrote", lambda site=site: has_counted(site), 120)
        site.api("sites/forget", "POST", {"name": "d"})
    # What was B's own frame, said by d, may have taken over peers until now; B's next word wins.
    b.api("sites/resend", "POST")
    network.equal()
    return f"{count} frames"


def led_ahead(network):
    """Somebody with a tracker's password leads its log into the future, and to its end: it is begun anew, and the others follow."""
    a, b = network.sites["a"], network.sites["b"]
    stream = f"rt:{engines.NETWORK}:d:a"
    told = []
    for number, far in enumerate((f"{int(time.time() * 1000) + 3_600_000}-0", f"{2 ** 64 - 1}-{2 ** 64 - 1}")):
        wait("A writes to E1", lambda: a.status()["engines"][0]["state"] == "writing", 60)
        before = a.status()["new_logs"]
        began = time.monotonic()
        with network.engines["e1"].user("a") as thief:
            thief.ask("XADD", stream, far, "f", "x")
        wait("A begins its log anew", lambda: a.status()["new_logs"] > before, 60)
        told.append(f"{time.monotonic() - began:.1f} s")
        kinds = [trouble["kind"] for trouble in a.status()["troubles"]]
        expect("name_taken" in kinds, f"A says that somebody else wrote: {kinds}")
        info_hash = os.urandom(20)
        a.announce(info_hash, source_of("a", 14), port=4_017, event="started")
        wait("B hears A", lambda: b.scrape(info_hash)[1] == 1, 60)
        with network.engines["e1"].operator() as operator:
            last = int(operator.ask("XREVRANGE", stream, "+", "-", "COUNT", 1)[0][0].split(b"-")[0])
        expect(last < (time.time() + 60) * 1000, f"the log is of now: {last}")
    network.equal()
    return f"begun anew after {' and '.join(told)}"


def one_name(network):
    """O26: a second tracker with the name of A says so, and A does, though they write to different engines; afterwards all is as before."""
    a, d = network.sites["a"], network.hosts["d"]
    folder = os.path.join(network.folder, "twin")
    twin = Site(network, "a", d, [network.engines[engine] for engine in ("e2", "e1")], folder)
    twin.start()

    def is_told(site):
        told = site.status()
        is_so = any(trouble["kind"] == "name_taken" for trouble in told["troubles"])
        return True if is_so and "somebody else writes" in " ".join(told["missing"]) else told["troubles"]

    for site in (a, twin):
        site.wait_for("it says that its name is taken", lambda site=site: is_told(site))
    expect(twin.stop() == 0, "the twin stops")
    a.wait_for("its name is its own again", lambda: not a.status()["troubles"] or a.status()["troubles"])
    # What the twin repeated of A's own log under A's name is A's again.
    a.api("sites/resend", "POST")
    network.equal()
    return "both say so"


def blocks(network):
    """O25: a block on A is in force on B and C, survives a restart of everything, and is lifted everywhere."""
    a, b, c = (network.sites[name] for name in NAMES)
    info_hash = os.urandom(20)
    a.announce(info_hash, source_of("a", 11), port=4_013, event="started")
    wait("C has it", lambda: c.scrape(info_hash)[1] == 1, 60)
    a.api("blocklist", "POST", {"info_hash": info_hash.hex(), "reason": "sites", "force": True})
    began = time.monotonic()

    def is_blocked(site):
        return b"failure reason" in site.announce(info_hash, source_of(site.name, 12), port=4_014)

    for site in (b, c):
        wait(f"{site.name} refuses the torrent", lambda site=site: is_blocked(site), 60)
    took = time.monotonic() - began
    for site in network.sites.values():
        expect(site.stop() == 0, "it stops")
    for engine in network.engines.values():
        engine.kill()
        engine.start()
    for site in network.sites.values():
        site.start()
        expect(is_blocked(site), f"{site.name} refuses it after a restart of everything")
    entry = next(block for block in b.api("blocklist")["blocklist"] if info_hash.hex() in block.values())
    b.api(f"blocklist/{entry['number']}", "DELETE")
    for site in (a, c):
        wait(f"{site.name} serves it again", lambda site=site: not is_blocked(site), 60)
    network.equal()
    return f"in force elsewhere after {took * 1e3:.0f} ms"


def strangers(network):
    """O23: a wrong CA, a wrong password, a name that is another's: `sites check` says what, and the tracker serves without."""
    site = Site(network, "d", network.hosts["d"], [network.engines["e2"]], os.path.join(network.folder, "d"))

    def check():
        configuration = site.command()[-1]
        log = os.path.join(site.folder, f"check-{time.monotonic_ns()}")
        done = site.host.start([site.binary, "sites", "check", "--config", configuration], log)
        return done.end(60), done.tail(40)

    status, told = check()
    expect(status == 0, f"a right configuration is found right: {told}")
    wrongs = {
        "password": {"password_file": wrong_password(site)},
        "certificate": {"ca_file": os.path.join(network.certificates, "other-ca.pem")},
        "may not be written": {"name": "b"},
    }
    right = dict(site.settings["SITES"])
    for word, wrong in wrongs.items():
        site.settings["SITES"] = right | wrong
        status, told = check()
        expect(status == 1 and word in told.lower(), f"what is wrong is said, {word!r}: {status} {told}")
        trackers.Retracker.start(site)
        info_hash = os.urandom(20)
        # d has no clients of its own: they come by its own address, which is as good.
        site.host.call(ask.http_announce, site.host.v4, PORT, info_hash, port=4_015)
        time.sleep(5)
        expect(site.stop() == 0, "a tracker whose engine refuses it serves and stops as any other")
        lines = [line for line in site.log_text().splitlines() if "ERROR" in line or "WARN" in line]
        expect(any("10.80.0.5" in line for line in lines), f"the log names the engine: {lines[-3:]}")
        expect(len(lines) < 20 * (1 + list(wrongs).index(word)), f"and does not fill up: {len(lines)} lines")
    return "three refusals, each named"


def wrong_password(site):
    path = os.path.join(site.folder, "wrong")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("guessed\n")
    return path


def wrong_clock(network):
    """A tracker whose clock is ten minutes wrong: its peers live as long as others', and it says so."""
    if not shutil.which("faketime"):
        return "left out: no faketime on this machine"
    a, c = network.sites["a"], network.sites["c"]
    expect(c.stop() == 0, "C stops")
    c.wrapper = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", "+10m"]
    try:
        c.start()
        info_hash = os.urandom(20)
        c.announce(info_hash, source_of("c", 13), port=4_016, event="started")
        wait("A has it", lambda: a.scrape(info_hash)[1] == 1, 60)
        network.equal()
        wait("a metric shows it", lambda: abs(c.metric("retracker_engine_clock_offset_seconds")) > 500, 60)
    finally:
        c.wrapper = []
        c.stop()
        c.start()
    network.equal()
    return "seen, and without consequence"


CHECKS = [seen_elsewhere, load, tracker_dies, engine_dies, engine_hangs, all_engines_die, partition, downloads, hostile_partner, led_ahead, one_name, blocks,
          strangers, wrong_clock]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=os.path.abspath)
    parser.add_argument("--long", action="store_true", help="at full length; tells the figures of docs/SITES.md (half an hour)")
    parser.add_argument("--keep", metavar="FOLDER", help="keep all files, logs included, in FOLDER")
    names = [check.__name__ for check in CHECKS]
    parser.add_argument("checks", nargs="*", choices=[*names, []], default=[])
    options = parser.parse_args()
    trackers.Retracker.binary = options.binary
    if not shutil.which("redis-server"):
        sys.exit("not installed: redis-server")
    enter()
    folder = os.path.abspath(options.keep or tempfile.mkdtemp(prefix="retracker-sites-"))
    os.makedirs(folder, exist_ok=True)
    failed, began = 0, time.monotonic()
    try:
        network = Network(folder, options.long)
        for check in CHECKS:
            if options.checks and check.__name__ not in options.checks:
                continue
            started = time.monotonic()
            try:
                told = check(network)
                print(f"  passed    {check.__name__}: {told} ({time.monotonic() - started:.0f} s)", flush=True)
            except Exception as error:
                failed += 1
                print(f"  FAILED    {check.__name__}: {error}", flush=True)
                if not isinstance(error, Fault):
                    traceback.print_exception(error)
                # What comes next would only fail after it.
                break
        network.stop()
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"sites, {time.monotonic() - began:.0f} s: {'failed' if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
