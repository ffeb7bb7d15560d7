"""GrooVAE: what it hears, the density of what is played, and a space of grooves that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit
from scipy.stats import norm
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.algorithmic.beats import BAR, STYLES, draw
from zoo.codecs.drums import CLASSES, PITCHES, DrumGrid
from zoo.decoding import Sampling
from zoo.vae.groove import heard, parts


@pytest.fixture(scope="module")
def net():
    model = tiny("groovae")
    return model, random_like(initialised(model)[0], scale=0.3)


def test_what_is_heard():
    groove = np.zeros((1, 2, 27), np.float32)
    groove[0, 0, [0, 4]] = 1  # a soft kick late, a loud tom early
    groove[0, 0, [9, 13]], groove[0, 0, [18, 22]] = (0.2, 0.9), (0.25, -0.3)
    np.testing.assert_array_equal(heard(jnp.asarray(groove), "groove"), groove)
    score = np.where(np.arange(27) < 9, groove, 0)
    np.testing.assert_array_equal(heard(jnp.asarray(groove), "score"), score)
    taps = np.zeros_like(groove)
    taps[0, 0, 0], taps[0, 0, 18] = 1, -0.3
    np.testing.assert_array_equal(heard(jnp.asarray(groove), "taps"), taps)


def test_nats_are_those_of_the_distributions(net):
    model, params = net
    batch, latent = random_batch(model, 3), jax.random.normal(jax.random.key(0), (3, 4))
    hits, touch = jitted(model, "nats")(params, latent, batch)
    said = np.asarray(model.apply(params, latent, batch["groove"], method="teach"), np.float64)
    logits, velocity, offset = np.split(said, 3, axis=-1)
    struck, its_velocity, its_offset = np.split(batch["groove"], 3, axis=-1)
    spreads = 0.01 + np.logaddexp(0, np.asarray(params["groovae"]["spreading"], np.float64))
    real = (np.arange(16) < batch["length"][:, None])[..., None]
    of_hits = -np.log(np.where(struck > 0, expit(logits), expit(-logits)))
    of_touch = -norm.logpdf(its_velocity, velocity, spreads[0]) - norm.logpdf(its_offset, offset, spreads[1])
    np.testing.assert_allclose(hits, (real * of_hits).sum((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(touch, (real * struck * of_touch).sum((1, 2)), rtol=1e-3)


def test_what_is_played_freely_is_what_the_parallel_form_says(net):
    model, params = net
    latent = jax.random.normal(jax.random.key(2), (3, 4))
    render = lambda latent, **how: np.asarray(jitted(model, "render")(params, {}, latent, **how))
    played = render(latent)
    logits, velocity, offset = parts(model.apply(params, latent, played, method="teach"))
    struck = np.asarray(logits > 0)
    assert 0.1 < struck.mean() < 0.9
    want = np.concatenate([struck, struck * np.clip(velocity, 1 / 127, 1), struck * offset], axis=-1)
    np.testing.assert_allclose(played, want, atol=1e-5)
    drawn = render(latent, sampler=Sampling(), key=jax.random.key(3))
    others = render(latent[np.array([0, 2, 1])], sampler=Sampling(), key=jax.random.key(3))
    np.testing.assert_allclose(others[0], drawn[0], atol=1e-6)  # whatever is beside it
    assert np.any(drawn != played) and np.any(others[1] != drawn[1])
    given = jnp.asarray(random_batch(model, 3)["groove"][..., :CLASSES])
    np.testing.assert_array_equal(render(latent, hits=given)[..., :CLASSES], given)
    grid = DrumGrid().encode(DrumGrid().decode(drawn[0]))
    np.testing.assert_array_equal(grid[:, :CLASSES], drawn[0][: len(grid), :CLASSES])


def test_it_learns_to_bring_back_what_it_read():
    model = tiny("groovae", latent_size=8, encoder_width=32, width=32, layers=1, free_bits=0.0, beta=0.05)
    grooves = jax.vmap(lambda key: draw(key, 16)[0])(jax.random.split(jax.random.key(0), 8))
    batch = {"groove": grooves, "length": jnp.full(8, 16)}
    params, extra = initialised(model)
    rule = optax.adam(1e-2)

    def step(state, index):
        params, opt = state
        loss = lambda params: model.loss(params, extra, batch, jax.random.fold_in(jax.random.key(1), index), index)[0]
        updates, opt = rule.update(jax.grad(loss)(params), opt)
        return (optax.apply_updates(params, updates), opt), None

    before = jitted(model, "evaluate")(params, extra, batch, jax.random.key(2))
    params = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(300)))((params, rule.init(params)))[0][0]
    after = jitted(model, "evaluate")(params, extra, batch, jax.random.key(2))
    mean = lambda found, name: float(found[name][0] / found[name][1])
    assert mean(after, "f1") > 0.95 > 0.7 > mean(before, "f1")
    assert mean(after, "velocity") < 8 and mean(after, "timing") < 0.05
    assert mean(after, "nll") < mean(before, "nll") - 2


def test_beats_are_grooves_of_their_style():
    codec = DrumGrid()
    keys = jax.random.split(jax.random.key(5), 64)
    grooves, styles = jax.device_get(jax.jit(jax.vmap(lambda key: draw(key, 32)))(keys))
    hits, velocity, offset = np.split(grooves, 3, axis=-1)
    assert set(np.unique(hits)) == {0, 1} and set(styles) == set(range(len(STYLES)))
    assert np.all((velocity > 0) == (hits > 0)) and velocity.max() <= 1 and np.abs(offset).max() <= 0.5
    rock = list(STYLES).index("rock")
    assert np.all(hits[styles == rock][:, [4, 12], 1] == 1)  # the backbeat
    assert np.all(hits[:, : 2 * BAR - 4, 4:7] == 0)  # toms are for fills
    on, off = velocity[styles == rock][:, 0, 2], velocity[styles == rock][:, 2, 2]
    assert on.mean() > off.mean()
    for groove in grooves[:8]:
        notes = codec.decode(groove)
        assert np.isin(notes.pitch, PITCHES).all() and notes.drum.all()
        again = codec.encode(notes)
        np.testing.assert_array_equal(again[:, :CLASSES], groove[: len(again), :CLASSES])
        # What would come before the beginning comes at it.
        np.testing.assert_allclose(again[1:, CLASSES:], groove[1 : len(again), CLASSES:], atol=1 / 127)
