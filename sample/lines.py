"""Drawings as a run's model reads them, and how it draws when nothing is said."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.options import Options, flag
from sample.steer import sampler_of
from zoo.codecs.strokes import END, Drawing
from zoo.codecs.svg import read_svg
from zoo.decoding import Sampler
from zoo.errors import UserError
from zoo.model import Array

TEMPERATURE = 0.5  # when nothing is said


def sampler(options: Options) -> Sampler:
    """As the options say; cooler than what was learnt when they say nothing."""
    told = options.greedy or "temperature" in options.told()
    return sampler_of(options if told else Options(temperature=TEMPERATURE), rolls=False)


def encoded(run: Any, rows: Sequence[np.ndarray]) -> Array:
    """The mean latents [n, Z] of drawings [T_i, 5]."""
    return encode(run.model, run.params, run.extra, jnp.asarray(padded(run, rows)))


@functools.partial(jax.jit, static_argnums=0)
def encode(model: Any, *arguments: Any) -> Array:
    """``model.encode(*arguments)``, compiled once for a shape."""
    return model.encode(*arguments)


def padded(run: Any, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Drawings [T_i, 5] as the model reads them: [n, 1 + context, 5], END behind each."""
    size = run.model.context + 1
    return np.stack([np.concatenate([row, np.repeat(END[None], size, axis=0)])[:size] for row in rows])


def read(run: Any, file: str | Path) -> np.ndarray:
    """An SVG file as rows [T, 5] of the size that the model knows, with END behind them."""
    drawing: Drawing = run.codec.fitted(read_svg(Path(file).expanduser()))
    rows = run.codec.encode(drawing)
    if len(rows) - 2 > run.model.context:
        raise UserError(f"{file}: {len(rows) - 2} points; {run.config.name} draws at most {run.model.context}")
    return rows


def check_latents(run: Any, option: str) -> None:
    if not getattr(run.model, "conditional", False):
        raise UserError(f"{flag(option)}: {run.config.name} has no latent space; sketch-rnn has")
