#!/usr/bin/env python3
"""Replies over UDP leave from the address that was asked (P25), also from one that came after the start, from a link-local one and on
inherited sockets; and an address that is not there yet can be listened at (C3). Alone: `addresses.py --binary target/debug/retracker`."""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile

import ask
from lab import Fault, Lab, enter, wait
from trackers import PORT, Retracker

V4, V6 = "10.77.210.1", "fd77::210:1"
# On the switch, and one that only a route leads to, as an anycast address is.
LATER_V4, LATER_V6, ROUTED = "10.77.210.9", "fd77::210:9", "10.78.0.1"
STANDBY_V4, STANDBY_V6 = "10.77.210.50", "fd77::210:50"


class Inheriting(Retracker):
    """Handed its sockets as systemd hands them over: one for each family, or one for both."""

    families = ()

    def command(self):
        return [sys.executable, os.path.abspath(__file__), "--hand-over", *self.families, "--", *super().command()]


class V4AndV6(Inheriting):
    families = ("0.0.0.0", "::")


class DualStack(Inheriting):
    families = ("*",)


def hand_over(families, command):
    """Becomes `command`, with a listener and a datagram socket for each family from descriptor 3 on."""
    kept = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for family in families:
            opened = socket.socket(socket.AF_INET if family == "0.0.0.0" else socket.AF_INET6, kind)
            if family != "0.0.0.0":
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, family == "::")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("::" if family == "*" else family, PORT))
            if kind == socket.SOCK_STREAM:
                opened.listen()
            kept.append(opened)
    # Out of the way first, so that none is overwritten by another.
    high = [os.dup(opened.fileno()) for opened in kept]
    for opened in kept:
        opened.close()
    moved = [os.dup2(descriptor, 100 + at) for at, descriptor in enumerate(high)]
    for at, descriptor in enumerate(moved):
        os.dup2(descriptor, 3 + at, inheritable=True)
    for descriptor in {*high, *moved} - set(range(3, 3 + len(kept))):
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(kept))}
    os.execv(command[0], command)


def check(lab, folder):
    host = lab.host("addresses", "switch", f"{V4}/16", f"{V6}/64")
    asker = lab.host("asker", "switch", "10.77.210.2/16", "fd77::210:2/64")
    lab.ip("route", "add", ROUTED, "via", V4, host=asker.name)
    local = link_local(host)

    def has_answered(address):
        # A connected socket takes nothing that comes from elsewhere.
        try:
            asker.call(ask.udp_request, address, PORT, 2, bytes(20))
            return True
        except OSError as error:
            return f"{address}: {error}"

    def answers_from(*addresses):
        for address in addresses:
            wait(f"a reply from {address}", lambda: has_answered(address))

    for kind in (Retracker, V4AndV6, DualStack):
        tracker = kind(host, os.path.join(folder, kind.__name__))
        tracker.start()
        try:
            answers_from(V4, V6, f"{local}%eth0")
            later = [(f"{LATER_V4}/16", "eth0"), (f"{LATER_V6}/64", "eth0"), (f"{ROUTED}/32", "lo")]
            for address, interface in later:
                lab.ip("address", "add", address, "dev", interface, *["nodad"] * (":" in address), host=host.name)
            answers_from(LATER_V4, LATER_V6, ROUTED, f"{local}%eth0", V4, V6)
            for address, interface in later:
                lab.ip("address", "delete", address, "dev", interface, host=host.name)
            answers_from(V4, V6)
        except Fault as fault:
            raise Fault(f"{kind.__name__}: {fault}") from fault
        finally:
            tracker.stop()
    standby(lab, host, folder, answers_from)
    return "own and inherited sockets, addresses that came later, link-local ones, a standby"


def standby(lab, host, folder, answers_from):
    """An address that this host gets only when another one fails."""
    settings = {"TRACKER": {"host": f"{V4} {STANDBY_V4} {V6} {STANDBY_V6}"}}
    refused = Retracker(host, os.path.join(folder, "refused"), settings)
    try:
        refused.start()
    except Fault as fault:
        if "free_bind" not in str(fault):
            raise
    else:
        refused.stop()
        raise Fault("an address that is not there was listened at unasked")
    settings["TRACKER"]["free_bind"] = "yes"
    tracker = Retracker(host, os.path.join(folder, "standby"), settings)
    tracker.start()
    try:
        answers_from(V4, V6)
        lab.ip("address", "add", f"{STANDBY_V4}/16", "dev", "eth0", host=host.name)
        lab.ip("address", "add", f"{STANDBY_V6}/64", "dev", "eth0", "nodad", host=host.name)
        answers_from(STANDBY_V4, STANDBY_V6)
    finally:
        tracker.stop()


def link_local(host):
    """The link-local address of the host, once duplicate address detection is through with it."""
    def seen():
        done = subprocess.run(["ip", "-n", host.name, "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative"],
                              capture_output=True, text=True, check=True)
        return re.search(r"inet6 (fe80\S*)/", done.stdout)
    wait("a link-local address", lambda: seen() is not None)
    return seen()[1]


def main():
    if sys.argv[1:2] == ["--hand-over"]:
        end = sys.argv.index("--")
        hand_over(sys.argv[2:end], sys.argv[end + 1 :])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/retracker")
    Retracker.binary = os.path.abspath(parser.parse_args().binary)
    enter()
    lab = Lab()
    lab.bridge("switch")
    with tempfile.TemporaryDirectory(prefix="retracker-e2e-") as folder:
        try:
            print(check(lab, folder))
        except Fault as fault:
            sys.exit(f"FAILED: {fault}")


if __name__ == "__main__":
    main()
