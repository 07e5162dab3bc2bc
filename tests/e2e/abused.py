"""A tracker of its own for a check, how it is asked and loaded, and what a promise not kept is."""

import contextlib
import http.client
import json
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
# Seconds after which something has hung. No check of the gate is about less: a busy machine may stand still for a while.
PATIENCE = 60
HEAD = b"GET /announce?info_hash=" + b"%ab" * 20 + b"&peer_id=-TR3000-abcdefghijkl&port=6881&left=1 HTTP/1.1\r\nHost: t\r\n"


class Failed(Exception):
    """A promise that was not kept."""


def expect(holds, text):
    if not holds:
        raise Failed(text)
    print(f"      {text}", flush=True)


class Tracker:
    """A tracker of its own for one check."""

    def __init__(self, binary, options="", open_files=None, starts=True):
        self.binary = binary
        self.folder = tempfile.TemporaryDirectory(prefix="retracker-abuse-")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        folder = pathlib.Path(self.folder.name)
        (folder / "config").mkdir()
        self.config = folder / "config/config.ini"
        self.write_config(options)
        self.log = folder / "log"
        self.database = folder / "snapshots/retracker.sqlite"
        self.token = None

        def limit():
            if open_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "--config", "config/config.ini"],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limit,
            )
        if not starts:
            return
        self.until(lambda: self.process.poll() is not None or self.answers(1))
        if not self.lives():
            raise Failed("the tracker does not start: " + self.log_text()[-1_000:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()

    def write_config(self, options):
        host = "" if options.startswith("host =") else f"host = {HOST}\n"
        self.config.write_text(f"[TRACKER]\nport = {self.port}\n{host}{options}\n")

    def reload(self, options):
        """Puts other options in force, and waits until they are."""
        done = "the configuration is reloaded"
        before = self.log_text().count(done)
        self.write_config(options)
        self.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.log_text().count(done) > before)

    def until(self, condition, what=None):
        """Waits until it is true; a failure when it is not for so long that it never will be."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > give_up:
                raise Failed(f"not within {PATIENCE} s: {what or 'it comes up'}: {self.log_text()[-1_000:]}")
            time.sleep(0.05)
        if what:
            expect(True, what)

    def log_text(self):
        return self.log.read_text(errors="replace")

    def make_token(self):
        words = [self.binary, "token", "--file", str(self.database), "new", "abuse", "--scope", "admin"]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        self.token = re.search(r"rt_[0-9a-f]+", told)[0]

    def api(self, method, path, body=None):
        """Asks the API as a program with a token does; gives status and what was said."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, "/api/v1/" + path, body and json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text else None
        finally:
            connection.close()

    def lives(self):
        return self.process.poll() is None

    def answers(self, seconds):
        """Whether a good client gets its answer in that time."""
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), seconds) as client:
            client.settimeout(seconds)
            client.sendall(HEAD + b"Connection: close\r\n\r\n")
            return client.recv(4_096).startswith(b"HTTP/1.1 200")
        return False

    def stat(self):
        """What /proc/PID/stat says behind the name of the process."""
        return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()

    def resident(self):
        return int(self.stat()[21]) * resource.getpagesize()

    def load_command(self, scheme, *words):
        url = f"{scheme}://{HOST}:{self.port}" + ("/announce" if scheme == "http" else "")
        lab = str(pathlib.Path(self.binary).with_name("retracker-lab"))
        return [lab, "bench", url, "--json", f"--pid={self.process.pid}", *words]

    def load(self, scheme, *words):
        """Runs the load generator; its report, faults and all."""
        done = subprocess.run(self.load_command(scheme, *words), capture_output=True, text=True, timeout=600)
        if not done.stdout:
            raise Failed(f"no report: {done.stderr[-600:]}")
        return json.loads(done.stdout)


def faults(report):
    return sum(report["faults"].values()) + sum(report["warm_up_faults"].values())


def wrong(report):
    """What went wrong whatever the machine did: wrong replies, by kind. That none came in time says nothing on a busy one."""
    kinds = {kind: count for part in ("faults", "warm_up_faults") for kind, count in report[part].items()}
    kinds.pop("no reply in time", None)
    if not report["answered"]:
        kinds["nothing was answered"] = 1
    return kinds
