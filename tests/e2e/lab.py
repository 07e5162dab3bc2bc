"""A network of its own: hosts are network namespaces on a bridge, and nothing of the machine's network is touched.

`enter()` starts the script again inside new network, mount and process namespaces. The bridge lives there, and when the script
ends, however it ends, the kernel ends every process in there and forgets the interfaces; nothing is left to clean up.
"""

import ctypes
import os
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
# Seconds after which what has not come never will. Clients ask their tracker again after a minute at the latest, and a busy machine
# may make everything take several times as long: nothing here is about how long it takes.
PATIENCE = 300
LIBC = ctypes.CDLL(None, use_errno=True)


class Fault(Exception):
    """What an end-to-end check found wrong."""


def enter():
    """Runs this script again inside namespaces of its own, unless it is there already."""
    if os.environ.get("E2E_INSIDE") == str(os.getpid()):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        os.mkdir("/run/netns")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    rootless = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", *rootless, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    # In a new process namespace the first process is number 1.
    sys.stdout.flush()
    os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], {**os.environ, "E2E_INSIDE": "1"})


def wait(what, condition, patience=PATIENCE):
    """Polls `condition` until it is true; a fault after `patience`, in seconds, tells what was seen last."""
    end = time.monotonic() + patience
    while True:
        seen = condition()
        if seen is True:
            return
        if time.monotonic() > end:
            raise Fault(f"{what}: not within {patience} s (last seen: {seen})")
        time.sleep(0.2)


class Process:
    """A program on a host; its output goes to a file."""

    def __init__(self, arguments, log, **options):
        self.log = log
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
            )

    def is_running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def end(self, seconds=10):
        """Waits for the end; kills what does not end by itself. Gives the exit status, or None when it had to be killed."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return None

    def tail(self, lines=15):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class Host:
    """One network namespace with an interface `eth0`."""

    def __init__(self, name, v4, v6):
        self.name, self.v4, self.v6 = name, v4, v6

    def address(self, family):
        return self.v4 if family == 4 else self.v6

    def start(self, arguments, log, **options):
        # `ip netns exec` becomes the program: its process id is the program's.
        return Process(["ip", "netns", "exec", self.name, *map(str, arguments)], log, **options)

    def call(self, function, *arguments, **named):
        """Calls `function` so that the sockets it opens are this host's."""
        outcome = []

        def work():
            try:
                with open(f"/run/netns/{self.name}") as namespace:
                    if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                outcome.append((function(*arguments, **named), None))
            except BaseException as error:
                outcome.append((None, error))

        # Only the calling thread changes its namespace; this one ends with the call.
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        value, error = outcome[0]
        if error:
            raise error
        return value


class Lab:
    """Bridges and the hosts on them, all with v4 and v6 addresses."""

    def __init__(self):
        self.lock = threading.Lock()

    def ip(self, *arguments, host=None):
        prefix = ["-n", host] if host else []
        done = subprocess.run(["ip", *prefix, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Fault(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")

    def bridge(self, name, address=None):
        """Adds a bridge; with an address it is a leg of the router that joins the bridges."""
        self.ip("link", "add", name, "type", "bridge")
        self.ip("link", "set", name, "up")
        if address:
            self.ip("address", "add", address, "dev", name)

    def host(self, name, bridge, v4, v6, gateway=None):
        """Adds a host; addresses carry their prefix length. The gateway, IPv4, leads to other bridges."""
        with self.lock:
            self.ip("netns", "add", name)
            self.ip("link", "add", f"{name}-b", "type", "veth", "peer", "name", "eth0", "netns", name)
            self.ip("link", "set", f"{name}-b", "master", bridge, "up")
            self.ip("link", "set", "lo", "up", host=name)
            self.ip("link", "set", "eth0", "up", host=name)
            self.ip("address", "add", v4, "dev", "eth0", host=name)
            # Without duplicate address detection: the address can be used at once.
            self.ip("address", "add", v6, "dev", "eth0", "nodad", host=name)
            if gateway:
                self.ip("route", "add", gateway, "dev", "eth0", host=name)
                self.ip("route", "add", "default", "via", gateway, host=name)
        return Host(name, v4.split("/")[0], v6.split("/")[0])

    def remove(self, host):
        with self.lock:
            self.ip("netns", "delete", host.name)
