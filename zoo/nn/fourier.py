"""Short-time Fourier transforms of sounds, back again, and a sound of which only magnitudes are known.

Windows are Hann's, each a quarter of its length behind the one before, the first around the first sample, with silence
before and behind the sound. They are cut and laid together as blocks of a quarter, so that nothing is gathered.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

OVERLAP = 4  # windows that see a sample
TINY = 1e-16


def frames_of(samples: int, window: int) -> int:
    """T, how many windows of so many samples a sound has."""
    return 1 + samples // (window // OVERLAP)


def hann(window: int) -> np.ndarray:
    """float64 [window], the periodic one: four that overlap add up to 2, their squares to 3/2."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def stft(wave: Array, *, window: int) -> Array:
    """Sounds [..., N] -> complex [..., T, window // 2 + 1], unscaled. ``window``: samples, a multiple of 4."""
    hop, count = window // OVERLAP, frames_of(wave.shape[-1], window)
    before, whole = window // 2, (count + OVERLAP - 1) * hop
    edges = [(0, 0)] * (wave.ndim - 1) + [(before, whole - before - wave.shape[-1])]
    blocks = jnp.pad(wave, edges).reshape(*wave.shape[:-1], -1, hop)
    frames = jnp.concatenate([blocks[..., at : at + count, :] for at in range(OVERLAP)], axis=-1)
    return jnp.fft.rfft(frames * _seen(window, frames), axis=-1)


def istft(spectrum: Array, *, samples: int) -> Array:
    """Complex [..., T, window // 2 + 1] -> the sounds [..., samples] whose `stft` are the nearest to them: those that
    they are the `stft` of, where there are such (Griffin & Lim 1984, "Signal Estimation from Modified Short-Time
    Fourier Transform", equation 6)."""
    window = 2 * (spectrum.shape[-1] - 1)
    frames = jnp.fft.irfft(spectrum, window, axis=-1)
    shape, inside = hann(window), slice(window // 2, window // 2 + samples)
    weight = overlap_add(np.broadcast_to(shape**2, frames.shape[-2:]), np)[inside]
    wave = overlap_add(frames * _seen(window, frames))[..., inside]
    return wave / jnp.asarray(weight, wave.dtype).reshape(*[1] * (wave.ndim - 1), samples)


def overlap_add(frames: Any, xp: Any = jnp) -> Any:
    """[..., T, window] -> [..., (T + 3) window // 4], each a quarter of its length behind the one before, added up.
    ``xp``: numpy or jax.numpy."""
    hop, edges = frames.shape[-1] // OVERLAP, [(0, 0)] * (frames.ndim - 2)
    laid = lambda at: [*edges, (at, OVERLAP - 1 - at), (0, 0)]
    parts = [xp.pad(frames[..., at * hop : (at + 1) * hop], laid(at)) for at in range(OVERLAP)]
    added: Any = sum(parts[1:], parts[0])
    return added.reshape(*frames.shape[:-2], -1)


def griffin_lim(magnitude: Array, start: Array, *, samples: int, rounds: int, momentum: float = 0.99) -> Array:
    """Magnitudes [..., T, window // 2 + 1] -> sounds [..., samples] that nearly have them: by turns the nearest
    spectrum that a sound has, and the nearest to it with these magnitudes, with momentum (Perraudin, Balazs &
    Søndergaard 2013, "A fast Griffin-Lim algorithm", section 3; without, Griffin & Lim 1984). ``start``: a complex
    spectrum whose phases it begins with."""
    window = 2 * (magnitude.shape[-1] - 1)
    sound_of = lambda spectrum: istft(magnitude * _phase(spectrum), samples=samples)

    def turn(_: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        ahead, before = carry
        here = stft(sound_of(ahead), window=window)
        return here + momentum * (here - before), here

    first = stft(sound_of(start), window=window)
    ahead, _ = jax.lax.fori_loop(0, rounds, turn, (first, first))
    return sound_of(ahead)


def _phase(spectrum: Array) -> Array:
    return spectrum / jnp.maximum(jnp.abs(spectrum), TINY)


def _seen(window: int, frames: Array) -> Array:
    return jnp.asarray(hann(window), frames.dtype).reshape(*[1] * (frames.ndim - 1), window)
