"""One body of questions for every model of the catalogue, by protocol."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params
from tiny import (
    BATCH,
    NAMES,
    SAME_CLASS,
    compiled_step,
    fresh_state,
    jitted,
    random_batch,
    random_like,
    tiny,
)

import zoo
from train.recipes import RECIPES
from zoo.catalog import describe
from zoo.decoding import Sampling, generate
from zoo.model import LatentModel, Model, SequenceModel

SEQUENCES = [name for name in NAMES if isinstance(tiny(name), SequenceModel)]
LATENTS = [name for name in NAMES if isinstance(tiny(name), LatentModel)]

each = pytest.mark.parametrize("name", NAMES, scope="module")  # one model after the other: what is compiled is kept


def test_every_entry_has_a_tiny_preset_and_a_recipe():
    assert {SAME_CLASS.get(name, name) for name in zoo.CATALOG} == set(NAMES)
    assert set(RECIPES) == set(zoo.CATALOG)


# The same layers as gpt2's, more often; their parameters are counted below.
DEEPER = "gpt2-medium", "gpt2-large", "gpt2-xl"
SHAPES = [pytest.param(name, marks=pytest.mark.slow) if name in DEEPER else name for name in zoo.CATALOG]


@pytest.mark.parametrize("name", SHAPES)
def test_full_size_shapes(name):
    """Nothing is computed: a billion parameters cost milliseconds."""
    model = zoo.create(name)
    assert isinstance(model, Model) and hash(model) == hash(zoo.create(name)) and model == zoo.create(name)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, extra = jax.eval_shape(model.init, key)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert describe(name)["parameters"] == size, "run `python -m benchmarks readme`"
    batch, step = model.batch_spec(2), jax.ShapeDtypeStruct((), jnp.int32)
    assert {phase.player for phase in model.phases} <= set(params)
    for phase in model.phases:
        loss, (after, metrics) = jax.eval_shape(phase.loss, params, extra, batch, key, step)
        assert loss.shape == () and all(leaf.shape == () for leaf in metrics.values())
        assert jax.tree.structure(after) == jax.tree.structure(extra)
    for total, count in jax.eval_shape(model.evaluate, params, extra, batch, key).values():
        assert total.shape == count.shape == ()
    sample = jax.eval_shape(lambda params, extra, key: model.sample(params, extra, key, 3), params, extra, key)
    assert sample.shape[0] == 3


@pytest.mark.parametrize(
    ("name", "millions"), [("gpt2", 124.4), ("gpt2-medium", 354.8), ("gpt2-large", 774.0), ("gpt2-xl", 1557.6)]
)
def test_gpt2_has_the_published_number_of_parameters(name, millions):
    assert describe(name)["parameters"] == pytest.approx(millions * 1e6, rel=1e-3)


@each
def test_a_step_is_finite_and_moves_every_player(name):
    state, metrics = compiled_step(name)(fresh_state(name), random_batch(tiny(name)))
    assert int(state.failed) == -1 and all(np.isfinite(value) for value in metrics.values())
    for player in state.opt:
        assert np.isfinite(metrics[f"{player}/loss"])
        before, after = jax.tree.leaves(fresh_state(name).params[player]), jax.tree.leaves(state.params[player])
        assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@each
def test_a_gradient_reaches_every_leaf_of_every_player(name):
    """Adam's second moments, or L-BFGS's last gradient, have seen those of the step: nothing is compiled for this."""
    state = dataclasses.replace(fresh_state(name), params=random_like(fresh_state(name).params))
    state, _ = compiled_step(name)(state, random_batch(tiny(name)))
    for player, opt in state.opt.items():
        seen = optax.tree_utils.tree_get(opt, "nu")
        reached(name, player, optax.tree_utils.tree_get(opt, "updates") if seen is None else seen)


def reached(name, phase, grads):
    for path, leaf in jax.tree_util.tree_flatten_with_path(grads)[0]:
        where = jax.tree_util.keystr(path)
        if (name, phase, where) not in UNREACHED:
            assert np.abs(leaf).max() > 0, f"{phase}{where}"


PENALISED = [(name, phase) for name in NAMES for phase in tiny(name).phases if phase.name]


@pytest.mark.parametrize(("name", "phase"), PENALISED, ids=[f"{name}-{phase.name}" for name, phase in PENALISED])
def test_a_gradient_of_a_phase_beside_others_reaches_every_leaf(name, phase):
    model, fresh = tiny(name), fresh_state(name)
    params, batch = random_like(fresh.params), random_batch(model)
    loss = lambda mine: phase.loss({**params, phase.player: mine}, fresh.extra, batch, jax.random.key(1), jnp.int32(0))[
        0
    ]
    reached(name, phase.name, jax.jit(jax.grad(loss))(params[phase.player]))


# (model, phase, leaf): why no gradient can reach it.
_CANCELS = "it cancels in D(G(z)) - D(x), and has no slope"
_NO_SLOPE = "behind it everything is piecewise linear: it shifts the logits, not their slope"
_NO_STYLE = "a bias of the colours adds the same to every style's picture"
_LATER = "it is added to the network later; see test_progressive.py"
_MARGINS = "while the hinge turns away no logit it cancels in D(G(z)) - D(x)"
UNREACHED: dict[tuple[str, str, str], str] = {
    ("spade", "critic", "['critics_0']['Conv_2']['bias']"): _MARGINS,
    **{(name, "critic", "['Dense_0']['bias']"): _CANCELS for name in ("wgan-gp", "wavegan", "musegan")},
    **{
        ("progressive", player, f"['{layer}']['{leaf}']"): _LATER
        for player in ("critic", "generator")
        for layer in ("layers_1_0", "layers_1_1", "colours_1")
        for leaf in ("kernel", "bias")
    },
    ("texture", "picture", "['level0']"): "pictures of half the size come first; see test_patches.py",
    **{("stylegan2", "penalty", f"['{layer}']['bias']"): _NO_SLOPE for layer in ("EqualConv_4", "EqualDense_0")},
    ("stylegan2", "penalty", "['EqualDense_1']['bias']"): _NO_SLOPE,
    **{("stylegan2", "path_length", f"['synthesis']['ToPicture_{i}']['bias']"): _NO_STYLE for i in range(2)},
}


@each
def test_bfloat16_computes_with_float32_parameters(name):
    model, fresh = tiny(name, dtype="bfloat16"), fresh_state(name)
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    batch = random_batch(model)
    given = fresh.params, fresh.extra, batch, jax.random.fold_in(fresh.key, 0), jnp.int32(0)
    first, *others = (jax.jit(phase.loss).trace(*given) for phase in model.phases)
    for traced in (first, *others):
        # What is asked for is in the program; what XLA keeps of it in the numbers differs from one CPU to another.
        assert set(products(traced.jaxpr.jaxpr)) == {jnp.dtype("bfloat16")}
        assert traced.out_info[0].dtype == jnp.float32
    _, metrics = compiled_step(name)(fresh, batch)
    wide = metrics[f"{model.phases[0].name or model.phases[0].player}/loss"]  # of the same weights, data and noise
    np.testing.assert_allclose(first.lower().compile()(*given)[0], wide, rtol=0.05, atol=0.05)


def products(jaxpr):
    """The dtypes that a program multiplies in: operands of its matrix products and convolutions."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated", "correlate", "taps"):
            yield from {operand.aval.dtype for operand in equation.invars}
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("name", LATENTS, scope="module")
def test_latents_render(name):
    model, fresh = tiny(name), fresh_state(name)
    params, extra = fresh.params, fresh.extra
    latents = jax.jit(model.latents, static_argnums=1)
    latent, others = latents(jax.random.key(1), 3), latents(jax.random.key(2), 3)
    images = jitted(model, "render")(params, extra, latent)
    spec = model.batch_spec(3)
    kinds = ("image", "point", "tokens", "strokes", "groove", "voxel", "video", "wave", "tracks")
    kind = next(kind for kind in kinds if kind in spec)
    assert images.shape == spec[kind].shape and images.dtype == spec[kind].dtype
    assert kind in ("point", "tokens", "strokes") or float(np.abs(images).max()) <= 1
    among = jax.tree.map(lambda mine, its: np.concatenate([mine[:1], its[1:]]), latent, others)
    beside = jitted(model, "render")(params, extra, among)
    np.testing.assert_allclose(beside[0], images[0], atol=1e-5)  # a picture does not depend on its neighbours
    assert kind == "tokens" or np.abs(beside[1:] - images[1:]).max() > 1e-5
    if hasattr(model, "encode"):
        encoded = jax.eval_shape(model.encode, params, extra, images, jax.random.key(2))
        assert encoded.shape == latent.shape


@pytest.mark.parametrize("name", SEQUENCES, scope="module")
def test_no_position_sees_the_future(name):
    model, extra = tiny(name), fresh_state(name).extra
    params, tokens = random_like(fresh_state(name).params), sequence(model, 2, 10)
    outputs = lambda tokens: np.asarray(jitted(model, "outputs")(params, extra, tokens))
    before = outputs(tokens)
    for position in range(1, 10):
        changed = tokens.copy()
        changed[:, position] = other(tokens[:, position], model)
        after = outputs(changed)
        np.testing.assert_array_equal(before[:, :position], after[:, :position])
        assert np.abs(before[:, position:] - after[:, position:]).max() > 1e-6


@pytest.mark.parametrize("name", SEQUENCES, scope="module")
def test_prefill_and_decode_are_the_parallel_form(name):
    model, extra = tiny(name), fresh_state(name).extra
    params, tokens = random_like(fresh_state(name).params), sequence(model, 2, 10)
    want = np.asarray(jitted(model, "outputs")(params, extra, tokens))
    prefill, decode = jitted(model, "prefill", "capacity"), jitted(model, "decode")
    carry, output = prefill(params, extra, tokens[:, :4], np.array([4, 2]), capacity=12)
    np.testing.assert_allclose(output, [want[0, 3], want[1, 1]], atol=2e-5)
    for step in range(4):
        token = np.stack([tokens[0, 4 + step], tokens[1, 2 + step]])
        carry, output = decode(params, extra, carry, token)
        np.testing.assert_allclose(output, [want[0, 4 + step], want[1, 2 + step]], atol=2e-5)


@pytest.mark.parametrize("name", SEQUENCES, scope="module")
def test_ragged_prompts_give_what_each_gives_alone(name):
    sampler = Sampling(temperature=1.3, top_k=5, top_p=0.9)
    model, extra = tiny(name), fresh_state(name).extra
    params, key = random_like(fresh_state(name).params), jax.random.key(3)
    prompt, lengths = sequence(model, 3, 5), np.array([5, 1, 3])
    write = lambda rows, shown=5: np.asarray(
        generate(
            model, params, extra, key, prompt=prompt[rows, :shown], lengths=lengths[rows], length=9, sampler=sampler,
            rows=rows,
        )
    )  # fmt: skip
    together = write(np.arange(3))
    assert together.shape[:2] == (3, 9)
    # Of tokens nothing may differ; places of a pen may be rounded otherwise.
    same = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5 if "strokes" in model.batch_spec(1) else 0)
    same(write(np.array([2]), 3)[0], together[2])  # without what pads it
    for row in range(2):  # with it, and in a batch of the same size, so that nothing is compiled again
        same(write(np.full(3, row)), together[[row] * 3])


def sequence(model, rows, length):
    """Random tokens, rows of strokes or frames [rows, length, ...]."""
    rng = np.random.default_rng(5)
    if hasattr(model, "vocabulary"):
        return rng.integers(0, model.vocabulary, (rows, length)).astype(np.int32)
    if "strokes" in model.batch_spec(1):
        return random_batch(model, 16)["strokes"][:rows, :length]
    return rng.binomial(1, 0.2, (rows, length, 88)).astype(np.float32)


def other(tokens, model):
    """Different tokens."""
    if "strokes" in model.batch_spec(1):
        return tokens + np.array([1, 0, 0, 0, 0], np.float32)  # farther to the right
    return (tokens + 1) % model.vocabulary if hasattr(model, "vocabulary") else 1 - tokens


def test_batches_are_of_the_size_asked_for():
    for name in NAMES:
        assert all(leaf.shape[0] == BATCH for leaf in random_batch(tiny(name)).values())
