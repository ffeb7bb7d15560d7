"""Flags of the compiler, each set in a process of its own, against none."""

import contextlib
import os

import pytest

from benchmarks import flags, worker
from benchmarks.__main__ import main
from benchmarks.peers import Method
from benchmarks.results import read_lines
from zoo.errors import UserError

FACTS = {"device": "1 x NVIDIA H200", "versions": {}, "cores": [0]}
SPEEDS = {"": 100.0, "good=1 also=2": 150.0, "bad=1": 50.0}


class FakeWorker:
    """Makes what its flags say; dies of those that nobody knows."""

    def __init__(self, asked):
        self.flags = asked["flags"]

    def tell(self, line):
        assert line == "warm"

    def read(self):
        if self.flags not in SPEEDS:
            raise UserError("a worker died: Unknown flag")
        return {"first": 3.0, "turn": 1.0, **FACTS}

    def window(self, seconds):
        return SPEEDS[self.flags]


@contextlib.contextmanager
def fake_workers(*asked):
    yield [FakeWorker(one) for one, _ in asked]


def test_each_set_is_measured_against_none_and_one_that_dies_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(flags, "workers", fake_workers)
    sets = ["good=1 also=2", "unknown=1", "bad=1"]
    flags.run("gpu", ["vae"], sets, Method(), tmp_path, dispatch=50)
    out = capsys.readouterr().out
    assert "vae good=1 also=2: 150 images/s, 1.50x [1.50, 1.50] of none" in out
    assert "vae unknown=1: a worker died: Unknown flag" in out
    lines = read_lines(tmp_path / "1-x-nvidia-h200" / "flags.jsonl")
    assert [(line["row"], line["ratio"]["median"], line["dispatch"]) for line in lines] == [
        ("vae good=1 also=2", 1.5, 50),
        ("vae bad=1", 0.5, 50),
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing"], "--rows nothing"),
        (["vae-16-seeds"], "no step of its own"),
        (["vae", "--dispatch", "0"], "at least 1"),
    ],
)
def test_bad_rows_are_one_line(capsys, words, why):
    assert main(["flags", *words]) == 2
    assert why in capsys.readouterr().err


def test_a_worker_tells_the_compiler(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_mine=1")
    worker.imported({"side": "jax", "flags": "xla_a=true xla_b="})
    assert os.environ["XLA_FLAGS"] == "--xla_mine=1 --xla_a=true --xla_b="
