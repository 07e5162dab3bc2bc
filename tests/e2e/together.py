"""Everything at once (R11), and announces under full snapshots (R14): whoever asks is answered rightly, and nothing locks up.

How long answers take meanwhile is measured by figures.py.
"""

import contextlib
import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ask
from abused import HOST, PATIENCE, Failed, Tracker, expect, wrong

# Everything is kept by hand and by the seconds of the sweep, so that phases without and with the trouble are the same tracker.
CALM = "peer_cleanup_period = 3600\n[SNAPSHOTS]\ninterval = 0\n[LOGGING]\nlevel = DEBUG\n"
BUSY = CALM.replace("3600", "1")

# So often each kind of work must have been done beside the load.
TIMES = 3


@contextlib.contextmanager
def meanwhile(*works):
    """Does each work over and over, on a thread of its own, until the block ends; what goes wrong there goes wrong here."""
    over = threading.Event()

    def repeat(work):
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
    status, entry = tracker.api("POST", "blocklist", target | {"reason": "R11", "force": True})
    check(status == 201, f"block: {status} {entry}")
    told = refusals()
    check(all(told), f"not refused everywhere: {told}")
    if "ip" in target:
        check(sum(ask.http_scrape(HOST, tracker.port, info_hash)[:2]) == 0, "still counted in the torrent")
    status, said = tracker.api("DELETE", f"blocklist/{entry['number']}")
    check(status == 204, f"unblock: {status} {said}")
    told = refusals()
    check(told == [None, None], f"still refused: {told}")


def load_both(tracker, words):
    """Loads it over HTTP and UDP at once; gives the report of each."""
    over_udp = subprocess.Popen(
        tracker.load_command("udp", *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        return {"http": tracker.load("http", "--close", *words), "udp": json.loads(over_udp.communicate(timeout=600)[0])}
    finally:
        over_udp.kill()


def fill(tracker, peers):
    """Lets so many peers in, and gives the words by which a load knows them."""
    words = [f"--peers={peers}", f"--torrents={peers // 10}"]
    filled = tracker.load("udp", *words, "--connections=64", "--seconds=1")
    expect(not wrong(filled), f"{peers} peers are in {wrong(filled) or ''}")
    return words


def under_load(tracker, words, works):
    """Loads it while the works and sweeps go on beside, until each was done some times."""
    counts, answered = dict.fromkeys(works, 0), 0
    give_up = time.monotonic() + 5 * PATIENCE
    while min(*counts.values(), sweeps(tracker)) < TIMES:
        if time.monotonic() > give_up:
            raise Failed(f"something hangs: {counts} and {sweeps(tracker)} sweeps")
        with meanwhile(*works.values()) as running:
            reports = load_both(tracker, [*words, "--cold", "--connections=64", "--seconds=4"])
        for name, work in zip(works, running):
            counts[name] += work.result()
        for scheme, report in reports.items():
            if wrong(report):
                raise Failed(f"{scheme}: {wrong(report)}")
            answered += report["answered"]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    expect(True, f"{answered} requests were answered rightly beside {told} and {sweeps(tracker)} sweeps")
    expect(tracker.lives() and tracker.answers(PATIENCE), "it lives and answers")


def sweeps(tracker):
    return tracker.log_text().count("sweep: ")


def r11_everything(binary):
    """R11: announces, scrapes, stops, blocklist edits, sweeps and snapshots all at once; every edit is in force when it is answered."""
    with Tracker(binary, BUSY) as tracker:
        tracker.make_token()
        words = fill(tracker, 50_000)
        under_load(tracker, [*words, "--rate=1000", "--scrapes=10"], {
            "edits of the blocklist": paced(0.2, lambda number: edit(tracker, number)),
            "snapshots": paced(0.5, lambda _: snapshot(tracker, is_full=False)),
        })


def r14_full_snapshots(binary):
    """R14: announces are answered while the whole of the swarms is written again and again, and swept."""
    with Tracker(binary, BUSY) as tracker:
        tracker.make_token()
        words = fill(tracker, 50_000)
        under_load(tracker, [*words, "--rate=1000"], {"full snapshots": lambda _: snapshot(tracker, is_full=True)})
