"""Real clients over TLS, each with its own store of authorities, and what the port offers to whoever asks (P23)."""

import os
import re
import shutil
import socket
import ssl
import subprocess

import ask
import clients
from lab import Fault, wait
from torrent import Torrent
from trackers import PORT, Retracker

TLS_PORT = 6970
NAME = "tracker.lab"
# Who seeds to whom: each seeds once and leeches once.
RING = ("libtorrent", "transmission", "aria2")


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Fault(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def certificates(folder, address):
    """An authority of its own, and certificates of both kinds for the tracker's name and address; gives where they are.

    One of ECDSA alone would keep weak suites of RSA out by itself, whatever the tracker offers.
    """
    at = lambda name: os.path.join(folder, name)
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    new = ("openssl", "req", "-x509", "-nodes", "-days", "2")
    run(*new, *ec, "-subj", "/CN=authority", "-keyout", at("authority.key"), "-out", at("authority.pem"),
        "-addext", "keyUsage=keyCertSign")
    kinds = {"ecdsa": ec, "rsa": ("-newkey", "rsa:2048")}
    for kind, key in kinds.items():
        run(*new, *key, "-subj", f"/CN={NAME}", "-keyout", at(f"{kind}.key"), "-out", at(f"{kind}.pem"), "-CA", at("authority.pem"),
            "-CAkey", at("authority.key"), "-addext", f"subjectAltName=DNS:{NAME},IP:{address}",
            "-addext", "basicConstraints=critical,CA:FALSE")
    all_of = lambda end: " ".join(at(f"{kind}.{end}") for kind in kinds)
    return at("authority.pem"), all_of("pem"), all_of("key")


def trusting(name, authority):
    """The client of that name, with the authority in the store that it looks into."""
    base = clients.ALL[name]

    class Client(base):
        def start(self, has_file):
            if has_file:
                with open(self.file, "wb") as file:
                    file.write(self.torrent.content)
            environment = {
                "PATH": os.environ["PATH"], "HOME": self.folder, "LANG": "C.UTF-8", "TERM": "xterm",
                # OpenSSL's store, for libtorrent; libcurl's, for transmission.
                "SSL_CERT_FILE": authority, "CURL_CA_BUNDLE": authority, "TR_CURL_SSL_VERIFY": "1",
            }
            log = os.path.join(self.folder, "log")
            self.process = self.host.start(self.command(), log, env=environment, cwd=self.folder)

        def command(self):
            own = [f"--ca-certificate={authority}"] if name == "aria2" else []
            return [*super().command(), *own]

    return Client


def check(lab, folder):
    if not shutil.which("openssl"):
        raise Fault("openssl is not installed")
    host = lab.host("tls-tracker", "switch", "10.77.204.1/16", "fd77::204:1/64")
    authority, certificate, key = certificates(folder, host.v4)
    settings = {"TRACKER": {"admin_networks": host.v4}, "TLS": {"listen": f"0.0.0.0:{TLS_PORT}", "certificate": certificate, "key": key}}
    tracker = Retracker(host, os.path.join(folder, "tracker"), settings)
    tracker.start()
    try:
        traded = [
            trade(lab, host, folder, authority, number, seeder, RING[(number + 1) % len(RING)])
            for number, seeder in enumerate(RING)
        ]
        host.call(offers, host.v4, authority)
        text = host.call(get_plain, host.v4, "/metrics")
        whole = int(re.search(r'tls_handshakes_total\{outcome="full"\} (\d+)', text)[1])
        if whole < 2 * len(RING):
            raise Fault(f"only {whole} handshakes for {len(RING)} pairs")
        return f"{', '.join(traded)}; {whole} handshakes; no weak version or cipher"
    finally:
        tracker.stop()


def trade(lab, tracker, folder, authority, number, seeder, leecher):
    torrent = Torrent(f"tls-{number}.bin", f"https://{tracker.v4}:{TLS_PORT}/announce", 1 << 20, seed=203 + number)
    hosts = [
        lab.host(f"tls{number}{role}", "switch", f"10.77.204.{10 * (number + 1) + at}/16", f"fd77::204:{10 * (number + 1) + at}/64")
        for at, role in enumerate("sl")
    ]
    pair = [
        trusting(name, authority)(on, os.path.join(folder, f"{number}-{role}"), torrent)
        for name, on, role in zip((seeder, leecher), hosts, ("seeder", "leecher"))
    ]
    try:
        counts = lambda: tracker.call(ask.http_scrape, tracker.v4, PORT, torrent.info_hash)
        pair[0].start(has_file=True)
        wait(f"{seeder} is there over TLS", lambda: counts() == (1, 0, 0) or counts())
        pair[1].start(has_file=False)
        wait("the file is whole", lambda: pair[1].has_the_file() or "not whole")
        return f"{seeder} -> {leecher}"
    except Fault as fault:
        logs = "".join(f"--- {client.name}\n{client.process.tail()}" for client in pair if client.process)
        raise Fault(f"{fault}\n{logs}") from None
    finally:
        for client in pair:
            client.end()
        for on in hosts:
            lab.remove(on)


def get_plain(address, path):
    with socket.create_connection((address, PORT), timeout=ask.PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received.decode()


# Those that OpenSSL can still ask for; tests/tls/offers.rs asks for every number that there is.
WEAK = (
    "AES128-SHA", "AES256-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8", "NULL-SHA", "aNULL", "CAMELLIA128-SHA",
)
STRONG = tuple(
    f"ECDHE-{kind}-{cipher}" for kind in ("ECDSA", "RSA") for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
)


def offers(address, authority):
    """TLS 1.2 and 1.3 with what is good today, and nothing else; asked as testssl.sh and its like ask."""

    def agreed(*options):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{address}:{TLS_PORT}", "-CAfile", authority, *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ask.PATIENCE,
        )
        if "no cipher match" in done.stderr:
            raise Fault(f"this openssl cannot ask for {options}")
        found = re.search(r"^New, (\S+), Cipher is (\S+)", done.stdout, re.M)
        return None if not found or found[1] == "(NONE)" else (found[1], found[2])

    for version in ("tls1", "tls1_1"):
        if seen := agreed(f"-{version}", "-cipher", "ALL:@SECLEVEL=0"):
            raise Fault(f"{version} is offered: {seen}")
    for version, name in (("tls1_2", "TLSv1.2"), ("tls1_3", "TLSv1.3")):
        seen = agreed(f"-{version}", "-verify_return_error")
        if not seen or seen[0] != name:
            raise Fault(f"{version} is not offered: {seen}")
    for cipher in WEAK:
        if seen := agreed("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"):
            raise Fault(f"{cipher} is offered: {seen}")
    for cipher in STRONG:
        if not agreed("-tls1_2", "-cipher", cipher):
            raise Fault(f"{cipher} is not offered")
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((address, TLS_PORT), timeout=ask.PATIENCE) as connection:
        with context.wrap_socket(connection, server_hostname=address) as secure:
            if secure.selected_alpn_protocol() != "http/1.1" or secure.compression():
                raise Fault(f"ALPN {secure.selected_alpn_protocol()}, compression {secure.compression()}")
