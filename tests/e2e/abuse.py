#!/usr/bin/env python3
"""Treats a running tracker badly and checks what it promises: R2, R7, R9, R10, R11 and R14 of the reliability page.

    tests/e2e/abuse.py --binary target/release/retracker           what is right or wrong on any machine, in two minutes
    tests/e2e/abuse.py --binary target/release/retracker --long    the figures as promised (figures.py): on a quiet machine, by hand
    tests/e2e/abuse.py --binary … r7 r9                            some of them

The first form is part of the gate, and a busy machine cannot fail it: it asks whether everybody is answered, whether anybody is
held for ever, whether memory keeps its bound and the log says what it must; how long that takes is not asked.

Everything stays on loopback (clients come from 127.0.0.0/8), is bounded in count and time, and ends with the script.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import time

import slow
import together
from abused import HEAD, PATIENCE, Failed, Tracker, expect, wrong


def r2_slow_clients(binary):
    """R2: slow clients of every kind are let go in the end, and good ones are answered meanwhile."""
    with Tracker(binary) as tracker:
        held = slow.Held(tracker, 60, 150)
        asked = 0
        while held.clients and held.seconds() < 3 * PATIENCE:
            if not tracker.answers(PATIENCE):
                raise Failed(f"a good client is not answered after {asked} that were; still held: {held.kinds()}")
            asked += 1
            held.go_on()
            time.sleep(0.2)
        expect(not held.clients, f"slow clients are all let go; held for ever: {held.kinds()}")
        expect(asked > 0, f"{asked} good clients were answered meanwhile")


def r7_file_limit(binary):
    """R7: with 1,024 open files and more connections than that it lives, says so, and serves again when they are gone."""
    with Tracker(binary, open_files=1_024) as tracker:
        held = []
        for number in range(1_600):
            with contextlib.suppress(OSError):
                client = slow.connect(tracker, number, 90)
                # A first request, so that the connection is held and not only waits for its turn.
                client.send(HEAD + b"\r\n")
                held.append(client)
        tracker.until(lambda: any(word in tracker.log_text().lower() for word in ("open files", "file limit", "nofile")),
                      "its log names the limit on open files")
        expect(tracker.lives(), f"it lives with {len(held)} connections before its door")
        for client in held:
            client.close()
        tracker.until(lambda: tracker.answers(PATIENCE), "it answers when they have gone")


def r9_floods(binary, scale=1):
    """R9: at twice every bound memory stays where it was at the bound, and everybody is still answered."""
    # So many that what comes in beyond a bound would be twice the room left below and more.
    peers, torrents = 200_000 * scale, 100_000 * scale
    cases = {
        "peers in all": (f"max_peers = {peers}", [f"--torrents={torrents // 10}", "--peers={}"], peers),
        "torrents in all": (f"max_torrents = {torrents}", ["--torrents={}", "--peers={}"], torrents),
        "peers in one swarm": (
            f"max_peers_per_torrent = {peers}\nmax_ports_per_address = 0\nmax_torrents_per_address = 0",
            ["--torrents=1", "--peers={}"], peers,
        ),
        "entries of one address": (
            f"max_torrents_per_address = {torrents}", ["--torrents={}", "--peers={}", "--sources=1"], torrents,
        ),
    }
    for name, (options, words, bound) in cases.items():
        # A snapshot copies one swarm at a time; of a swarm of a million that would be seen in the memory, now and then.
        with Tracker(binary, f"{options}\n[SNAPSHOTS]\ninterval = 0") as tracker:
            def flood(factor):
                sized = [word.format(int(bound * factor)) for word in words]
                report = tracker.load("udp", "--connections=64", "--seconds=1", "--seed=3", *sized)
                expect(not wrong(report), f"{name}: at {factor} × the bound {report['answered']} were answered rightly {wrong(report) or ''}")
                return tracker.resident()

            flood(1)
            at_bound = flood(1)
            beyond = flood(2)
            grown = (beyond - at_bound) / (1 << 20)
            # Buffers and the allocator's own rounding apart, nothing may come in.
            room = 5 + 0.02 * at_bound / (1 << 20)
            expect(grown <= room, f"{name}: memory grew by {grown:.1f} MiB from the bound to twice it (room {room:.1f})")
            expect(tracker.lives() and tracker.answers(PATIENCE), f"{name}: it still answers")


def r10_alike_hashes(binary):
    """R10: 100,000 hashes with equal first bytes are served like any others."""
    with Tracker(binary) as tracker:
        report = tracker.load("udp", "--connections=64", "--torrents=100000", "--peers=100000", "--seconds=1", "--alike=8")
        expect(not wrong(report), f"{report['answered']} announces of such hashes were answered rightly {wrong(report) or ''}")
        expect(tracker.answers(PATIENCE), "others are answered too")


CHECKS = {
    "r2": r2_slow_clients,
    "r7": r7_file_limit,
    "r9": r9_floods,
    "r10": r10_alike_hashes,
    "r11": together.r11_everything,
    "r14": together.r14_full_snapshots,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=os.path.abspath)
    parser.add_argument("--long", action="store_true", help="measure, and judge the figures as promised")
    parser.add_argument("checks", nargs="*", choices=[*CHECKS, "p23", []], default=[], help="p23: with --long only")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    checks = CHECKS
    if arguments.long:
        import figures

        figures.go_ahead()
        checks = figures.FIGURES | {"r9": lambda binary: r9_floods(binary, scale=5)}
        checks["r9"].__doc__ = r9_floods.__doc__
    failed = 0
    names = arguments.checks or list(checks)
    if unknown := [name for name in names if name not in checks]:
        parser.error(f"with --long only: {', '.join(unknown)}")
    for name in names:
        check = checks[name]
        print(f"{name.upper():4}  {check.__doc__.split(': ', 1)[1]}", flush=True)
        began = time.monotonic()
        try:
            check(arguments.binary)
            print(f"      ok, {time.monotonic() - began:.0f} s", flush=True)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"      FAILED: {error}", flush=True)
    print(f"abuse: {len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
