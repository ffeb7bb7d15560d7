"""The page that says why a run is slow."""

import re

import jax
import jax.numpy as jnp
import pytest
from running import words

from benchmarks import doctor
from benchmarks.__main__ import main


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
    assert page("dcgam") == (2, "", "benchmarks: no model is called 'dcgam'; did you mean dcgan?\n")
    code, _, err = page(*words("gpt", tmp_path / "run", "--batch-size", 7))
    assert code == 2 and "does not divide" in err
    assert page()[0] == 2


def test_a_program_that_is_compiled_again_is_named():
    @jax.jit
    def careless(x):
        return x * 2

    x = [jnp.ones(size) for size in (3, 4, 5)]
    careless(x[0])
    with doctor.recompilations() as told:
        careless(x[0])
        assert told == []
        careless(x[1])
        careless(x[2])
    assert len(told) == 2 and all("careless" in line for line in told)
