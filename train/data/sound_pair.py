"""pair, of sounds: one, and another whose style it is to have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.data.audio import recording
from train.data.source import Source
from train.data.spec import Spec
from zoo.codecs.errors import CodecError
from zoo.codecs.listening import SILENT
from zoo.codecs.waves import RATES, WaveCodec, resampled
from zoo.errors import UserError

RATE, MOST = 16000, 22050  # samples a second of what is drawn; of files, at most
SECONDS, DRAWN = 10, 4  # of files, of what is drawn
LOUDEST = 0.9
STEPS, SCALE = 4, (0, 3, 5, 7, 10)  # notes a second; semitones above the lowest


def open_sounds(spec: Spec) -> Source:
    """See `train.data.pair.open_pair`."""
    spec.allow("of", "rate", "seconds", "seed")
    rate = spec.integer("rate", least=RATES[0])
    files = [Path(part.strip()).expanduser() for part in spec.path.split(",")] if spec.path else []
    seconds = spec.integer("seconds", SECONDS if files else DRAWN) or SECONDS
    if files:
        sounds, rate = read(spec, files, rate, seconds)
    else:
        rate = rate or RATE
        sounds = drawn(spec.integer("seed", 0, least=0) or 0, seconds, rate)
    content, style = (LOUDEST / np.abs(sound).max() * sound[:, None] for sound in sounds)
    return Source(
        spec=spec.text,
        codec=WaveCodec(rate=rate),
        size=1,
        fields={"length": len(content), "style_length": len(style), "rate": rate},
        arrays={"wave": content, "style": style},
        example=lambda arrays, index: {name: arrays[name] for name in ("wave", "style")},
    )


def read(spec: Spec, files: Sequence[Path], rate: int | None, seconds: int) -> tuple[list[np.ndarray], int]:
    """(the beginnings float32 [N] of content and style, samples a second). UserError where one cannot be read, or holds
    nothing to be heard."""
    if len(files) > 2:
        raise UserError(f"{spec.text}: sounds have one style: write pair:CONTENT.wav,STYLE.wav")
    found = []
    for file in files:
        if not file.exists():
            raise UserError(f"{spec.text}: no such file: {file}")
        try:
            sound, its = recording(file)
        except CodecError as error:
            raise UserError(f"{spec.text}: {error}") from None
        if np.abs(sound[: seconds * its]).max(initial=0) < SILENT:
            raise UserError(f"{spec.text}: {file} is silent, at least for its first {seconds} seconds")
        found.append((sound[: seconds * its], its))
    rate = rate or min(found[0][1], MOST)
    sounds = [resampled(sound, its, rate) for sound, its in found]
    return sounds * (3 - len(sounds)), rate


def drawn(seed: int, seconds: int, rate: int) -> list[np.ndarray]:
    """A drummer's groove, and strings that are plucked one after another: float32 [seconds * rate] each."""
    import jax

    from zoo.algorithmic.beats import draw
    from zoo.codecs.audio import render
    from zoo.codecs.drums import DrumGrid

    groove, _ = jax.jit(draw, static_argnums=1)(jax.random.key(2 * seed), 8 * seconds)  # 120 quarter notes a minute
    drums = render(DrumGrid().decode(np.asarray(groove)), max(rate, 8000), engine="numpy")
    strings = np.asarray(jax.jit(plucked, static_argnums=(1, 2))(jax.random.key(2 * seed + 1), seconds, rate))
    return [resampled(drums, max(rate, 8000), rate)[: seconds * rate], strings]


def plucked(key: Any, seconds: int, rate: int) -> Any:
    """Strings of a pentatonic scale, each plucked a quarter of a second behind the one before and ringing for one:
    float32 [seconds * rate]."""
    import jax
    import jax.numpy as jnp

    from zoo.algorithmic.canvas import scaled
    from zoo.algorithmic.plucks import DIMENSION, PARTIALS, Pluck, pluck
    from zoo.nn.fourier import OVERLAP, overlap_add

    def note(key: Any) -> Any:
        string, tone, noise = jax.random.split(key, 3)
        drawn = scaled(jax.random.uniform(string, (DIMENSION,), jnp.float32), Pluck)
        step = jax.random.randint(tone, (), 0, 2 * len(SCALE))
        pitch = 50.0 + 12 * (step // len(SCALE)) + jnp.asarray(SCALE)[step % len(SCALE)]
        return pluck(drawn._replace(pitch=pitch), jax.random.normal(noise, (2, PARTIALS)), length, rate)[:, 0]

    length = -(-rate // OVERLAP) * OVERLAP
    return overlap_add(jax.vmap(note)(jax.random.split(key, OVERLAP * seconds)))[: seconds * rate]
