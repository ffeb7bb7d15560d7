"""The method behind the ratios, without the minutes that it takes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny

from benchmarks.__main__ import main
from benchmarks.flops import step_flops
from benchmarks.ratios import geometric_mean, ratio
from benchmarks.speed import Method, rows, save, slug, wait_until_quiet
from benchmarks.workloads import WORKLOADS, random_examples
from zoo.errors import UserError


def test_the_interval_holds_the_ratio_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for turn in range(40):
        noise = lambda: np.exp(rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.02, (4, 5)))
        found = ratio(150 * noise(), 100 * noise(), seed=turn, resamples=400)
        assert found["low"] <= found["median"] <= found["high"]
        held += found["low"] <= 1.5 <= found["high"]
    assert held >= 28  # few pairs give intervals that are a little short


def test_a_slow_spell_of_the_machine_cancels():
    spell = np.random.default_rng(0).uniform(0.3, 1, (3, 4))
    assert list(ratio(300 * spell, 100 * spell).values()) == pytest.approx([3, 3, 3])
    assert geometric_mean([2, 8]) == pytest.approx(4)


def test_every_row_has_a_name_of_its_own_and_the_shapes_that_it_says():
    for suite in ("cpu", "gpu"):
        mine = [one for one in WORKLOADS if suite in one.suites]
        assert len({one.name for one in mine}) == len(mine)
        for one in mine:
            spec = one.model(suite).batch_spec(one.batch)
            if one.unit == "tokens" and one.kind == "train":
                assert spec["tokens"].shape == (one.batch, one.length + 1)
            if one.unit == "tokens" and one.kind == "sample" and one.preset != "lstm":
                assert one.length < one.model(suite).context


def test_which_rows():
    method = Method()
    assert {row.name for row, _ in rows("cpu", None, method, quick=True)} == {"vae", "lstm-small"}
    assert [dispatch for row, dispatch in rows("cpu", ["vae"], method, quick=False)] == [1, 50]
    with pytest.raises(UserError, match=r"--rows stylegan9: the rows of the suite cpu are dcgan-32"):
        rows("cpu", ["stylegan9"], method, quick=False)


def test_a_newer_line_takes_the_older_one_s_place(tmp_path):
    line = {"row": "vae", "kind": "train", "dispatch": 1, "ours": 1}
    for changed in ({}, {"dispatch": 50}, {"ours": 2}):
        save({**line, **changed}, tmp_path / "a" / "speed.jsonl")
    found = [json.loads(text) for text in (tmp_path / "a" / "speed.jsonl").read_text().splitlines()]
    assert [(one["dispatch"], one["ours"]) for one in found] == [(50, 1), (1, 2)]
    assert slug("cpu, 2 cores, AMD EPYC") == "cpu-2-cores-amd-epyc"


def test_nothing_is_timed_on_a_busy_machine(monkeypatch):
    monkeypatch.setattr("benchmarks.speed.cpu_pressure", lambda: 42.0)
    wait_until_quiet("gpu")
    with pytest.raises(UserError, match="42 %"):
        wait_until_quiet("cpu", patience=0)
    calms_down = iter([42.0, 3.0])
    monkeypatch.setattr("benchmarks.speed.cpu_pressure", lambda: next(calms_down))
    wait_until_quiet("cpu")


def test_flops_of_a_dense_network_are_six_for_each_weight_and_token():
    model = tiny("gpt", width=64, context=16)
    tree = model.init(jax.random.key(0))[0]["gpt"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim == 2)
    weights -= tree["positions"]["embedding"].size  # looked up; the tied head multiplies by the tokens'
    attention = 12 * model.layers * model.width * 16  # PaLM's count (Chowdhery et al. 2022, appendix B)
    tokens = 3 * 16
    assert step_flops(model, 3) == pytest.approx((6 * weights + attention) * tokens, rel=0.01)


def test_flops_do_not_count_what_forms_add():
    """A layer of 4 x 4 kernels and stride 2: 16 products a pixel of the small side, three times for a step."""
    from zoo.model import Phase
    from zoo.nn.conv import conv2d, conv2d_transpose

    class Layer:
        def __init__(self, operator, shape):
            self.operator, self.shape = operator, shape
            self.phases = (Phase("layer", self.loss),)

        def init(self, key):
            return {"layer": jnp.ones((4, 4, 6, 10))}, {}

        def batch_spec(self, size):
            return {"image": jax.ShapeDtypeStruct((size, *self.shape), jnp.float32)}

        def loss(self, params, extra, batch, key, step):
            pads = ((1, 1), (1, 1))
            y = self.operator(batch["image"] * params["layer"].mean(), params["layer"], stride=2, padding=pads)
            return y.sum(), ({}, {})

    expected = 3 * 2 * 16 * 6 * 10 * (8 * 8) * 5
    assert step_flops(Layer(conv2d, (16, 16, 6)), 5) == pytest.approx(expected, rel=0.01)
    assert step_flops(Layer(conv2d_transpose, (8, 8, 6)), 5) == pytest.approx(expected, rel=0.01)


def test_flops_do_not_count_what_no_result_reads():
    """Only a relativistic generator reads the critic's outputs on data."""
    plain, relativistic = (step_flops(tiny("dcgan", loss=loss), 4) for loss in ("nonsaturating", "relativistic"))
    assert plain < 0.98 * relativistic


def test_random_examples_are_whole_windows():
    model = tiny("lstm")
    found = random_examples(model, 5, 0)
    assert found["tokens"].shape == (5, 17) and set(found["length"]) == {17} and found["tokens"].max() < 11


def test_without_pytorch_speed_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["speed"]) == 2
    assert capsys.readouterr().err == "benchmarks: PyTorch is what it is timed against: pip install torch\n"


def test_compare_fails_where_a_row_became_slower(tmp_path, capsys):
    def results(name, *ratios):
        lines = [
            {
                "row": f"row{n}",
                "kind": "train",
                "dispatch": 1,
                "ratio": dict(zip(("low", "median", "high"), r, strict=True)),
            }
            for n, r in enumerate(ratios)
        ]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(tmp_path / name)

    old = results("old", (0.9, 1.0, 1.1), (0.9, 1.0, 1.1), (0.9, 1.0, 1.1))
    assert main(["compare", old, results("noise", (0.8, 0.9, 1.0), (1.0, 1.05, 1.1), (0.9, 1.0, 1.1))]) == 0
    assert main(["compare", old, results("new", (0.9, 1.0, 1.1), (1.2, 1.3, 1.4), (0.6, 0.7, 0.8))]) == 1
    words = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert words[-3:] == [["slower", "row2"], ["faster", "row1"], ["same", "row0"]]
    assert main(["compare", old, str(tmp_path / "missing")]) == 2
    assert "is no file of results" in capsys.readouterr().err
