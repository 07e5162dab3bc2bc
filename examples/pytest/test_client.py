"""The client under test is a few lines here; in your project it is your client."""

import ssl
import urllib.request

import pytest

QUERY = "?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0001-bbbbbbbbbbbb&port=6881&uploaded=0&downloaded=0&left=1&compact=1"


def announce(url, more="", context=None):
    with urllib.request.urlopen(url + QUERY + more, context=context) as reply:
        return reply.read()


def test_the_first_announce_says_started(tracker):
    announce(tracker.http, "&event=started")
    said = tracker.next("announce")
    assert said["announce"]["event"] == "started"
    assert said["answer"]["interval"] == 1800


@pytest.mark.lab("--interval", "5")
def test_the_client_comes_again_in_time(tracker):
    announce(tracker.http, "&event=started")
    announce(tracker.http)
    # They are told in the order in which they came.
    first, again = tracker.next("announce"), tracker.next("announce")
    assert first["answer"]["interval"] == 5
    assert again["changed"] == [{"name": "event", "from": "started", "to": ""}]


def test_https_is_checked(tracker):
    announce(tracker.https, context=ssl.create_default_context(cafile=tracker.ca_file))
    assert tracker.next("announce")["transport"] == "https"
    with pytest.raises(OSError):
        announce(tracker.https, context=ssl.create_default_context())
    # An authority that the client does not know is no request, but an end of its connection.
    ends = [tracker.next("disconnected") for _ in range(2)]
    assert any(end["error"] for end in ends)
