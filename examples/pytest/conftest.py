"""A tracker for each test: `def test_…(tracker)`. It is ready when the test begins, and gone when it ends, however that is."""

import json
import os
import queue
import subprocess
import threading

import pytest

# Where the program is, when it is not in PATH.
PROGRAM = os.environ.get("RETRACKER_LAB", "retracker-lab")


class Tracker:
    """`http`, `https`, `udp`: announce URLs. `ca_file`: the authority of https. `next(kind)`: the next request of a kind."""

    def __init__(self, process, ready):
        self.http, self.https, self.udp = ready["http"], ready["https"], ready["udp"]
        self.ca_file = ready["ca_file"]
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, out):
        for line in out:
            self._lines.put(json.loads(line))

    def next(self, kind="announce", patience=30):
        """The next request of this kind; what comes before it is passed over. Fails when there is none for so many seconds."""
        while True:
            try:
                line = self._lines.get(timeout=patience)
            except queue.Empty:
                pytest.fail(f"no {kind} came within {patience} s")
            if line["kind"] == kind:
                return line


@pytest.fixture
def tracker(tmp_path, request):
    """`@pytest.mark.lab("--speed", "60")` gives it other options."""
    marker = request.node.get_closest_marker("lab")
    options = marker.args if marker else ()
    ca_file = tmp_path / "ca.pem"
    command = [PROGRAM, "watch", "--json", "--until-stdin-closes", "--ca-file", ca_file, *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Tracker(process, json.loads(process.stdout.readline()))
    finally:
        process.stdin.close()
        assert process.wait(30) == 0


def pytest_configure(config):
    config.addinivalue_line("markers", "lab(*options): options of retracker-lab for the tracker of this test")
