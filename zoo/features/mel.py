"""What is heard: sounds to spectra by the ear's scale, in decibels.

Bands as wide as the mel scale of O'Shaughnessy 1987 makes them, m = 2595 log10(1 + f / 700): triangles between
neighbouring centres (Davis & Mermelstein 1980).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

WINDOW, HOP = 256, 128  # samples: 32 and 16 ms at 8,000 a second
DEPTH = 80.0  # decibels below the loudest that are heard
BANDS = 32


def samples_of(frames: int) -> int:
    """How long a sound of so many frames is."""
    return WINDOW + HOP * (frames - 1)


def log_mel(wave: Array, *, rate: int, bands: int = BANDS) -> Array:
    """Sounds [..., N] of ``rate`` samples a second -> their spectra [..., T, bands], T = 1 + (N - WINDOW) // HOP, in
    [-1, 1]: 1 is the loudest band of the sound, -1 is ``DEPTH`` decibels below it, or less, or silence."""
    starts = np.arange(0, wave.shape[-1] - WINDOW + 1, HOP)
    windows = wave[..., starts[:, None] + np.arange(WINDOW)]
    hann = jnp.asarray(np.hanning(WINDOW), wave.dtype).reshape(*[1] * wave.ndim, WINDOW)
    spectrum = jnp.fft.rfft(windows * hann, axis=-1)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    heard = power @ jnp.asarray(triangles(rate, bands), wave.dtype)
    level = 10 * jnp.log10(jnp.maximum(heard, 1e-10))
    loudest = jnp.max(level, axis=(-2, -1), keepdims=True)
    return jnp.where(loudest > -100, jnp.clip(1 + 2 * (level - loudest) / DEPTH, -1, 1), -1)


def triangles(rate: int, bands: int) -> np.ndarray:
    """Of each frequency of a window, how much each band hears of it: float64 [WINDOW // 2 + 1, bands]. Centres lie at
    equal distances in mel between 0 and half the rate; a band's weights add up to 1."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    low, centre, high = (hertz[i : i + bands][None] for i in range(3))
    at = np.linspace(0, rate / 2, 8 * WINDOW + 1)[:, None]  # finer than the window's own, which miss narrow triangles
    inside = np.clip(np.minimum((at - low) / (centre - low), (high - at) / (high - centre)), 0, None)
    share = np.maximum(1 - np.abs(at / (rate / WINDOW) - np.arange(WINDOW // 2 + 1)[None]), 0)
    weights = share.T @ inside
    return weights / weights.sum(axis=0)
