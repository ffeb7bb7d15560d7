"""What the rows of two media say of their means."""

from benchmarks.rows.fusion import ALONE, ARMS, METRICS, invariance, verdict
from zoo.multimodal.joining import JOININGS


def test_verdict_of_ways():
    means = {arm: dict.fromkeys(METRICS, 0.9) for arm in ARMS}
    order = ", ".join(JOININGS)
    said = "better than the better medium alone: {}; with one medium left more than 5 points behind a model of that one"
    assert verdict(means).startswith(said.format("none") + f": none; by the worse of the two noises: {order}")
    means["cross"]["clean"], means["sound"]["clean"] = 0.95, 0.94
    means["late"] |= {"picture_missing": 0.88, "sound_noisy": 0.2}  # 6 points behind the sound's own
    means["low-rank"] |= {"picture_noisy": 0.91, "sound_noisy": 0.92}
    told = verdict(means)
    assert told.startswith(said.format("cross") + ": late; ")
    assert "noises: low-rank, early" in told and told.endswith("cross, late")
    assert set(ALONE) == {"sound", "picture"}


def test_verdict_of_a_critic():
    plain = {"picture_found": 0.9, "sound_found": 0.8, "gap": 0.4}
    said = invariance({"contrastive": plain, "invariant": {"picture_found": 0.85, "sound_found": 0.81, "gap": 0.2}})
    assert said == "with a critic the media's centres lie nearer to each other, and retrieval loses 2.0 points"
    said = invariance({"contrastive": plain, "invariant": {"picture_found": 0.92, "sound_found": 0.8, "gap": 0.5}})
    assert said == "with a critic the media's centres lie no nearer to each other, and retrieval gains 1.0 points"
