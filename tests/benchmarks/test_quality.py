"""Rows of quality: what is written of their arms and seeds, and what they say."""

import json
import sys
import types
from dataclasses import replace

import pytest

from benchmarks.__main__ import main
from benchmarks.quality import ROWS, Row, load, of_one, run_row
from benchmarks.readme import quality_table
from benchmarks.rows.mixtures import verdict
from zoo.errors import UserError


@pytest.fixture
def row(monkeypatch):
    """A row called "made-up" of two arms, whose trainings are counted."""
    asked = []

    def measure(data, seeds, budget, arm):
        for seed in seeds:
            asked.append((arm, seed, budget))
            yield {"loss": {"old": 5.0, "new": 3.0}[arm] + seed, "steps": 7}

    module = types.ModuleType("made_up")
    row = Row(
        metrics={"loss": "test loss, nats"}, published={"old": {"loss": 5.5}, "new": {}}, source="a paper",
        measure=measure, budgets={"cpu": "a tenth of the steps"},
        verdict=lambda means: f"new is lower: {means['new']['loss'] < means['old']['loss']}",
    )  # fmt: skip
    module.ROWS = {"made-up": row}
    monkeypatch.setitem(sys.modules, "made_up", module)
    monkeypatch.setitem(ROWS, "made-up", "made_up")
    return asked


def test_arms_seeds_and_what_they_say(row, tmp_path, capsys):
    result = run_row("made-up", data=tmp_path, seeds=range(3), budget="cpu", out=tmp_path)
    assert row == [(arm, seed, "cpu") for arm in ("old", "new") for seed in range(3)]
    assert json.loads((tmp_path / "made-up-cpu.json").read_text()) == result
    old = result["arms"]["old"]["loss"]
    assert (old["mean"], old["published"], old["seeds"]) == (6.0, 5.5, [0, 1, 2])
    assert old["stderr"] == pytest.approx(3**-0.5)
    assert result["arms"]["new"]["loss"]["published"] is None and result["verdict"] == "new is lower: True"
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "made-up old seed 0: loss 5.0000, steps 7"
    assert said[-4:-1] == [
        "made-up old: test loss, nats 6.0000 (0.5774) | 5.5", "made-up new: test loss, nats 4.0000 (0.5774)",
        "made-up: new is lower: True",
    ]  # fmt: skip


def test_an_arm_alone_keeps_what_is_known_of_the_others(row, tmp_path):
    first = run_row("made-up", data=tmp_path, seeds=[0], budget="cpu", out=tmp_path, arms=["old"])
    assert first["verdict"] is None and list(first["arms"]) == ["old"]
    assert first["arms"]["old"]["loss"]["stderr"] is None
    both = run_row("made-up", data=tmp_path, seeds=[4, 5], budget="cpu", out=tmp_path, arms=["new"])
    assert row == [("old", 0, "cpu"), ("new", 4, "cpu"), ("new", 5, "cpu")]
    assert both["arms"]["old"] == first["arms"]["old"] and both["arms"]["new"]["loss"]["seeds"] == [4, 5]
    assert both["verdict"] == "new is lower: False"
    again = run_row("made-up", data=tmp_path, seeds=[1], budget="cpu", out=tmp_path)
    assert [run["seed"] for run in again["runs"]] == [1, 1]  # all of it anew
    with pytest.raises(UserError, match="no arm 'middle'; it has old, new"):
        run_row("made-up", data=tmp_path, seeds=[0], budget="cpu", out=tmp_path, arms=["middle"])


def test_what_was_cut_off_goes_on(row, tmp_path, monkeypatch):
    run_row("made-up", data=tmp_path, seeds=[0, 1], budget="cpu", out=tmp_path)
    whole = json.loads((tmp_path / "made-up-cpu.json").read_text())["runs"]
    del row[:]
    measure = load("made-up").measure

    def cut_off(data, seeds, budget, arm):
        for at, found in enumerate(measure(data, seeds, budget, arm)):
            if (arm, at) == ("new", 1):
                raise KeyboardInterrupt
            yield found

    monkeypatch.setitem(sys.modules["made_up"].ROWS, "made-up", replace(load("made-up"), measure=cut_off))
    with pytest.raises(KeyboardInterrupt):
        run_row("made-up", data=tmp_path, seeds=[0, 1], budget="cpu", out=tmp_path)
    kept = json.loads((tmp_path / "made-up-cpu.json").read_text())
    assert [(run["arm"], run["seed"]) for run in kept["runs"]] == [("old", 0), ("old", 1), ("new", 0)]
    monkeypatch.setitem(sys.modules["made_up"].ROWS, "made-up", replace(load("made-up"), measure=measure))
    del row[:]
    again = run_row("made-up", data=tmp_path, seeds=[0, 1, 2], budget="cpu", out=tmp_path, missing=True)
    assert row == [("old", 2, "cpu"), ("new", 1, "cpu"), ("new", 2, "cpu")]
    timeless = lambda runs: sorted((run["arm"], run["seed"], run["loss"]) for run in runs)
    assert timeless(run for run in again["runs"] if run["seed"] < 2) == timeless(whole)
    monkeypatch.setattr("benchmarks.quality.write", None)  # of what is whole, nothing is written
    run_row("made-up", data=tmp_path, seeds=[0, 1, 2], budget="cpu", out=tmp_path, missing=True)
    with monkeypatch.context() as later, pytest.raises(UserError, match="'jax': '9'}: measure it anew"):
        later.setattr("benchmarks.quality.versions", lambda: {"jax": "9"})
        run_row("made-up", data=tmp_path, seeds=[3], budget="cpu", out=tmp_path, missing=True)
    monkeypatch.setattr("benchmarks.quality.device", lambda: "an abacus")
    with pytest.raises(UserError, match="and this is an abacus: measure it anew"):
        run_row("made-up", data=tmp_path, seeds=[3], budget="cpu", out=tmp_path, missing=True)


def test_the_readme_s_table_has_a_line_an_arm(row, tmp_path):
    run_row("made-up", data=tmp_path, seeds=[0, 1], budget="cpu", out=tmp_path)
    table = quality_table(tmp_path).splitlines()
    assert table[2].startswith("| `made-up` old | test loss, nats | 5.500 ± 0.500 | 5.5 | 2 | ")
    assert table[3] == "| `made-up` new | test loss, nats | 3.500 ± 0.500 | – | 2 |  |  |"
    assert table[-1] == "- `made-up`: a paper. a tenth of the steps. new is lower: True"


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_asked(name):
    row = load(name)
    assert row.published and all(set(numbers) <= set(row.metrics) for numbers in row.published.values())
    assert row.source and callable(row.measure)


def test_one_training_after_another():
    measure = of_one(lambda data, seed, budget: {"seed": seed, "budget": budget})
    assert list(measure(None, [2, 3], "full", "")) == [{"seed": 2, "budget": "full"}, {"seed": 3, "budget": "full"}]


def test_what_packing_is_said_to_do():
    alone, packed = {"modes": 5.0, "reverse_kl": 0.5}, {"modes": 7.0, "reverse_kl": 0.6}
    said = verdict({"GAN": alone, "PacGAN-2": packed})
    evenly = "they share them out no more evenly, other than published"
    assert said == f"packs find more modes than single points, as published; {evenly}"


def test_a_row_that_is_none_is_one_line(capsys):
    assert main(["quality", "mnist-vea", "--data", "."]) == 2
    assert "no row is called 'mnist-vea'; the rows are shakespeare-small" in capsys.readouterr().err
