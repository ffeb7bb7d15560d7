"""Transformer-XL against its recurrence in float64 NumPy, segment after segment, and what its memory may not do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from tiny import initialised, jitted, random_like, tiny

from zoo.decoding import Greedy, generate


def norm(tree, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * tree["scale"] + tree["bias"]


def sinusoid(distance, width):
    angles = distance / 10000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).ravel()


def attention(block, u, v, x, memory):
    """Section 3.3's four terms, query by query and key by key. x [S, D], memory [M', D] -> [S, D]."""
    heads, width = u.shape[0], x.shape[1]
    read = np.concatenate([memory, x])
    query, (key, value) = x @ block["query"]["kernel"], np.split(read @ block["key_value"]["kernel"], 2, axis=-1)
    out = []
    for i in range(len(x)):
        mixed = []
        for head, part in enumerate(np.split(np.arange(width), heads)):
            seen = range(len(memory) + i + 1)
            scores = []
            for j in seen:
                far = sinusoid(len(memory) + i - j, width) @ block["distance"]["kernel"][:, part]
                scores.append((query[i, part] + u[head]) @ key[j, part] + (query[i, part] + v[head]) @ far)
            mixed.append(softmax(np.array(scores) / np.sqrt(len(part))) @ value[: len(memory) + i + 1, part])
        out.append(np.concatenate(mixed) @ block["project"]["kernel"])
    return np.stack(out)


def xl(tree, tokens, model):
    """tokens [T] -> logits [T, V], with a memory of hidden states a layer."""
    memories, out = [np.zeros((0, model.width))] * model.layers, []
    dense = lambda tree, x: x @ tree["kernel"] + tree["bias"]
    for at in range(0, len(tokens), model.segment):
        x = tree["tokens"]["embedding"][tokens[at : at + model.segment]] * np.sqrt(model.width)
        for number in range(model.layers):
            block, memory = tree[f"blocks_{number}"], memories[number]
            memories[number] = np.concatenate([memory, x])[-model.memory :]
            x = norm(block["norm_1"], x + attention(block, tree["content"], tree["place"], x, memory))
            x = norm(block["norm_2"], x + dense(block["contract"], np.maximum(dense(block["expand"], x), 0)))
        out.append(x @ tree["tokens"]["embedding"].T)
    return np.concatenate(out)


@pytest.mark.parametrize("memory", [3, 9])
def test_side_by_side_is_one_after_the_other(memory):
    model = tiny("transformer-xl", memory=memory)
    params = random_like(initialised(model)[0], scale=0.2)
    tree = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["transformer_xl"])
    tokens = np.random.default_rng(1).integers(0, model.vocabulary, (2, 15))
    for row, logits in zip(tokens, np.asarray(jitted(model, "outputs")(params, {}, tokens)), strict=True):
        np.testing.assert_allclose(logits, xl(tree, row, model), atol=2e-4, rtol=1e-4)


def test_memory_is_read_but_takes_no_gradient():
    """Token 7 stands in the first segment only (positions 0..3): it changes what the second says, and yet has no
    gradient from there."""
    model = tiny("transformer-xl")
    params = random_like(initialised(model)[0], scale=0.2)
    tokens = np.array([[1, 7, 2, 3, 1, 2, 3, 1]])

    def said(table):
        """What the two segments say."""
        tree = params["transformer_xl"] | {"tokens": {"embedding": table}}
        return jnp.sum(jnp.sin(model.outputs({"transformer_xl": tree}, {}, tokens)[0, :, :4]).reshape(2, -1), axis=1)

    table = params["transformer_xl"]["tokens"]["embedding"]
    told = jax.jit(lambda table: (said(table), jax.jacrev(said)(table)))
    second, (by_first, by_second) = told(table)[0][1], told(table)[1]
    assert np.any(by_first[7]) and not np.any(by_second[7]) and np.any(by_second[1])
    assert abs(told(table.at[7].add(1.0))[0][1] - second) > 1e-3


def test_a_long_sample_is_what_the_parallel_form_says():
    """Far beyond the cache of seven positions and the window of sixteen."""
    model = tiny("transformer-xl")
    params = random_like(initialised(model)[0], scale=0.3)
    prompt, lengths = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1, 0, 0, 0, 0, 0, 0, 0]], np.int32), np.array([9, 2])
    made = generate(model, params, {}, jax.random.key(0), prompt=prompt, lengths=lengths, length=40, sampler=Greedy())
    for row, length, new in zip(prompt, lengths, np.asarray(made), strict=True):
        text = np.concatenate([row[:length], new])
        whole = np.pad(text, (0, 49 - len(text)))[None]  # one length for both rows
        logits = jitted(model, "outputs")(params, {}, whole)[0, : len(text)]
        np.testing.assert_array_equal(np.argmax(logits[length - 1 : -1], axis=-1), new)
        assert len(set(new.tolist())) > 1
