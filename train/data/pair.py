"""pair: a picture, and one or several others whose look it is to have; or a sound and another one. picture: one
alone."""

from pathlib import Path
from typing import Any

import numpy as np

from train.data import pixels
from train.data.audio import SUFFIXES
from train.data.sound_pair import open_sounds
from train.data.source import Source
from train.data.spec import Spec
from zoo.codecs.errors import CodecError
from zoo.codecs.images import ImageCodec, read_image
from zoo.errors import UserError

SIZE, SMALL = 256, 128
LEAST = 16
DRAWN = "ridges", "streams"  # formulas of the content and of the style, where no files are named


def open_pair(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """pair:CONTENT,STYLE[,STYLE ...]?size=N&style_size=N&weights=W,W&regions=FILE&seed=N

    One example: ``input``, the picture CONTENT; ``style``, the other pictures (of CONTENT alone, that), cropped to the
    first one's shape; ``guide``, how much each of them counts at each place. ``size``, ``style_size``: pixels of their
    longer sides (256, and as ``size``). ``weights``: of the styles, equal if not said. ``regions``: a map of labels as
    large as CONTENT, 0 for the first style and so on. Without files both are drawn, others with another ``seed``. All
    splits are the same.

    pair:CONTENT.wav,STYLE.wav?rate=N&seconds=N&seed=N, of sounds

    One example: ``wave``, the sound CONTENT; ``style``, the other one, or the same again; each as far as ``seconds``
    (10) go, as loud as the other, mono, at ``rate`` samples a second (the content's, at most 22050). Without files,
    pair?of=sounds: drumming, and strings that are plucked, 4 seconds of each.
    """
    names = [Path(part.strip()) for part in spec.path.split(",")]
    sounds = any(name.suffix.lower() in SUFFIXES for name in names)
    if spec.choice("of", ("pictures", "sounds"), "sounds" if sounds else "pictures") == "sounds":
        return open_sounds(spec)
    spec.allow("of", "size", "style_size", "weights", "regions", "seed")
    size = image_size or spec.integer("size", SIZE, least=LEAST) or SIZE
    style_size = spec.integer("style_size", size, least=LEAST) or size
    if spec.path:
        files = [Path(part.strip()).expanduser() for part in spec.path.split(",")]
        files = files if len(files) > 1 else files * 2
        content = picture_of(spec, files[0], size)
        styles = [picture_of(spec, file, style_size) for file in files[1:]]
    else:
        content, *styles = drawn(spec.integer("seed", 0, least=0) or 0, (size, style_size))
    shape = styles[0].shape[:2]
    guide = guide_of(spec, content.shape[:2], len(styles))
    arrays = {"input": content, "style": np.stack([cropped(style, shape) for style in styles]), "guide": guide}
    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=3),
        size=1,
        fields={
            "height": content.shape[0], "width": content.shape[1],
            "style_height": shape[0], "style_width": shape[1], "styles": len(styles),
        },
        arrays=arrays,
        example=example,
    )  # fmt: skip


def open_picture(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """picture:FILE?size=N&channels=3|4&seed=N

    One example: ``image``, the whole picture, its longer side of ``size`` pixels (128). Transparency lies on white, or
    stays with channels=4. Without a file it is drawn, another one with another ``seed``; with channels=4 it is round.
    All splits are the same.
    """
    spec.allow("size", "channels", "seed")
    size = image_size or spec.integer("size", SMALL, least=LEAST) or SMALL
    channels = 4 if spec.choice("channels", ("3", "4"), "3") == "4" else 3
    if spec.path:
        picture = picture_of(spec, Path(spec.path).expanduser(), size, channels)
    else:
        picture = drawn(spec.integer("seed", 0, least=0) or 0, (size, size))[0]
        picture = picture if channels == 3 else rounded(picture)
    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=channels),
        size=1,
        fields={"height": picture.shape[0], "width": picture.shape[1], "channels": channels},
        arrays={"image": picture},
        example=lambda arrays, index: {"image": pixels.to_unit(arrays["image"])},
    )


def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
    del index
    unit = {name: pixels.to_unit(arrays[name]) for name in ("input", "style")}
    return {**unit, "guide": arrays["guide"]}


def picture_of(spec: Spec, file: Path, size: int, channels: int = 3) -> np.ndarray:
    """uint8 [H, W, C], the longer side of ``size`` pixels. UserError where it cannot be read, or would be too thin."""
    if not file.exists():
        raise UserError(f"{spec.text}: no such file: {file}")
    try:
        whole = read_image(file, channels=channels)
    except CodecError as error:
        raise UserError(f"{spec.text}: {error}") from None
    height, width = (max(round(side * size / max(whole.shape[:2])), 1) for side in whole.shape[:2])
    if min(height, width) < LEAST or min(whole.shape[:2]) < LEAST:
        raise UserError(
            f"{spec.text}: {file} is {whole.shape[1]} x {whole.shape[0]} pixels: {LEAST} or more are needed"
        )
    return resized(whole, height, width)


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, C] -> [height, width, C]. What is clear has no colour that could show at an edge."""
    from PIL import Image

    image = Image.fromarray(picture)
    if image.mode == "RGBA":
        small = image.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(small.convert("RGBA"))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def rounded(picture: np.ndarray) -> np.ndarray:
    """uint8 [S, S, 3] -> [S, S, 4], clear outside of a disc."""
    size = len(picture)
    x = np.arange(size) + 0.5 - size / 2
    inside = np.clip(0.42 * size - np.hypot(x[:, None], x[None, :]), 0, 1)
    return np.concatenate([picture, np.rint(255 * inside)[..., None].astype(np.uint8)], axis=-1)


def cropped(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The middle of a picture in another shape, as large as it goes."""
    height, width = shape
    scale = max(height / picture.shape[0], width / picture.shape[1])
    picture = resized(
        picture, max(round(picture.shape[0] * scale), height), max(round(picture.shape[1] * scale), width)
    )
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def drawn(seed: int, sizes: tuple[int, int]) -> list[np.ndarray]:
    """A content and a style of formulas."""
    import jax
    import jax.numpy as jnp

    from zoo.algorithmic.canvas import dimension, scaled, square
    from zoo.algorithmic.colour import PALETTES, palette
    from zoo.algorithmic.formulas import FORMULAS

    def paint(key: jax.Array, colours: jax.Array, name: str, size: int) -> jax.Array:
        formula, (where, own) = FORMULAS[name], jax.random.split(key)
        parameters = scaled(jax.random.uniform(where, (dimension(formula.parameters),)), formula.parameters)
        return jnp.moveaxis(formula.paint(parameters, colours, square(size), own), 0, -1)

    made = []
    names = np.random.default_rng(seed).permutation(list(PALETTES))
    for number, (name, size) in enumerate(zip(DRAWN, sizes, strict=True)):
        key, colours = jax.random.key(2 * seed + number), jnp.asarray(palette(PALETTES[names[number]]))
        picture = jax.jit(paint, static_argnums=(2, 3))(key, colours, name, size)
        made.append(np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8))
    return made


def guide_of(spec: Spec, shape: tuple[int, int], styles: int) -> np.ndarray:
    """float32 [H, W, S]."""
    if "regions" in spec.options:
        return regions_of(spec.text, Path(spec.options["regions"]).expanduser(), shape, styles)
    try:
        weights = [float(part) for part in spec.options.get("weights", ",".join(["1"] * styles)).split(",")]
    except ValueError:
        weights = []
    if len(weights) != styles or not all(0 < weight < np.inf for weight in weights):
        raise UserError(f"{spec.text}: weights should be {styles} numbers above 0, such as 2,1")
    return np.broadcast_to(np.asarray(weights, np.float32), (*shape, styles)).copy()


def regions_of(told: str, file: Path, shape: tuple[int, int], styles: int) -> np.ndarray:
    """The map's labels as planes of 0 and 1, float32 [H, W, S]. UserError, which begins as it was ``told``, where it is
    no map of all styles."""
    from PIL import Image

    try:
        labels = read_image(file, channels=1)[..., 0]
    except CodecError as error:
        raise UserError(f"{told}: {error}") from None
    labels = np.asarray(Image.fromarray(labels).resize((shape[1], shape[0]), Image.Resampling.NEAREST))
    if int(labels.max()) >= styles or len(np.unique(labels)) < styles:
        seen = ", ".join(map(str, np.unique(labels)[:8]))
        raise UserError(f"{told}: regions should have the labels 0 to {styles - 1}; {file} has {seen}")
    return np.eye(styles, dtype=np.float32)[labels]
