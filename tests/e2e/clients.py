"""Real BitTorrent clients, started headless for one torrent each. Only the tracker finds peers for them."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    """One client on one host. `leave` makes it tell the tracker that it stops; `end` ends the process."""

    name = None
    program = None
    # Bytes a second that it sends at most, for those that trade in crowds; 0 is no limit.
    upload_limit = 0
    # Whether clients tell each other of peers (PEX); never for a private torrent.
    has_pex = False
    # How the program tells its version, and the signal on which it leaves in order.
    version_option = "--version"
    farewell = signal.SIGTERM

    @classmethod
    def version(cls):
        told = subprocess.run([cls.program, cls.version_option], capture_output=True, text=True)
        return told.stdout or told.stderr

    def __init__(self, host, folder, torrent, family=4, udp=False):
        self.host, self.folder, self.torrent, self.family, self.udp = host, folder, torrent, family, udp
        self.data = os.path.join(folder, "data")
        self.file = os.path.join(self.data, torrent.name)
        self.torrent_file = os.path.join(folder, "it.torrent")
        os.makedirs(self.data)
        with open(self.torrent_file, "wb") as file:
            file.write(torrent.bytes)
        self.process = None

    def start(self, has_file):
        if has_file:
            with open(self.file, "wb") as file:
                file.write(self.torrent.content)
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder, "LANG": "C.UTF-8", "TERM": "xterm"}
        log = os.path.join(self.folder, "log")
        self.process = self.host.start(self.command(), log, env=environment, cwd=self.folder)

    def command(self):
        raise NotImplementedError

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def has_the_file(self):
        return self.torrent.is_whole(self.file)

    def leave(self):
        self.process.signal(self.farewell)

    def end(self):
        if self.process:
            self.process.signal(signal.SIGTERM)
            return self.process.end()


class Libtorrent(Client):
    name = "libtorrent"
    options = ()

    @staticmethod
    @functools.cache
    def interpreter():
        """A Python that knows libtorrent: the distribution's package is seen by the distribution's Python only."""
        for python in (sys.executable, "/usr/bin/python3"):
            known = subprocess.run([python, "-c", "import libtorrent"], capture_output=True)
            if known.returncode == 0:
                return python
        return None

    @staticmethod
    def version():
        asked = [Libtorrent.interpreter(), "-c", "import libtorrent; print(libtorrent.__version__)"]
        return subprocess.run(asked, capture_output=True, text=True).stdout

    def command(self):
        address = self.host.address(self.family)
        script = os.path.join(HERE, "libtorrent_peer.py")
        return [self.interpreter(), script, self.torrent_file, "--address", address, "--save", self.data, *self.options]


class Transmission(Client):
    name = "transmission"
    program = "transmission-daemon"

    def command(self):
        settings = {
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": self.has_pex,
            # 3.00 gets no data from libtorrent 2 over uTP.
            "utp-enabled": False,
            "port-forwarding-enabled": False,
            "download-dir": self.data,
            "rename-partial-files": False,
            # What has arrived is in the file at once, and what has not takes no place.
            "cache-size-mb": 0,
            "preallocation": 0,
            "speed-limit-up-enabled": self.upload_limit > 0,
            # In thousands of bytes.
            "speed-limit-up": self.upload_limit // 1000,
            "incomplete-dir-enabled": False,
            "peer-port": 51413,
            "rpc-bind-address": "127.0.0.1",
            "rpc-whitelist-enabled": False,
            "watch-dir": os.path.join(self.folder, "watch"),
            "watch-dir-enabled": True,
        }
        self.write("config/settings.json", json.dumps(settings))
        os.makedirs(settings["watch-dir"])
        shutil.copy(self.torrent_file, settings["watch-dir"])
        return ["transmission-daemon", "--foreground", "--config-dir", os.path.join(self.folder, "config")]

    def leave(self):
        # Ended by a signal, 3.00 loses the `stopped` over HTTP; stopping the torrent first sends it.
        self.host.call(self.rpc, "torrent-stop")

    def rpc(self, method):
        request = urllib.request.Request(
            "http://127.0.0.1:9091/transmission/rpc", json.dumps({"method": method, "arguments": {}}).encode()
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=60)
        except urllib.error.HTTPError as refusal:
            # The first answer is 409 and names the session that it wants to see.
            request.add_header("X-Transmission-Session-Id", refusal.headers["X-Transmission-Session-Id"])
            opener.open(request, timeout=60)


class Qbittorrent(Client):
    name = "qbittorrent"
    program = "qbittorrent-nox"

    def command(self):
        self.write("qBittorrent/config/qBittorrent.conf", "\n".join([
            "[LegalNotice]",
            "Accepted=true",
            "[BitTorrent]",
            "Session\\DHTEnabled=false",
            "Session\\LSDEnabled=false",
            f"Session\\PeXEnabled={'true' if self.has_pex else 'false'}",
            f"Session\\GlobalUPSpeedLimit={self.upload_limit >> 10}",
            "Session\\BTProtocol=TCP",
            "Session\\QueueingSystemEnabled=false",
            "Session\\Port=6881",
            f"Session\\InterfaceAddress={self.host.address(self.family)}",
            "[Network]",
            "PortForwardingEnabled=false",
            "[Preferences]",
            "WebUI\\Enabled=false",
        ]))
        return [
            "qbittorrent-nox", f"--profile={self.folder}", f"--save-path={self.data}", "--add-paused=false",
            self.torrent_file,
        ]


class Aria2(Client):
    name = "aria2"
    program = "aria2c"
    farewell = signal.SIGINT

    def command(self):
        return [
            "aria2c", "--no-conf=true", "--dir", self.data, "--check-integrity=true", "--seed-ratio=0.0",
            # It knows UDP trackers only with the DHT on; for a private torrent the DHT stays unused all the same.
            f"--enable-dht={'true' if self.udp else 'false'}", "--enable-dht6=false", "--bt-enable-lpd=false",
            f"--dht-file-path={self.folder}/dht", "--enable-peer-exchange=false", "--listen-port=6881",
            "--dht-listen-port=6882", "--summary-interval=0", "--console-log-level=info", "--file-allocation=none",
            f"--disable-ipv6={'true' if self.family == 4 else 'false'}", self.torrent_file,
        ]


class Rtorrent(Client):
    name = "rtorrent"
    program = "rtorrent"
    version_option = "-h"
    # An orderly shutdown; SIGTERM leaves without waiting for the tracker.
    farewell = signal.SIGINT

    def command(self):
        os.makedirs(os.path.join(self.folder, "session"))
        configuration = self.write("rtorrent.rc", "\n".join([
            "system.daemon.set = true",
            f"directory.default.set = {self.data}",
            f"session.path.set = {self.folder}/session",
            "network.port_range.set = 6881-6881",
            "network.port_random.set = no",
            f"network.bind_address.set = {self.host.v4}",
            "dht.mode.set = disable",
            "protocol.pex.set = no",
            "trackers.use_udp.set = yes",
            # With the check it tells `completed` at its next regular announce only.
            "pieces.hash.on_completion.set = no",
            f'schedule2 = load, 0, 0, "load.start={self.torrent_file}"',
            f'log.open_file = "log", {self.folder}/rtorrent.log',
            'log.add_output = "info", "log"',
            'log.add_output = "tracker_debug", "log"',
            "",
        ]))
        return ["rtorrent", "-n", "-o", f"import={configuration}"]


ALL = {client.name: client for client in (Libtorrent, Transmission, Qbittorrent, Aria2, Rtorrent)}


def missing():
    """What is not installed, as names of Debian packages."""
    packages = {"transmission": "transmission-daemon", "qbittorrent": "qbittorrent-nox"}
    absent = [packages.get(name, name) for name, client in ALL.items() if client.program and not shutil.which(client.program)]
    return absent + ([] if Libtorrent.interpreter() else ["python3-libtorrent"])


def impossible(seeder, leecher, family, udp):
    """Why this pair cannot trade, whatever the tracker does; None when it can."""
    pair = {seeder, leecher}
    if (seeder, leecher) == ("rtorrent", "aria2"):
        return "rtorrent 0.9.8 resets the connection to an aria2 leecher after some blocks"
    if family == 6 and "rtorrent" in pair:
        return "rtorrent 0.9.8 binds IPv4 only"
    if family == 6 and udp and pair & {"transmission", "aria2"}:
        return "transmission 3.00 and aria2 1.36 speak to UDP trackers over IPv4 only"
    return None
