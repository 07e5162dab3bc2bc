"""A libtorrent client on the command line: one torrent, until SIGTERM. Nothing but the tracker finds peers for it."""

import argparse
import signal
import time

import libtorrent

parser = argparse.ArgumentParser()
parser.add_argument("torrent")
parser.add_argument("--address", required=True)
parser.add_argument("--save", required=True)
parser.add_argument("--upload-limit", type=int, default=0, help="bytes per second, until SIGUSR1")
parser.add_argument("--numwant", type=int, default=200)
# The default of five minutes is longer than what trackers here ask for.
parser.add_argument("--min-announce-interval", type=int, default=30)
parser.add_argument("--leave", action="store_true", help="end when the file is there")
arguments = parser.parse_args()

ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))

host = f"[{arguments.address}]" if ":" in arguments.address else arguments.address
session = libtorrent.session({
    "listen_interfaces": f"{host}:6881",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # TCP only: what crosses a link is then payload and little else.
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "num_want": arguments.numwant,
    "min_announce_interval": arguments.min_announce_interval,
    # A peer that was not up yet is tried again soon.
    "min_reconnect_time": 1,
    "alert_mask": libtorrent.alert.category_t.tracker_notification | libtorrent.alert.category_t.error_notification,
})
handle = session.add_torrent({"ti": libtorrent.torrent_info(arguments.torrent), "save_path": arguments.save})
# The session's own limit would spare peers with private addresses.
handle.set_upload_limit(arguments.upload_limit)
signal.signal(signal.SIGUSR1, lambda *_: handle.set_upload_limit(0))



def report():
    """Prints what happened; tells whether a tracker answered or failed."""
    alerts = session.pop_alerts()
    for alert in alerts:
        print(f"{time.monotonic():.2f} {alert.message()}", flush=True)
    return any(isinstance(alert, (libtorrent.tracker_reply_alert, libtorrent.tracker_error_alert)) for alert in alerts)


said = None
while not ending:
    session.wait_for_alert(200)
    report()
    status = handle.status()
    state = (str(status.state), round(status.progress, 2), status.num_peers)
    if state != said:
        print(f"{time.monotonic():.2f}", *state, flush=True)
        said = state
    if arguments.leave and status.is_seeding:
        ending.append(True)

# A session that simply ends loses its last announce over UDP: pause, and wait for the answer to `stopped`.
handle.unset_flags(libtorrent.torrent_flags.auto_managed)
handle.pause()
give_up = time.monotonic() + 5
while time.monotonic() < give_up and not report():
    session.wait_for_alert(200)
