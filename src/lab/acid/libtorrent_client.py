"""A libtorrent client for one torrent, until SIGTERM: libtorrent_client.py TORRENT FOLDER PORT. Nothing but trackers finds peers."""

import signal
import sys
import time

import libtorrent

torrent, folder, port = sys.argv[1:]
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
session = libtorrent.session({
    "listen_interfaces": f"0.0.0.0:{port},[::]:{port}",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    # The default is five minutes.
    "min_announce_interval": 5,
    "alert_mask": libtorrent.alert.category_t.tracker_notification | libtorrent.alert.category_t.error_notification,
})
handle = session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": folder})


def report():
    """Prints what happened; tells whether a tracker answered or failed."""
    alerts = session.pop_alerts()
    for alert in alerts:
        print(f"{time.monotonic():.2f} {alert.message()}", flush=True)
    return any(isinstance(alert, (libtorrent.tracker_reply_alert, libtorrent.tracker_error_alert)) for alert in alerts)


while not ending:
    session.wait_for_alert(200)
    report()
# A session that simply ends loses its last announce: pause, and wait for the answer to `stopped`, but not for ever.
handle.unset_flags(libtorrent.torrent_flags.auto_managed)
handle.pause()
give_up = time.monotonic() + 3
while time.monotonic() < give_up and not report():
    session.wait_for_alert(200)
