"""nginx in front, with the sample of docs/nginx.conf.example: the tracker sees its clients, not nginx (C9, R23)."""

import http.client
import os
import time

import ask
from clients import Libtorrent
from lab import Fault, wait
from torrent import Torrent
from trackers import PORT, Retracker

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "..", "docs", "nginx.conf.example")
# The sample's own address of the tracker.
UPSTREAM = "127.0.0.1:8080"
LIE = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}


def check(lab, folder):
    hosts = {
        name: lab.host(f"proxy-{name}", "switch", f"10.77.201.{at}/16", f"fd77::201:{at}/64")
        for at, name in enumerate(("tracker", "nginx", "four", "six", "seeder", "leecher"), 1)
    }
    host, front = hosts["tracker"], hosts["nginx"]
    settings = {"TRACKER": {"mode": "proxy", "trusted_proxies": f"{front.v4} {front.v6}"}}
    tracker = Retracker(host, os.path.join(folder, "tracker"), settings)
    nginx = None
    try:
        tracker.start()
        nginx = start_nginx(front, f"{host.v4}:{PORT}", folder)
        each_is_seen_as_itself(hosts, front)
        trade(hosts, front, folder)
        asked = many_are_answered(hosts["four"], front)
        tracker.stop()
        # The same clients and headers: in direct mode headers mean nothing, so both are nginx.
        tracker = Retracker(host, os.path.join(folder, "direct"), {"TRACKER": {"mode": "direct"}})
        tracker.start()
        in_direct_mode_all_are_the_proxy(hosts, front)
        return f"addresses right in both modes, {asked} requests without a 502"
    finally:
        if nginx:
            nginx.signal(15)
            nginx.end()
        tracker.stop()


def start_nginx(front, upstream, folder):
    with open(SAMPLE) as file:
        server = file.read()
    if UPSTREAM not in server:
        raise Fault(f"the sample does not name {UPSTREAM}")
    configuration = os.path.join(folder, "nginx.conf")
    with open(configuration, "w") as file:
        file.write("daemon off; user root; worker_processes 1; pid nginx.pid; error_log stderr warn;\n"
                   "events {}\nhttp {\n" + server.replace(UPSTREAM, upstream) + "}\n")
    nginx = front.start(["nginx", "-p", folder, "-c", configuration], os.path.join(folder, "nginx.log"))

    def answers():
        if not nginx.is_running():
            raise Fault(f"nginx ended:\n{nginx.tail()}")
        try:
            return front.call(ask.http_get, "127.0.0.1", 80, "/scrape")[0] == 200
        except OSError as error:
            return str(error)

    wait("nginx answers", answers)
    return nginx


def each_is_seen_as_itself(hosts, front):
    """Clients of both families lie in every header, and are handed to one another under their true addresses."""
    info_hash = os.urandom(20)
    four, six = hosts["four"], hosts["six"]
    four.call(ask.http_announce, front.v4, 80, info_hash, LIE, port=4001)
    seen = six.call(ask.http_announce, front.v6, 80, info_hash, LIE, port=6001)
    expect(ask.addresses(seen), {(four.v4, 4001)}, "what the v6 client is handed")
    seen = four.call(ask.http_announce, front.v4, 80, info_hash, LIE, port=4001)
    expect(ask.addresses(seen), {(six.v6, 6001)}, "what the v4 client is handed")
    # Past the proxy nobody is believed.
    straight = hosts["tracker"]
    seeing = four.call(ask.http_announce, straight.v4, PORT, info_hash, LIE, port=4002)
    expect(ask.addresses(seeing) - {(six.v6, 6001)}, {(four.v4, 4001)}, "what a client past the proxy is handed")
    seen = six.call(ask.http_announce, front.v6, 80, info_hash, LIE, port=6001)
    expect(ask.addresses(seen), {(four.v4, 4001), (four.v4, 4002)}, "what is known of a client past the proxy")


def trade(hosts, front, folder):
    """Two real clients find one another through nginx, over IPv6."""
    torrent = Torrent("proxy.bin", f"http://[{front.v6}]/announce", 1 << 20, seed=201)
    seeder, leecher = (
        Libtorrent(hosts[role], os.path.join(folder, role), torrent, family=6) for role in ("seeder", "leecher")
    )
    try:
        seeder.start(has_file=True)
        # Not from nginx's own machine: loopback is nobody's address.
        counts = lambda: hosts["four"].call(ask.http_scrape, front.v4, 80, torrent.info_hash)
        wait("one seeder", lambda: counts() == (1, 0, 0) or counts())
        leecher.start(has_file=False)
        wait("the file is whole", lambda: leecher.has_the_file() or "not whole")
    finally:
        seeder.end()
        leecher.end()


def many_are_answered(client, front, bursts=12, requests=150):
    """Bursts with pauses of every length around the tracker's idle limit, where a proxy meets closing connections."""

    def ask_many():
        connection = http.client.HTTPConnection(front.v4, 80, timeout=ask.PATIENCE)
        asked = 0
        for burst in range(bursts):
            for _ in range(requests):
                connection.request("GET", f"/announce?info_hash={'a' * 20}&peer_id={'b' * 20}&port=7000&left=1")
                reply = connection.getresponse()
                reply.read()
                if reply.status != 200:
                    raise Fault(f"HTTP {reply.status} after {asked} requests")
                asked += 1
            time.sleep(burst * 0.25)
        connection.close()
        return asked

    return client.call(ask_many)


def in_direct_mode_all_are_the_proxy(hosts, front):
    info_hash = os.urandom(20)
    hosts["four"].call(ask.http_announce, front.v4, 80, info_hash, LIE, port=4001)
    seen = hosts["six"].call(ask.http_announce, front.v6, 80, info_hash, LIE, port=6001)
    expect(ask.addresses(seen), {(front.v4, 4001)}, "what is handed out in direct mode")


def expect(seen, expected, what):
    if seen != expected:
        raise Fault(f"{what}: {seen}, not {expected}")
