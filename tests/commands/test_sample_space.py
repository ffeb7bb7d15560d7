"""Genes, families, mixtures and projections: of decoders whose space is known, and of untrained models."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like, tiny

from sample import pictures
from sample.breeding import bred, latents_of, parents_of, table
from sample.genes import REACH, STOPS, genes, principal, readers, sliders, stretched
from sample.latent import closed_loop, lerp, render_all, style_film
from sample.moved import spread
from sample.options import Options, check, target
from sample.pictures import write_pictures
from sample.projection import project
from zoo.codecs import Notes
from zoo.codecs.film import read_film
from zoo.codecs.images import ImageCodec, read_png, write_png
from zoo.codecs.midi import write_midi
from zoo.errors import UserError

SIDE = 8


class Linear:
    """Pictures [n, 8, 8, 1] that are 0.3 A z: the first number of z moves them most, the last not at all."""

    latent_size = 3
    stretch = jnp.array([1.0, 0.3, 0.0])

    def __init__(self):
        self.axes = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(SIDE * SIDE, 3)))[0], jnp.float32)

    def latents(self, key, n):
        return jax.random.normal(key, (n, 3))

    def render(self, params, extra, latent):
        return (0.3 * (latent * self.stretch[None]) @ self.axes.T * SIDE / 3).reshape(-1, SIDE, SIDE, 1)

    def batch_spec(self, n):
        return {"image": jax.ShapeDtypeStruct((n, SIDE, SIDE, 1), jnp.float32)}

    phases = ()

    def init(self, key, batch=None):
        return {}, {}

    def evaluate(self, params, extra, batch, key):
        return {}

    def sample(self, params, extra, key, n):
        return self.render(params, extra, self.latents(key, n))


def opened(model, name="linear", params=None, extra=None, channels=1):
    config, codec, data = SimpleNamespace(name=name), ImageCodec(channels), {"labels": ["ridges", "bloom", "glass"]}
    return SimpleNamespace(model=model, params=params or {}, extra=extra or {}, codec=codec, config=config, data=data)


@pytest.fixture(scope="module")
def linear():
    return opened(Linear())


@pytest.fixture(scope="module")
def styled():
    """An untrained StyleGAN2 whose styles do something."""
    model = tiny("stylegan2")
    params, extra = initialised(model)
    return opened(model, "stylegan2", random_like(params, scale=0.3), extra, channels=3)


def test_genes_are_the_directions_that_move_pictures(linear):
    directions, scales = genes(linear, 2, "pca", 0)
    np.testing.assert_allclose(np.abs(directions), np.eye(3)[:2], atol=0.01)
    np.testing.assert_allclose(scales, 1, atol=0.05)
    bases = linear.model.latents(jax.random.key(1), 2)
    pictures = sliders(linear, bases, directions, scales)
    assert pictures.shape == (4, STOPS, SIDE, SIDE, 1)
    for row, (base, gene) in enumerate((base, gene) for base in range(2) for gene in range(2)):
        np.testing.assert_allclose(pictures[row, STOPS // 2], linear.model.render({}, {}, bases)[base], atol=1e-6)
        moved = bases[base] - REACH * scales[gene] * directions[gene]
        np.testing.assert_allclose(pictures[row, 0], linear.model.render({}, {}, moved[None])[0], atol=1e-5)
    with pytest.raises(UserError, match="the space has 3 directions"):
        genes(linear, 4, "pca", 0)
    with pytest.raises(UserError, match="has no styles"):
        genes(linear, 1, "sefa", 0)


def test_axes_by_hand():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 3)) * [0.1, 2.0, 1.0] + [50, 0, 0]
    np.testing.assert_allclose(np.abs(principal(rows)), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=0.05)
    kernel = np.diag([0.5, 3.0, 1.0]) @ np.linalg.qr(rng.normal(size=(5, 3)))[0].T
    np.testing.assert_allclose(np.abs(stretched(kernel)), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-5)


def test_genes_of_styles(styled):
    kernels = readers(styled.params["generator"]["synthesis"])
    assert kernels.shape[0] == styled.model.latent_size and kernels.shape[1] > 8
    for by in ("pca", "sefa"):
        directions, scales = genes(styled, 3, by, 0)
        np.testing.assert_allclose(directions @ directions.T, np.eye(3), atol=1e-4)
        assert np.all(scales > 0)
        if by == "pca":
            assert np.all(np.diff(scales) <= 1e-5)
        else:
            gains = np.linalg.norm(directions @ kernels, axis=1)
            assert np.all(np.diff(gains) <= 1e-4)
    base = styled.model.latents(jax.random.key(0), 1)
    rows = sliders(styled, base, directions, scales)
    np.testing.assert_allclose(
        rows[0, STOPS // 2], styled.model.render(styled.params, styled.extra, base)[0], atol=1e-5
    )
    assert np.abs(rows[0, 0] - rows[0, -1]).max() > 1e-3


def test_children_stand_between_their_parents(linear):
    family = lambda ratio, mutation, count=3: bred(linear, 5, (4, 1), count, ratio, mutation, {}, {})
    parents = linear.model.latents(jax.random.key(5), 9)[np.array([4, 1])]
    np.testing.assert_array_equal(latents_of(linear.model, jax.random.key(5), (4, 1), {}), parents)
    pictures, lineage = family(0.0, 0.0)
    np.testing.assert_allclose(pictures, pictures[[0, 1, 0, 0, 0]], atol=1e-5)
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01
    assert lineage[2] == {"parents": [4, 1], "ratio": 0.0, "mutation": 0.0, "child": 2}
    np.testing.assert_allclose(family(1.0, 0.0)[0][2:], pictures[[1, 1, 1]], atol=1e-5)
    siblings = family(0.5, 0.3)[0]
    assert np.abs(siblings[2] - siblings[3]).max() > 1e-3
    np.testing.assert_allclose(family(0.5, 0.3, 1)[0], siblings[:3], atol=1e-6)  # the first child stays the same
    for wrong in ("3", "a,b", "1,2,3", "-1,2"):
        with pytest.raises(UserError, match="numbers of two samples"):
            parents_of(wrong)


def test_a_table_of_mixed_styles(styled, linear):
    model, params, extra = styled.model, styled.params, styled.extra
    images, columns = table(styled, 0, 2, 1, {})
    assert columns == 3 and len(images) == 9 and np.all(images[0] == 1)
    grid = images.reshape(3, 3, *images.shape[1:])
    styles = model.styles(params, extra, model.latents(jax.random.key(0), 4))
    plain = model.paint(params, styles)
    np.testing.assert_allclose(grid[0, 1:], plain[2:], atol=1e-5)
    np.testing.assert_allclose(grid[1:, 0], plain[:2], atol=1e-5)
    mixed = model.paint(params, jnp.concatenate([styles[:1, :1], styles[3:, 1:]], axis=1))
    np.testing.assert_allclose(grid[1, 2], mixed[0], atol=1e-5)
    for cross in (0, styles.shape[1]):
        with pytest.raises(UserError, match="--cross"):
            table(styled, 0, 2, cross, {})
    with pytest.raises(UserError, match="no styles to mix"):
        table(linear, 0, 2, None, {})


def test_a_walk_through_styles(styled):
    model, params, extra = styled.model, styled.params, styled.extra
    latents = model.latents(jax.random.key(0), 3)
    film = style_film(model, params, extra, latents, frames=6)
    np.testing.assert_allclose(film[::2, 0], model.render(params, extra, latents), atol=1e-5)
    half = model.styles(params, extra, latents)[:2].mean(0, keepdims=True)
    np.testing.assert_allclose(film[1, 0], model.paint(params, half)[0], atol=1e-4)
    np.testing.assert_allclose(closed_loop(jnp.eye(2), 4, lerp), [[1, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]])


def test_a_walk_that_moves_with_music(styled, tmp_path, monkeypatch):
    """In latents and in styles; and of a model that knows classes the harmony says which."""
    write_midi(Notes(pitch=[60, 66], start=[0.0, 0.6], end=[0.5, 1.2]), tmp_path / "a.mid")

    def written(run, **told):
        options = Options(music=str(tmp_path / "a.mid"), frames=8, fps=6, interpolate=3, **told)
        check(options, "image", run.config.name)
        place = target(options, "image", run.config.name, folder=tmp_path, stem="film")
        (path,) = write_pictures(run, options, place, {})
        assert path.suffix == ".mp4"
        return read_film(path).frames

    assert not np.array_equal(*(written(styled, space=space) for space in ("z", "w")))
    model = tiny("cgan")
    params, extra = initialised(model)
    classes = opened(model, "cgan", random_like(params, scale=0.3), extra, channels=model.channels)
    shown = []
    monkeypatch.setattr(pictures, "render_all", lambda *given: shown.append(given[3]) or render_all(*given))
    assert len(written(classes)) == 8
    written(classes, label=1)
    written(classes, label="bloom")
    free, held, named = (np.asarray(latents)[:, -model.classes :] for latents in shown)
    np.testing.assert_array_equal(held, named)
    with pytest.raises(UserError, match="--label fern: cgan knows classes 0 to 2: ridges, bloom, glass"):
        written(classes, label="fern")
    np.testing.assert_allclose(free.sum(axis=1), 1, atol=1e-5)
    assert np.ptp(free, axis=0).max() > 0.2, "another chord, another class"
    np.testing.assert_allclose(held / held.sum(axis=1, keepdims=True), np.eye(3)[np.ones(8, int)], atol=1e-5)


def test_pitch_classes_are_spread_along_the_circle_of_fifths():
    for count in (1, 3, 10, 12, 30):
        found = spread(np.eye(12), count)
        assert found.shape == (12, count) and (found.sum(axis=1) == 1).all()
        places = found.argmax(axis=1)[7 * np.arange(12) % 12]
        assert (np.diff(places) >= 0).all() and places[-1] == (11 * count) // 12


def test_what_a_decoder_made_is_found_again(linear, styled, monkeypatch):
    """Three pictures, two at a time, of which the last has nobody beside it."""
    monkeypatch.setattr("sample.projection.CHUNK", 2)
    z = jnp.array([[1.0, -0.5, 0.0], [-0.7, 1.2, 0.0], [0.3, 0.9, 0.0]])
    truth = np.asarray(linear.model.render({}, {}, z))
    made, distances = project(linear, truth, effort=200, seed=0)
    np.testing.assert_allclose(made, truth, atol=0.02)
    assert distances.shape == (3,) and np.all(distances < 0.01)
    model, params, extra = styled.model, styled.params, styled.extra
    truth = np.asarray(model.render(params, extra, model.latents(jax.random.key(3), 1)))
    begun = project(styled, truth, effort=1, seed=0)[1]
    assert project(styled, truth, effort=150, seed=0)[1] < begun / 3


def test_files_and_what_they_tell(linear, tmp_path):
    def written(**told):
        options = Options(out=str(tmp_path / "a.png") if "genes" not in told else f"{tmp_path}/", **told)
        place = target(options, "image", "linear", folder=tmp_path, stem="genes")
        check(options, "image", "linear")
        return write_pictures(linear, options, place, {"model": "linear"})

    (sheet,) = written(breed="0,1", n=2)
    assert "lineage" in read_png(sheet)[1]
    picture, arrays = written(genes=2)
    assert read_png(picture)[0].shape[1] > STOPS * SIDE
    with np.load(arrays) as found:
        assert found["directions"].shape == (2, 3) and found["scales"].shape == (2,)
    write_png(np.full((SIDE, SIDE, 1), 99, np.uint8), tmp_path / "mine.png")
    (beside,) = written(project=str(tmp_path / "mine.png"), effort=2)
    assert "distances" in read_png(beside)[1]


FAULTS = {
    "a ratio without parents": ({"ratio": 0.3}, "add --breed"),
    "more than all": ({"breed": "1,2", "ratio": 1.5}, "from 0 to 1"),
    "a way without genes": ({"by": "sefa"}, "add --genes"),
    "no genes": ({"genes": 0}, "at least 1"),
    "two sheets": ({"genes": 2, "breed": "1,2"}, "leave out --breed"),
    "a crossing of nothing": ({"cross": 2}, "add --mix"),
    "effort for nothing": ({"effort": 3}, "add --project"),
    "music for several": ({"music": "a.mid", "n": 3}, "leave out -n"),
    "two ends": ({"project": "x", "reconstruct": "y"}, "leave out --reconstruct"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line(fault):
    told, reason = FAULTS[fault]
    with pytest.raises(UserError, match=reason):
        check(Options(**told), "image", "dcgan")
