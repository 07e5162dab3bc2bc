#!/usr/bin/env python3
"""The DNS recipes of docs/dns, each under the real server: it is started on a loopback port with its recipe and asked.

Servers that are not installed are left out; without any the test fails. Nothing outside loopback is asked or answers.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "dns"
A, AAAA, SRV = 1, 28, 33
# Seconds until a server has surely come up, on a busy machine too.
PATIENCE = 60.0
TRACKER = [("retracker.local", A, "192.0.2.80"), ("retracker.local", AAAA, "2001:db8::80"),
           ("retracker.isp.example", A, "192.0.2.80"), ("retracker.isp.example", AAAA, "2001:db8::80")]


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)


def read_name(packet, at):
    labels = []
    after = None
    while packet[at]:
        if packet[at] >= 0xC0:
            after = after or at + 2
            at = (packet[at] & 0x3F) << 8 | packet[at + 1]
            continue
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels), after or at + 1


def read_answers(packet):
    """The response code, and the data of every answer."""
    flags, questions, answers = struct.unpack(">HHH", packet[2:8])
    at = 12
    for _ in range(questions):
        at = read_name(packet, at)[1] + 4
    found = []
    for _ in range(answers):
        at = read_name(packet, at)[1]
        kind, _, _, length = struct.unpack(">HHIH", packet[at:at + 10])
        at += 10
        data = packet[at:at + length]
        if kind == A:
            found.append(socket.inet_ntop(socket.AF_INET, data))
        elif kind == AAAA:
            found.append(socket.inet_ntop(socket.AF_INET6, data))
        elif kind == SRV:
            priority, weight, port = struct.unpack(">3H", data[:6])
            found.append(f"{priority} {weight} {port} {read_name(packet, at + 6)[0]}")
        at += length
    return flags & 15, found


def ask(port, name, kind, patience=PATIENCE):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(patience)
        asker.connect(("127.0.0.1", port))
        asker.send(question(name, kind))
        return read_answers(asker.recv(4096))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unbound(folder, port):
    main = folder / "unbound.conf"
    main.write_text(f'''server:
    interface: 127.0.0.1@{port}
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    root-hints: ""
    do-not-query-localhost: yes
include: "{RECIPES / "unbound.conf"}"
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@9
remote-control:
    control-enable: no
''')
    return ["unbound", "-d", "-c", str(main)]


def dnsmasq(folder, port):
    return ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon", f"--port={port}", "--bind-interfaces",
            "--listen-address=127.0.0.1", f"--pid-file={folder / 'pid'}", f"--conf-file={RECIPES / 'dnsmasq.conf'}"]


def with_zones(folder, recipe, placed):
    """The recipe with its zone files where this test may put them."""
    for zone in RECIPES.glob("*.zone"):
        shutil.copy(zone, folder)
    return (RECIPES / recipe).read_text().replace(placed, str(folder))


def bind(folder, port):
    main = folder / "named.conf"
    main.write_text(f'''options {{
    directory "{folder}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    recursion no;
    dnssec-validation no;
}};
controls {{ }};
''' + with_zones(folder, "named.conf", "/etc/bind"))
    return ["named", "-g", "-c", str(main)]


def knot(folder, port):
    main = folder / "knot.conf"
    (folder / "data").mkdir()
    main.write_text(f'''server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
database:
    storage: "{folder / "data"}"
''' + with_zones(folder, "knot.conf", "/etc/knot"))
    return ["knotd", "-c", str(main)]


SERVERS = {"unbound": unbound, "dnsmasq": dnsmasq, "named": bind, "knotd": knot}


def find_local_tracker(port, host):
    """BEP 22: the host's own name first, then without its first label, and so on, but never a top-level domain."""
    labels = host.split(".")
    while len(labels) > 1:
        _, found = ask(port, "_bittorrent-tracker._tcp." + ".".join(labels), SRV)
        if found:
            return found
        labels.pop(0)
    return []


def wait_for(process, port):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"it ended with {process.returncode}")
        try:
            code, found = ask(port, "retracker.local", A, 0.2)
            if code == 0 and found:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("no answer")


def check(port):
    for name, kind, expected in TRACKER:
        code, found = ask(port, name, kind)
        assert (code, found) == (0, [expected]), f"{name} {kind}: {code} {found}"
    found = find_local_tracker(port, "client-7.north.isp.example")
    assert found == ["5 0 80 retracker.isp.example"], f"BEP 22: {found}"
    # The rest of .local stays alone: no server may make up an address for somebody's printer.
    try:
        code, found = ask(port, "printer.local", A, 1.0)
    except TimeoutError:
        return
    assert not found, f"printer.local: {found}"


def trial(name):
    with tempfile.TemporaryDirectory(prefix="dns-") as folder:
        folder = Path(folder)
        os.chmod(folder, 0o755)
        port = free_port()
        with open(folder / "log", "w+") as log:
            process = subprocess.Popen(SERVERS[name](folder, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                wait_for(process, port)
                check(port)
                return None
            except (AssertionError, OSError) as fault:
                log.seek(0)
                return f"{fault}\n{log.read()}"
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    passed = failed = 0
    for name in SERVERS:
        if not shutil.which(name):
            print(f"  left out  {name} is not installed")
            continue
        fault = trial(name)
        passed += fault is None
        failed += fault is not None
        print(f"  {'FAILED' if fault else 'passed'}    {name}" + (f": {fault}" if fault else ""))
    print(f"dns: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
