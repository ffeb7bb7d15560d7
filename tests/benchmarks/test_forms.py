"""Fast forms and plain ones: each pair computes the same, and what does not is not timed."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from tiny import TINY

from benchmarks import contest, forms, readme
from benchmarks.__main__ import main
from benchmarks.contest import TURNS, Side, check, disagreement, turn_of
from benchmarks.forms import FORMS, Form, rows
from benchmarks.machine import Busy
from benchmarks.peers import Method
from train.flags import OPTIONS
from zoo.errors import UserError


def small(preset, batch):
    return {"preset": preset, "batch": batch, **TINY[preset]}


UP = (2, 4, 4, 3), (4, 4, 3, 2)
LSTM = (5, 2, 3), (3, 12), (3, 12), (12,)
SIZES = {
    "up": UP, "up-forward": UP, "down": UP, "conv": ((2, 4, 4, 3), (3, 3, 3, 2)),
    "grouped": ((2, 4, 4, 6), (3, 3, 2, 6)), "modulated": ((2, 4, 4, 3), (3, 3, 3, 2), (2, 3)),
    "modulated-up": ((2, 4, 4, 3), (3, 3, 3, 2), (2, 3)), "smooth": ((2, 4, 4, 3),), "downsample": ((2, 4, 4, 3),),
    "upsample": ((2, 4, 4, 3),), "bias": ((2, 3, 4), (4,)), "dense": ((2, 3, 4), (4, 5)),
    "batch-norm": ((4, 3, 3, 5), (5,), (5,)), "layer-norm": ((2, 3, 8), (8,), (8,), (8, 5)),
    "attention": ((2, 5, 2, 4),) * 3, "cudnn-attention": ((2, 5, 2, 4),) * 3, "token-nll": ((2, 3, 7),),
    "gelu": ((5, 7),), "parts": ((2, 5, 6), (6, 192), (192,)), "embed": ((6, 4), (9, 4)),
    "bf16-logits": ((6, 4), (9, 4)), "r1": small("gan2d", 4), "gradient-penalty": small("gan2d", 4),
    "path-length": small("stylegan2", 2), "lstm": LSTM, "lstm-fused": LSTM, "lstm-gradient": LSTM,
    "gru-gradient": ((5, 2, 3), (3, 9), (3, 9), (9,), (9,)), "flags": small("vae", 4),
}  # fmt: skip


SLOW = {"path-length": pytest.mark.slow}  # its contest is StyleGAN2's alone


@pytest.mark.parametrize("form", [pytest.param(form, id=form.name, marks=SLOW.get(form.name, ())) for form in FORMS])
def test_both_forms_compute_the_same(form):
    dtype = "bfloat16" if form.half else "float32"
    check(partial(form.contest, SIZES[form.name]), form.what, dtype, ({}, {}))


BIAS = next(form for form in FORMS if form.name == "bias")
WRONG = replace(
    BIAS, contest=lambda *given: replace(BIAS.contest(*given), plain=lambda x, b: x + 1.001 * b[None, None])
)
METHOD = Method(windows=2, seconds=0.001)


@pytest.fixture
def one_row(monkeypatch):
    """Only the row "bias-gpt", tiny, on a machine that is quiet."""

    def put(form: Form) -> None:
        monkeypatch.setattr(forms, "FORMS", (replace(form, cpu={"gpt": SIZES["bias"]}),))

    monkeypatch.setattr(forms, "wait_until_quiet", lambda suite: 1.0)
    monkeypatch.setattr(forms, "FULL", METHOD)
    put(BIAS)
    return put


def test_what_disagrees_is_not_timed(one_row, tmp_path, capsys, monkeypatch):
    one_row(WRONG)
    assert 1e-4 < disagreement(forms.FORMS[0].contest(SIZES["bias"], "float32"), BIAS.what, ({}, {})) < 1e-2
    monkeypatch.setattr(forms, "race", lambda *asked: pytest.fail("it was timed"))
    assert main(["forms", "--out", str(tmp_path)]) == 2
    assert "bias-gpt: the two forms disagree by " in capsys.readouterr().out and not any(tmp_path.iterdir())


def test_a_step_whose_kinks_are_rounded_otherwise_is_asked_again_in_float64(monkeypatch):
    asked = []

    def apart(contest, what, options):
        asked.append((contest, jax.config.jax_enable_x64))
        return {"float32": 3e-4, "float64": exact}[contest]

    monkeypatch.setattr(contest, "disagreement", apart)
    exact = 1e-7
    assert check(str, "whole step", "float32", ({}, {})) == 3e-4
    assert asked == [("float32", False), ("float64", True)]
    exact = 1e-5
    for what in ("whole step", "forward"):
        with pytest.raises(UserError, match="in float64" if what == "whole step" else "of the largest value"):
            check(str, what, "float32", ({}, {}))


def test_shapes_and_nans_disagree(one_row):
    agree = lambda plain: disagreement(
        replace(BIAS.contest(SIZES["bias"], "float32"), plain=plain), "forward", ({}, {})
    )  # fmt: skip
    assert agree(lambda x, b: x[:1]) == float("inf") == agree(lambda x, b: x * jnp.nan)


FIELDS = {
    "row", "kind", "form", "plain", "shape", "what", "ratio", "ms", "device", "versions", "date", "dtype", "options",
    "disagreement", "pressure", "windows",
}  # fmt: skip


def test_a_line_has_every_field_and_the_table_shows_it(one_row, tmp_path, capsys):
    for _ in range(2):
        assert main(["forms", "--out", str(tmp_path)]) == 0
    (line,) = map(json.loads, next(tmp_path.glob("*/forms.jsonl")).read_text().splitlines())
    assert line.keys() >= FIELDS and line["row"] == "bias-gpt" and line["shape"] == [[2, 3, 4], [4]]
    assert line["ratio"]["low"] <= line["ratio"]["median"] <= line["ratio"]["high"]
    assert line["ms"]["fast"] > 0 and line["disagreement"] < 1e-6 and len(line["windows"]["plain"]) == 2
    assert "bias-gpt (forward + backward): " in capsys.readouterr().out
    table = readme.forms_table(tmp_path)
    assert table.startswith(f"On {line['device']}: jax {jax.__version__}, jaxlib ")
    assert "| `bias-gpt` | forward + backward, 2×3×4, 4 | bias whose gradient" in table


def test_a_form_that_loses_is_told(one_row, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forms, "race", lambda *asked: ([100.0, 101.0], [200.0, 201.0]))
    assert main(["forms", "--rows", "bias-gpt", "--out", str(tmp_path)]) == 0
    assert "SLOWER than the plain form: bias-gpt" in capsys.readouterr().out
    assert readme.forms_table(tmp_path).endswith("| 9.95, 4.99 | **0.50 [0.50, 0.50]** |")


def test_a_busy_machine_is_told_apart(one_row, tmp_path, monkeypatch):
    def busy(suite):
        raise Busy("the machine is busy")

    monkeypatch.setattr(forms, "wait_until_quiet", busy)
    assert main(["forms", "--out", str(tmp_path)]) == 75


def test_rows_by_platform(capsys):
    for platform in ("cpu", "gpu"):
        assert len(rows(platform)) == sum(len(form.sizes(platform)) for form in FORMS)
    assert "nothing to compare on a gpu: conv, grouped, bias, " in capsys.readouterr().out
    assert list(rows("gpu", ["path-length-stylegan2", "up-dcgan"])) == ["up-dcgan", "path-length-stylegan2"]
    with pytest.raises(UserError, match=r"--rows conv-dcgan: the rows on a cpu are up-dcgan, "):
        rows("cpu", ["conv-dcgan"])


def test_every_option_s_gain_is_a_row():
    for platform, options in OPTIONS.items():
        assert all(set(option.gains) <= set(rows(platform)) for option in options)


def test_a_window_is_dispatches_of_turns_in_a_loop():
    side = Side(lambda moving, fixed: (moving[0] + fixed[0],), (jnp.zeros(()),), (jnp.ones(()),), {})
    before = float(side.moving[0])
    side.pace = 0.5
    speed = side.window(1.2)
    assert float(side.moving[0]) - before == 3 * TURNS["cpu"] and speed > 0
    assert " while(" in side.run.lower(side.moving, side.fixed).compile().as_text()


def test_a_turn_moves_every_argument_and_none_by_much():
    contest = BIAS.contest(SIZES["bias"], "float32")
    for what in ("forward", "forward + backward"):
        with jax.enable_x64(True):
            moving = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), contest.moving)
            after = turn_of(contest.fast, what)(moving, ())
            assert all(0 < jnp.abs(a - b).max() < 1e-10 for a, b in zip(moving, after, strict=True))
