#!/usr/bin/env python3
"""A cable between two bridges, of any length: frames arrive late, and some never.

For kernels without `tc netem`: the ends are two taps, and what one takes in is put out of the other after the delay. SIGTERM ends it.
"""

import argparse
import collections
import fcntl
import os
import random
import select
import struct
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# Frames under way in one direction at most; beyond that they are lost, as on a line that is full.
MOST = 20_000


def tap(name):
    """The device of that name, open."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ends", nargs=2, metavar="TAP")
    parser.add_argument("--delay", type=float, default=30, help="milliseconds, one way")
    parser.add_argument("--loss", type=float, default=1, help="percent of the frames")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    ends = [tap(name) for name in options.ends]
    other = dict(zip(ends, reversed(ends)))
    under_way = {end: collections.deque() for end in ends}
    print("the cable is laid", flush=True)
    while True:
        now = time.monotonic()
        due = [queue[0][0] for queue in under_way.values() if queue]
        ready, _, _ = select.select(ends, [], [], max(0.0, min(due) - now) if due else 1)
        now = time.monotonic()
        for end in ready:
            for _ in range(256):
                try:
                    frame = os.read(end, 65_536)
                except BlockingIOError:
                    break
                queue = under_way[other[end]]
                if chance.random() * 100 >= options.loss and len(queue) < MOST:
                    queue.append((now + options.delay / 1e3, frame))
        for end, queue in under_way.items():
            while queue and queue[0][0] <= now:
                try:
                    os.write(end, queue.popleft()[1])
                except OSError:
                    # The end is down: the site is cut off.
                    continue


if __name__ == "__main__":
    main()
