"""The page that says why a run is slow."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import words

from benchmarks import doctor
from benchmarks.__main__ import main
from benchmarks.watching import recompilations, waits


@pytest.fixture
def page(monkeypatch, capsys):
    """(exit code, what was printed, what was complained) of a short examination."""
    monkeypatch.setattr(doctor, "SECONDS", 0.05)
    monkeypatch.setattr(doctor, "best_product", lambda dtype: 1e12)
    monkeypatch.setattr(doctor, "best_copy", lambda: 1e10)

    def examine(*command):
        code = main(["doctor", *map(str, command)])
        out, err = capsys.readouterr()
        return code, out, err

    return examine


def test_a_page_has_every_part(page, tmp_path):
    code, out, _ = page(*words("gpt", tmp_path / "run"))
    assert code == 0 and out.startswith("gpt on cpu")
    for part in (
        r"the host waits [01]\.\d times in a dispatch\n    [01]\.\d at train/placement.py:\d+, read_report",
        r"[\d,.]+ steps/s; [\d.]+ ms a step", r"waiting for input: \d+ %", "1 program at the start and 0 later",
        r"products and convolutions of the compiled step: \d+ in f32", "attention: products and a softmax",
        r"[\d.]+ GFLOP/s, 0 % of the 1,000", r"memory: parameters [\d.]+ MiB, optimizer", "what to change:\n  - ",
        "  - small products leave the device idle",
    ):  # fmt: skip
        assert re.search(part, out), part
    assert not (tmp_path / "run").exists()


def test_it_trains_as_the_options_say(page, tmp_path):
    _, out, _ = page(*words("vae", tmp_path / "run", "--population", 2, "--dispatch", 3))
    assert re.search(r"averages|optimizer", out) and "1 program at the start" in out


def test_what_zoo_train_refuses_it_refuses_too(page, tmp_path):
    code, out, err = page("dcgam")
    assert (code, out) == (2, "") and err.startswith("benchmarks: no model is called 'dcgam'; did you mean dcgan")
    code, _, err = page(*words("gpt", tmp_path / "run", "--batch-size", 7))
    assert code == 2 and "does not divide" in err
    assert page()[0] == 2


def test_a_program_that_is_compiled_again_is_named_with_the_cause():
    @jax.jit
    def careless(x):
        return x * 2

    x = [jnp.ones(3), jnp.ones(4), jnp.ones(4, jnp.int32)]
    careless(x[0])
    with recompilations() as told:
        careless(x[0])
        assert told == []
        careless(x[1])
        careless(x[2])
    assert told[0] == "jit(careless): at x, now f32[4] and before f32[3]"
    assert told[1].startswith("jit(careless): at x, now i32[4] and before f32[") and len(told) == 2


def test_shapes_that_change_while_training_are_named(page, tmp_path, monkeypatch):
    def growing(self):
        self.at += 1
        return self.engine.inputs(self.feed, 0, 1 + (self.at == 3))

    monkeypatch.setattr(doctor.Running, "inputs", lambda self: setattr(self, "same", growing(self)) or self.same)
    monkeypatch.setattr(doctor, "synchronisations", lambda *_: None)
    code, out, _ = page(*words("vae", tmp_path / "run"))
    assert code == 0 and "and 1 later\n" in out and "keep shapes, dtypes and shardings the same" in out
    assert re.search(r"now i32\[2,8\] and before i32\[1,8\]", out)


def test_waits_are_counted_where_they_are():
    double = jax.jit(lambda x: x * 2)
    x = double(jnp.ones((3, 3)))
    with waits() as places:
        y = double(x)
        assert not places
        for _ in range(3):
            float(y[0, 0])
        jax.block_until_ready({"x": double(x), "y": y})
        np.asarray(y)
        np.asarray([1.0, 2.0])
    float(y[0, 0])
    assert sorted(places.values()) == [1, 1, 3]
    assert all(re.fullmatch(r"benchmarks/test_doctor.py:\d+, test_waits_are_counted\w*", at) for at in places)


def test_a_loop_that_waits_too_often_is_told(page, tmp_path, monkeypatch):
    from train.loop import Run

    advance = Run.advance

    def anxious(self, state):
        state = advance(self, state)
        jax.block_until_ready(state)
        for leaf in jax.tree.leaves(state.params):
            jax.block_until_ready(leaf + 1)
        return state

    monkeypatch.setattr(Run, "advance", anxious)
    _, out, _ = page(*words("gpt", tmp_path / "run"))
    assert "more than once in a dispatch" in out and "test_doctor.py" in out


def test_a_callback_into_python_is_told(page, tmp_path, monkeypatch):
    import dataclasses

    from zoo.vae.vae import VAE

    loss = VAE.loss if hasattr(VAE, "loss") else None
    assert dataclasses.is_dataclass(VAE) and loss is not None

    def chatty(self, *arguments):
        value, more = loss(self, *arguments)
        jax.debug.callback(lambda _: None, value)
        return value, more

    monkeypatch.setattr(VAE, "loss", chatty)
    _, out, _ = page(*words("vae", tmp_path / "run"))
    assert "calls back into Python" in out
