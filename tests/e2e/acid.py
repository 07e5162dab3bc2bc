#!/usr/bin/env python3
"""The acid test (O29) on real clients: three scenarios of a tracker that misbehaves with three clients, of which it is known that they
cope. Runs alone too; `--long` runs all scenarios with all clients, and tells what came of it."""

import argparse
import json
import os
import sys
import tempfile

from lab import Fault, Lab, enter

# What a good client does in these is done by each of the clients, and at once: nothing rests on how fast a machine is.
SCENARIOS = ("failure-with-peers", "peers-dictionaries", "redirect")
CLIENTS = ("libtorrent", "transmission", "aria2")
# Seconds after which a run that has not ended never will.
MOST = 3600
# Beside retracker.
BINARY = "target/release/retracker-lab"


def outcomes(lab, folder, arguments):
    """Runs `acid`; gives its outcomes, and its exit status."""
    # A host of its own, for some clients take no peers on loopback.
    host = lab.host("acid", "switch", "10.77.230.1/16", "fd77::230:1/64")
    told, log = os.path.join(folder, "outcomes.json"), os.path.join(folder, "log")
    try:
        process = host.start(
            [BINARY, "acid", "--json", told, "--keep", os.path.join(folder, "clients"), "--peer-address", host.v4,
             "--peer-address", host.v6, *arguments], log, env=os.environ,
        )
        status = process.end(MOST)
        if status not in (0, 1) or not os.path.exists(told):
            raise Fault(f"retracker-lab acid ends with {status}\n{process.tail()}")
        with open(told) as file:
            return json.load(file)["outcomes"], status
    finally:
        lab.remove(host)


def why(outcome):
    """What was not right, in words."""
    return "; ".join(f"{one['expected']}: {one['verdict']}, {one['why']}" for one in outcome["expected"] if one["why"])


def check(lab, folder):
    # Patience costs only where something does not come.
    arguments = ["--patience", "20"]
    for option, names in (("--client", CLIENTS), ("--scenario", SCENARIOS)):
        for name in names:
            arguments += [option, name]
    found, status = outcomes(lab, folder, arguments)
    tried = {outcome["scenario"] for outcome in found}
    if not tried.issuperset(SCENARIOS) or len(found) != len(tried) * len(CLIENTS):
        raise Fault(f"not all was tried: {found}")
    faults = [
        f"{outcome['client']}, {outcome['scenario']}: {why(outcome)}" for outcome in found if outcome["verdict"] != "right"
    ]
    faults += [
        f"{outcome['client']}, {outcome['scenario']}: {rule['id']}: {rule['finding']['what']}"
        for outcome in found for rule in outcome["rules"] if rule["severity"] == "must"
    ]
    if faults or status != 0:
        raise Fault(f"status {status}\n" + "\n".join(faults))
    return f"{len(found)} trials, all right"


def check_all(lab, folder):
    """All scenarios with all clients. What the clients do wrong is theirs; here it is told."""
    found, _ = outcomes(lab, folder, ["--all", "--patience", "2"])
    for outcome in found:
        if outcome["verdict"] != "right":
            print(f"    {outcome['client']}, {outcome['scenario']}: {why(outcome)}")
    counts = {verdict: sum(outcome["verdict"] == verdict for outcome in found) for verdict in ("right", "wrong", "not seen")}
    controls = [outcome for outcome in found if outcome["scenario"] == "control-http"]
    if len(controls) != 5 or any(outcome["verdict"] != "right" for outcome in controls):
        raise Fault(f"where the tracker behaves: {controls}")
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def main():
    global BINARY
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=BINARY, help="of retracker-lab")
    parser.add_argument("--long", action="store_true", help="all scenarios with all clients (some minutes)")
    parser.add_argument("--keep", metavar="FOLDER", help="keep all files, logs included, in FOLDER")
    options = parser.parse_args()
    BINARY = os.path.abspath(options.binary)
    enter()
    lab = Lab()
    lab.bridge("switch")
    with tempfile.TemporaryDirectory(prefix="retracker-e2e-") as temporary:
        folder = os.path.abspath(options.keep or temporary)
        os.makedirs(folder, exist_ok=True)
        try:
            print((check_all if options.long else check)(lab, folder))
        except Fault as fault:
            sys.exit(f"FAILED: {fault}")


if __name__ == "__main__":
    main()
