"""python bombs.py FOLDER [large]: small files that would like to be large, into the readers of zoo.codecs.

Prints a line of JSON for each: whether it was read or refused as it should, the seconds, and the peak of memory so far.
"""

import json
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.codecs import CodecError, from_config
from zoo.codecs.bpe import BpeCodec
from zoo.codecs.film import read_film
from zoo.codecs.images import read_image, read_png
from zoo.codecs.midi import MAX_BYTES, read_midi

CEILING = 6 * 2**30  # bytes of address space: the machine is not to suffer from what a test is there to find

Bomb = tuple[str, bytes | int, Callable[[Path], Any], bool]  # name, content or size, reader, whether it can be read


def peak() -> float:
    """The most megabytes that this process has held. (Its ``ru_maxrss`` may be its parent's, on Linux.)"""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def png(width: int, height: int, depth: int, kind: int, *, rows: int | None = None, more: bytes = b"") -> bytes:
    """A PNG of zeros, ``rows`` of them."""
    bits = depth * {0: 1, 2: 3, 3: 1, 6: 4}[kind]
    press, packed = zlib.compressobj(1), []
    for _ in range(height if rows is None else rows):
        packed.append(press.compress(bytes(1 + (width * bits + 7) // 8)))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = b"".join([*packed, press.flush()])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def note(size: int) -> bytes:
    return chunk(b"zTXt", b"zoo\0\0" + zlib.compress(bytes(size), 1))


def gif(width: int, height: int, frames: int) -> bytes:
    """Frames of one pixel on a screen."""
    screen = struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
    return b"GIF89a" + screen + b"!\xf9\x04\0\1\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0" * frames + b";"


def midi(track: bytes) -> bytes:
    return b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + len(track).to_bytes(4, "big") + track


def pairs(path: Path) -> BpeCodec:
    return BpeCodec.of(path.parent)


def small() -> Iterator[Bomb]:
    yield "claims.png", png(65535, 65535, 8, 6, rows=0), read_image, False
    yield "text.png", png(4, 4, 8, 0, more=note(2**26)), read_png, False
    yield "texts.png", png(4, 4, 8, 0, more=note(2**20 - 1) * 100), read_png, False
    yield "grey.png", png(7000, 7000, 1, 0), read_image, True
    yield "claims.gif", gif(65535, 65535, 1), read_film, False
    yield "many.gif", gif(1, 1, 40_000), read_film, False
    frame = b"\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\3\1\x11\0\2\x11\0\3\x11\0"
    yield "claims.jpg", b"\xff\xd8" + frame + b"\xff\xd9", read_image, False
    yield "claims.webp", b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f\xff\xff\xff\x0f" + bytes(15), read_image, False
    yield "list.m3u8", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n", read_film, False
    yield "list.ffconcat", b"ffconcat version 1.0\nfile '/etc/hostname'\n", read_film, False
    gap = b"\xff\xff\xff\x7f\x90\x3e\0"
    yield "gap.mid", midi(b"\0\x90\x3c\x40" + gap * 9 + b"\1\x80\x3c\0"), read_midi, False
    yield "sparse.mid", 100 * 2**20, read_midi, False
    yield "sparse.png", 400 * 2**20, read_png, False
    yield "deep/tokenizer.json", b"[" * 2**20, pairs, False
    yield "large/tokenizer.json", 2**25, pairs, False
    yield "long.mid", midi(b"\0\xff\x51\3\0\0\1\0\x90\x3c\x40" + gap + b"\1\x80\x3c\0"), into_codecs, True


def large() -> Iterator[Bomb]:
    yield "rgba.png", png(7071, 7071, 8, 6), lambda path: read_image(path, channels=1), True
    yield "rgba16.png", png(7071, 7071, 16, 6), lambda path: read_image(path, channels=3), True
    yield "grey16.png", png(7071, 7071, 16, 0), lambda path: read_image(path, channels=3), True
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))
    yield "palette.png", png(7071, 7071, 8, 3, more=palette), lambda path: read_image(path, channels=3, size=64), True
    yield "screens.gif", gif(3000, 3000, 60), read_film, False
    yield "screen.gif", gif(7000, 7000, 1), read_film, True
    dense = b"\0\x90\x3c\0" + b"\1\x3c\x40\1\x3c\0" * (MAX_BYTES // 6 - 9)
    yield "dense.mid", midi(dense), read_midi, True
    yield "dense_codecs.mid", midi(dense[: len(dense) // 8]), into_codecs, True
    yield "nothing.mid", midi(b"\0\xc0\0" + b"\0\0" * (MAX_BYTES // 2 - 40)), read_midi, False
    tempos = b"\1\xff\x51\3\7\xa1\x20\1\xff\x51\3\7\xa1\x21" * (MAX_BYTES // 15)
    yield "tempos.mid", midi(b"\0\x90\x3c\x40" + tempos), read_midi, True
    yield "wide/tokenizer.json", b"[" + b"[]," * 2**22, pairs, False
    hours = b"\0\x90\x3c\x40" + b"\x82\xf0\0\xff\1\0" * 400  # of 48000 ticks, a hundred quarter notes, each
    yield "hours.mid", midi(hours + b"\0\x80\x3c\0"), into_codecs, True


def into_codecs(path: Path) -> None:
    """Read, and through every music codec, which may find it too long."""
    notes = read_midi(path)
    for name in ("performance", "remi", "voices", "roll", "drums", "tracks", "leadsheet"):
        codec = from_config({"codec": name})
        try:
            codec.decode(codec.encode(notes))
            codec.report(notes)
        except CodecError:
            continue


def main(folder: Path, which: str = "") -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
    for source in (small, large)[: 2 if which == "large" else 1]:
        for name, content, read, good in source():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.truncate(content) if isinstance(content, int) else file.write(content)
            began = time.process_time()
            try:
                read(path)
                right, outcome = good, "read"
            except CodecError as error:
                right, outcome = not good, str(error)[-200:]
            except Exception as error:
                right, outcome = False, repr(error)[:200]
            spent = time.process_time() - began
            line = {
                "bomb": name,
                "right": right,
                "outcome": outcome,
                "seconds": round(spent, 2),
                "megabytes": round(peak()),
            }
            print(json.dumps(line), flush=True)
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
