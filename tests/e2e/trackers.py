"""The tracker under test on a host of its own; the recorder can take its place."""

import os
import signal
import socket
import sys

from lab import PATIENCE, Fault, wait

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 6969


class Tracker:
    """A running tracker. `settings` are lines of config.ini by section."""

    def __init__(self, host, folder, settings=None):
        self.host, self.folder = host, folder
        self.settings = settings or {}
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def start(self):
        self.process = self.host.start(self.command(), os.path.join(self.folder, "log"), cwd=self.folder)
        self.host.call(wait, "the tracker listens", self.is_listening)

    def is_listening(self):
        if not self.process.is_running():
            raise Fault(f"the tracker ended:\n{self.process.tail()}")
        try:
            socket.create_connection((self.host.v4, PORT), timeout=1).close()
            return True
        except OSError as error:
            return str(error)

    def stop(self):
        self.process.signal(signal.SIGTERM)
        return self.process.end(PATIENCE)

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.end()

    def url(self, family=4, udp=False):
        address = self.host.v4 if family == 4 else f"[{self.host.v6}]"
        return f"udp://{address}:{PORT}/announce" if udp else f"http://{address}:{PORT}/announce"


class Retracker(Tracker):
    binary = None

    def command(self):
        sections = {
            # Clients that miss a peer at first ask again soon.
            "TRACKER": {"port": PORT, "announce_interval": 60},
            "SNAPSHOTS": {"file": os.path.join(self.folder, "retracker.sqlite"), "interval": 1},
        }
        for section, values in self.settings.items():
            sections.setdefault(section, {}).update(values)
        configuration = os.path.join(self.folder, "config.ini")
        with open(configuration, "w") as file:
            for section, values in sections.items():
                file.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))
        return [self.binary, "--config", configuration]


class Recorder(Tracker):
    """The recording tracker of this folder."""

    def command(self):
        return [sys.executable, os.path.join(HERE, "recorder.py"), str(PORT), os.path.join(self.folder, "requests")]


KINDS = {"retracker": Retracker, "recorder": Recorder}
