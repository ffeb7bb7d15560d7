"""Performance RNN: its controls as Magenta's code counts them, one event after the other; and that they are heeded."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax
from tiny import random_batch, random_like, tiny

from sample.options import Options
from sample.scores import histogram, told
from zoo.codecs.notes import Notes
from zoo.codecs.performance import NOTE_OFF, TIME_SHIFT, Performance
from zoo.errors import UserError
from zoo.lstm.performance import EDGES, controls_of


def piece(seed: int, count: int = 60) -> np.ndarray:
    """Events of notes that overlap, some at one moment, with pauses of more than a second."""
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.choice([0, 0.1, 0.37, 2.5], count, p=[0.3, 0.4, 0.25, 0.05]))
    notes = Notes(start, start + rng.uniform(0.05, 3, count), rng.integers(40, 80, count), rng.integers(1, 128, count))
    return Performance().encode(notes)


def counted(events, *, window, density):
    """One control at every event as Magenta's performance_controls counts it: by going on from the first event of each
    moment until the window is full; the last time shift counts in full."""
    found, before, steps = [], None, 100
    shift = lambda token: token - TIME_SHIFT + 1 if TIME_SHIFT <= token < TIME_SHIFT + steps else 0
    held: set[int] = set()
    for at, token in enumerate(events):
        down = set(held)
        held |= {token} if token < NOTE_OFF else set()
        held -= {token - NOTE_OFF} if NOTE_OFF <= token < TIME_SHIFT else set()
        if at and not shift(events[at - 1]):
            found.append(before)
            continue
        passed, notes, sound = 0, 0, np.full(12, 0.01)
        for later in events[at:]:
            if passed >= window * steps:
                break
            notes += later < NOTE_OFF
            down |= {later} if later < NOTE_OFF else set()
            down -= {later - NOTE_OFF} if NOTE_OFF <= later < TIME_SHIFT else set()
            for pitch in down if shift(later) else ():
                sound[pitch % 12] += shift(later) / steps
            passed += shift(later)
        span = min(passed, window * steps)
        before = (notes * steps / span if span else 0.0) if density else sound / sound.sum()
        found.append(before)
    return np.array(found)


def test_controls_are_those_of_magenta():
    model = tiny("performance-rnn")
    begun = np.array([60, TIME_SHIFT + 99, NOTE_OFF + 67, TIME_SHIFT + 99, NOTE_OFF + 60, TIME_SHIFT])
    pieces = [*(piece(seed) for seed in range(3)), begun]
    longest = max(map(len, pieces)) + 7
    rows = np.stack([np.pad(row, (0, longest - len(row))) for row in pieces])  # what pads them looks like note 0
    density, shares = jax.jit(model.heard)(jnp.asarray(rows), jnp.array([len(row) for row in pieces]))
    for row, notes, sound in zip(pieces[:3], density, shares, strict=False):
        np.testing.assert_allclose(notes[: len(row)], counted(row, window=3, density=True), rtol=1e-4)
        np.testing.assert_allclose(sound[: len(row)], counted(row, window=5, density=False), atol=1e-4)
    # A key that comes up first was down before the window began: a G for one second, a C for two.
    assert float(shares[3, 0, 7]) == pytest.approx(1.01 / (3 + 0.12), rel=1e-4)


def test_what_the_network_reads():
    told = np.asarray(controls_of(jnp.array([0.0, 1.0, 5.0, 99.0]), jnp.full((4, 12), 1 / 12), jnp.ones((4, 2), bool)))
    assert told.shape == (4, 22) and np.argmax(told[:, :8], axis=1).tolist() == [0, 1, 3, 7] and len(EDGES) == 7
    assert not told[:, 8].any() and not told[:, 21].any()
    model = tiny("performance-rnn")
    free = np.asarray(model.told(2))
    assert free[:, [8, 21]].all() and free.sum() == 4
    some = np.asarray(model.told(1, density=4.0, pitches=histogram("C:2,eb:1,G")))[0]
    np.testing.assert_allclose(some[9:21], [0.5, 0, 0, 0.25, 0, 0, 0, 0.25, 0, 0, 0, 0], rtol=1e-6)
    assert some[3] == 1 and not some[[8, 21]].any()
    for text in ("H", "C:x", "C:-1", "C:0", ""):
        with pytest.raises(UserError, match="--pitches"):
            histogram(text)


def test_likelihoods_with_controls_and_without():
    model = tiny("performance-rnn")
    params = random_like(jax.jit(model.init)(jax.random.key(0))[0], scale=0.3)
    tree = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["performance"])
    batch = random_batch(model, 3)
    told_of = lambda shown: controls_of(*model.heard(batch["tokens"], batch["length"]), jnp.full((3, 17, 2), shown))
    every = jax.jit(lambda: [told_of(False), told_of(True)])()
    found = jax.jit(model.evaluate)(params, {}, batch, jax.random.key(0))
    for name, controls in zip(("nll", "nll_told"), every, strict=True):
        nats = 0.0
        for row, control, length in zip(batch["tokens"], np.asarray(controls), batch["length"], strict=True):
            x = tree["events"]["embedding"][row[:-1]] + control[1:] @ tree["controls"]["kernel"]
            for layer in range(2):
                x = lstm(tree["stack"][f"layer_{layer}"], x)
            logits = log_softmax(x @ tree["head"]["kernel"] + tree["head"]["bias"], axis=-1)
            nats -= logits[np.arange(16), row[1:]][: length - 1].sum()
        total, count = found[name]
        assert int(count) == batch["length"].sum() - 3 and float(total) == pytest.approx(nats, rel=1e-4)
    outputs = jax.jit(model.outputs)
    free, asked = (outputs(params, {}, batch["tokens"], model.told(3, density=notes)) for notes in (None, 9.0))
    assert np.abs(free - asked).max() > 1e-2


def lstm(tree, x):
    """x [T, D] -> hidden [T, H]."""
    width, out = tree["recurrent"].shape[0], []
    cell, hidden = np.zeros(width), np.zeros(width)
    for row in x:
        i, f, g, o = np.split(row @ tree["kernel"] + tree["bias"] + hidden @ tree["recurrent"], 4)
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        hidden = expit(o) * np.tanh(cell)
        out.append(hidden)
    return np.stack(out)


def test_what_a_command_asks_for_is_told_to_every_row():
    model = tiny("performance-rnn")
    run = SimpleNamespace(model=model, config=SimpleNamespace(name="performance-rnn"), data={})
    assert told(run, Options(), 3) is None
    asked = told(run, Options(density=4.0, pitches="C,E,G"), 3)
    want = model.told(3, density=4.0, pitches=histogram("C,E,G"))
    np.testing.assert_array_equal(asked, want)
    assert not told(run, Options(density=4.0), 3)[:, 8].any() and told(run, Options(density=4.0), 3)[:, 21].all()
    with pytest.raises(UserError, match="--pitches: lstm has not learnt"):
        told(SimpleNamespace(model=tiny("lstm"), config=SimpleNamespace(name="lstm"), data={}), Options(pitches="C"), 1)
