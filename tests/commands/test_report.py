"""The report of a run, its curves, and the demo's care for the folder it writes to."""

import base64
import io
import json
import re
import wave

import numpy as np
import pytest

from sample import demo
from sample.curves import Axis, Curve, loss_curves, nice, smoothed, svg
from sample.report import main
from train.__main__ import main as zoo_train
from zoo.codecs import Notes, write_midi


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(a run's folder, the checksum that training printed)."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    for number in range(10):
        start = np.repeat(np.arange(8) * 0.5, 2)
        write_midi(Notes(start, start + 0.5, rng.integers(48, 80, 16)), folder / f"{number}.mid")
    out = folder / "run"
    words = ["lstm-roll", "--data", f"midi:{folder}?codec=roll", "--model.width", "8", "--model.frames", "16"]
    budget = ["--steps", "4", "--batch-size", "8", "--dispatch", "2", "--log-every", "1"]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", printed)
        assert zoo_train([*words, *budget, "--out", str(out)]) == 0
    match = re.search(r"params sha256 ([0-9a-f]{64})", printed.getvalue())
    assert match
    return out, match.group(1)


def test_a_report_carries_everything_in_itself(run, capsys):
    folder, sha = run
    assert main([str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert f'title="{sha}"' in page
    assert not re.search(r"https?://|@import|url\(", page)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith("data:") for source in sources)
    for sound in re.findall(r'src="data:audio/wav;base64,([^"]+)"', page):
        with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
            assert file.getnframes() > file.getframerate()
    midi = re.findall(r'href="data:audio/midi;base64,([^"]+)"', page)
    assert midi and all(base64.b64decode(data).startswith(b"MThd") for data in midi)
    assert "<svg" in page and "lstm-roll" in page


def test_the_line_over_the_notes_runs_from_their_beginning_to_their_end(run):
    folder, _ = run
    main([str(folder)])
    page = (folder / "report.html").read_text()
    offset, scale = re.search(r'data-offset="([\d.]+)" data-scale="([\d.]+)"', page).groups()
    sound = re.search(r'src="data:audio/wav;base64,([^"]+)"', page).group(1)
    with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
        seconds = file.getnframes() / file.getframerate()
    assert 0 < float(offset) < 0.5
    assert 0.8 < float(offset) + float(scale) * (seconds - 1.2) <= 1  # the sound rings on for 1.2 seconds


def test_a_report_of_nothing_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("report: ") and error.count("\n") == 1 and "no config.json" in error


# -- curves ------------------------------------------------------------------------------------------------------------


def test_curves_are_read_from_the_log_one_a_player():
    lines = [
        {"step": 1, "critic/loss": 2.0, "generator/loss": 1.0, "critic/real": 0.1},
        {"step": 2, "critic/loss": 1.5},
    ]
    critic, generator = loss_curves(lines)
    assert (critic.name, generator.name) == ("critic", "generator")
    np.testing.assert_array_equal(critic.values, [[2.0], [1.5]])
    np.testing.assert_array_equal(generator.steps, [1])
    (population,) = loss_curves([{"step": 1, "vae/loss": [3.0, None]}])
    np.testing.assert_array_equal(population.values, [[3.0, np.nan]])


def test_smoothing_keeps_constants_and_holes_and_lags_neither_way():
    values = np.full((400, 2), 3.0)
    values[200:, 1] = np.nan
    smooth = smoothed(values)
    np.testing.assert_allclose(smooth[:, 0], 3)
    assert np.isnan(smooth[200:, 1]).all() and np.isfinite(smooth[:200, 1]).all()
    step = np.repeat([[0.0], [1.0]], 200, axis=0)
    np.testing.assert_allclose(smoothed(step)[199] + smoothed(step)[200], 1)
    noise = np.random.default_rng(0).normal(size=(400, 1))
    assert smoothed(noise).std() < 0.4 * noise.std()


def test_an_axis_is_logarithmic_where_that_helps_only():
    assert not Axis.of(np.array([1.0, 9.0])).log
    assert not Axis.of(np.array([-1.0, 900.0])).log
    axis = Axis.of(np.array([0.01, 90.0]))
    assert axis.log and axis.ticks == (0.01, 0.1, 1.0, 10.0)
    top, middle, bottom = axis.place(np.array([90.0, (0.01 * 90) ** 0.5, 0.01]))
    np.testing.assert_allclose(middle, (top + bottom) / 2)
    assert nice(0, 1000) == [0, 200, 400, 600, 800, 1000, 1200]


def test_a_flat_line_and_a_single_point_are_drawn_or_left_out():
    flat = Curve("gpt", np.arange(5.0), np.full((5, 1), 2.0))
    assert svg([flat]).count("<path") > 2
    assert "nan" not in svg([flat, Curve("fell", np.arange(5.0), np.full((5, 1), np.nan))])
    assert svg([Curve("gpt", np.array([1.0]), np.array([[2.0]]))]) == ""


# -- the demo ----------------------------------------------------------------------------------------------------------


def test_the_demo_goes_on_replaces_or_keeps_its_hands_off(tmp_path, capsys):
    mine = tmp_path / "demo"
    stamp = demo.claim(mine, {"gpt": {"steps": 5}})
    assert stamp["seconds"] == {}
    demo.write_stamp(mine, {**stamp, "seconds": {"gpt": 2.5}})
    (mine / "gpt").mkdir()
    assert demo.claim(mine, {"gpt": {"steps": 5}})["seconds"] == {"gpt": 2.5}
    assert (mine / "gpt").is_dir() and "goes on" in capsys.readouterr().out
    assert demo.claim(mine, {"gpt": {"steps": 6}})["seconds"] == {}
    assert not (mine / "gpt").exists() and "replaced" in capsys.readouterr().out
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("")
    assert demo.main(["--quick", "--out", str(other)]) == 2
    assert (other / "cat.jpg").exists() and "choose another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_the_quick_demo_shows_four_models_twice(tmp_path, capsys):
    pytest.importorskip("music21")
    assert demo.main(["--quick", "--out", str(tmp_path / "demo")]) == 0
    page = (tmp_path / "demo" / "report.html").read_text()
    assert len(re.findall("<section>", page)) == 4
    assert page.count("<video") == 2 and page.count("<audio") == 6
    sums = re.findall(r"params sha256 ([0-9a-f]{64})", capsys.readouterr().out)
    assert len(sums) == 4
    seconds = json.loads((tmp_path / "demo" / demo.STAMP).read_text())["seconds"]
    assert demo.main(["--quick", "--out", str(tmp_path / "demo")]) == 0
    assert re.findall(r"params sha256 ([0-9a-f]{64})", capsys.readouterr().out) == sums
    assert json.loads((tmp_path / "demo" / demo.STAMP).read_text())["seconds"] == seconds
