"""Everything at once: R11, and what full snapshots of many peers do to announces (R14).

Phases without and with the trouble take turns at one tracker, and their medians are compared, so that a bad minute of the
machine hits both. The load is paced, so latency counts from when each request was due. Where that is allowed, tracker and load
run ahead of the machine's other work.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ask
from abused import HOST, Failed, Tracker, expect, faults

# Everything is kept by hand and by the seconds of the sweep, so that both kinds of phases are the same tracker.
CALM = "peer_cleanup_period = 3600\n[SNAPSHOTS]\ninterval = 0\n[LOGGING]\nlevel = DEBUG\n"
BUSY = CALM.replace("3600", "1")


@contextlib.contextmanager
def meanwhile(*works):
    """Does each work over and over, on a thread of its own, until the block ends; what goes wrong there goes wrong here."""
    over = threading.Event()

    def repeat(work):
        # Who asks the tracker for work sits elsewhere: only what the tracker makes of it may stand in the way of its clients.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        number = 0
        while not over.is_set():
            work(number)
            number += 1
        return number

    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(repeat, work) for work in works]
        try:
            yield done
        finally:
            over.set()
        for work in done:
            work.result()


def paced(seconds, work):
    """The work, started at most once in so many seconds."""
    def run(number):
        began = time.monotonic()
        work(number)
        time.sleep(max(0, began + seconds - time.monotonic()))
    return run


def snapshot(tracker, is_full):
    """Has a snapshot taken. A full one: the database is lost first, so every swarm is written anew."""
    if is_full:
        for file in tracker.database.parent.glob(tracker.database.name + "*"):
            if not file.name.endswith(".lock"):
                file.unlink(missing_ok=True)
    status, said = tracker.api("POST", "snapshot")
    if status != 204:
        raise Failed(f"snapshot: {status} {said}")


def edit(tracker, number):
    """Blocks an address, a network or a torrent, sees it refused over HTTP and UDP, takes the block back, sees it served."""
    info_hash, source = os.urandom(20), f"127.230.{number % 250}.9"
    target = [{"ip": source}, {"ip": f"127.230.{number % 250}.0/24"}, {"info_hash": info_hash.hex()}][number % 3]

    def refusals():
        reply = ask.http_announce(HOST, tracker.port, info_hash, source=source)
        return [reply.get(b"failure reason"), ask.udp_announce(HOST, tracker.port, info_hash, source)]

    def check(holds, text):
        if not holds:
            raise Failed(f"{target}: {text}")

    check(refusals() == [None, None], "refused before it was blocked")
    status, entry = tracker.api("POST", "blocklist", target | {"reason": "R11"})
    check(status == 201, f"block: {status} {entry}")
    told = refusals()
    check(all(told), f"not refused everywhere: {told}")
    if "ip" in target:
        check(sum(ask.http_scrape(HOST, tracker.port, info_hash)[:2]) == 0, "still counted in the torrent")
    status, said = tracker.api("DELETE", f"blocklist/{entry['number']}")
    check(status == 204, f"unblock: {status} {said}")
    told = refusals()
    check(told == [None, None], f"still refused: {told}")


def phase(tracker, words):
    """Loads it over HTTP and UDP at once; gives the percentiles of both, in milliseconds."""
    over_udp = subprocess.Popen(
        tracker.load_command("udp", *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    reports = {"http": tracker.load("http", "--close", *words)}
    reports["udp"] = json.loads(over_udp.communicate(timeout=120)[0])
    wrong = [report["faults"] for report in reports.values() if faults(report)]
    expect(not wrong, f"{sum(report['answered'] for report in reports.values())} requests were answered"
           + (f", but for {wrong}" if wrong else ""))
    return {scheme: {name: micros / 1e3 for name, micros in report["latency_us"].items()}
            for scheme, report in reports.items()}


@contextlib.contextmanager
def a_core_taken():
    """Something else computes meanwhile."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield []
        finally:
            other.kill()


def compared(tracker, words, rounds, calm, works):
    """Phases without and with the works and sweeps every second, in turn; the percentiles of each, and how often each work ran."""
    found, counts = ([], []), [0] * len(works)
    for _ in range(rounds):
        tracker.reload(CALM)
        with calm():
            found[0].append(phase(tracker, words))
        tracker.reload(BUSY)
        with meanwhile(*works) as running:
            found[1].append(phase(tracker, words))
        counts = [count + work.result() for count, work in zip(counts, running)]
    return *found, counts


def judge(calm, busy, factor):
    """The promise on the 99th percentile, transport by transport: medians of the phases."""
    for scheme in ("http", "udp"):
        without, during = ([phase[scheme]["p99"] for phase in phases] for phases in (calm, busy))
        ratio = statistics.median(during) / statistics.median(without)
        expect(ratio <= factor, f"{scheme}: p99 {statistics.median(during):.2f} ms, {ratio:.2f} × that without"
               f" ({', '.join(f'{one:.2f}' for one in during)}; without {', '.join(f'{one:.2f}' for one in without)})")


def worst(phases):
    return max(transport["max"] for phase in phases for transport in phase.values())


def r11_everything(binary, is_long):
    """R11: announces, scrapes, stops, blocklist edits, sweeps and snapshots all at once over 500,000 peers."""
    peers = 500_000 if is_long else 100_000
    rounds, seconds = (7, 6) if is_long else (5, 3)
    words = [f"--peers={peers}", f"--torrents={peers // 10}"]
    with Tracker(binary, CALM) as tracker:
        tracker.make_token()
        filled = tracker.load("udp", *words, "--connections=64", "--seconds=1")
        expect(faults(filled) == 0, f"{peers} peers are in")
        calm, busy, (edits, snapshots) = compared(
            tracker,
            [*words, "--cold", "--rate=3000", "--connections=64", "--scrapes=10", f"--seconds={seconds}"],
            rounds,
            contextlib.nullcontext,
            [paced(0.3, lambda number: edit(tracker, number)), paced(1, lambda _: snapshot(tracker, is_full=False))],
        )
        in_all = rounds * seconds
        # Some seven a second on an idle machine.
        expect(2 * edits >= in_all, f"{2 * edits} edits of the blocklist in {in_all} s, each in force at once")
        sweeps = tracker.log_text().count("sweep: ")
        expect(min(snapshots, sweeps) >= in_all / 2, f"{snapshots} snapshots and {sweeps} sweeps meanwhile")
        expect(worst(busy) <= 500, f"the worst took {worst(busy):.0f} ms, {worst(calm):.0f} ms without")
        judge(calm, busy, 3)
        expect(tracker.lives() and tracker.answers(2), "it lives and answers")


def r14_full_snapshots(binary, is_long):
    """R14: full snapshots of a million peers and sweeps cost announces no more than twice what a core taken by others does."""
    peers = 1_000_000 if is_long else 200_000
    rounds, seconds = (7, 6) if is_long else (5, 3)
    words = [f"--peers={peers}", f"--torrents={peers // 10}"]
    with Tracker(binary, CALM) as tracker:
        tracker.make_token()
        filled = tracker.load("udp", *words, "--connections=64", "--seconds=1")
        expect(faults(filled) == 0, f"{peers} peers are in")
        calm, busy, (snapshots,) = compared(
            tracker,
            [*words, "--cold", "--rate=1000", "--connections=64", f"--seconds={seconds}"],
            rounds,
            # Generator and tracker share the cores: what is asked is what the tracker's own keeping adds to a core less.
            a_core_taken,
            [lambda _: snapshot(tracker, is_full=True)],
        )
        sweeps = tracker.log_text().count("sweep: ")
        expect(snapshots >= rounds and sweeps >= rounds * seconds / 2, f"{snapshots} full snapshots and {sweeps} sweeps ran")
        expect(worst(busy) <= 100, f"the worst took {worst(busy):.0f} ms, {worst(calm):.0f} ms without")
        judge(calm, busy, 2)
