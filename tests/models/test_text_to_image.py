"""Words to pictures: what each player learns from, what guidance and the towers' choice do, pictures as words say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, jitted, random_batch, random_like, tiny

from zoo.errors import UserError
from zoo.losses import next_token_nll
from zoo.multimodal.restyle import VIEWS, views
from zoo.multimodal.text_to_image import alike
from zoo.multimodal.tower import contrastive, unit

KEY, STEP = jax.random.key(0), jnp.int32(0)


@pytest.fixture(scope="module")
def net():
    """A model without dropout, its parameters shaken, and a codebook that has seen a batch."""
    model, state = tiny("text-to-image", dropout=0.0, withheld=0.0), fresh_state("text-to-image")
    params, batch = random_like(state.params), random_batch(tiny("text-to-image"))
    pictures = model.pictures
    _, (extra, _) = jitted(pictures, "loss")({"autoencoder": params["autoencoder"]}, state.extra, batch, KEY, STEP)
    return model, params, extra, batch


def test_the_writer_learns_the_codes_of_the_picture(net):
    """Its loss is the mean of -log p(code), teacher forced, from the very vocabulary that it is sampled with."""
    model, params, extra, batch = net
    codes = model.pictures.encode(params, extra, batch["image"]).reshape(len(batch["image"]), -1)
    tokens = jnp.concatenate([model.writer.start(len(codes)), codes], axis=1)
    logits = model.writer.outputs(model.of_writer(params), {}, tokens[:, :-1], model.told(batch["caption"]))
    total, count = next_token_nll(logits, {"tokens": tokens, "length": jnp.full(len(codes), tokens.shape[1])})
    loss = jitted(model, "writer_loss")(params, extra, batch, KEY, STEP)[0]
    assert float(loss) == pytest.approx(float(total / count), rel=1e-5)
    assert count == codes.size and model.writer.start_token == model.codes + model.words


def test_words_behind_a_caption_say_nothing(net):
    model, params, _, batch = net
    caption = jnp.array([[3, 5, 0, 0], [3, 5, 2, 0]])
    told = model.told(caption)
    assert told["length"].tolist() == [2, 3]
    noisy = told | {"source": told["source"].at[0, 2:].set(model.codes + 7)}
    outputs = lambda cond: model.writer.outputs(model.of_writer(params), {}, model.writer.start(2), cond)
    np.testing.assert_allclose(outputs(told)[0], outputs(noisy)[0], atol=1e-6)
    assert np.abs(outputs(told)[0] - outputs(told)[1]).max() > 1e-4
    longer = model.embed(params, caption, batch["image"])[0]
    tower = params["towers"]
    loud = tower | {"words": {"embedding": tower["words"]["embedding"].at[0].add(9.0)}}
    np.testing.assert_allclose(model.embed(params | {"towers": loud}, caption, batch["image"])[0], longer, atol=1e-6)
    assert np.abs(longer[0] - longer[1]).max() > 1e-3
    np.testing.assert_allclose(jnp.linalg.norm(longer, axis=1), 1, rtol=1e-4)


def test_withheld_captions_are_not_read(net):
    model, params, extra, batch = net
    blind = tiny("text-to-image", dropout=0.0, withheld=1.0)
    other = dict(batch, caption=np.roll(batch["caption"], 1, axis=0))
    loss = lambda model, batch: float(jitted(model, "writer_loss")(params, extra, batch, KEY, STEP)[0])
    assert loss(blind, batch) == loss(blind, other) and loss(model, batch) != loss(model, other)


def test_equal_captions_are_no_mistakes():
    """Rows 0 and 2 say the same: each is compared with its own picture and the others', never with the other's twin."""
    caption = jnp.array([[1, 2], [3, 0], [1, 2]])
    same = alike(caption)
    np.testing.assert_array_equal(same, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    x, y = unit(jax.random.normal(KEY, (3, 4))), unit(jax.random.normal(jax.random.key(1), (3, 4)))
    cosines = 5 * np.asarray(x @ y.T, np.float64)
    nats = [
        -(rows[i, i] - np.log(sum(np.exp(rows[i, j]) for j in range(3) if j == i or not same[i, j])))
        for rows in (cosines, cosines.T)
        for i in range(3)
    ]
    assert float(contrastive(x, y, jnp.float32(5), same)) == pytest.approx(np.mean(nats), rel=1e-5)
    assert float(contrastive(x, y, jnp.float32(5))) > np.mean(nats)


def test_guided_pictures_and_the_best_of_them(net):
    model, params, extra, batch = net
    caption = jnp.asarray(batch["caption"][:3])
    compiled = jax.jit(model.sample, static_argnums=3, static_argnames=("guidance", "candidates"))
    sample = lambda n=3, **how: np.asarray(compiled(params, extra, KEY, n, **how))
    plain = sample(caption=caption, guidance=1.0)
    assert plain.shape == (3, *batch["image"].shape[1:]) and np.abs(plain).max() <= 1
    assert not np.array_equal(plain, sample(caption=caption, guidance=30.0))
    assert not np.array_equal(sample(), plain)
    alone = sample(2, caption=caption[:2], guidance=1.0)
    np.testing.assert_allclose(sample(caption=caption, guidance=1.0)[:2], alone, atol=1e-6)
    every = sample(12, caption=jnp.repeat(caption, 4, axis=0)).reshape(3, 4, *plain.shape[1:])
    said, seen = (np.asarray(part) for part in model.embed(params, caption, every.reshape(-1, *plain.shape[1:])))
    best = np.einsum("ne,nke->nk", said, seen.reshape(3, 4, -1)).argmax(axis=1)
    assert best.any()
    np.testing.assert_array_equal(sample(caption=caption, candidates=4), every[np.arange(3), best])


def test_only_codes_are_written(net):
    """However likely the words are that stand behind them in the vocabulary."""
    model, params, extra, _ = net
    rows = params["writer"]["tokens"]["embedding"].at[model.codes : model.codes + model.words].mul(100.0)
    wordy = params | {"writer": params["writer"] | {"tokens": {"embedding": rows}}}
    sample = lambda params: np.asarray(jax.jit(model.sample, static_argnums=3)(params, extra, KEY, 4))
    np.testing.assert_array_equal(sample(wordy), sample(params))


def test_pictures_climb_towards_words(net):
    model, params, extra, batch = net
    source, caption = jnp.asarray(batch["image"][:2]), jnp.asarray(batch["caption"][2:4])
    translate = jitted(model, "translate")
    made = translate(params, extra, source, KEY, caption=caption, strength=1.0)
    assert made.shape == source.shape and np.abs(made).max() <= 1
    fits = lambda images: np.asarray(model.fitting(params, caption, images[:, None]))
    begun = model.pictures.render(params, extra, model.pictures.encode(params, extra, source))
    assert fits(made).mean() > fits(begun).mean() + 0.02
    kept = translate(params, extra, source, KEY, caption=caption, strength=0.0)
    apart = lambda images: float(jnp.mean(jnp.square(images - source)))
    assert apart(kept) < apart(made)
    larger = jax.random.uniform(KEY, (1, 12, 16, 3), minval=-1)
    assert translate(params, extra, larger, KEY, caption=caption[:1], strength=1.0).shape == larger.shape


def test_views_are_windows_of_the_picture():
    image = jnp.arange(12.0 * 16).reshape(1, 12, 16, 1)
    seen = np.asarray(views(image, 8, KEY))
    assert seen.shape == (VIEWS, 8, 8, 1)
    padded = np.pad(np.asarray(image)[0, :, :, 0], 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8)).reshape(-1, 8, 8)
    found = [any(np.array_equal(view[..., 0], window) for window in windows) for view in seen]
    assert all(found) and len(np.unique(seen.reshape(VIEWS, -1), axis=0)) > 1


def test_what_it_is_judged_by(net):
    model, params, extra, batch = net
    found = {name: float(a / b) for name, (a, b) in jitted(model, "evaluate")(params, extra, batch, KEY).items()}
    said, seen = model.embed(params, batch["caption"], batch["image"])
    nearest = np.asarray(said @ seen.T).argmax(axis=1)
    assert found["found"] == np.mean(
        [(batch["caption"][i] == batch["caption"][j]).all() for i, j in enumerate(nearest)]
    )
    nats = jitted(model, "writer_loss")(params, extra, batch, KEY, STEP)[0] * model.side**2
    assert found["prior"] == pytest.approx(float(nats), rel=1e-5)
    assert 0 < found["used"] <= 1 and found["nmse"] > 0


def test_faults():
    for fields, why in (
        ({"patch": 3}, "--model.patch 3 does not divide"),
        ({"words": 1}, "at least one word"),
        ({"heads": 3}, "heads 3"),
        ({"image_size": 10}, "does not divide|no multiple"),
    ):
        with pytest.raises(UserError, match=why):
            tiny("text-to-image", **fields)
