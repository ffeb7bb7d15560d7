"""strokes: line drawings from files; doodles: drawn on the device. Nothing is downloaded."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from train.data.drawn import HELD_OUT
from train.data.folders import by_folder, find
from train.data.npz import read_npz, split_keys
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS, select
from zoo.codecs.errors import CodecError, read_bytes
from zoo.codecs.strokes import END, START, Drawing, StrokeCodec, bounds, checked, lines, simplify, three_columns
from zoo.errors import UserError

SUFFIXES = (".svg", ".npz", ".ndjson")
LARGEST = 2**31  # bytes of a file
Named = tuple[str, str, np.ndarray]  # split, or "" where the data has none; name; three columns


def open_strokes(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """strokes:FILE|DIR?epsilon=E, drawings in .svg, .npz or QuickDraw's .ndjson files, or all those in a folder.

    An npz holds ``points`` [N, 3], the three columns of `zoo.codecs.strokes` one drawing after the other, and
    ``offsets`` [P + 1], or both once a split: ``train_points``, ``train_offsets``. SVG files are brought to one size;
    folders train, valid and test at the top are splits. ``epsilon``: how far drawings may be simplified, of a longer
    side of 255 (2 of SVG; other files are taken as they are). Drawings of more points than a window holds are skipped.
    """
    spec.allow("epsilon")
    path, skipped = Path(spec.path).expanduser(), []
    if not path.exists():
        raise UserError(f"{spec.text}: no such file or folder: {spec.path}")
    own: dict[str, list[tuple[str, np.ndarray]]] = {}
    for part, name, three in drawings_at(spec, path, skipped):
        own.setdefault(part or "train", []).append((name, three))
    if not own:
        first = f"; first: {skipped[0]}" if skipped else ""
        raise UserError(f"{spec.text}: no drawings in {', '.join(SUFFIXES)} files{first}")
    names = {part: [name for name, _ in pairs] for part, pairs in own.items()}
    part, index = select(names, "train", spec=spec.text)
    codec = measured([own[part][i][1] for i in index])
    part, index = select(names, split, spec=spec.text)
    most = (length or 2**31) - 1
    kept = [own[part][i] for i in index if len(own[part][i][1]) <= most]
    skipped += [f"{name}: {len(three)} points, more than {most}" for name, three in own[part] if len(three) > most]
    if not kept:
        raise UserError(f"{spec.text}: every drawing has more than {most} points: use a longer --model.context")
    return table(spec, codec, [three for _, three in kept], length=length, skipped=tuple(skipped))


def drawings_at(spec: Spec, path: Path, skipped: list[str]) -> Iterator[Named]:
    """Every drawing of a file, or of the files in a folder; what cannot be read goes to ``skipped``."""
    files, names = [path], [path.name]
    if path.is_dir():
        names, lost = find(path, frozenset(SUFFIXES))
        skipped += lost
        files = [path / name for name in names]
    parts = {row: part for part, rows in by_folder(names).items() for row in rows} if path.is_dir() else {}
    several = len(by_folder(names)) > 1 if path.is_dir() else False
    for row, (file, name) in enumerate(zip(files, names, strict=True)):
        read = {".svg": from_svg, ".npz": from_npz, ".ndjson": from_ndjson}.get(file.suffix.lower())
        if read is None:
            raise UserError(f"{spec.text}: drawings are read from {', '.join(SUFFIXES)} files")
        try:
            for part, inner, three in read(spec, file, skipped):
                yield parts[row] if several else part, f"{name}{inner}", three
        except CodecError as error:
            if not path.is_dir():
                raise UserError(f"{spec.text}: {error}") from None
            skipped.append(str(error))


def from_svg(spec: Spec, file: Path, skipped: list[str]) -> Iterator[Named]:
    from zoo.codecs.svg import read_svg

    yield "", "", three_columns(StrokeCodec(epsilon=epsilon_of(spec, 2.0)).fitted(read_svg(file)))


def from_npz(spec: Spec, file: Path, skipped: list[str]) -> Iterator[Named]:
    arrays = read_npz(spec, file)
    offsets, epsilon = split_keys(arrays, ("offsets",)), epsilon_of(spec, 0.0)
    for split, key in split_keys(arrays, ("points", "strokes")).items():
        points, cuts = arrays[key], arrays[offsets[split]] if split in offsets else None
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iuf" or not np.isfinite(points).all():
            raise CodecError(file, f"{key}: finite numbers [N, 3] are needed, not {points.dtype} {list(points.shape)}")
        if cuts is None or cuts.ndim != 1 or np.any(np.diff(cuts) < 0) or cuts[0] < 0 or cuts[-1] > len(points):
            raise CodecError(file, f"{key} needs offsets that rise from 0 to at most {len(points)}")
        for number, (a, b) in enumerate(pairwise(cuts)):
            if a < b:
                three = clean(points[a:b].astype(np.float64))
                three = simpler(lines(three), epsilon) if epsilon else three
                yield split if len(offsets) > 1 else "", f":{number}", three


def from_ndjson(spec: Spec, file: Path, skipped: list[str]) -> Iterator[Named]:
    """QuickDraw's: a line of JSON a drawing, whose "drawing" is [[xs, ys], ...]."""
    epsilon = epsilon_of(spec, 0.0)
    for number, line in enumerate(read_bytes(file, limit=LARGEST).splitlines()):
        if not line.strip():
            continue
        try:
            strokes = [np.array(stroke[:2], np.float64).T for stroke in json.loads(line)["drawing"]]
            yield "", f":{number}", simpler(checked(strokes), epsilon)
        except (ValueError, TypeError, KeyError) as error:  # CodecError is a ValueError
            skipped.append(f"{file.name}:{number + 1}: no drawing: {' '.join(str(error).split())}")


def clean(three: np.ndarray) -> np.ndarray:
    """Rows [N, 3] without those that repeat a point; most drawings have none, or the origin only."""
    begin = 0
    while begin < len(three) - 1 and not three[begin].any():
        begin += 1
    three = three[begin:]
    repeats = ~three[:, :2].any(axis=1) & np.append(True, three[:-1, 2] < 0.5)
    return three_columns(lines(three)) if repeats.any() else three


def simpler(drawing: Drawing, epsilon: float) -> np.ndarray:
    """Three columns of a drawing that is simplified as if its longer side were 255."""
    low, high = bounds(drawing)
    epsilon *= float((high - low).max()) / 255
    return three_columns(tuple(simplify(stroke, epsilon) for stroke in drawing) if epsilon else drawing)


def epsilon_of(spec: Spec, default: float) -> float:
    try:
        value = float(spec.options.get("epsilon", default))
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise UserError(f"{spec.text}: epsilon={spec.options['epsilon']} should be a number of at least 0")
    return value


def measured(pieces: Sequence[np.ndarray]) -> StrokeCodec:
    """The codec of drawings [N, 3]: the deviation of their offsets, and how large they usually are."""
    offsets = np.concatenate([piece[:, :2] for piece in pieces])
    if not offsets.std() > 0:
        raise UserError("strokes: the drawings are all points; nothing can be seen of them")
    sizes = [float(np.ptp(np.cumsum(piece[:, :2], axis=0), axis=0).max()) for piece in pieces]
    return StrokeCodec(scale=float(offsets.std()), extent=float(np.median(sizes)) or 1.0)


def table(
    spec: Spec, codec: StrokeCodec, pieces: Sequence[np.ndarray], *, length: int | None, skipped: tuple[str, ...]
) -> Source:
    """Drawings [N, 3] as examples: ``strokes`` float32 [length, 5] (None: of the longest), and how many rows are before
    the first END."""
    sizes = np.array([len(piece) for piece in pieces], np.int32)
    rows = (length or int(sizes.max()) + 2) - 1
    flat = np.concatenate([*pieces, np.zeros((rows, 3))])
    scaled = np.column_stack([flat[:, :2] / codec.scale, flat[:, 2] > 0.5]).astype(np.float32)
    arrays = {"points": scaled, "first": (np.cumsum(sizes) - sizes).astype(np.int32), "size": sizes}

    def example(arrays: Any, index: Any) -> Any:
        import jax.numpy as jnp
        from jax import lax

        size = arrays["size"][index]
        window = lax.dynamic_slice_in_dim(arrays["points"], arrays["first"][index], rows)
        lifted = window[:, 2:]
        five = jnp.concatenate([window[:, :2], 1 - lifted, lifted, jnp.zeros_like(lifted)], axis=1)
        body = jnp.where((jnp.arange(rows) < size)[:, None], five, jnp.asarray(END))
        return {"strokes": jnp.concatenate([jnp.asarray(START)[None], body]), "length": size + 1}

    return Source(
        spec=spec.text, codec=codec, size=len(pieces), fields={}, arrays=arrays, example=example, skipped=skipped
    )


def open_doodles(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """doodles?family=NAME,NAME&count=N: spirals, stars, faces and so on, see `zoo.algorithmic.doodles`. "train" never
    repeats one, or has ``count`` of them; "valid" and "test" have 1024 each, or a tenth of ``count``."""
    from zoo.algorithmic.doodles import FAMILIES, POINTS, SPREAD, doodle

    spec.allow("family", "count")
    named = spec.options.get("family", "all")
    families = tuple(FAMILIES) if named == "all" else tuple(named.split(","))
    for name in families:
        if name not in FAMILIES:
            raise UserError(f"{spec.text}: no family {name!r}; there are {', '.join(FAMILIES)}, and all")
    count, rows = spec.integer("count", least=10), POINTS + 1 if length is None else length
    if rows < POINTS + 1:
        raise UserError(f"{spec.text}: doodles have up to {POINTS} points; use a --model.context of at least that")

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        return doodle(jax.random.fold_in(jax.random.key(SPLITS.index(split)), index), families, rows=rows)

    held_out = count // 10 if count else HELD_OUT
    return Source(
        spec=spec.text,
        codec=StrokeCodec(scale=100 * SPREAD, extent=200.0),  # a doodle is about two units large: 200
        size=(count or ENDLESS) if split == "train" else held_out,
        fields={"classes": len(families)},
        example=example,
        labels=families,
    )
