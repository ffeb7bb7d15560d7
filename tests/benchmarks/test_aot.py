"""What is read from a program that was compiled for a pod."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.aot import CHIPS, collectives, result_sizes, show

PROGRAM = """
  %all-reduce.1 = (f32[128,4]{1,0}, bf16[16]{0}) all-reduce(%a, %b), channel_id=1
  %all-gather-start.2 = (f32[16,8]{1,0}, f32[128,8]{1,0}) all-gather-start(%c), channel_id=2
  %all-gather-done.2 = f32[128,8]{1,0} all-gather-done(%all-gather-start.2)
  ROOT %reduce-scatter.7 = f32[16]{0} reduce-scatter(%d), channel_id=3
  %fusion.3 = f32[4]{0} fusion(%all-reduce.1), kind=kLoop
"""


def test_collectives_of_a_program():
    found = dict(collectives(PROGRAM))
    assert found["all-reduce"] == 128 * 4 * 4 + 16 * 2 and found["reduce-scatter"] == 64
    assert sorted(kind for kind, _ in collectives(PROGRAM)) == ["all-gather", "all-reduce", "reduce-scatter"]
    assert found["all-gather"] == 128 * 8 * 4
    assert result_sizes("pred[3]{0}") == [3] and result_sizes("(f32[], s8[2,3])") == [4, 6]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--topology", "v9z:2x2"], "the chips are v5e, v6e, v5p"),
        (["--models", "dcgam"], "did you mean dcgan"),
        (["--topology", "v5e:2x2"], "libtpu compiles for TPUs"),
    ],
)
def test_nonsense_is_one_line(words, said, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["aot", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_line_says_whether_it_fits():
    line = {
        "model": "gpt2", "parallel": "jit", "memory": 20 * 2**30, "fits": False,
        "collectives": {"all-reduce": [2**20, 2**20]}, "estimate": {"seconds": 0.002, "bound": "compute"},
    }  # fmt: skip
    assert show(line) == (
        "gpt2 jit: 20.00 GiB a chip (does not fit); 2 all-reduce of 2.0 MiB; estimate 2.00 ms a step, bound by compute"
    )
    assert json.dumps(sorted(CHIPS)) == '["v5e", "v5p", "v6e"]'
