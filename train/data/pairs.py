"""pairs: two sets of pictures, one to be made of the other, matched by name or not at all."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from train.data import pixels
from train.data.folders import by_folder, find
from train.data.pictures import is_large
from train.data.progress import track
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.workers import cores
from zoo.codecs.errors import CodecError
from zoo.codecs.images import ImageCodec, read_image
from zoo.codecs.maps import MOST, LabelError, LabelMap
from zoo.errors import UserError


@dataclass(frozen=True)
class Picture:
    """A file, or one half of a file that holds two pictures side by side."""

    folder: Path
    name: str
    half: Literal["left", "right"] | None = None

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def header(self) -> tuple[int, int]:
        """(width, height). Raises OSError where it is no picture, or has no two halves."""
        width, height = pixels.header(self.path)
        if self.half is None:
            return width, height
        if width % 2:
            raise OSError(f"{width} pixels wide: two pictures side by side have an even width")
        return width // 2, height

    def read(self, *, size: int, channels: int) -> np.ndarray:
        """uint8 [size, size, channels]. Raises CodecError."""
        if self.half is None:
            return pixels.read(self.path, size=size, channels=channels)
        both = read_image(self.path, channels=channels)
        middle = both.shape[1] // 2
        one = both[:, :middle] if self.half == "left" else both[:, middle:]
        return pixels.fit(one[None], size=size, channels=None)[0]


@dataclass(frozen=True)
class Form:
    """What the pictures of a side become: of ``channels``, or, with ``labels``, planes of so many labels."""

    channels: int
    labels: int | None = None

    @property
    def stored(self) -> int:
        """Channels of its uint8 arrays."""
        return 1 if self.labels else self.channels

    def read(self, picture: Picture, size: int) -> np.ndarray:
        """uint8 [size, size, stored]. Raises CodecError, and a UserError for labels that were not promised."""
        if self.labels:
            try:
                return LabelMap(self.labels).read(picture.path, size=size)
            except LabelError as error:
                raise UserError(f"{error}; say how many there are by labels=N") from None
        return picture.read(size=size, channels=self.channels)

    def to_unit(self, stored: Any) -> Any:
        """uint8 [..., stored] -> float32 [..., channels] in [-1, 1]."""
        return LabelMap(self.labels).encode(stored) if self.labels else pixels.to_unit(stored)


@dataclass(frozen=True)
class Side:
    """One of the two sets: its pictures, in order, and their (width, height)."""

    pictures: tuple[Picture, ...]
    sizes: tuple[tuple[int, int], ...]

    def only(self, rows: Sequence[int]) -> "Side":
        return Side(tuple(self.pictures[i] for i in rows), tuple(self.sizes[i] for i in rows))


Parts = dict[str, tuple[Side, Form]]
"""``input`` and ``image``."""


def open_pairs(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """pairs:A,B?size=N&channels=1|3|4&input_channels=1|3|4&labels=N&match=name|none&direction=ab|ba&from=memory|disk

    Batches of ``input``, the pictures to start from, and ``image``, those to arrive at: of the folders A and B, or with
    direction=ba the other way round. Pictures are matched by their names without suffix, and must be of one shape;
    match=none draws every picture with every other. pairs:DIR is one folder of pictures with A in the left half and B
    in the right. ``labels``: what one starts from are maps of labels 0 to N - 1, in grey PNG or by number of a palette.
    Sizes, splits and memory as for images:DIR.
    """
    spec.allow("size", "channels", "input_channels", "labels", "match", "direction", "from")
    matched = spec.choice("match", ("name", "none"), "name") == "name"
    sides, skipped = _sides(spec, matched=matched)
    if spec.choice("direction", ("ab", "ba"), "ab") == "ba":
        sides = sides[::-1]
    sizes = [size for side in sides for size in side.sizes]
    size = image_size or spec.integer("size") or pixels.natural_size(sizes)
    names = ("channels", "input_channels")
    channels, input_channels = (int(spec.choice(name, map(str, pixels.CHANNELS), "3")) for name in names)
    labels = spec.integer("labels", least=2)
    if labels and ("input_channels" in spec.options or labels > MOST):
        raise UserError(f"{spec.text}: labels are 2 to {MOST}, a plane each; leave input_channels out")
    forms = Form(labels or input_channels, labels), Form(channels)
    if matched:
        rows = _rows(spec, split, sides[0])
        chosen = [side.only(rows) for side in sides]
    else:
        chosen = [side.only(_rows(spec, split, side)) for side in sides]
    parts: Parts = dict(zip(("input", "image"), zip(chosen, forms, strict=True), strict=True))
    if labels and any(picture.half for picture in parts["input"][0].pictures):
        raise UserError(f"{spec.text}: maps of labels lie in a folder of their own, pairs:MAPS,PICTURES")
    return _source(spec, split, parts, size, skipped, matched=matched)


def _source(spec: Spec, split: str, parts: Parts, size: int, skipped: Sequence[str], *, matched: bool) -> Source:
    """The source of two sides; from memory, or from disk."""
    counts = {kind: len(side.pictures) for kind, (side, _) in parts.items()}
    large = is_large(sum(counts.values()), size, max(form.stored for _, form in parts.values()))
    in_memory = spec.choice("from", ("memory", "disk"), "disk" if large else "memory") == "memory"
    tables: dict[str, np.ndarray] = {}
    if in_memory:
        tables, broken = _decode(parts, size, matched=matched)
        skipped = [*skipped, *broken]
        counts = {kind: len(table) for kind, table in tables.items()}
        if not min(counts.values()):
            raise UserError(f"{spec.text}: no picture that can be read; first: {broken[0]}")
    places = _places(counts, split, matched=matched)
    (_, start), (_, image) = parts["input"], parts["image"]
    every = counts["input"] * counts["image"] if split == "train" and not matched else max(counts.values())
    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=image.channels),
        size=min(every, ENDLESS),
        fields={
            "image_size": size, "channels": image.channels, "input_channels": start.channels,
            **({"maps": True} if start.labels else {}),
        },
        arrays=tables,
        example=_from_tables(parts, places) if in_memory else None,
        fetch=None if in_memory else _from_files(parts, size, places),
        skipped=tuple(skipped),
    )  # fmt: skip


def _places(counts: dict[str, int], split: str, *, matched: bool) -> Callable[[Any], dict[str, Any]]:
    """Index -> where in each set. Unmatched, the epochs of training are all pairs; elsewhere each picture comes once,
    those of the smaller set again and again."""
    if matched:
        return lambda index: {"input": index, "image": index}
    if split == "train":
        return lambda index: {
            "input": index % counts["input"],
            "image": (index // counts["input"]) % counts["image"],
        }
    return lambda index: {kind: index % count for kind, count in counts.items()}


def _from_tables(
    parts: Parts, places: Callable[[Any], dict[str, Any]]
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        return {kind: parts[kind][1].to_unit(arrays[kind][at]) for kind, at in places(index).items()}

    return example


def _from_files(
    parts: Parts, size: int, places: Callable[[Any], dict[str, Any]]
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    def fetch(indices: np.ndarray) -> dict[str, np.ndarray]:
        batch = {}
        for kind, rows in places(np.asarray(indices)).items():
            side, form = parts[kind]
            try:
                found = [form.read(side.pictures[int(row)], size) for row in rows]
            except CodecError as error:
                raise UserError(f"{error}; take the file away and resume") from None
            batch[kind] = form.to_unit(np.stack(found))
        return batch

    return fetch


def _decode(parts: Parts, size: int, *, matched: bool) -> tuple[dict[str, np.ndarray], list[str]]:
    """({kind: uint8 [N, size, size, C]} without what cannot be read, or whose partner cannot; "FILE: why" of those)."""
    from concurrent.futures import ThreadPoolExecutor

    tables, failed, broken = {}, {}, []
    for kind, (side, form) in parts.items():
        table = np.zeros((len(side.pictures), size, size, form.stored), np.uint8)

        def read(i: int, side=side, table=table, form=form) -> str | None:
            try:
                table[i] = form.read(side.pictures[i], size)
            except CodecError as error:
                return f"{side.pictures[i].name}: {error.cause}"
            return None

        with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:
            warnings.filterwarnings("ignore", module="PIL")
            whole = track(pool.map(read, range(len(table))), f"reading {kind}s", len(table))
            why = {i: line for i, line in enumerate(whole) if line is not None}
        tables[kind], failed[kind] = table, set(why)
        broken += why.values()
    if matched:
        failed = dict.fromkeys(tables, set().union(*failed.values()))
    kept = {kind: [i for i in range(len(table)) if i not in failed[kind]] for kind, table in tables.items()}
    return {kind: table[kept[kind]] for kind, table in tables.items()}, broken


def _rows(spec: Spec, split: str, side: Side) -> list[int]:
    """Which of a side's pictures make up ``split``."""
    names = [picture.name for picture in side.pictures]
    own = by_folder(names)
    by_name = {part: [_stem(names[i]) for i in rows] for part, rows in own.items()}
    part, index = select(by_name, split, spec=spec.text)
    return [own[part][i] for i in index]


# ---- What lies in the folders ---------------------------------------------------------------------------------------


def _sides(spec: Spec, *, matched: bool) -> tuple[list[Side], list[str]]:
    """The two sets, and "FILE: why" of what is no picture. Raises UserError where they do not match."""
    first, comma, second = spec.path.partition(",")
    if not comma:
        folder = _folder(spec, first)
        names, lost = find(folder, pixels.SUFFIXES)
        found = [[Picture(folder, name, "left") for name in names], [Picture(folder, name, "right") for name in names]]
    else:
        folders = [_folder(spec, name) for name in (first, second)]
        every = [find(folder, pixels.SUFFIXES) for folder in folders]
        lost = [line for _, lines in every for line in lines]
        found = [[Picture(folder, name) for name in names] for folder, (names, _) in zip(folders, every, strict=True)]
        if matched:
            found = _matched(spec, found, folders)
    sizes, skipped = _headers(found)
    if matched:  # without a partner a picture is of no use
        for i, pair in enumerate(zip(*sizes, strict=True)):
            if None in pair:
                sizes[0][i] = sizes[1][i] = None
    sides = [_readable(*row) for row in zip(found, sizes, strict=True)]
    skipped = [*lost, *dict.fromkeys(skipped)]
    if not all(side.pictures for side in sides):
        raise UserError(f"{spec.text}: no picture that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    if matched:
        _same_shapes(spec, sides)
    return sides, skipped


def _folder(spec: Spec, name: str) -> Path:
    path = Path(name).expanduser()
    if not name or not path.is_dir():
        why = "is a file, not a folder" if name and path.exists() else "no such folder"
        raise UserError(f"{spec.text}: {why}: {name or '(none given)'}; write pairs:A,B")
    return path


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _matched(spec: Spec, found: list[list[Picture]], folders: list[Path]) -> list[list[Picture]]:
    """Both lists in the order of the names that they share. Raises UserError for a picture without a partner."""
    tables: list[dict[str, Picture]] = []
    for pictures, folder in zip(found, folders, strict=True):
        table: dict[str, Picture] = {}
        for picture in pictures:
            if (stem := _stem(picture.name)) in table:
                raise UserError(f"{spec.text}: {folder} has both {table[stem].name} and {picture.name}; keep one")
            table[stem] = picture
        tables.append(table)
    for own, other, folder in ((tables[0], tables[1], folders[1]), (tables[1], tables[0], folders[0])):
        if alone := [picture.path for stem, picture in own.items() if stem not in other]:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UserError(
                f"{spec.text}: {alone[0]}{more} has no partner of that name in {folder}; "
                "match=none takes two sets that do not belong together"
            )
    return [[table[stem] for stem in sorted(tables[0])] for table in tables]


def _headers(found: list[list[Picture]]) -> tuple[list[list[tuple[int, int] | None]], list[str]]:
    """Sizes of all pictures, None of what is none; "FILE: why" of those."""
    sizes: list[list[tuple[int, int] | None]] = []
    broken: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        for pictures in found:
            sizes.append([])
            for picture in track(pictures, "looking through the pictures", len(pictures)):
                try:
                    sizes[-1].append(picture.header())
                except OSError as error:
                    sizes[-1].append(None)
                    broken.append(f"{picture.name}: {error.strerror or error}")
    return sizes, broken


def _readable(pictures: list[Picture], sizes: list[tuple[int, int] | None]) -> Side:
    """The pictures that have a size."""
    good = [(picture, size) for picture, size in zip(pictures, sizes, strict=True) if size is not None]
    return Side(tuple(picture for picture, _ in good), tuple(size for _, size in good))


def _same_shapes(spec: Spec, sides: Sequence[Side]) -> None:
    """UserError for two pictures of a name that would be cropped differently."""
    rows = zip(sides[0].pictures, sides[0].sizes, sides[1].pictures, sides[1].sizes, strict=True)
    for first, (w, h), second, (w2, h2) in rows:
        if w * h2 != w2 * h:
            raise UserError(
                f"{spec.text}: {first.path} is {w} x {h} and {second.path} {w2} x {h2}: a pair has one shape"
            )
