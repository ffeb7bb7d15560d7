"""Trained side by side, ours and the twin's losses are the same curve."""

import pytest
from tiny import TINY

from benchmarks.workloads import Workload

pytestmark = [pytest.mark.reference, pytest.mark.slow]
pytest.importorskip("torch")

SHAPES = {
    "dcgan": {}, "wgan-gp": {}, "stylegan2": {}, "pix2pix": {"dropout": 0.0}, "cyclegan": {}, "vae": {},
    "vae-conv": {"flow": 0}, "vqvae": {"prior_dropout": 0.0}, "gpt": {}, "music-transformer": {"dropout": 0.0},
    "lstm": {},
}  # fmt: skip
GAMES = ("dcgan", "wgan-gp", "stylegan2", "pix2pix", "cyclegan")  # in which no loss need fall


@pytest.mark.parametrize("preset", SHAPES)
def test_losses_fall_alike(preset):
    from benchmarks.parity import parity

    fields = {**TINY[preset], **SHAPES[preset]}
    length = {"unit": "tokens", "length": fields["context"]} if "context" in fields else {}
    workload = Workload(name=f"{preset}-tiny", preset=preset, kind="train", batch=8, fields=fields, **length)
    for phase, found in parity(workload, range(3)).items():
        ours, theirs = found["last"]
        assert found["first"][0] == pytest.approx(found["first"][1], rel=1e-4), phase
        assert abs(ours - theirs) < 4 * found["spread"] or ours == pytest.approx(theirs, rel=0.02), (phase, found)
        assert preset in GAMES or ours < found["first"][0], (phase, found)
