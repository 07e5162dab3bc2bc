"""haproxy and nginx in front, on the level of TCP: by the PROXY protocol the tracker sees its clients, and nobody else may speak it (O7)."""

import contextlib
import csv
import os
import socket

import ask
from clients import Libtorrent
from lab import Fault, wait
from proxy import LIE, expect
from torrent import Torrent
from trackers import PORT, Retracker

# Where Debian's package puts it.
MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
# The ports of the proxies, and what they speak.
FRONTS = {81: "haproxy, v1", 82: "haproxy, v2", 83: "nginx, v1"}


def check(lab, folder):
    hosts = {
        name: lab.host(f"named-{name}", "switch", f"10.77.202.{at}/16", f"fd77::202:{at}/64")
        for at, name in enumerate(("tracker", "front", "four", "six", "seeder", "leecher"), 1)
    }
    host, front = hosts["tracker"], hosts["front"]
    settings = {
        "TRACKER": {"mode": "proxy", "trusted_proxies": f"{front.v4} {front.v6}", "admin_networks": hosts["four"].v4},
        "HTTP": {"proxy_protocol": "yes"},
    }
    tracker = Retracker(host, os.path.join(folder, "tracker"), settings)
    proxies = []
    try:
        tracker.start()
        proxies = [start_haproxy(front, host, folder), start_nginx(front, host, folder)]
        for port in FRONTS:
            wait(f"port {port} of the proxies", lambda port=port: listens(front, port))
            each_is_seen_as_itself(hosts, front, port)
            who_is_an_admin(hosts, front, port)
        wait("haproxy's check of the tracker", lambda: checked(folder))
        for port in (81, 82, 83):
            trade(hosts, front, port, folder)
        nobody_else_may(hosts)
        return f"{', '.join(FRONTS.values())}: addresses right, health checked, a stranger's header refused"
    finally:
        for proxy in proxies:
            proxy.signal(15)
            proxy.end()
        tracker.stop()


def start_haproxy(front, host, folder):
    configuration = os.path.join(folder, "haproxy.cfg")
    with open(configuration, "w") as file:
        file.write(f"""
global
    stats socket {folder}/haproxy.sock
    log stdout format raw daemon notice
defaults
    mode tcp
    timeout connect 60s
    timeout client 300s
    timeout server 300s
    timeout check 60s
listen version1
    bind :81
    bind :::81 v6only
    server tracker {host.v4}:{PORT} send-proxy
listen version2
    bind :82
    bind :::82 v6only
    option httpchk GET /health
    server tracker [{host.v6}]:{PORT} send-proxy-v2 check check-send-proxy inter 1s fall 1000
""")
    return front.start(["haproxy", "-db", "-f", configuration], os.path.join(folder, "haproxy.log"))


def start_nginx(front, host, folder):
    configuration = os.path.join(folder, "nginx.conf")
    with open(configuration, "w") as file:
        file.write(f"load_module {MODULE};\ndaemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr warn;\n"
                   "events {}\nstream { server { listen 83; listen [::]:83; "
                   f"proxy_pass {host.v4}:{PORT}; proxy_protocol on; }} }}\n")
    return front.start(["nginx", "-p", folder, "-c", configuration], os.path.join(folder, "nginx.log"))


def listens(front, port):
    try:
        front.call(lambda: socket.create_connection((front.v4, port), timeout=1).close())
        return True
    except OSError as error:
        return str(error)


def checked(folder):
    """Whether haproxy's own request behind a LOCAL header was answered well."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.path.join(folder, "haproxy.sock"))
        asking.sendall(b"show stat\n")
        told = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
    rows = csv.DictReader(told.removeprefix("# ").splitlines())
    found = [row for row in rows if (row["pxname"], row["svname"]) == ("version2", "tracker")]
    return found[0]["check_status"] == "L7OK" or found[0]["check_status"]


def each_is_seen_as_itself(hosts, front, port):
    """Clients of both families lie in every header, and are handed to one another under their true addresses."""
    info_hash = os.urandom(20)
    four, six = hosts["four"], hosts["six"]
    four.call(ask.http_announce, front.v4, port, info_hash, LIE, port=4001)
    seen = six.call(ask.http_announce, front.v6, port, info_hash, LIE, port=6001)
    expect(ask.addresses(seen), {(four.v4, 4001)}, f"what the v6 client is handed ({FRONTS[port]})")
    seen = four.call(ask.http_announce, front.v4, port, info_hash, LIE, port=4001)
    expect(ask.addresses(seen), {(six.v6, 6001)}, f"what the v4 client is handed ({FRONTS[port]})")


def who_is_an_admin(hosts, front, port):
    """The admin network is the client's own; neither the proxy's machine nor another client is in it."""
    told = lambda host: host.call(ask.http_get, front.v4, port, "/status")[2]
    own = told(hosts["four"])
    if f"remote_addr: {hosts['four'].v4}\n".encode() not in own:
        raise Fault(f"what an admin is told of itself ({FRONTS[port]}): {own}")
    for name in ("seeder", "front"):
        expect(told(hosts[name]), b"OK\n", f"what {name} is told ({FRONTS[port]})")
    status = hosts["four"].call(ask.http_get, front.v4, port, "/metrics")[0]
    expect(status, 200, f"the metrics for an admin ({FRONTS[port]})")


def trade(hosts, front, port, folder):
    """Two real clients find one another through the proxy."""
    torrent = Torrent(f"proxied-{port}.bin", f"http://{front.v4}:{port}/announce", 1 << 20, seed=port)
    seeder, leecher = (
        Libtorrent(hosts[role], os.path.join(folder, f"{role}-{port}"), torrent, family=4) for role in ("seeder", "leecher")
    )
    try:
        seeder.start(has_file=True)
        counts = lambda: hosts["four"].call(ask.http_scrape, front.v4, port, torrent.info_hash)
        wait("one seeder", lambda: counts() == (1, 0, 0) or counts())
        leecher.start(has_file=False)
        wait("the file is whole", lambda: leecher.has_the_file() or "not whole")
    finally:
        seeder.end()
        leecher.end()


def nobody_else_may(hosts):
    """A header from a client is refused; without one the client is served."""
    client, host = hosts["six"], hosts["tracker"]

    def say(header):
        with socket.create_connection((host.v4, PORT), timeout=ask.PATIENCE) as asking:
            asking.sendall(header + b"GET /scrape?info_hash=" + b"a" * 20 + b" HTTP/1.1\r\nConnection: close\r\n\r\n")
            told = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := asking.recv(4096):
                    told += piece
            return told.split(b"\r\n")[0]

    expect(client.call(say, b"PROXY TCP4 203.0.113.9 203.0.113.10 1 2\r\n"), b"HTTP/1.1 400 Bad Request", "a stranger's header")
    expect(client.call(say, b""), b"HTTP/1.1 200 OK", "a stranger without a header")
    _, _, told = hosts["four"].call(ask.http_get, hosts["front"].v4, 81, "/metrics")
    if b'reason="proxy_header"} 1\n' not in told:
        raise Fault("the refusal of a stranger's header is not counted")
