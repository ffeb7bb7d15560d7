"""TensorBoard event files, written by hand: records of a few numbers need no library, and no thread that fails alone.

A file is a sequence of TFRecords (uint64 length, masked CRC-32C of it, data, masked CRC-32C of that); each holds one
``Event`` message (tensorflow/core/util/event.proto) in protocol buffers' wire format.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from train.log import append, finite, written

START = b"\x08\x01"  # SessionLog.status = START


class Events:
    """The curves of a run for TensorBoard. A resumed run opens another file, and says from which step on it holds."""

    def __init__(self, folder: Path, *, after: int):
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        with written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        self._append(text(3, b"brain.Event:2"))
        if after:
            self._append(number(2, after + 1) + text(7, START))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Numbers, and of a population's the mean over those that are finite."""
        summary = b""
        for name, value in values.items():
            if finite(value):
                scalar = b"\x15" + struct.pack("<f", np.nanmean(np.asarray(value, np.float64)))
                summary += text(1, text(1, name.encode()) + scalar)
        self._append(number(2, step) + text(5, summary))

    def close(self) -> None:
        self._file.close()

    def _append(self, event: bytes) -> None:
        data = b"\x09" + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(data))
        append(self._file, length + masked_crc(length) + data + masked_crc(data), self.path)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    """An integer field of a message."""
    return varint(field << 3) + varint(value)


def text(field: int, value: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def _table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [entry >> 1 ^ (0x82F63B78 if entry & 1 else 0) for entry in table]
    return table


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> bytes:
    """As TFRecords keep it: rotated and moved, since a CRC of data that holds its own CRC tells little."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
