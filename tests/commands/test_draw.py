"""zoo-draw: files that formulas become, the same ones each time, and one line for what makes no sense."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from sample.draw import main
from sample.moved import heard
from sample.painting import Options, draft, moved, painted, walked, zoomed
from zoo.codecs import Notes
from zoo.codecs.film import read_film
from zoo.codecs.images import read_png
from zoo.codecs.midi import write_midi
from zoo.codecs.svg import read_svg

ROOT = Path(__file__).parents[2]


def drawn(capsys, *words: object) -> Path:
    """The file that the command writes."""
    assert main(list(map(str, words))) == 0
    return Path(capsys.readouterr().out.strip())


def test_help_needs_nothing_heavy_and_tells_every_option():
    code = "import sys, sample.draw\ntry: sample.draw.main(['--help'])\nfinally: print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("False") and not done.stderr
    assert all(f"--{option}" in done.stdout for option in vars(Options()))


def test_lists_of_formulas_and_of_parameters(capsys):
    assert main([]) == 0
    everything = capsys.readouterr().out
    assert "mandelbrot " in everything and "bauhaus" in everything
    assert main(["--list"]) == 0 and capsys.readouterr().out == everything
    assert main(["rule", "--list"]) == 0
    assert "one of 18 22" in capsys.readouterr().out


def test_a_picture_is_reproducible_and_says_how_it_was_made(capsys, tmp_path):
    words = ["newton", "--size", 16, "--seed", 4, "--palette", "aurora", "--set", "roots=5,angle=0"]
    first = drawn(capsys, *words, "--out", tmp_path / "a.png")
    pixels, meta = read_png(first)
    assert pixels.shape == (16, 16, 3) and pixels.std() > 10
    assert meta["formula"] == "newton" and meta["seed"] == 4 and meta["parameters"]["roots"] == 5
    assert meta["options"] == {"size": 16, "palette": "aurora", "set": "roots=5,angle=0"}
    again = drawn(capsys, *words, "--out", tmp_path / "b.png")
    assert again.read_bytes() == first.read_bytes()
    other = drawn(capsys, *words[:3], "--seed", 5, "--out", tmp_path)
    assert other == tmp_path / "newton_seed5.png" and not np.array_equal(read_png(other)[0], pixels)
    told = {**vars(Options()), "size": 16, "seed": 4, "palette": "aurora", "set": "roots=5,angle=0"}
    np.testing.assert_array_equal(painted("newton", draft("newton", Options(**told), 0), 16), pixels)


def test_bands_join(monkeypatch):
    what = draft("rule", Options(seed=1), 0)
    whole = painted("rule", what, 30)
    monkeypatch.setattr("sample.painting.BAND", 30 * 8)  # the last band has six rows of its own
    np.testing.assert_allclose(painted("rule", what, 30), whole, atol=1)


def test_sheets_tables_and_colours_of_one_s_own(capsys, tmp_path):
    own = "000000,404040,808080,c0c0c0,ffffff,#ff0000"
    sheet, _ = read_png(drawn(capsys, "rule", "-n", 3, "--size", 16, "--palette", own, "--out", tmp_path / "s.png"))
    assert sheet.shape == (2 * 18 + 2, 2 * 18 + 2, 3)
    green = sheet[..., 1].astype(int) - sheet[..., 2]
    assert abs(green).max() <= 1, "the ramp is grey and the accent red"
    first = painted("rule", draft("rule", Options(palette=own), 0), 16)
    np.testing.assert_array_equal(sheet[2:18, 2:18], first)
    assert not np.array_equal(sheet[2:18, 2:18], sheet[2:18, 20:36])
    words = ["rule", "--grid", "ground,density", "-n", 3, "--size", 16, "--out", tmp_path / "t.png"]
    table, _ = read_png(drawn(capsys, *words))
    assert table.shape == (2 * 18 + 2, 3 * 18 + 2, 3)  # of a ground there are two
    assert not np.array_equal(table[2:18, 2:18], table[20:36, 2:18])
    assert not np.array_equal(table[2:18, 2:18], table[2:18, 38:54])


def test_films_walk_and_zoom(capsys, tmp_path):
    film = read_film(drawn(capsys, "mosaic", "--film", 2, "--frames", 4, "--size", 16, "--out", tmp_path / "w.gif"))
    assert film.frames.shape == (4, 16, 16, 3) and film.meta["formula"] == "mosaic" and film.fps == 24
    count, moments = walked("rule", Options(film=3, frames=6))
    at = list(moments)
    assert count == len(at) == 6
    second, third = (draft("rule", Options(), number).parameters for number in (1, 2))
    np.testing.assert_allclose(at[2].parameters.density, second.density, rtol=1e-5)
    np.testing.assert_allclose(at[3].parameters.density, (second.density + third.density) / 2, rtol=1e-4)
    assert len({float(each.parameters.rule) for each in at}) == 1, "what can only jump stays"
    count, moments = zoomed("newton", Options(zoom=2, set="depth=1"))
    at = [float(each.parameters.depth) for each in moments]
    assert count == 48 and at[0] == 1 and at[-1] == 3 and np.ptp(np.diff(at)) < 1e-5
    words = ["newton", "--zoom", 1, "--frames", 2, "--size", 16, "--out", tmp_path / "z.mp4"]
    assert len(read_film(drawn(capsys, *words)).frames) == 2


def test_films_move_with_music(capsys, tmp_path):
    """Two notes, between which nothing is struck: what is painted stands nearly still but at the second."""
    write_midi(Notes(pitch=[60, 66], start=[0.0, 1.0], end=[0.9, 2.0]), tmp_path / "a.mid")
    words = ["warp", "--music", tmp_path / "a.mid", "--size", 32, "--fps", 12, "--frames", 24]
    film = read_film(drawn(capsys, *words, "--out", tmp_path)).frames.astype(float)
    motion = np.abs(np.diff(film, axis=0)).mean(axis=(1, 2, 3))
    assert len(film) == 24 and 10 <= motion[6:].argmax() + 6 <= 12 and motion[10:13].sum() > 3 * motion[7:10].sum()
    music = heard(str(tmp_path / "a.mid"), fps=12, frames=24)
    first, last = (
        moment.colours for number, moment in enumerate(moved("warp", Options(fps=12), music)) if number in (0, 23)
    )
    assert np.abs(first - last).max() > 0.2, "another harmony, another palette"
    one = [moment.colours for moment in moved("warp", Options(fps=12, palette="aurora"), music)]
    np.testing.assert_allclose(one[0], one[-1], atol=1e-5)


def test_lines_become_svg_in_the_same_colours(capsys, tmp_path):
    words = ["lissajous", "--set", "ratio=0,width=0.01,ground=1", "--palette", "bauhaus"]
    path = drawn(capsys, *words, "--out", tmp_path / "a.svg")
    assert path.read_bytes() == drawn(capsys, *words, "--out", tmp_path / "b.svg").read_bytes()
    root = ElementTree.parse(path).getroot()
    strokes = [element.get("stroke") for element in root.iter() if element.tag.endswith("path")]
    assert len(strokes) == 9 and strokes[4] == "#17213c" and len(set(strokes)) > 6  # the middle one is the accent
    assert "formula" in next(root.iter("{http://www.w3.org/2000/svg}metadata")).text
    drawing = read_svg(path)
    assert len(drawing) == 9 and max(np.abs(stroke).max() for stroke in drawing) < 1
    assert next(root.iter("{http://www.w3.org/2000/svg}rect")).get("fill") == "#f6edd9"
    plant = read_svg(drawn(capsys, "plant", "--out", tmp_path / "d.svg"))
    assert plant[0][0][1] == max(stroke[:, 1].max() for stroke in plant) > 0.3, "its root is below"
    many = ElementTree.parse(drawn(capsys, *words, "-n", 3, "--out", tmp_path / "c.svg")).getroot()
    assert sum(element.tag.endswith("rect") for element in many.iter()) == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("mandelbrod", "no formula is called 'mandelbrod'; there are mandelbrot, fatou"),
        ("rule --set speed=3", "rule has no parameter 'speed'; it has rule: one of 18"),
        ("rule --set density", "write it as density=NUMBER, -0.6 .. 0.12"),
        ("rule --set density=nan", "write it as density=NUMBER"),
        ("rule --set rule=3", "rule is one of 18"),
        ("rule --grid density", "name two parameters, A,B"),
        ("voronoi --grid gap,rings -n 99", "a table of more than 4096 pictures"),
        ("rule --grid density,size", "rule has no parameter 'size'"),
        ("rule --palette rainbow", "give one of great wave"),
        ("rule --palette 000000,ffffff", "six colours"),
        ("rule --size 4", "--size 4: it must be at least 8"),
        ("rule --size 9000", "choose a smaller --size"),
        ("rule -n 0", "-n 0: it must be at least 1"),
        ("rule -n 99999", "-n 99999: it must be at most 4096"),
        ("rule --seed -1", "--seed -1: it must be at least 0"),
        ("rule --zoom 2", "rule has no parameter 'depth'"),
        ("mandelbrot --zoom 30", "float32 sees to depth 15"),
        ("newton --zoom 2 --film 3", "leave one out"),
        ("rule --film 2 --frames 9999999 --size 64", "are too many"),
        ("rule --music {}/none.mid", "none.mid: No such file"),
        ("rule --music {}/a.mid --zoom 3", "leave one out"),
        ("rule --music a.mid --out {}/a.gif", "a film with sound can be written as .mp4"),
        ("rule --film 2 --out {}/a.png", "a film can be written as .gif, .mp4"),
        ("rule -n 4 --out {}/a.gif", "shows one picture at a time"),
        ("rule --out {}/a.svg", "rule paints areas; .svg is for what is made of lines: orbit, streams"),
        ("rule --out {}/a.jpg", "can be written as .png"),
        ("rule --frames 3", "--frames is for films"),
        ("newton --size 16 --set depth=-1e30", "newton has no picture at these parameters"),
        ("rule --colour red", "olour"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(capsys, tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    assert main(words.format(tmp_path).split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith("zoo-draw: ") and said.err.count("\n") == 1 and line in said.err and not said.out
    assert not list(tmp_path.iterdir())
