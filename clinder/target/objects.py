"""Load the objects of a git repository only if they are small.

dulwich has a limit for loose objects, but not for those in a pack. There a megabyte on disk can become a gigabyte in
memory. So this module first reads the sizes that a pack states (git's documentation, gitformat-pack).
"""

import os
import zlib

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, RawObjectID
from dulwich.pack import OFS_DELTA, REF_DELTA, Pack

_MAX_OBJECT = 4 * 1024 * 1024  # bytes of a commit, a file, or a tree (which then has about 100,000 entries)
_MAX_CACHE = 16 * 1024 * 1024  # bytes of the objects that dulwich keeps as bases of deltas
_MAX_CHAIN = 4096  # deltas, one on another; git allows one less
_HEAD = 1024  # bytes of an object that zlib needs for the sizes at the beginning of a delta


class TooLarge(Exception):
    """The object is too large to be loaded, or is damaged."""


class BoundedStore(DiskObjectStore):
    """Objects of at most `_MAX_OBJECT` bytes. Raises `TooLarge` for any other."""

    def get_raw(self, name: RawObjectID | ObjectID) -> tuple[int, bytes]:
        """Return an object's type and content."""
        for store in (self, *self.alternates):
            assert isinstance(store, DiskObjectStore)
            store.loose_object_size_limit, store.delta_base_cache_limit = _MAX_OBJECT, _MAX_CACHE
            for pack in store.packs:
                if name in pack:
                    number = os.open(f"{store.pack_dir}/{pack.data.filename}", os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        _check_size(pack, pack.index.object_offset(name), number)
                    finally:
                        os.close(number)
        try:
            return super().get_raw(name)
        except zlib.error as error:  # of a loose object
            raise TooLarge from error


def _check_size(pack: Pack, offset: int, pack_file: int) -> None:
    """Raise `TooLarge` if an object, with all deltas and their results, takes too much memory."""
    deltas = largest = 0
    length = pack.object_format.oid_length
    for _ in range(_MAX_CHAIN):
        head = os.pread(pack_file, _HEAD, offset)
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
    """Return a number that has seven bits in each byte, the lowest first, and the place after it."""
    number, shift = data[at] & ((1 << bits) - 1), bits
    while data[at] & 128:
        at += 1
        number |= (data[at] & 127) << shift
        shift += 7
    return number, at + 1


def _distance(data: bytes, at: int) -> tuple[int, int]:
    """Return the distance from a delta back to its base, and the place after this number."""
    distance = data[at] & 127
    while data[at] & 128:
        at += 1
        distance = ((distance + 1) << 7) | (data[at] & 127)
    return distance, at + 1
