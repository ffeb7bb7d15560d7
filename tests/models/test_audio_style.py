"""audio-style: its features and its loss, and a sound that takes another's style."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import correlate
from tiny import initialised, random_batch, tiny

import zoo
from train.data.sound_pair import drawn
from zoo.errors import UserError
from zoo.nn.fourier import stft
from zoo.style.sound import AudioStyle


def test_features_and_gram_are_those_of_plain_numpy():
    model, batch = tiny("audio-style", taps=4), random_batch(tiny("audio-style"), 2)
    _, extra = initialised(model)
    found = jax.jit(model.wanted)(extra["filters"], batch)
    filters, grams, shows = np.asarray(extra["filters"]), [], []
    for wave, style in zip(batch["wave"], batch["style"], strict=True):
        heard = []
        for sound in (wave, style):
            spectrogram = np.log1p(np.abs(np.asarray(stft(sound[:, 0], window=model.samples))))
            padded = np.pad(spectrogram, ((1, 2), (0, 0)))
            bands = [correlate(padded, filters[..., number], "valid")[:, 0] for number in range(model.filters)]
            heard.append(np.maximum(np.stack(bands, axis=1), 0))
        shows.append(heard[0])
        grams.append(heard[1].T @ heard[1] / len(heard[1]) / model.filters)
    np.testing.assert_allclose(found["shows"][0], np.mean(shows, axis=0), atol=1e-5)
    np.testing.assert_allclose(found["gram"][0], np.mean(grams, axis=0), atol=1e-5)


def test_filters_have_the_reference_s_spread():
    model = tiny("audio-style", filters=512)
    filters = initialised(model)[1]["filters"]
    assert filters.shape == (3, 17, 512)
    assert np.std(filters) == pytest.approx(np.sqrt(2) * np.sqrt(2 / ((17 + 512) * 3)), rel=0.02)


def test_windows_are_the_paper_s_or_shorter():
    assert AudioStyle(rate=22050).samples == 2048 and zoo.create("audio-style").samples == 1024
    assert AudioStyle(rate=8000).samples == 512 and AudioStyle(rate=8000, window=300).samples == 300


def test_what_is_silent_can_become_loud():
    model = tiny("audio-style", content=0.0)
    params, extra = initialised(model)
    batch = random_batch(model, 1)
    batch["wave"][:, 80:] = 0
    of = lambda params: model.loss(params, extra, batch, jax.random.key(0), jnp.int32(0))[0]
    slope = np.asarray(jax.jit(jax.grad(of))(params)["spectrogram"])
    assert np.mean(slope[:, 16:] != 0) > 0.9
    batch["wave"][:] = 0
    _, (extra, _) = jax.jit(model.loss)(params, extra, batch, jax.random.key(0), jnp.int32(0))
    sound = lambda params: np.abs(model.sample(params, extra, jax.random.key(0), 2))
    assert sound(params).max() < 0.001
    for sign in (-1, 1):  # below 0 it is reflected
        loud = sound({"spectrogram": params["spectrogram"] + 3 * sign})
        assert loud.shape == (2, 200, 1) and 0.5 < loud.max() <= 1
        np.testing.assert_array_equal(loud[0], loud[1])


def test_the_style_is_taken_and_the_content_stays():
    """After a few steps of L-BFGS the style is the style's, and more of the content is left than the style has."""
    content, style = drawn(0, 1, 2000)
    batch = {"wave": content[None, :, None], "style": style[None, :, None]}
    fields = {"length": 2000, "style_length": 2000, "rate": 2000, "filters": 64, "content": 0.2}
    model, optimizer = AudioStyle(**fields), optax.lbfgs()
    params, extra = initialised(model)
    key = jax.random.key(0)

    def step(carry, number):
        params, extra, state = carry
        of = lambda params, extra: model.loss(params, extra, batch, key, number)
        (value, (extra, terms)), grads = jax.value_and_grad(of, has_aux=True)(params, extra)
        how = {"value": value, "grad": grads, "value_fn": lambda params: of(params, extra)[0]}
        updates, state = optimizer.update(grads, state, params, **how)
        return (optax.apply_updates(params, updates), extra, state), terms

    start = params, extra, optimizer.init(params)
    (params, extra, _), terms = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(30)))(start)
    assert terms["content"][0] < 1e-4 and terms["style"][-1] < 0.05 * terms["style"][0]
    itself = {"spectrogram": model.spectrogram(style[None]) - extra["wanted"]["content"]}
    assert model._terms(itself, extra["filters"], extra["wanted"])["style"] < 1e-6
    assert terms["content"][-1] < 0.8 * model._terms(itself, extra["filters"], extra["wanted"])["content"]


def test_noise_becomes_a_texture():
    model = tiny("audio-style", begin="noise")
    params, extra = initialised(model)
    assert 0 < np.abs(params["spectrogram"]).max() < 0.01 and extra["wanted"]["content"].max() == 0
    batch = random_batch(model, 1)
    _, (_, terms) = jax.jit(model.loss)(params, extra, batch, jax.random.key(0), jnp.int32(0))
    assert terms["content"] > 0.9 and terms["style"] > 0.9  # of nothing


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"style_length": 100}, "sounds of 64000 and 100 samples: 2560 or more"),
        ({"length": 1000, "taps": 1}, "1024 or more"),
        ({"window": 30}, "a multiple of 4"),
        ({"begin": "style"}, "content or noise"),
        ({"filters": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_heard_is_told(fields, why):
    with pytest.raises(UserError, match=why):
        AudioStyle(**fields)
