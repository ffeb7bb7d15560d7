"""What the demo shows of its runs: drawn with fixed seeds, the first that came."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample import pictures, scores
from sample.latent import film, reconstruct
from sample.options import Options
from sample.report import Exhibit
from sample.restore import made_by, open_run
from train.data.source import Source, open_source
from zoo.codecs.images import grid, write_png
from zoo.codecs.media import PIECE, write_pieces

SEED = 1
GROUND = 14, 15, 20  # the colour of the report's page
COLUMNS, ROWS = 6, 5
ENLARGED = 3  # screen pixels a pixel
PIECES = 2
LOOPS, THROUGH, FRAMES, FPS = 8, 6, 144, 24
TEMPERATURE, TOP_P = 0.95, 0.95
BARS, OPENING = 8, 2  # of a piece; of a chorale that a model goes on from


def picture_exhibits(folder: Path) -> tuple[Exhibit, ...]:
    """Training pictures and the model's own; a film; reconstructions where there is an encoder."""
    run = open_run(folder)
    meta = made_by(run, folder, seed=SEED)
    at = lambda name: folder / "samples" / name
    spec, size = run.data["spec"], run.model.batch_spec(1)["image"].shape[1]
    real = first(open_source(spec, "train", image_size=size), COLUMNS * ROWS)["image"]
    drawn = pictures.draw(run, SEED, COLUMNS * ROWS)
    write_png(sheet(run.codec.decode(real)), at("training.png"), meta={"data": spec, "split": "train"})
    write_png(sheet(run.codec.decode(drawn)), at("samples.png"), meta=meta)
    exhibits = [
        Exhibit(
            "Samples",
            (at("training.png"), at("samples.png")),
            captions=(f"{spec}: pictures that it learnt from", f"{run.config.name}: pictures that it draws"),
        ),
        Exhibit(
            "Through the latent space",
            (write_film(run, at("film"), meta),),
            note=f"Each of the {LOOPS} walks a great circle from one of its {THROUGH} pictures to the next, and home.",
            captions=("",),
        ),
    ]
    if hasattr(run.model, "encode"):
        unseen = first(open_source(spec, "valid", image_size=size), 2 * COLUMNS)["image"]
        again = reconstruct(run.model, run.params, run.extra, unseen)
        both, columns = pictures.pairs(unseen, again, most=2 * COLUMNS)
        write_png(sheet(run.codec.decode(both), columns), at("reconstructions.png"), meta=meta)
        note = "Above, pictures that it has never seen; below, what comes back from the code it gave them."
        exhibits.append(Exhibit("Reconstructions", (at("reconstructions.png"),), note=note, captions=("",)))
    return tuple(exhibits)


def first(source: Source, count: int) -> dict[str, np.ndarray]:
    """The first examples of a source, as one batch."""
    return {name: np.asarray(array) for name, array in source.read(np.arange(count, dtype=np.int32)).items()}


def write_film(run: Any, stem: Path, meta: dict[str, Any]) -> Path:
    """A GIF, and an MP4 of larger pixels; returns the latter."""
    from zoo.codecs.film import write_gif, write_mp4

    latents = run.model.latents(jax.random.key(SEED), LOOPS * THROUGH)
    images = film(run.model, run.params, run.extra, latents, frames=FRAMES, loops=LOOPS)
    pixels = run.codec.decode(images)
    write_gif(
        np.stack([sheet(frame, LOOPS // 2, enlarged=1) for frame in pixels]),
        stem.with_suffix(".gif"),
        fps=FPS,
        meta=meta,
    )
    write_mp4(np.stack([sheet(frame, LOOPS // 2) for frame in pixels]), stem.with_suffix(".mp4"), fps=FPS, meta=meta)
    return stem.with_suffix(".mp4")


def sheet(pixels: np.ndarray, columns: int = COLUMNS, *, enlarged: int = ENLARGED) -> np.ndarray:
    """uint8 [n, H, W, C] -> a grid [H', W', 3] on the page's own ground."""
    pixels = np.broadcast_to(pixels[..., :3], (*pixels.shape[:3], 3)).repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    alpha = np.full((*pixels.shape[:3], 1), 255, np.uint8)
    cells = grid(np.concatenate([pixels, alpha], axis=-1), columns=columns, padding=2 * enlarged)
    inside = cells[2 * enlarged : -2 * enlarged, 2 * enlarged : -2 * enlarged]
    return np.where(inside[..., 3:] == 0, np.array(GROUND, np.uint8), inside[..., :3])


def music_exhibits(folder: Path) -> tuple[Exhibit, ...]:
    """Pieces from nothing, and a chorale that the model has not seen, taken on from its second bar."""
    run = open_run(folder)
    bar = 4 * 4 * run.codec.steps_per_quarter  # tokens: four voices, four quarter notes
    options = Options(n=PIECES, seed=SEED, length=BARS * bar, temperature=TEMPERATURE, top_p=TOP_P)
    rows = scores.draw(run, options)
    opening = first(open_source(run.data["spec"], "valid", length=OPENING * bar + 1), 1)["tokens"]
    begun = scores.draw(run, replace(options, n=1, length=(BARS - OPENING) * bar), prompts=[*opening])
    at = lambda name: folder / "samples" / name
    meta = made_by(run, folder, seed=SEED, options=options.told())
    new = write_pieces([run.codec.decode(row) for row in rows], at("piece"), meta=meta, kinds=PIECE)
    on = write_pieces([run.codec.decode(row) for row in begun], at("continuation"), meta=meta, kinds=PIECE)
    midi = tuple(path for path in new if path.suffix == ".mid")
    names = tuple(f"No. {number}" for number in range(1, len(midi) + 1))
    return (
        Exhibit(
            "Pieces",
            midi,
            note="From nothing but the start token; the first that came. A colour is a voice.",
            captions=names,
        ),
        Exhibit(
            "A continuation",
            tuple(path for path in on if path.suffix == ".mid"),
            note=f"The first {OPENING} bars are Bach's, from a chorale that was held out; the rest is the model's.",
            captions=("After Bach",),
        ),
    )
