"""The objects of a git repository, none of which is loaded before it is known to be small.

dulwich bounds a loose object, but inflates one of a pack whole: a megabyte on disk can be a gigabyte of memory. So the
sizes that a pack states are read first (git's documentation, gitformat-pack).
"""

import zlib
from pathlib import Path
from typing import BinaryIO

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import OFS_DELTA, REF_DELTA, Pack

_MAX_OBJECT = 4 * 1024 * 1024  # bytes of a commit, a tree or a file that is looked into; 100,000 files in one folder
_MAX_CACHE = 16 * 1024 * 1024  # bytes of objects that others were made from
_MAX_CHAIN = 4096  # objects that one is made from, as git has it
_HEAD = 1024  # bytes, with which zlib gets to the sizes that a delta states


class TooLarge(Exception):
    """An object that is not looked into."""


class BoundedStore(DiskObjectStore):
    """Objects of at most `_MAX_OBJECT` bytes. Raises `TooLarge` for any other."""

    def get_raw(self, name: RawObjectID | ObjectID) -> tuple[int, bytes]:
        """Return an object's type and content."""
        for store in (self, *self.alternates):
            assert isinstance(store, DiskObjectStore)
            store.loose_object_size_limit, store.delta_base_cache_limit = _MAX_OBJECT, _MAX_CACHE
            for pack in store.packs:
                if name in pack:
                    with Path(store.pack_dir, pack.data.filename).open("rb") as file:
                        _check_size(pack, pack.index.object_offset(name), file)
        try:
            return super().get_raw(name)
        except zlib.error as error:  # a loose one
            raise TooLarge from error


def _check_size(pack: Pack, offset: int, file: BinaryIO) -> None:
    """Raise `TooLarge` if an object, or what it is made from, takes too much memory."""
    deltas = largest = 0
    length = pack.object_format.oid_length
    for _ in range(_MAX_CHAIN):
        file.seek(offset)
        head = file.read(_HEAD)
        kind = head[0] >> 4 & 7
        size, at = _number(head, 0, 4)
        if kind not in (OFS_DELTA, REF_DELTA):
            largest = max(largest, size)
            break
        if kind == REF_DELTA:
            offset, at = pack.index.object_offset(RawObjectID(head[at : at + length])), at + length
        else:
            distance, at = _distance(head, at)
            offset -= distance
        stated = zlib.decompressobj().decompress(head[at:], 32)
        _, at = _number(stated, 0)
        deltas, largest = deltas + size, max(largest, _number(stated, at)[0])
    else:
        raise TooLarge
    if deltas + largest > _MAX_OBJECT:
        raise TooLarge


def _number(data: bytes, at: int, bits: int = 7) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where the next one begins."""
    number, shift = data[at] & ((1 << bits) - 1), bits
    while data[at] & 128:
        at += 1
        number |= (data[at] & 127) << shift
        shift += 7
    return number, at + 1


def _distance(data: bytes, at: int) -> tuple[int, int]:
    """Return how far before a delta its base is, and where the delta begins."""
    distance = data[at] & 127
    while data[at] & 128:
        at += 1
        distance = ((distance + 1) << 7) | (data[at] & 127)
    return distance, at + 1
