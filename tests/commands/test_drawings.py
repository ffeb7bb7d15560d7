"""zoo-sample of a run of drawings: sheets, single files, reconstructions, ways between two, ways on."""

from pathlib import Path

import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from sample.finishing import finished, nearest
from sample.options import Options
from sample.restore import open_run
from train.__main__ import main as zoo_train
from train.folder import RunFolder
from zoo.codecs.images import read_png
from zoo.codecs.strokes import END
from zoo.codecs.svg import read_svg, write_svg


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    shape = ["--model.context", "48", "--model.latent-size", "4", "--model.encoder-width", "8", "--model.width", "8"]
    budget = ["--steps", "1", "--batch-size", "8", "--dispatch", "1"]
    with untrained():
        assert zoo_train(["sketch-rnn", *budget, *shape, "--model.components", "2", "--out", str(folder / "run")]) == 0
    for number in range(2):
        write_svg(
            [(np.array([[0, 0], [5, 9], [8 + number, 0.0]]), np.array([[1, 4], [7, 4.0]]))], folder / f"{number}.svg"
        )
    return folder


def drawn(capsys, *words: object) -> list[Path]:
    assert main([str(word) for word in words]) == 0
    return [Path(line) for line in capsys.readouterr().out.splitlines()]


def test_sheets_and_single_files(run, tmp_path, capsys):
    assert {path.suffix for path in (run / "run" / "samples").iterdir()} == {".svg", ".png"}  # of training
    sheet, picture = drawn(capsys, run / "run", "-n", 4, "--out", tmp_path / "few/")
    assert (sheet.suffix, picture.suffix) == (".svg", ".png") and read_png(picture)[1]["model"] == "sketch-rnn"
    one, two = drawn(capsys, run / "run", "-n", 2, "--images", "--out", tmp_path)[::2]
    assert read_svg(one) and one.name == "sample_step1_seed0_0.svg" and two.name == "sample_step1_seed0_1.svg"
    (again,) = drawn(capsys, run / "run", "-n", 4, "--out", tmp_path / "again.svg")
    assert again.read_bytes().split(b"</metadata>")[1] == sheet.read_bytes().split(b"</metadata>")[1]


def test_files_are_read_and_gone_on_with(run, tmp_path, capsys):
    both = drawn(capsys, run / "run", "--reconstruct", run, "--out", tmp_path / "both.png")[0]
    assert read_png(both)[0].shape[:2] == (132, 4 * 130 + 2)  # each beside what came back
    (row,) = drawn(
        capsys, run / "run", "--interpolate", 3, "--primer", run / "0.svg", run / "1.svg", "--out", tmp_path / "r.png"
    )
    assert read_png(row)[0].shape[:2] == (132, 3 * 130 + 2)
    (on,) = drawn(capsys, run / "run", "--primer", run / "0.svg", "--out", tmp_path / "on.svg")
    first, second, *_ = read_svg(on)
    extent = RunFolder(run / "run").load()[1]["codec"]["extent"]  # how large the run's drawings are
    begun = [stroke / 9 * extent for stroke in read_svg(run / "0.svg")]
    np.testing.assert_allclose(first, begun[0], atol=0.1)
    np.testing.assert_allclose(second[:2], begun[1], atol=0.1)


def test_a_drawing_is_finished_by_the_model_and_as_others_were(run, tmp_path, capsys):
    write_svg([(np.array([[0, 0], [5, 9.0]]),)], tmp_path / "begun.svg")
    words = [run / "run", "--finish", tmp_path / "begun.svg", "-n", 3]
    *_, picture = drawn(capsys, *words, "--out", tmp_path / "sheets/")
    assert picture.name == "completion_step1_seed0.png"
    assert read_png(picture)[0].shape[:2] == (2 * 130 + 2, 4 * 130 + 2)  # two rows of it and three
    opened = open_run(run / "run")
    rows, columns = finished(opened, Options(finish=str(tmp_path / "begun.svg"), n=3))
    begun, ways, again, others = rows[0], rows[1:4], rows[4], rows[5:]
    assert columns == 4 and len(rows) == 8
    np.testing.assert_array_equal(begun, again)
    for way in ways:
        np.testing.assert_allclose(way[: len(begun) - 1], begun[:-1], atol=1e-6)
    assert not np.array_equal(ways[0], ways[1])
    one = others[0]
    np.testing.assert_array_equal(nearest(opened, one, 1)[0], one)  # whole, it is the nearest to itself
    opening = np.concatenate([one[:4], END[None]])
    np.testing.assert_array_equal(nearest(opened, opening, 1)[0][:4], one[:4])  # and by its first points


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--finish {0}/none.svg", "No such file"),
        ("--finish {0}/0.svg --primer {0}/1.svg", "takes its drawing and nothing else"),
        ("--interpolate 3 --primer {0}/0.svg", "give two --primer files, or none"),
        ("--reconstruct {0}/none.svg", "no such file"),
        ("--reconstruct {0}/run", "no .svg in this folder"),
        ("--primer {0}/run/config.json", "no SVG"),
        ("--fps 3", "--fps is for films"),
        ("--top-k 3", "--top-k is for sequences"),
        ("--images --out {0}/x.svg", "let --out be a folder"),
        ("--out {0}/x.mid", ".svg, .png"),
    ],
)
def test_a_fault_is_one_line_and_exit_code_2(run, capsys, words, reason):
    code = main([str(run / "run"), *words.format(run).split()])
    output = capsys.readouterr()
    assert code == 2 and output.err.startswith("zoo-sample: ") and output.err.count("\n") == 1 and reason in output.err
