"""Where a step's time goes: what is read from programs and traces, and the page that is made of it."""

import json

import jax
import pytest

from benchmarks import profile
from benchmarks.__main__ import main
from benchmarks.ours import prepare
from benchmarks.workloads import find

PROGRAM = """
  %wrapped_reduce-window.5 = f32[4,2,2048]{2,1,0} fusion(%a), kind=kLoop
  ROOT %ynn_fusion.3 = f32[64,512]{1,0} fusion(%a), metadata={op_name="jit(compiled)/while/body/jvp(Network)/head/dot"}
  %while.1 = (f32[]) while(%init), condition=%c, body=%b
"""


def test_instructions_of_a_program():
    assert profile.instructions(PROGRAM) == {
        "wrapped_reduce-window.5": ("f32[4,2,2048]", ""),
        "ynn_fusion.3": ("f32[64,512]", "jvp(Network)/head/dot"),
        "while.1": ("(f32[])", ""),
    }
    names = ("wrapped_reduce-window.5", "ynn_fusion.3", "dot.7", "conv_general_dilated", "copy.1", "multiply_fusion")
    kinds = [profile.kind_of(name) for name in names]
    assert kinds[0] == "sums" and kinds[1] == kinds[2] == "products of matrices" and kinds[3] == "convolutions"
    assert kinds[4:] == ["transposing and copying", "element by element"]


TRACE = """
planes {
  name: "/host:CPU" lines { name: "python" events { metadata_id: 1 duration_ps: 7000000000 } }
  event_metadata { key: 1 value { id: 1 name: "loop_add_fusion" } }
}
planes {
  name: "/device:GPU:0"
  lines { name: "Stream #7"
    events { metadata_id: 1 duration_ps: 2000000000 stats { metadata_id: 1 str_value: "custom-call.3" } }
    events { metadata_id: 2 duration_ps: 1000000000 } }
  lines { name: "XLA Ops" events { metadata_id: 2 duration_ps: 9000000000 } }
  event_metadata { key: 1 value { id: 1 name: "nvjet_tst_128" } }
  event_metadata { key: 2 value { id: 2 name: "loop_add_fusion" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }
}
"""


def test_beside_a_gpu_what_ran_there_is_counted():
    read = jax.profiler.ProfileData.from_text_proto
    assert list(profile.events(read(TRACE))) == [("custom-call.3", 2.0), ("loop_add_fusion", 1.0)]
    alone = TRACE[: TRACE.index("planes {", 10)]
    assert list(profile.events(read(alone))) == [("loop_add_fusion", 7.0)]
    assert profile.kind_of("nvjet_tst_128") == "products of matrices"


def side(step, *operations):
    keys = ("name", "ms", "times", "shape", "where")
    rows = [dict(zip(keys, one, strict=True)) for one in operations]
    return json.dumps({"device": "cpu", "step": step, "operations": rows})


def test_what_was_tried_stays_on_the_page(tmp_path, monkeypatch):
    answers = {
        "jax": side(10, ("ynn_fusion", 4, 2, "f32[2]", "head"), ("copy.1", 1, 1, "f32[2]", "")),
        "eager": side(8, ("aten::mm", 5, 3, "", "")),
    }
    monkeypatch.setattr(profile, "alone", lambda module, name, suite, which: answers[which])
    path = profile.page("vae", "cpu", "eager", tmp_path)
    first = path.read_text()
    assert "| products of matrices | 4.00 | 40 % |" in first and "| 5.00 | 50 % |" in first  # 10 - 4 - 1 on the pool
    assert "| `aten::mm` | 5.00 | 3 |" in first and "Nothing yet." in first
    path.write_text(first.replace("Nothing yet.", "Something else."))
    answers["jax"] = side(20, ("ynn_fusion", 4, 2, "f32[2]", "head"))
    profile.page("vae", "cpu", "eager", tmp_path)
    assert "Something else." in path.read_text() and "| products of matrices | 4.00 | 20 % |" in path.read_text()


def test_a_real_step_is_watched(monkeypatch):
    for name in ("WARM", "TIMED", "TURNS"):
        monkeypatch.setattr(profile, name, 1)
    found, step = profile.operations(prepare(find("vae", "cpu"), "cpu", 1))
    assert step > 0 and found[0]["ms"] >= found[-1]["ms"] > 0
    assert any("DenseDecoder" in one["where"] for one in found)


@pytest.mark.parametrize("row", ["vae-sample", "vea"])
def test_a_row_that_is_none(row, capsys):
    assert main(["profile", row]) == 2
    assert f"no training row is called '{row}'" in capsys.readouterr().err
