"""All torrents at once, as curl asks for them: by an admin, by a token as a file, packed; and nobody else (P22)."""

import gzip
import os
import subprocess

import ask
import torrent
from lab import Fault
from proxy import expect
from trackers import PORT, Retracker

TORRENTS = 500


def check(lab, folder):
    hosts = {
        name: lab.host(f"all-{name}", "switch", f"10.77.203.{at}/16", f"fd77::203:{at}/64")
        for at, name in enumerate(("tracker", "admin", "client"), 1)
    }
    host, admin, client = hosts["tracker"], hosts["admin"], hosts["client"]
    settings = {"TRACKER": {"full_scrape": "yes", "admin_networks": f"{admin.v4} {admin.v6}"}}
    tracker = Retracker(host, os.path.join(folder, "tracker"), settings)
    try:
        tracker.start()
        hashes = sorted(os.urandom(20) for _ in range(TORRENTS))
        for number, info_hash in enumerate(hashes):
            client.call(ask.http_announce, host.v4, PORT, info_hash, left=number % 2)
        expected = {info_hash: (1 - number % 2, number % 2) for number, info_hash in enumerate(hashes)}
        url = f"http://{host.v4}:{PORT}"
        plain = curl(admin, "-s", f"{url}/scrape")
        expect(files(plain), expected, "what an admin is told")
        if list(torrent.decode(plain)[b"files"]) != hashes:
            raise Fault("the torrents are not sorted")
        expect(curl(admin, "-s", "--compressed", f"http://[{host.v6}]:{PORT}/scrape"), plain, "what is unpacked")
        packed = curl(admin, "-s", "-H", "Accept-Encoding: gzip", f"{url}/scrape")
        if len(packed) > len(plain) // 2 or gzip.decompress(packed) != plain:
            raise Fault("what is packed is not the same, or hardly smaller")
        as_a_file(tracker, client, url, plain, folder)
        refused = torrent.decode(curl(client, "-s", f"{url}/scrape"))
        if b"files" in refused or b"admins and tokens" not in refused[b"failure reason"]:
            raise Fault(f"what a client is told: {refused}")
        counted = curl(admin, "-s", f"{url}/metrics")
        if b'reason="full_scrape"} 1\n' not in counted:
            raise Fault("the refusal is not counted")
        return f"{TORRENTS} torrents by address and by token, packed and as a file; nobody else"
    finally:
        tracker.stop()


def as_a_file(tracker, client, url, plain, folder):
    made = subprocess.run(
        [tracker.binary, "token", "new", "curl", "--file", os.path.join(tracker.folder, "retracker.sqlite")],
        capture_output=True, text=True, check=True,
    )
    token = made.stdout.split()[-1]
    into = os.path.join(folder, "downloads")
    os.mkdir(into)
    curl(client, "-sSf", "-OJ", "--output-dir", into, "-H", f"Authorization: Bearer {token}", f"{url}/api/v1/full-scrape")
    expect(os.listdir(into), ["retracker-scrape.bencode"], "what is downloaded")
    with open(os.path.join(into, "retracker-scrape.bencode"), "rb") as file:
        expect(file.read() == plain, True, "whether the file is the same")


def files(body):
    found = torrent.decode(body)[b"files"]
    return {info_hash: (file[b"complete"], file[b"incomplete"]) for info_hash, file in found.items()}


def curl(host, *arguments):
    done = subprocess.run(["ip", "netns", "exec", host.name, "curl", *arguments], capture_output=True)
    if done.returncode != 0:
        raise Fault(f"curl {arguments[-1]}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout
