"""Trained side by side, ours and the twin's losses are the same curve."""

import pytest
from tiny import TINY

from benchmarks.workloads import Workload

pytestmark = [pytest.mark.reference, pytest.mark.slow]
pytest.importorskip("torch")

SHAPES = {"dcgan": {}, "vae": {}, "vae-conv": {"flow": 0}, "gpt": {}, "lstm": {}}


@pytest.mark.parametrize("preset", SHAPES)
def test_losses_fall_alike(preset):
    from benchmarks.parity import parity

    fields = {**TINY[preset], **SHAPES[preset]}
    length = {"unit": "tokens", "length": fields["context"]} if "context" in fields else {}
    workload = Workload(name=f"{preset}-tiny", preset=preset, kind="train", batch=8, fields=fields, **length)
    for player, found in parity(workload, range(3)).items():
        ours, theirs = found["last"]
        assert found["first"][0] == pytest.approx(found["first"][1], rel=0.02), player
        assert abs(ours - theirs) < 4 * found["spread"] or ours == pytest.approx(theirs, rel=0.02), (player, found)
        assert preset == "dcgan" or ours < found["first"][0], (player, found)
