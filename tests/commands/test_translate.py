"""zoo-sample --translate, on tiny runs of pix2pix, spade, cyclegan and adain."""

from pathlib import Path

import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from train.__main__ import main as zoo_train
from zoo.codecs.film import read_film, write_gif
from zoo.codecs.images import read_png, write_png

SIDE = 16


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The runs ``pix2pix`` (of a grey sketch), ``spade`` (of maps of six labels), ``cyclegan`` (of files) and
    ``adain``; a folder ``mine`` of two pictures of other sizes, and ``maps`` of maps."""
    folder = tmp_path_factory.mktemp("translators")
    rng = np.random.default_rng(0)
    for side in ("mine", "maps", "warm", "cold"):
        (folder / side).mkdir()
    for name, shape in (("tree", (20, 30, 3)), ("lake", (16, 16, 3))):
        write_png(rng.integers(0, 256, shape, np.uint8), folder / "mine" / f"{name}.png")
    for number in range(20):
        place = folder / ("warm", "cold")[number % 2] / f"{number}.png"
        write_png(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), place)
    budget = ["--steps", "1", "--batch-size", "8", "--dispatch", "1", "--save-every", "1"]
    shape, critic = ["--model.width", "4"], ["--model.critic-layers", "1"]
    halves = np.zeros((10, 12, 1), np.uint8)
    halves[:, 6:] = 1
    (folder / "regions").mkdir()
    write_png(halves, folder / "regions" / "halves.png")
    sketch, pairs = f"sketch?size={SIDE}&family=glass", f"pairs:{folder}/warm,{folder}/cold?match=none"
    write_png(rng.integers(0, 6, (20, 30, 1)).astype(np.uint8), folder / "maps" / "land.png")
    write_png(np.full((16, 16, 1), 200, np.uint8), folder / "maps" / "wrong.png")
    trainings = (
        ("pix2pix", sketch, critic),
        ("spade", f"regions?size={SIDE}", critic),
        ("cyclegan", pairs, [*critic, "--model.blocks", "1"]),
        ("adain", f"looks?size={SIDE}", []),
    )
    for name, data, more in trainings:
        words = [name, "--data", data, *budget, *shape, *more, "--out", str(folder / name)]
        with untrained():
            assert zoo_train(words) == 0
    return folder


def drawn(capsys, *words: object) -> list[Path]:
    assert main([str(word) for word in words]) == 0
    return [Path(line) for line in capsys.readouterr().out.splitlines()]


def test_a_file_each_by_the_source_s_name(runs, tmp_path, capsys):
    paths = drawn(capsys, runs / "pix2pix", "--translate", runs / "mine", "--out", tmp_path / "out")
    assert [path.name.rpartition("_")[2] for path in paths] == ["lake.png", "tree.png"]
    pixels, meta = read_png(paths[1])
    assert pixels.shape == (SIDE, SIDE, 3)
    assert meta["source"] == "tree.png" and meta["model"] == "pix2pix" and meta["size"] == SIDE
    again = drawn(capsys, runs / "pix2pix", "--translate", runs / "mine", "--out", tmp_path / "again")
    assert paths[0].read_bytes() == again[0].read_bytes()
    (alone,) = drawn(capsys, runs / "pix2pix", "--translate", runs / "mine" / "lake.png", "--out", tmp_path / "one")
    np.testing.assert_array_equal(read_png(alone)[0], read_png(paths[0])[0])


def test_maps_of_labels_become_pictures(runs, tmp_path, capsys):
    (path,) = drawn(capsys, runs / "spade", "--translate", runs / "maps" / "land.png", "--out", tmp_path)
    assert read_png(path)[0].shape == (SIDE, SIDE, 3)
    (path,) = drawn(capsys, runs / "spade", "--translate", runs / "maps", "-n", 1, "--out", tmp_path / "sheet.png")
    above, below = np.split(read_png(path)[0][2:], 2)
    assert above.std() > 20 and not np.array_equal(above, below)  # the map in colours, above what it became
    assert main([str(runs / "spade"), "--translate", str(runs / "maps"), "--out", str(tmp_path)]) == 2
    assert "wrong.png: label 200, where there are 0 to 5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_sizes_are_kept_where_that_is_asked_for(runs, tmp_path, capsys, name):
    paths = drawn(capsys, runs / name, "--translate", runs / "mine", "--keep-size", "--out", tmp_path)
    assert [read_png(path)[0].shape for path in paths] == [(16, 16, 3), (20, 30, 3)]
    assert read_png(paths[0])[1]["size"] == "kept"


def test_one_sheet_of_sources_above_translations(runs, tmp_path, capsys):
    (path,) = drawn(capsys, runs / "cyclegan", "--translate", runs / "mine", "--out", tmp_path / "sheet.png")
    pixels, meta = read_png(path)
    assert pixels.shape == (2 * (SIDE + 2) + 2, 2 * (SIDE + 2) + 2, 3)
    assert meta["sources"] == ["lake.png", "tree.png"]
    lake, _ = read_png(runs / "mine" / "lake.png")
    np.testing.assert_array_equal(pixels[2 : 2 + SIDE, 2 : 2 + SIDE], lake)


def test_back_is_another_translator(runs, tmp_path, capsys):
    words = runs / "cyclegan", "--translate", runs / "mine" / "lake.png", "--out"
    (forth,), (back,) = drawn(capsys, *words, tmp_path / "a"), drawn(capsys, *words, tmp_path / "b", "--back")
    assert not np.array_equal(read_png(forth)[0], read_png(back)[0])


def test_any_look_in_any_mixture_anywhere(runs, tmp_path, capsys):
    warm, cold = runs / "warm" / "0.png", runs / "cold" / "1.png"

    def made(name, *words):
        (path,) = drawn(
            capsys, runs / "adain", "--translate", runs / "mine" / "tree.png", *words, "--out", tmp_path / name
        )
        return read_png(path)[0].astype(int)

    one, other = made("a", "--looks", warm), made("b", "--looks", cold)
    assert one.shape == (SIDE, SIDE, 3) and np.abs(one - other).max() > 2
    mixed = made("c", "--looks", warm, cold, "--shares", 1, 100000)
    assert np.abs(mixed - other).max() <= 2 < np.abs(mixed - one).max()
    regions = made("d", "--looks", warm, cold, "--regions", runs / "regions" / "halves.png", "--keep-size")
    assert regions.shape == (20, 30, 3)
    assert np.abs(made("e", "--looks", warm, "--strength", 0) - made("f", "--looks", cold, "--strength", 0)).max() <= 1


@pytest.mark.parametrize(("name", "words"), [("pix2pix", []), ("cyclegan", ["--back"]), ("adain", ["--looks", "{0}"])])
def test_films_go_through_every_translator(runs, tmp_path, capsys, name, words):
    """test_films.py asks the rest."""
    rng = np.random.default_rng(1)
    write_gif(rng.integers(0, 256, (3, 20, 28, 3), np.uint8), tmp_path / "a.gif", fps=10)
    words = [word.format(runs / "warm" / "0.png") for word in words]
    (path,) = drawn(capsys, runs / name, "--translate", tmp_path / "a.gif", *words, "--out", tmp_path / "b.gif")
    film = read_film(path)
    assert film.frames.shape == (3, SIDE, SIDE, 3) and film.fps == 10
    assert len(np.unique(film.frames.reshape(3, -1), axis=0)) == 3


def test_samples_are_translations_of_what_was_seen(runs, tmp_path, capsys):
    (path,) = drawn(capsys, runs / "pix2pix", "-n", 4, "--out", tmp_path / "grid.png")
    assert read_png(path)[0].shape == (2 * (SIDE + 2) + 2, 2 * (SIDE + 2) + 2, 3)


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("pix2pix", ["--translate", "{0}/nothing"], "no such file or folder"),
        ("pix2pix", ["--translate", "{0}/pix2pix/checkpoints"], "no .png, .jpg, .jpeg, .webp in this folder"),
        ("pix2pix", ["--translate", "{0}/mine", "--back"], "pix2pix has learnt one direction only"),
        ("pix2pix", ["--back"], "add --translate DIR"),
        ("pix2pix", ["--out", "{1}/a.svg"], "pix2pix paints areas; .svg is for painter"),
        ("cyclegan", ["--translate", "{0}/mine", "--images"], "--translate writes translations: leave out --images"),
        ("cyclegan", ["--translate", "{0}/mine", "--keep-size", "--out", "{1}/a.png"], "let --out be a folder"),
        ("cyclegan", ["--interpolate", "3"], "no latent space"),
        ("cyclegan", ["--translate", "{0}/mine", "--looks", "{0}/mine/lake.png"], "adain takes any"),
        ("adain", ["--looks", "{0}/mine/lake.png"], "--looks are for translations: add --translate DIR"),
        ("adain", ["--translate", "{0}/mine", "--looks", "{0}/none.png"], "no such file"),
        ("adain", ["--translate", "{0}/mine", "--strength", "0.5"], "add --looks FILE"),
        ("adain", ["--translate", "{0}/mine", "--looks", "{0}/mine/lake.png", "--shares", "1", "2"], "should be 1"),
        (
            "adain",
            ["--translate", "{0}/mine", "--looks", "{0}/mine/lake.png", "--regions", "{0}/maps/land.png"],
            "0 to 0",
        ),
        ("cyclegan", ["--reconstruct", "{0}/mine"], "no encoder"),
        ("spade", ["--translate", "{0}/a.gif"], "spade translates maps of labels"),
    ],
)
def test_one_line_says_what_would_mend_it(runs, tmp_path, capsys, name, words, why):
    assert main([str(runs / name), *(word.format(runs, tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert why in error and error.count("\n") == 1
