"""Held-out pairs of a sound and a picture, and what a model of both makes of them."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.options import Options, Target, wanted
from train.data.source import Source, open_source
from zoo.codecs.images import grid, write_png
from zoo.codecs.media import with_suffix
from zoo.codecs.waves import toned
from zoo.errors import UserError

PAIRS, QUERIES = 24, 8  # that are shown when nothing is said
AMONG, NEAREST = 256, 8  # pictures that are looked through for each sound, and those that are shown
SIDE = 64  # pixels of a picture
EDGE = 3  # pixels of colour around what is shown
RIGHT, WRONG = (60, 160, 80), (205, 60, 60)


def write_judged(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """One sheet. A model of classes: pairs, framed by whether it names them rightly, with what it says in the metadata.
    Towers: sounds, each with the pictures that are nearest to it, framed by whether they are of its class."""
    wanted(place, [".png"], what="a sheet")
    model = run.model
    if "spectrum" not in model.batch_spec(1):
        raise UserError(f"--held-out: {run.config.name} does not learn from pairs; fusion and tower do")
    source = open_source(run.data["spec"], "test", image_size=model.image_size)
    asked = options.n or (QUERIES if hasattr(model, "embed") else PAIRS)
    batch = source.read(np.arange(min(max(asked, AMONG), source.size), dtype=np.int32))
    told, rows = retrieved(run, batch, asked) if hasattr(model, "embed") else named(run, batch, source, asked)
    path = with_suffix(place.stem, ".png")
    write_png(grid(rows, columns=None if told.keys() >= {"said"} else 1), path, meta={**meta, **told})
    return [path]


def named(run: Any, batch: dict[str, np.ndarray], source: Source, count: int) -> tuple[dict[str, Any], np.ndarray]:
    """(what the pairs are and what the model says, cells uint8 [n, H, W, 3])."""
    first = {name: array[:count] for name, array in batch.items()}
    said = np.asarray(jax.jit(run.model.logits)(run.params, first["spectrum"], first["image"])).argmax(axis=-1)
    cells = []
    for sound, image, right in zip(first["spectrum"], first["image"], said == first["label"], strict=True):
        cells.append(framed(np.concatenate([heard(sound), seen(run.codec, image)], axis=1), bool(right)))
    words = lambda labels: [source.labels[label] for label in labels]
    return {"label": words(first["label"]), "said": words(said)}, np.stack(cells)


def retrieved(run: Any, batch: dict[str, np.ndarray], count: int) -> tuple[dict[str, Any], np.ndarray]:
    """(how many of the nearest pictures are of the sound's class, rows uint8 [n, H, W, 3])."""
    sounds, pictures = jax.jit(run.model.embed)(run.params, batch["spectrum"], batch["image"])
    order = np.argsort(-np.asarray(sounds[:count] @ pictures.T), axis=1)[:, :NEAREST]
    right = batch["label"][order] == batch["label"][:count, None]
    rows = []
    for sound, nearest, its in zip(batch["spectrum"], order, right, strict=False):
        found = [framed(seen(run.codec, batch["image"][at]), bool(hit)) for at, hit in zip(nearest, its, strict=True)]
        rows.append(np.concatenate([np.pad(heard(sound), ((EDGE, EDGE), (0, 0), (0, 0))), *found], axis=1))
    return {"right": right.sum(axis=1).tolist(), "of": int(order.shape[1])}, np.stack(rows)


def heard(spectrum: np.ndarray) -> np.ndarray:
    """[T, M] in [-1, 1] -> uint8 [SIDE, 2 SIDE, 3]: time to the right, pitch upwards, brighter where it is louder."""
    rows, columns = (
        np.arange(many) * size // many for many, size in zip((SIDE, 2 * SIDE), spectrum.T.shape, strict=True)
    )
    return toned(np.clip(spectrum.T[::-1][rows][:, columns] / 2 + 0.5, 0, 1))


def seen(codec: Any, image: np.ndarray) -> np.ndarray:
    """[H, W, C] in [-1, 1] -> uint8 [SIDE, SIDE, 3]."""
    pixels = np.broadcast_to(codec.decode(image[None])[0][..., :3], (*image.shape[:2], 3))
    at = np.arange(SIDE) * len(pixels) // SIDE
    return pixels[at][:, at]


def framed(cell: np.ndarray, right: bool) -> np.ndarray:
    """With an edge around it, green or red."""
    height, width = (side + 2 * EDGE for side in cell.shape[:2])
    out = np.broadcast_to(np.array(RIGHT if right else WRONG, np.uint8), (height, width, 3)).copy()
    out[EDGE:-EDGE, EDGE:-EDGE] = cell
    return out
