"""Films: arrays <-> GIF and MP4. Frames are uint8 [N, H, W, C]; C 1 grey, 3 RGB, 4 RGBA (shown on white).

Like pictures, films carry how they were made: {"zoo": meta, "fps": fps} as JSON in the comment of the file. Errors are
CodecError, as in ``images``.
"""

import io
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.codecs.errors import CodecError, read_bytes, write_bytes
from zoo.codecs.images import FILE_LIMIT, LIMIT, Path, from_json, to_json

if TYPE_CHECKING:
    from PIL.Image import Image

# Frames of a GIF that share a palette. Mean error and flicker of nine morphing pictures, in levels of 255: 3.6 and 4.0
# with one palette for the whole film, 2.2 and 2.8 with one for four frames, 1.5 and 2.0 with one for each, which takes
# three times as long and lets still parts shimmer.
SHARED = 4
COLOURS = 255
SAMPLE = 2**15  # pixels that a palette is chosen for
SMALLEST = 128  # pixels: below it the frames of an MP4 are enlarged
FILM_LIMIT = 2**28  # bytes of decoded frames
MAX_FRAMES = 2**15  # twenty minutes
MAX_PIXELS = 2**24  # of a frame of a video, of which a decoder keeps up to seventeen
_SIGNATURES = {"mov": (4, (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")), "matroska": (0, (b"\x1aE\xdf\xa3",))}


class Film(NamedTuple):
    frames: np.ndarray
    """uint8 [N, H, W, 3]"""
    fps: float
    """Frames a second."""
    meta: dict[str, Any]
    """What the film was written with, {} where there is nothing."""


def write_film(frames: np.ndarray, path: Path, *, fps: float = 24, meta: dict[str, Any] | None = None) -> None:
    """`write_gif` or `write_mp4`, as the suffix says."""
    write = write_gif if str(path).endswith(".gif") else write_mp4
    write(frames, path, fps=fps, meta=meta)


def write_gif(frames: np.ndarray, path: Path, *, fps: float = 24, meta: dict[str, Any] | None = None) -> None:
    """Writes a film that repeats for ever, in one move. At most 50 frames a second, the most that browsers play.

    No dithering: it would move from frame to frame, and fill the file.
    """
    frames = _rgb(frames, path)
    if not 0.1 <= fps <= 50:
        raise CodecError(path, f"a GIF plays 0.1 to 50 frames a second, not {fps:g}")
    comment = to_json({"zoo": meta or {}, "fps": fps}, path)
    ends = np.rint(100 * np.arange(len(frames) + 1) / fps).astype(int)  # GIF counts hundredths of a second
    file = io.BytesIO()
    first, *rest = _indexed(frames)
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=[10 * int(hundredths) for hundredths in np.diff(ends)],
        disposal=1,
        loop=0,
        comment=comment.encode(),
        optimize=False,
    )
    write_bytes(path, file.getvalue())


def write_mp4(
    frames: np.ndarray | Iterable[np.ndarray], path: Path, *, fps: float = 24, meta: dict[str, Any] | None = None,
    sound: tuple[np.ndarray, int] | None = None,
) -> None:  # fmt: skip
    """Writes a film that every browser plays, H.264 with 4:2:0 colour, in one move.

    That needs even sides, and halves the resolution of colour: small frames are enlarged by a whole factor until both
    sides have 128 pixels, and an odd side repeats its last row or column. ``frames`` may come one by one, [H, W, C]
    each, so that long films need not fit into memory. ``sound``: samples float [N] and how many a second, as AAC.
    """
    import av
    from av.error import FFmpegError

    if not 0.1 <= fps <= 1000:
        raise CodecError(path, f"a film plays 0.1 to 1000 frames a second, not {fps:g}")
    comment = to_json({"zoo": meta or {}, "fps": fps}, path)
    whole = _rgb(frames, path) if isinstance(frames, np.ndarray) else (_rgb(one[None], path)[0] for one in frames)
    first = next(whole := iter(whole), None)
    if first is None:
        raise CodecError(path, "a film has at least one frame")
    factor = -(-SMALLEST // min(first.shape[:2]))
    height, width = (factor * side + factor * side % 2 for side in first.shape[:2])
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4") as container:
            container.metadata["comment"] = comment
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": "16"}
            heard = None if sound is None else container.add_stream("aac", rate=sound[1], layout="mono")
            for frame in chain([first], whole):
                frame = frame.repeat(factor, axis=0).repeat(factor, axis=1)
                frame = np.pad(frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)), mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
            if heard is not None and sound is not None:
                samples = np.ascontiguousarray(np.clip(sound[0], -1, 1), np.float32)[None]
                spoken = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                spoken.sample_rate, spoken.pts = sound[1], 0
                container.mux(heard.encode(spoken))
                container.mux(heard.encode())
    except (FFmpegError, ValueError) as error:
        raise CodecError(path, error) from error
    write_bytes(path, file.getvalue())


def read_film(path: Path) -> Film:
    """A GIF, an MP4 or another film. CodecError, the only error, names the file and the cause."""
    data = read_bytes(path, limit=FILE_LIMIT)
    try:
        return _read_gif(data) if data.startswith(b"GIF8") else _read_video(data)
    except CodecError as error:
        raise CodecError(path, error.cause) from None
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise CodecError(path, error) from error


def read_sound(path: Path) -> tuple[np.ndarray, int] | None:
    """What is heard in a film, as `write_mp4` takes it: float32 [N], of all voices together, and samples a second; None
    where nothing is. CodecError as `read_film`."""
    data = read_bytes(path, limit=FILE_LIMIT)
    if data.startswith(b"GIF8"):
        return None
    try:
        return _read_sound(data)
    except CodecError as error:
        raise CodecError(path, error.cause) from None
    except Exception as error:  # as in `read_film`
        raise CodecError(path, error) from error


def _read_sound(data: bytes) -> tuple[np.ndarray, int] | None:
    import av

    parts, total = [], 0
    with av.open(io.BytesIO(data), "r", format=_form(data)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        one_voice = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
        for frame in chain(container.decode(stream), [None]):
            for part in one_voice.resample(frame):
                parts.append(part.to_ndarray()[0])
                if 4 * (total := total + len(parts[-1])) > FILM_LIMIT:
                    raise CodecError("film", f"its sound would fill more than {FILM_LIMIT:,} bytes")
    return (np.concatenate(parts), stream.rate) if parts else None


def _read_gif(data: bytes) -> Film:
    from PIL.GifImagePlugin import GifImageFile

    image = GifImageFile(io.BytesIO(data))
    if image.width * image.height > LIMIT:
        raise CodecError("GIF", f"{image.width} x {image.height} pixels, more than {LIMIT:,}")
    note = image.info.get("comment", b"")
    note = from_json(note.decode("utf-8", "replace") if isinstance(note, bytes) else note)
    fps, frames, total = note.get("fps"), [], 0.0
    for index in count():
        try:
            image.seek(index)
        except EOFError:
            break
        seconds = image.info.get("duration", 0) / 1000 or 0.1  # what browsers take a missing one for
        total += seconds
        # Pillow writes a frame that equals the one before by showing that one for longer.
        times = max(1, round(seconds * fps)) if isinstance(fps, int | float) else 1
        _check_size(len(frames) + times, 3 * image.width * image.height)
        frames += [np.asarray(image.convert("RGB"))] * times
    return Film(np.stack(frames), float(fps or len(frames) / total), _meta(note))


def _read_video(data: bytes) -> Film:
    import av

    # Told the form, the library tries no other: some are lists of files or addresses, which it would open.
    form, frames, most = _form(data), [], {"max_pixels": str(MAX_PIXELS)}
    with av.open(io.BytesIO(data), "r", format=form, options=most) as container:
        if not container.streams.video:
            raise CodecError("film", "holds no pictures")
        stream = container.streams.video[0]
        stream.codec_context.options = most
        for frame in container.decode(stream):
            _check_size(len(frames) + 1, 3 * frame.width * frame.height)
            frames.append(frame.to_ndarray(format="rgb24"))
        if not frames:
            raise CodecError("film", "holds no frames")
        note = from_json(container.metadata.get("comment"))
        return Film(np.stack(frames), float(stream.average_rate or note.get("fps", 0)), _meta(note))


def _form(data: bytes) -> str:
    """What the library calls the kind of file. CodecError for what is none of the few that hold films."""
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    for form, (at, words) in _SIGNATURES.items():
        if data[at : at + 4] in words:
            return form
    raise CodecError("film", "not a GIF, an MP4, a WebM, a Matroska or an AVI file")


def _meta(note: dict[str, Any]) -> dict[str, Any]:
    meta = note.get("zoo")
    return meta if isinstance(meta, dict) else {}


def _check_size(frames: int, size: int) -> None:
    if frames > MAX_FRAMES:
        raise CodecError("film", f"more than {MAX_FRAMES:,} frames")
    if frames * size > FILM_LIMIT:
        raise CodecError("film", f"its frames would fill more than {FILM_LIMIT:,} bytes")


def _rgb(frames: np.ndarray, path: Path) -> np.ndarray:
    """Frames checked, as RGB."""
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (1, 3, 4) or 0 in frames.shape:
        got = f"{frames.dtype} {list(frames.shape)}"
        raise CodecError(path, f"frames must be uint8 [N, H, W, C] with 1, 3 or 4 channels, not {got}")
    if frames.shape[-1] == 4:
        alpha = frames[..., 3:].astype(np.uint16)
        return ((frames[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.broadcast_to(frames, (*frames.shape[:3], 3))


def _indexed(frames: np.ndarray) -> "list[Image]":
    """The frames [N, H, W, 3] as pictures with palettes."""
    from PIL import Image

    indexed = []
    for start in range(0, len(frames), SHARED):
        together = frames[start : start + SHARED]
        pixels = together.reshape(1, -1, 3)
        stride = pixels.shape[1] // SAMPLE | 1  # odd, or it might meet the same few columns in every row
        sample = np.ascontiguousarray(pixels[:, ::stride])
        chosen = Image.fromarray(sample).quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1)
        palette = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)
        for frame in together:
            picture = Image.fromarray(np.stack([_nearest(row, palette) for row in frame]))
            picture.putpalette(palette.tobytes())
            indexed.append(picture)
    return indexed


def _nearest(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Which colour of ``palette`` [K, 3] is nearest to each of ``pixels`` [M, 3]: uint8 [M]. Pillow's is not always."""
    colours = palette.astype(np.float32)
    return np.argmin((colours**2).sum(axis=1) - 2 * (pixels @ colours.T), axis=1).astype(np.uint8)
