"""What is reported of steps that were compiled for a pod."""

import dataclasses
import json

import jax
import pytest

from benchmarks import aot
from benchmarks.__main__ import main
from benchmarks.aot import CHIPS, describe, elsewhere, fewer, show, state_bytes, summary, too_large


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--topology", "v9z:2x2"], "the chips are v5e, v6e, v5p"),
        (["--models", "dcgam"], "did you mean dcgan"),
        (["--batch", "0"], "at least 1"),
        (["--effort", "2"], "from -1 to 1"),
        (["--topology", "v5e:2x2"], "libtpu compiles for TPUs"),
    ],
)
def test_nonsense_is_one_line(words, said, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["aot", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


LINE = {
    "model": "gpt2", "parallel": "jit", "chips": 16, "examples": 8, "memory": 12 * 2**30, "fits": True,
    "collectives": {"all-reduce": {"count": 2, "bytes": 2**21}}, "sent": 2**22,
    "estimate": {"seconds": 0.002, "bound": "compute"},
}  # fmt: skip
LARGE = {**LINE, "memory": 20 * 2**30, "fits": False}


def test_a_line_says_whether_it_fits():
    assert show(LINE) == (
        "gpt2 jit, 8 examples a chip: 12.00 GiB a chip; 2 all-reduce of 2.0 MiB; "
        "estimate 2.00 ms a step, bound by compute"
    )
    assert show(LARGE) == "gpt2 jit, 8 examples a chip: does not fit: 20.00 GiB a chip"
    said = summary("v5e:4x4", [LINE, {**LARGE, "parallel": "fsdp"}, {**LINE, "model": "gpt"}], CHIPS["v5e"])
    assert said == "v5e:4x4: 2 models compiled, 2 fit under jit, 0 fit under fsdp into 16 GiB a chip"


def test_what_does_not_fit_says_how_much_it_needs_and_is_tried_smaller():
    said = "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for temporaries (3.5G) exceeds 2G"
    assert too_large(RuntimeError(said)) == 3.5 * 2**30
    assert too_large(RuntimeError("RESOURCE_EXHAUSTED: no number")) == float("inf")
    assert too_large(RuntimeError("INTERNAL: 3.5G")) is None
    assert [fewer(64, share) for share in (0.9, 0.5, 0.3, 0.001, 2.0)] == [32, 32, 16, 1, 32]
    assert fewer(100, 0.99) == 64 and fewer(2, 0.99) == 1


def test_a_state_that_no_chip_can_hold_is_not_compiled(monkeypatch):
    monkeypatch.setattr(aot, "compile_for", None)
    monkeypatch.setattr(aot.metadata, "version", "of {}".format)  # libtpu need not be here
    one, all_of = (state_bytes("lstm", "jit", devices) for devices in (jax.devices()[:1], jax.devices()))
    assert one == all_of == pytest.approx(3 * 4 * 1_181_952, rel=1e-3)  # parameters, and Adam's two moments
    assert state_bytes("lstm", "fsdp", jax.devices()) == pytest.approx(one / 8, rel=0.02)  # biases stay whole
    small = dataclasses.replace(CHIPS["v5e"], memory=one - 1)
    line = describe("lstm", "jit", jax.devices(), small, 32)
    assert (line["fits"], line["examples"], line["memory"]) == (False, 1, one)


def test_slices_of_the_same_chips_are_compared_at_the_same_work(tmp_path):
    files = {"v5e-1x1": {"chips": 1}, "v5e-2x2": {"examples": 4}, "v5e-4x4": {}, "v6e-4x4": {"examples": 2}}
    for name, fields in files.items():
        lines = [{**LINE, **fields}, {**LARGE, "model": "gpt2-xl"}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert elsewhere(tmp_path, "v5e") == {("gpt2", "jit"): 4}


def test_the_tables_of_the_plan_are_made_from_the_lines(tmp_path):
    from benchmarks.plan import pods_table, scaling_table

    one, many = {**LINE, "chips": 1, "estimate": {"seconds": 0.001}}, LINE
    (tmp_path / "v5e-1x1.jsonl").write_text(json.dumps(one) + "\n")
    (tmp_path / "v5e-4x4.jsonl").write_text(json.dumps(many) + "\n" + json.dumps({**LARGE, "parallel": "fsdp"}) + "\n")
    table = scaling_table(tmp_path)
    assert "| 1 | 8 | 12.00 | 4.0 | 1.00 | 100 % |" in table
    assert "| 16 | 8 | 12.00 | 4.0 | 2.00 | 50 % |" in table
    assert "| `gpt2` | fsdp | 8 | does not fit: 20.00 |  | not compiled |  |  |" in pods_table(tmp_path)
    assert "v5e:4x4: 1 models compiled, 1 fit under jit, 0 fit under fsdp." in pods_table(tmp_path)
