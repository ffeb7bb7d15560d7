"""Distances of samples from data, held to known values."""

import jax
import numpy as np
import pytest

from train.metrics.frechet import frechet_distance
from train.metrics.kernel import kernel_distance, squared_mmd
from train.metrics.neighbours import neighbourhoods
from train.metrics.panel import panel
from train.metrics.sliced import KERNEL, SIDE, blurred, enlarged, patches, pyramid, sliced, sliced_wasserstein
from zoo.features.random import RandomNetwork

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def whitened(n, d, rng=RNG):
    """Points whose sample mean is 0 and whose sample covariance is 1, exactly."""
    x = rng.normal(size=(n, d))
    x = x - x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T


def test_frechet_distance_of_two_normal_distributions():
    """Of N(m, A A^T) and N(m', B B^T) with commuting A, B it is |m - m'|^2 + |A - B|^2; in general, by SciPy's root."""
    from scipy.linalg import sqrtm

    x, y = whitened(50, 4), whitened(70, 4)
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    a, b = np.array([1.0, 2, 0.5, 3]), np.array([2.0, 0.1, 0.5, 1])
    mean = np.array([1.0, -2, 0, 3])
    got = frechet_distance((x * a) @ turn, (y * b) @ turn + mean)
    assert got == pytest.approx(np.sum(mean**2) + np.sum((a - b) ** 2), rel=1e-9)
    x, y = x @ RNG.normal(size=(4, 4)), y @ RNG.normal(size=(4, 4)) + mean
    c, d = np.cov(x.T), np.cov(y.T)
    want = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet_distance(x, y) == pytest.approx(want, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    flat = np.concatenate([x[:3], x[:3]])  # fewer directions than features
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    for bad in (x[:1], x[:, :3], x[0]):
        with pytest.raises(ValueError, match=r"too few|must be \[N, D\]"):
            frechet_distance(x, bad)


def test_kernel_distance_by_the_definition():
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3)) + 0.5
    k = lambda a, b: (a @ b / 3 + 1) ** 3
    pairs = lambda z: np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
    want = pairs(x) + pairs(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(want)


def test_kernel_distance_is_not_biased():
    """Over sets from one distribution its mean is zero within the error, however few they are; Frechet's is not."""
    same = [squared_mmd(RNG.normal(size=(20, 4)), RNG.normal(size=(20, 4))) for _ in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert min(same) < 0
    mean, error = kernel_distance(RNG.normal(size=(300, 4)), RNG.normal(size=(300, 4)) + 1, size=50, blocks=40)
    assert mean > 20 * error > 0


def test_neighbourhoods_of_a_few_points():
    real, fake = np.array([[0.0], [1], [3], [10]]), np.array([[0.5], [1.5], [4], [30]])
    # Radii with k = 1: data 1, 1, 2, 7; samples 1, 1, 2.5, 26.
    assert neighbourhoods(real, fake, k=1) == {
        "precision": 3 / 4, "recall": 1.0,  # 10 is within 26 of 30
        "density": (2 + 2 + 2 + 0) / 4, "coverage": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="4 neighbours of 4 and 4"):
        neighbourhoods(real, fake, k=4)


def test_neighbourhoods_of_one_distribution_and_of_a_collapsed_one():
    """Of two draws of one distribution density is 1 and coverage 1 - (1/2)^k for many points (Naeem et al. 2020,
    section 3.3, equations 6 and 9)."""
    real, fake = RNG.normal(size=(1500, 8)), RNG.normal(size=(1500, 8))
    found = neighbourhoods(real, fake, k=5)
    assert found["density"] == pytest.approx(1, abs=0.05) and found["coverage"] == pytest.approx(1 - 0.5**5, abs=0.02)
    one = neighbourhoods(real, 0.01 * fake, k=5)
    assert one["precision"] == 1 and one["recall"] < 0.01 and one["coverage"] < 0.5 < found["recall"]
    outlier = np.concatenate([real, np.full((1, 8), 50.0)])  # its ball holds everything
    spoilt, kept = neighbourhoods(outlier, fake + 6, k=5), neighbourhoods(real, fake + 6, k=5)
    assert spoilt["precision"] > 0.9 > 0.1 > spoilt["density"] - kept["density"] - 0.2


@pytest.mark.slow
def test_neighbourhoods_as_published():
    """The check of the authors' own package: two draws of N(0, I) in 1000 dimensions, k = 5."""
    found = neighbourhoods(RNG.normal(size=(10_000, 1000)), RNG.normal(size=(10_000, 1000)), k=5)
    want = {"precision": 0.477, "recall": 0.471, "density": 1.056, "coverage": 0.974}
    assert found == {name: pytest.approx(value, abs=0.03) for name, value in want.items()}


def test_sliced_distance_of_a_shift():
    """A shift by v is |v . u| in the direction u; its mean over directions is |v| E|u_1|, 2 / pi |v| in the plane."""
    x, v = RNG.normal(size=(200, 2)), np.array([3.0, -4.0])
    assert sliced(x, x[::-1] + v, RNG, directions=20_000) == pytest.approx(5 * 2 / np.pi, rel=0.02)
    assert sliced(x, x[::-1].copy(), RNG) == pytest.approx(0, abs=1e-12)


def test_the_pyramid_holds_the_picture():
    images = RNG.normal(size=(2, 64, 64, 3)).astype(np.float32)
    levels = pyramid(images)
    assert [level.shape[1] for level in levels] == [64, 32, 16]
    back = levels[-1]
    for level in levels[-2::-1]:
        back = enlarged(back) + level
    np.testing.assert_allclose(back, images, atol=1e-5)
    point = np.zeros((1, 32, 32, 1), np.float32)
    point[0, 16, 16] = 1
    np.testing.assert_allclose(blurred(point)[0, 14:19, 14:19, 0], np.outer(KERNEL, KERNEL), atol=1e-7)
    np.testing.assert_allclose(blurred(np.ones_like(point)), 1, atol=1e-6)
    np.testing.assert_allclose(enlarged(np.ones_like(point))[:, 4:-4, 4:-4], 1, atol=1e-6)


def test_patches_are_parts_of_their_pictures():
    images = np.arange(2 * 16 * 16, dtype=np.float32).reshape(2, 16, 16, 1)
    found = patches(images, np.random.default_rng(0))
    assert found.shape[1:] == (SIDE, SIDE, 1) and set(np.unique(found // 256)) == {0, 1}
    np.testing.assert_array_equal(found[:, 0, 1:] - found[:, 0, :-1], 1)
    np.testing.assert_array_equal(found[:, 1:, 0] - found[:, :-1, 0], 16)


def stripes(n, rng, *, sharp=1.0):
    """Pictures whose fine texture and coarse layout differ from one to the next."""
    x = np.linspace(0, 1, 32)
    phase, slope = rng.uniform(0, 2 * np.pi, (2, n, 1, 1))
    wave = np.sin(2 * np.pi * (9 * sharp * x + 2 * np.sin(slope) * x[:, None]) + phase)
    return np.repeat(wave[..., None], 3, axis=-1).astype(np.float32)


def test_levels_see_what_is_theirs():
    real, more = stripes(30, RNG), stripes(30, RNG)
    fine = sliced_wasserstein(real, stripes(30, RNG, sharp=1.3))
    floor = sliced_wasserstein(real, more)
    assert set(floor) == {32, 16} and fine[32] > 2 * floor[32]
    assert sliced_wasserstein(real, real) == {32: 0, 16: 0}
    for bad in (real[:5], real[:, :31, :31], real[:, :, :16]):
        with pytest.raises(ValueError, match=r"pictures"):
            sliced_wasserstein(real[: len(bad), :31, :31] if bad.shape[1] == 31 else real, bad)


def test_the_panel_puts_samples_between_floor_and_ceiling():
    network = RandomNetwork(features=8)
    params = network.init(jax.random.key(0), (32, 32, 3))
    extract = jax.jit(lambda images: network(params, images))
    real, more = stripes(64, RNG), stripes(64, RNG)
    fake = 0.7 * stripes(64, RNG) + 0.3 * blurred(stripes(64, RNG))
    found = panel(real, more, fake, {"random": lambda images: np.asarray(extract(images))})
    assert set(found) == {"samples", "floor", "ceiling"} and set(found["floor"]) == {
        *(f"random/{what}" for what in ("frechet", "kernel", "precision", "recall", "density", "coverage")),
        "sliced/32", "sliced/16",
    }  # fmt: skip
    for name in ("random/frechet", "random/kernel", "sliced/32"):
        assert found["floor"][name] < found["samples"][name] < found["ceiling"][name]


def test_a_random_network_depends_on_its_key_and_keeps_sizes():
    network = RandomNetwork()
    images = RNG.uniform(-1, 1, (6, 28, 28, 1)).astype(np.float32)
    one, two = (network.init(jax.random.key(seed), (28, 28, 1)) for seed in (0, 1))
    first, second = (np.asarray(jax.jit(network)(params, images)) for params in (one, two))
    assert first.shape == (6, 64) and 0.1 < first.std() < 10
    assert np.abs(first - second).max() > 0.1
    moved = np.asarray(jax.jit(network)(one, images + 0.2 * RNG.normal(size=images.shape).astype(np.float32)))
    assert np.abs(first - moved).max() > 1e-3
