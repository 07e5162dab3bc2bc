"""Bencode (BEP 3), and the torrents that the clients trade."""

import hashlib
import random


def encode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    items = sorted((key.encode() if isinstance(key, str) else key, item) for key, item in value.items())
    return b"d" + b"".join(encode(key) + encode(item) for key, item in items) + b"e"


def decode(data):
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError("bytes after the value")
    return value


def _decode(data, at):
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        items, at, last = {}, at + 1, None
        while data[at : at + 1] != b"e":
            key, at = _decode(data, at)
            if last is not None and key <= last:
                raise ValueError("keys are not sorted")
            items[key], at = _decode(data, at)
            last = key
        return items, at + 1
    colon = data.index(b":", at)
    start = colon + 1
    end = start + int(data[at:colon])
    if end > len(data):
        raise ValueError("a string is cut short")
    return data[start:end], end


class Torrent:
    """A torrent of one file whose only tracker is the one given; private unless clients may tell each other of peers (PEX)."""

    def __init__(self, name, announce_url, length, seed, piece_length=1 << 16, is_private=True):
        self.name = name
        self.announce_url = announce_url
        self.content = random.Random(seed).randbytes(length)
        self.digest = hashlib.sha256(self.content).hexdigest()
        pieces = (self.content[at : at + piece_length] for at in range(0, length, piece_length))
        info = {
            "name": name,
            "length": length,
            "piece length": piece_length,
            "pieces": b"".join(hashlib.sha1(piece).digest() for piece in pieces),
        }
        if is_private:
            info["private"] = 1
        self.info_hash = hashlib.sha1(encode(info)).digest()
        self.bytes = encode({"announce": announce_url, "info": info})

    def is_whole(self, path):
        """Whether the file at `path` is bit for bit the torrent's content."""
        try:
            with open(path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest() == self.digest
        except FileNotFoundError:
            return False
