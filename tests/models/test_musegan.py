"""What is MuseGAN's own: its shapes, what its critic hears, and music of several tracks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, jitted, random_like, tiny

from zoo import create
from zoo.errors import UserError
from zoo.gan.musegan import chroma, onsets

KEY = jax.random.key(0)
MUSIC = jnp.asarray(np.random.default_rng(0).binomial(1, 0.1, (2, 3, 16, 84, 2)), jnp.float32)


def test_the_layers_of_the_authors_code():
    """512 (4, 1, 1), 256 (1, 4, 3), 128 (1, 4, 3), and for each of five tracks 32 and 16 channels either way."""
    params, _ = jax.eval_shape(create("musegan").init, KEY)
    ups = [params["generator"][f"ConvTranspose3D_{i}"]["kernel"].shape for i in range(7)]
    assert ups[:3] == [(4, 1, 1, 128, 512), (1, 4, 3, 512, 256), (1, 4, 3, 256, 128)]
    assert ups[3:5] == [(1, 1, 12, 128, 32), (1, 3, 1, 32, 16)] and ups[5:] == [(1, 3, 1, 128, 32), (1, 1, 12, 32, 16)]
    downs = {leaf.shape for leaf in jax.tree.leaves(params["critic"]) if leaf.ndim == 5}
    shared = {(1, 4, 3, 320, 128), (1, 4, 3, 128, 256), (2, 1, 1, 384, 512)}
    heard = {(1, 1, 12, 5, 32), (1, 4, 1, 32, 64), (1, 6, 1, 5, 16), (1, 4, 1, 16, 32), (1, 2, 1, 32, 64)}
    assert shared | heard <= downs
    model = create("musegan")
    draw = lambda params, extra: model.sample(params, extra, KEY, 2)
    spec, made = model.batch_spec(2)["tracks"], jax.eval_shape(draw, *jax.eval_shape(model.init, KEY))
    assert made.shape == spec.shape == (2, 4, 48, 84, 5)


def test_pitch_classes_and_onsets_are_heard():
    music = np.zeros((1, 2, 16, 84, 1), np.float32)
    music[0, 0, 4:8, [0, 12, 31], 0] = 1  # in the second beat a C in two octaves, and a G
    found = np.asarray(chroma(jnp.asarray(music)))[0, :, :, :, 0]
    assert (
        found.shape == (2, 4, 12) and found[0, 1, 0] == pytest.approx(2 / 7) and found[0, 1, 7] == pytest.approx(1 / 7)
    )
    assert np.count_nonzero(found) == 2
    edges = np.asarray(onsets(jnp.asarray(2 * music - 1)))[0, :, :, 0, 0]
    assert np.flatnonzero(edges[0]).tolist() == [4, 8] and not edges[1].any()
    assert edges[0, 4] == pytest.approx(3 / 84)
    held = jnp.ones((1, 1, 16, 84, 1))
    np.testing.assert_allclose(np.asarray(onsets(held)).ravel(), [1] + 15 * [0])


def test_the_critic_hears_every_track():
    model = tiny("musegan", length=3, tracks=2)
    params, extra = jax.jit(model.init)(KEY)
    params = random_like(params, scale=0.1)
    judge = lambda music: jnp.sum(model.judge(params, extra, music, {}, KEY, train=True)[0])
    slope = np.asarray(jax.jit(jax.grad(judge))(2 * MUSIC - 1))
    assert (np.abs(slope).sum((0, 2, 3)) > 0).all()  # of every bar and track


def test_samples_are_truths():
    model, state = tiny("musegan"), fresh_state("musegan")
    params = random_like(state.params)
    music = np.asarray(jitted(model, "sample", "n")(params, state.extra, KEY, n=3))
    sure = np.asarray(jitted(model, "render")(params, state.extra, model.latents(KEY, 3)))
    assert music.shape == (3, 2, 16, 84, 1) and 0 <= sure.min() < sure.max() <= 1
    np.testing.assert_array_equal(music, sure > 0.5)


@pytest.mark.parametrize("fields", [{"length": 1}, {"steps": 40}, {"pitches": 88}, {"loss": "earth"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        create("musegan", **fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)
