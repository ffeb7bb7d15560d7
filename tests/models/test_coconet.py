"""Coconet: its states against the codec's grids, its net against SciPy, Gibbs sampling by what it may do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate
from scipy.special import log_softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

import zoo
from zoo.codecs.voices import HOLD, REST, START, STOP, VoiceGrid
from zoo.decoding import Greedy, Sampling
from zoo.errors import UserError
from zoo.infilling import gibbs
from zoo.music.grid import cells_of, held, sounding, tokens_of


@pytest.fixture(scope="module")
def net():
    model = tiny("coconet")
    return model, random_like(initialised(model)[0], scale=0.3)


def song(seed, steps=16):
    """A grid [S, 4] as the codec makes it: nothing is held that was not struck."""
    rng = np.random.default_rng(seed)
    cells = rng.choice([40, 50, 60, 61, REST, HOLD, HOLD, HOLD], (steps, 4))
    cells[-1] = 60
    return VoiceGrid().to_grid(cells.ravel())


def test_windows_are_grids_again():
    grid = song(0)
    tokens = VoiceGrid().from_grid(grid)
    whole = {"tokens": jnp.asarray(tokens[None, :65]), "length": jnp.array([65])}
    np.testing.assert_array_equal(cells_of(whole)[0][0], grid)
    np.testing.assert_array_equal(tokens_of(cells_of(whole)[0])[0], tokens[:65])
    # The end of a piece: STOP in the first voice's place, zeros behind.
    end = np.zeros(65, np.int32)
    end[:34] = tokens[32:]  # begins with the bass of the step before
    cells, steps = cells_of({"tokens": jnp.asarray(end[None]), "length": jnp.array([34])})
    assert tokens[-1] == STOP and tokens[0] == START and steps.tolist() == [8]
    np.testing.assert_array_equal(cells[0, :8], grid[8:])
    assert np.all(cells[0, 8:] == REST)


def test_what_is_held_is_known_by_its_pitch():
    for seed in range(5):
        grid = song(seed)
        pitch, struck = sounding(jnp.asarray(grid))
        np.testing.assert_array_equal(held(pitch, struck), grid)
        assert np.all((np.asarray(pitch) == REST) == (grid == REST)) and not np.any(pitch == HOLD)
    pitch, struck = sounding(jnp.array([[HOLD, 60, REST, 1], [HOLD, HOLD, HOLD, HOLD]]))
    assert pitch.tolist() == [[-1, 60, REST, 1], [-1, 60, REST, 1]]
    assert struck.tolist() == [[False, True, True, True], [False] * 4]
    apart = held(jnp.array([[60], [60], [62]]), jnp.array([[False], [False], [False]]))
    assert apart.ravel().tolist() == [60, HOLD, 62]  # held on from nothing, and from another pitch: struck


def test_states_come_back_and_strange_pitches_are_unknown():
    model = zoo.create("coconet", context=64)
    grid = jnp.asarray(song(1))[None]
    states, known = model.states(grid)
    assert known.all() and states.min() >= 0 and states.max() <= 2 * model.pitches
    np.testing.assert_array_equal(model.cells(states), grid)
    _, known = model.states(grid.at[0, 3, 2].set(100).at[0, 4, 2].set(HOLD).at[0, 0, 1].set(HOLD))
    assert np.flatnonzero(~known[0]).tolist()[:1] == [1] and {14, 18} <= set(np.flatnonzero(~known[0]).tolist())


def written_out(tree, planes):
    """[S, P, 16] -> logits [S, 4, 2 P + 1], one channel after the other."""

    def conv(layer, x):
        kernel = layer["kernel"]
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        maps = [
            sum(correlate(padded[..., i], kernel[..., i, o], "valid") for i in range(x.shape[-1]))
            for o in range(kernel.shape[-1])
        ]
        return np.stack(maps, axis=-1) + layer["bias"]

    def norm(layer, x):
        x = x - x.mean(-1, keepdims=True)
        return np.maximum(x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"] + layer["bias"], 0)

    x = conv(tree["first"], planes)
    y = conv(tree["blocks_0_in"], norm(tree["norms_0_in"], x))
    x = norm(tree["norm"], x + conv(tree["blocks_0_out"], norm(tree["norms_0_out"], y)))
    maps, silence = conv(tree["last"], x), x.mean(1) @ tree["silence"]["kernel"] + tree["silence"]["bias"]
    voices = [np.concatenate([maps[..., 2 * v], maps[..., 2 * v + 1], silence[:, v : v + 1]], axis=1) for v in range(4)]
    return np.stack(voices, axis=1)


def test_logits_are_those_of_the_formulas_and_the_loss_their_mean(net):
    model, params = net
    tree = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["coconet"])
    batch, key = random_batch(model, 3), jax.random.key(2)
    parts = jax.jit(lambda batch: (*model.states(cells_of(batch)[0]), model.real(batch)))
    states, known, real = map(np.asarray, parts(batch))
    known = known & real
    asked = np.asarray(jitted(model, "erase")(known, jax.random.fold_in(key, 1)))
    unseen = asked | ~known
    nats = []
    for row in range(3):
        planes = np.zeros((8, 9, 4, 4))
        for at, state in enumerate(states[row]):
            step, voice = divmod(at, 4)
            if unseen[row, at]:
                planes[step, :, voice, 3] = 1
            elif state == 18:
                planes[step, :, voice, 2] = 1
            else:
                planes[step, state % 9, voice, state // 9] = 1
        logits = written_out(tree, planes.reshape(8, 9, 16)).reshape(32, 19)
        ours = jitted(model, "denoise")(params, states, unseen, np.full(3, 32))[row]
        np.testing.assert_allclose(ours, logits, atol=1e-3)
        nats.append(-log_softmax(logits, axis=-1)[np.arange(32), states[row]][asked[row]].mean())
    loss, _ = jitted(model, "loss")(params, {}, batch, key, 0)
    assert float(loss) == pytest.approx(np.mean(nats), rel=1e-3)


def test_subsets_of_every_size_are_erased_alike():
    model = tiny("coconet")
    known = np.broadcast_to(np.arange(32) % 4 != 1, (3000, 32))
    erased = np.asarray(jitted(model, "erase")(known, jax.random.key(0)))
    assert not erased[:, 1::4].any()
    sizes = np.bincount(erased.sum(1), minlength=26)
    assert sizes[0] == 0 and sizes[25:].sum() == 0 and np.all(np.abs(sizes[1:25] - 125) < 50)
    assert np.all(np.abs(erased[:, 0::4].mean(0) - 25 / 48) < 0.04)  # each cell as often as another


def test_gibbs_rewrites_what_is_missing_and_each_row_alone(net):
    model, params = net
    states = jnp.asarray(np.random.default_rng(3).integers(0, 19, (3, 32)), jnp.int32)
    missing = jnp.asarray(np.random.default_rng(4).random((3, 32)) < 0.4)
    write = lambda rows, states: np.asarray(
        gibbs(
            model, params, jax.random.key(5), tokens=states[rows], missing=missing[rows], rows=rows, steps=4,
            lengths=jnp.array([32, 20, 32])[rows],
        )
    )  # fmt: skip
    rows = np.arange(3)
    new, real = write(rows, states), np.asarray(missing) & (np.arange(32) < np.array([[32], [20], [32]]))
    np.testing.assert_array_equal(new[~real], np.asarray(states)[~real])
    assert np.mean(new[real] != np.asarray(states)[real]) > 0.5
    np.testing.assert_array_equal(write(np.full(3, 1), states), new[[1, 1, 1]])
    other = jnp.where(missing, 0, states)  # what stood where it writes does not matter
    np.testing.assert_array_equal(np.where(real, write(rows, other), 0), np.where(real, new, 0))


class Neighbour:
    """A "model" of two tokens that likes its left neighbour's, and 0 where it sees none."""

    def denoise(self, params, tokens, missing, lengths):
        left = jnp.roll(jnp.where(missing, 0, tokens), 1, axis=1)
        return 2.0 * jax.nn.one_hot(left, 2)


def test_gibbs_erases_less_and_less():
    """With a share of nothing left, the last sweeps leave all as it is: the first one, which erases all, decides."""
    missing = jnp.ones((1, 40), bool)
    draw = lambda **more: np.asarray(
        gibbs(Neighbour(), {}, jax.random.key(1), tokens=jnp.zeros((1, 40), jnp.int32), missing=missing, **more)
    )
    np.testing.assert_array_equal(draw(steps=1), draw(steps=9, share=(0.0, 0.0)))
    assert np.any(draw(steps=1) != draw(steps=9)) and not draw(steps=3, sampler=Greedy()).any()


def test_pieces_are_four_voices(net):
    model, params = net
    tokens = np.asarray(model.sample(params, {}, jax.random.key(0), 2, sampler=Sampling(temperature=2)))
    assert tokens.shape == (2, 33) and np.all(tokens[:, 0] == START) and np.any(tokens[0] != tokens[1])
    for row in tokens:  # nothing is held that was not struck
        np.testing.assert_array_equal(VoiceGrid().to_grid(row), row[1:].reshape(8, 4)[: len(VoiceGrid().to_grid(row))])
    with pytest.raises(UserError, match="multiple of 4"):
        tiny("coconet", context=30)
