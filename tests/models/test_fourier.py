"""Short-time Fourier transforms: SciPy's numbers, there and back, and phases from magnitudes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import ShortTimeFFT

from zoo.algorithmic.plucks import draw
from zoo.nn.fourier import OVERLAP, frames_of, griffin_lim, hann, istft, overlap_add, stft

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("samples", "window"), [(100, 32), (203, 16), (7, 8), (64, 4)])
def test_it_is_scipy_s_and_its_inverse_is_exact(samples, window):
    wave = RNG.normal(size=(2, samples)).astype(np.float32)
    spectrum = jax.jit(stft, static_argnames="window")(wave, window=window)
    hop = window // OVERLAP
    assert spectrum.shape == (2, frames_of(samples, window), window // 2 + 1)
    theirs = ShortTimeFFT(hann(window), hop, fs=1, phase_shift=None)
    wanted = theirs.stft(np.pad(wave, ((0, 0), (window, window))))
    at = np.arange(spectrum.shape[1]) + OVERLAP - theirs.p_min  # where the window around the first sample is
    np.testing.assert_allclose(spectrum, wanted[..., at].swapaxes(-1, -2), atol=1e-4)
    back = jax.jit(istft, static_argnames="samples")(spectrum, samples=samples)
    np.testing.assert_allclose(back, wave, atol=1e-5)


def test_of_what_is_no_sound_s_the_inverse_is_the_nearest():
    """No step away from it brings the transform nearer (Griffin & Lim 1984, equation 5)."""
    shape = frames_of(50, 16), 9
    parts = jnp.asarray(RNG.normal(size=(2, *shape)), jnp.float32).at[1, :, ::8].set(0)  # these are real
    wanted = parts[0] + 1j * parts[1]
    weight = jnp.asarray([[1.0, *[2.0] * 7, 1.0]])  # a frequency between stands for its negative, too

    def apart(wave):
        off = stft(wave, window=16) - wanted
        return jnp.sum(weight * (jnp.square(off.real) + jnp.square(off.imag)))

    slope = lambda wave: np.abs(jax.jit(jax.grad(apart))(wave)).max()
    nearest = istft(wanted, samples=50)
    assert slope(nearest) < 1e-4 * slope(jnp.zeros(50))


def test_windows_are_laid_over_one_another():
    frames = RNG.normal(size=(3, 5, 8)).astype(np.float32)
    wanted = np.zeros((3, 16))
    for at in range(5):
        wanted[:, 2 * at : 2 * at + 8] += frames[:, at]
    np.testing.assert_allclose(overlap_add(jnp.asarray(frames)), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(overlap_add(frames, np), wanted, rtol=1e-5, atol=1e-6)


def test_phases_are_found():
    """Of a sound's own magnitudes all but a fiftieth is found again, and momentum is what finds it."""
    wave = jnp.concatenate([draw(jax.random.key(number), 2000, 8000)[:, 0] for number in range(3)])
    magnitude = jnp.abs(stft(wave, window=256))
    start = jnp.exp(2j * jnp.pi * jax.random.uniform(jax.random.key(0), magnitude.shape))

    @jax.jit
    def missed(rounds, momentum):
        found = griffin_lim(magnitude, start, samples=len(wave), rounds=rounds, momentum=momentum)
        return jnp.linalg.norm(jnp.abs(stft(found, window=256)) - magnitude) / jnp.linalg.norm(magnitude)

    begun, plain, fast = (float(missed(*how)) for how in ((0, 0.99), (60, 0.0), (60, 0.99)))
    assert begun > 0.3 and plain < 0.5 * begun and fast < 0.5 * plain and fast < 0.05
