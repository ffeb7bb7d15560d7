"""Many seeds at once, against one after another."""

import pytest
from running import data_folder

from benchmarks.population import Population, gain
from zoo.errors import UserError

TINY = ("--model.width", "16", "--model.latent-size", "4", "--batch-size", "8", "--save-every", "4")


def test_the_gain_is_all_runs_over_the_one():
    assert list(gain([10.0, 10.0], [5.0] * 16).values()) == pytest.approx([8, 8, 8])
    found = gain([9.0, 10.0, 14.0], [5.0] * 8 + [6.0] * 8)
    assert found["median"] == pytest.approx(8.8) and found["low"] < 8 < found["high"]


def test_a_run_that_fails_says_why(tmp_path):
    row = Population(name="row", preset="vae", options=(*TINY, "--precision", "fp64"), shape=(16, 16, 3))
    (tmp_path / "pictures.npz").symlink_to(data_folder() / "pictures.npz")
    with pytest.raises(UserError, match="fp64"):
        row.run(tmp_path, tmp_path / "cache", seed=0)


@pytest.mark.slow
def test_a_line_of_a_population(tmp_path):
    class Session:
        folder = tmp_path

    row = Population(
        name="row",
        preset="vae",
        options=TINY,
        shape=(16, 16, 3),
        members=2,
        repeats=1,
        steps=4,
        dispatch=2,
        pictures=64,
    )
    line = row.measure(Session())
    assert line["ratio"]["low"] <= line["ratio"]["median"] <= line["ratio"]["high"]
    assert line["ours"] == pytest.approx(2 / line["seconds"]["ours"][0]) and len(line["seconds"]["theirs"]) == 2
    assert line["peak_memory"] > 2**27 and line["device"].startswith("cpu") and line["dispatch"] == 2
