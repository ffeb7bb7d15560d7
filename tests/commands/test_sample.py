"""zoo-sample: what comes out of three tiny runs, one of pictures, one of music, one of text."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from sample.latent import closed_loop, slerp
from train.__main__ import main as zoo_train
from zoo.codecs import Notes, read_midi, write_midi
from zoo.codecs.film import read_film
from zoo.codecs.images import read_png, write_png

SIDE = 16
TEXT = "the quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with the runs ``vae``, ``gpt`` (of music) and ``lstm`` (of text), and what they learnt from."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(12):
        write_png(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), folder / "pictures" / f"{number}.png")
    (folder / "songs").mkdir()
    for number in range(6):
        write_midi(song(number, quarters=8 + number), folder / "songs" / f"{number}.mid")
    (folder / "text.txt").write_text(TEXT)
    small = ["--model.width", "4", "--model.latent-size", "4", "--model.flow", "1"]
    learn(folder, "vae-conv", "vae", f"images:{folder / 'pictures'}", *small)
    shape = ["--model.width", "16", "--model.context", "32"]
    learn(folder, "gpt", "gpt", f"midi:{folder / 'songs'}?codec=voices", "--model.layers", "1", *shape)
    learn(folder, "lstm", "lstm", f"text:{folder / 'text.txt'}", "--model.layers", "1", *shape)
    return folder


def learn(folder: Path, name: str, out: str, data: str, *words: str) -> None:
    budget = ["--steps", "2", "--batch-size", "8", "--dispatch", "1", "--log-every", "1", "--save-every", "1"]
    with untrained():
        assert zoo_train([name, "--data", data, *budget, "--out", str(folder / out), *words]) == 0


def song(seed: int, *, quarters: int) -> Notes:
    """Four voices in quarter notes at 84 a minute."""
    rng = np.random.default_rng(seed)
    start = np.repeat(np.arange(quarters) * (60 / 84), 4)
    pitch = np.tile([72, 67, 60, 48], quarters) + rng.integers(-2, 3, 4 * quarters)
    program = np.tile([40, 41, 42, 43], quarters)
    return Notes(start, start + 60 / 84, pitch, program=program, tempo=((0.0, 84.0),))


def drawn(capsys, *words: object) -> list[Path]:
    """Runs the command; the files it says it wrote, in order."""
    assert main([str(word) for word in words]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert all(path.is_file() for path in paths)
    return paths


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_a_grid_says_how_it_was_made(runs, tmp_path, capsys):
    (path,) = drawn(capsys, runs / "vae", "-n", 6, "--seed", 3, "--out", tmp_path / "grid.png")
    pixels, meta = read_png(path)
    assert pixels.shape == (2 * (SIDE + 2) + 2, 3 * (SIDE + 2) + 2, 3)
    assert (pixels[-2 - SIDE : -2, -2 - SIDE : -2] < 255).any()  # the sixth is there
    expected = {"model": "vae-conv", "run": str(runs / "vae"), "step": 2, "seed": 3, "options": {"n": 6}}
    assert expected.items() <= meta.items()


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(runs, tmp_path, capsys):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, seed in zip(paths, (5, 5, 6), strict=True):
        drawn(capsys, runs / "vae", "-n", 4, "--seed", seed, "--out", path)
    a, b, c = (path.read_bytes() for path in paths)
    assert a == b != c


def test_an_earlier_checkpoint_drew_otherwise(runs, tmp_path, capsys):
    words = (runs / "vae", "-n", 4)
    first, second = (drawn(capsys, *words, "--step", step, "--out", tmp_path / f"{step}.png")[0] for step in (1, 2))
    (newest,) = drawn(capsys, *words, "--out", tmp_path / "newest.png")
    assert read_png(first)[1]["step"] == 1 and second.read_bytes() == newest.read_bytes()
    assert (read_png(first)[0] != read_png(newest)[0]).any()


def test_single_pictures_do_not_depend_on_their_number(runs, tmp_path, capsys):
    few = drawn(capsys, runs / "vae", "-n", 3, "--images", "--out", tmp_path / "few")
    many = drawn(capsys, runs / "vae", "-n", 5, "--images", "--out", tmp_path / "many")
    assert (len(few), len(many)) == (3, 5)
    for one, other in zip(few, many, strict=False):
        difference = read_png(one)[0].astype(int) - read_png(other)[0]
        assert np.abs(difference).max() <= 1  # another batch size may round otherwise
    assert [read_png(path)[1]["sample"] for path in many] == [0, 1, 2, 3, 4]


def test_a_film_closes_its_loop_in_both_forms(runs, tmp_path, capsys):
    words = ["--interpolate", 3, "--frames", 12, "--fps", 10, "-n", 2]
    paths = drawn(capsys, runs / "vae", *words, "--out", tmp_path / "folder")
    assert {path.suffix for path in paths} == {".gif", ".mp4"}
    for path in paths:
        film = read_film(path)
        assert (len(film.frames), film.fps, film.meta["model"]) == (12, 10, "vae-conv")
    assert read_film(paths[0]).frames.shape[1:] == (SIDE + 4, 2 * (SIDE + 2) + 2, 3)
    (single,) = drawn(capsys, runs / "vae", "--frames", 8, "--out", tmp_path / "film.gif")
    assert read_film(single).frames.shape == (8, SIDE, SIDE, 3)


def test_reconstructions_lie_below_what_they_were_made_of(runs, tmp_path, capsys):
    source = runs / "pictures" / "3.png"
    (path,) = drawn(capsys, runs / "vae", "--reconstruct", source, "--out", tmp_path / "one.png")
    pixels, _ = read_png(path)
    assert pixels.shape == (2 * (SIDE + 2) + 2, SIDE + 4, 3)
    np.testing.assert_array_equal(pixels[2 : 2 + SIDE, 2 : 2 + SIDE], read_png(source)[0])
    assert np.any(pixels[4 + SIDE : -2, 2 : 2 + SIDE] != read_png(source)[0])
    (path,) = drawn(capsys, runs / "vae", "--reconstruct", runs / "pictures", "-n", 5, "--out", tmp_path / "five.png")
    pixels, _ = read_png(path)
    assert pixels.shape == (2 * (SIDE + 2) + 2, 5 * (SIDE + 2) + 2, 3)
    np.testing.assert_array_equal(pixels[2 : 2 + SIDE, -2 - SIDE : -2], read_png(runs / "pictures" / "2.png")[0])


def test_files_go_into_the_run_by_default(runs, capsys):
    (path,) = drawn(capsys, runs / "vae", "-n", 1)
    assert path == runs / "vae" / "samples" / "sample_step2_seed0.png"


# -- music -------------------------------------------------------------------------------------------------------------


def test_music_comes_to_read_to_hear_and_to_see(runs, tmp_path, capsys):
    paths = drawn(capsys, runs / "gpt", "-n", 2, "--length", 20, "--seed", 4, "--out", tmp_path)
    assert [path.name for path in paths] == [
        f"sample_step2_seed4_{number}{kind}" for number in (0, 1) for kind in (".mid", ".wav", ".png")
    ]
    notes = read_midi(paths[0])
    assert len(notes)
    assert {"model": "gpt", "step": "2", "seed": "4", "sample": "0"}.items() <= notes.meta.items()
    assert json.loads(notes.meta["options"]) == {"n": 2, "length": 20}
    assert read_png(paths[5])[1]["sample"] == 1
    assert b"RIFF" in paths[1].read_bytes()[:4] and b'"seed": 4' in paths[1].read_bytes()


def test_a_piece_does_not_depend_on_their_number(runs, tmp_path, capsys):
    words = [runs / "gpt", "--length", 24, "--out"]
    four = drawn(capsys, *words, tmp_path / "four.mid", "-n", 4)
    again = drawn(capsys, *words, tmp_path / "again.mid", "-n", 4)
    two = drawn(capsys, *words, tmp_path / "two.mid", "-n", 2)
    assert [path.read_bytes() for path in four] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in four}) == 4
    for one, other in zip(two, four, strict=False):
        one, other = read_midi(one), read_midi(other)
        np.testing.assert_array_equal(one.pitch, other.pitch)
        np.testing.assert_array_equal(one.start, other.start)


@pytest.mark.parametrize("length", [10, 40], ids=["one within the context", "none"])
def test_ragged_primers_go_on_as_each_would_alone(runs, tmp_path, capsys, length):
    primers = []
    for number, quarters in enumerate((1, 2)):  # 17 and 33 tokens; the model's context has 32
        primers.append(tmp_path / f"primer{number}.mid")
        write_midi(song(number, quarters=quarters), primers[-1])
    words = [runs / "gpt", "--length", length, "-n", 2]
    together = drawn(capsys, *words, "--out", tmp_path / "together.mid", "--primer", *primers)
    apart = [
        path
        for primer in primers
        for path in drawn(capsys, *words, "--out", tmp_path / f"{primer.stem}.out.mid", "--primer", primer)
    ]
    assert len(together) == 4
    for one, other in zip(together, apart, strict=True):
        one, other = read_midi(one), read_midi(other)
        np.testing.assert_array_equal(one.pitch, other.pitch)
        np.testing.assert_array_equal(one.start, other.start)


def test_a_continuation_begins_with_its_primer(runs, tmp_path, capsys):
    primer = song(9, quarters=3)
    write_midi(primer, tmp_path / "primer.mid")
    words = ["--primer", tmp_path / "primer.mid", "--length", 64, "--out", tmp_path / "on.mid"]
    notes = read_midi(drawn(capsys, runs / "gpt", *words)[0])
    early = notes.select(notes.start < primer.duration - 0.01)
    np.testing.assert_array_equal(early.pitch, primer.sorted().pitch)
    assert len(notes) > len(primer)


# -- text --------------------------------------------------------------------------------------------------------------


def test_text_goes_on_from_its_prompts(runs, tmp_path, capsys):
    words = ["--prompt", "the fox", "dog. ", "--length", 30, "--out", tmp_path / "out.txt"]
    path, beside = drawn(capsys, runs / "lstm", *words)
    first, second = path.read_text().split(f"\n\n{'-' * 80}\n\n")
    assert first.startswith("the fox") and len(first) == 37
    assert second.startswith("dog. ") and len(second) == 35
    assert json.loads(beside.read_text())["zoo"]["options"]["prompt"] == ["the fox", "dog. "]


def test_samplers(runs, tmp_path, capsys):
    def text(name: str, *words: object) -> str:
        path, _ = drawn(capsys, runs / "lstm", "-n", 1, "--length", 40, "--out", tmp_path / f"{name}.txt", *words)
        return path.read_text()

    greedy = text("greedy", "--greedy")
    assert len(greedy) == 40
    assert text("top-k", "--top-k", 1) == greedy
    assert text("top-p", "--top-p", 1e-6) == greedy
    assert text("cold", "--temperature", 1e-4) == greedy
    assert text("hot", "--temperature", 2) != greedy
    assert text("min-p", "--min-p", 1) == greedy == text("beam", "--beam", 1)
    assert text("penalty", "--greedy", "--repetition-penalty", 9) != greedy
    (tmp_path / "prompt.txt").write_text("lazy dog")
    assert text("file", "--primer", tmp_path / "prompt.txt").startswith("lazy dog")


def test_a_poem_to_a_form(runs, tmp_path, capsys):
    words = ["--form", "4 3.3", "--prompt", "lazy ", "the", "-n", 2, "--out", tmp_path / "poem.txt"]
    path, _ = drawn(capsys, runs / "lstm", *words)
    poems = path.read_text().split(f"\n\n{'-' * 80}\n\n")
    assert len(poems) == 4 and all(re.fullmatch(r"[a-z]{4} [a-z]{3}\.[a-z]{3}", poem) for poem in poems)
    assert [poem[:5] == "lazy " for poem in poems] == [True, True, False, False]


def test_music_in_a_key(runs, tmp_path, capsys):
    words = ["--key", "D minor", "--temperature", 3, "--length", 200, "-n", 1, "--out", tmp_path / "key.mid"]
    notes = read_midi(drawn(capsys, runs / "gpt", *words)[0])
    assert len(notes) > 5 and set(notes.pitch % 12) <= {2, 4, 5, 7, 9, 10, 0}


# -- faults ------------------------------------------------------------------------------------------------------------

FAULTS = {
    "no run": ("{runs}/nothing", "not a run folder"),
    "no run folder": ("{runs}/pictures", "not a run folder"),
    "music from pictures": ("{runs}/vae --out x.mid", ".png, .gif, .mp4"),
    "pictures from text": ("{runs}/lstm --out x.png", ".txt"),
    "a film of music": ("{runs}/gpt --interpolate 3", "gpt has no latent space; music-vae and groovae have"),
    "a film of text": (
        "{runs}/lstm --interpolate 3",
        "--interpolate is for pictures, voxels, sounds, music and drawings",
    ),
    "a prompt for pictures": ("{runs}/vae --prompt hello", "--prompt is for sequences"),
    "a prompt for music": ("{runs}/gpt --prompt hello", "--primer FILE.mid"),
    "fps of a grid": ("{runs}/vae --fps 12", "--fps is for films"),
    "one file for many": ("{runs}/vae --images --out x.png", "--out be a folder"),
    "no samples": ("{runs}/vae -n 0", "at least 1"),
    "one latent": ("{runs}/vae --interpolate 1", "at least 2"),
    "no time": ("{runs}/vae --interpolate 2 --fps 0", "--fps 0"),
    "too large a seed": ("{runs}/vae --seed 4294967296", "below 2**32"),
    "no temperature": ("{runs}/lstm --temperature 0", "--greedy"),
    "a wrong top-p": ("{runs}/lstm --top-p 1.5", "at most 1"),
    "greedy and hot": ("{runs}/lstm --greedy --temperature 2", "leave out"),
    "beams that draw": ("{runs}/lstm --beam 3 --min-p 0.1", "--beam draws nothing: leave out --min-p"),
    "more than beams": ("{runs}/lstm --beam 3 -n 4", "fewer with -n"),
    "a key of text": ("{runs}/lstm --key C", "--key is for music"),
    "an unknown key": ("{runs}/gpt --key H", "no key is called 'H'"),
    "a poem of music": ("{runs}/gpt --form 5/5", "--form is for text"),
    "no letters": ("{runs}/lstm --form abc", "how many letters"),
    "a prompt of another form": ("{runs}/lstm --form 4.4 --prompt the.", "not of the --form"),
    "no penalty": ("{runs}/lstm --penalty hf", "give that too"),
    "no encoder": ("{runs}/gpt --reconstruct x", "--reconstruct is for pictures"),
    "nothing to reconstruct": ("{runs}/vae --reconstruct {runs}/songs", "no .png"),
    "a member of one": ("{runs}/vae --member 1", "single run"),
    "a step that was not saved": ("{runs}/vae --step 9", "checkpoints of {runs}/vae: 1, 2"),
    "a primer that is not there": ("{runs}/gpt --primer {runs}/no.mid", "no.mid: No such file"),
    "a primer that is no MIDI": ("{runs}/gpt --primer {runs}/text.txt", "not a MIDI file"),
    "a strange character": ("{runs}/lstm --prompt €", "not in the alphabet"),
    "a folder that cannot be": ("{runs}/vae --out {runs}/text.txt/x.png", "cannot make the folder"),
    "an unknown option": ("{runs}/vae --size 3", "--size"),
    "too fast for a GIF": ("{runs}/vae --interpolate 2 --frames 2 --fps 99 --out {runs}/x.gif", "50 frames a second"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_exit_code_2(runs, capsys, fault):
    words, reason = FAULTS[fault]
    code = main(words.format(runs=runs).split())
    output = capsys.readouterr()
    assert code == 2
    assert output.out == ""
    assert output.err.startswith("zoo-sample: ") and output.err.count("\n") == 1
    assert reason.format(runs=runs) in output.err


def test_help_needs_no_jax():
    script = (
        "import sys; from sample.__main__ import main\ntry: main(['--help'])\nfinally: assert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0 and "--temperature" in done.stdout, done.stderr


# -- latents -----------------------------------------------------------------------------------------------------------


def test_slerp_goes_along_the_great_circle():
    a, b = jnp.array([3.0, 0, 0]), jnp.array([0, 5.0, 0])
    halfway = slerp(a, b, jnp.float32(0.5))
    np.testing.assert_allclose(halfway, [4 / 2**0.5, 4 / 2**0.5, 0], rtol=1e-6)
    third = slerp(a, b, jnp.float32(1 / 3))
    np.testing.assert_allclose(jnp.arctan2(third[1], third[0]), np.pi / 6, rtol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(third), 3 + 2 / 3, rtol=1e-6)


def test_slerp_ends_where_it_should_and_keeps_norms():
    a, b = jax.random.normal(jax.random.key(0), (2, 7, 50))
    np.testing.assert_allclose(slerp(a, b, jnp.zeros(7)), a, atol=1e-6)
    np.testing.assert_allclose(slerp(a, b, jnp.ones(7)), b, atol=2e-6)
    norms = [jnp.linalg.norm(x, axis=-1) for x in (a, slerp(a, b, jnp.full(7, 0.25)), b)]
    np.testing.assert_allclose(norms[1], 0.75 * norms[0] + 0.25 * norms[2], rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 2.0, 1 + 1e-6, -1.0, -3.0, 0.0])
def test_slerp_of_parallel_opposite_and_zero_vectors(factor):
    a = jax.random.normal(jax.random.key(1), (50,))
    walk = slerp(jnp.tile(a, (9, 1)), jnp.tile(factor * a, (9, 1)), jnp.linspace(0, 1, 9))
    size = jnp.linalg.norm(a)
    np.testing.assert_allclose(
        jnp.linalg.norm(walk, axis=-1), size * np.linspace(1, abs(factor), 9), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(walk[-1], factor * a, atol=1e-5)
    if factor < 0:  # a half circle: straight through the middle would be no direction at all
        np.testing.assert_allclose(walk[4] @ a, 0, atol=1e-3)


def test_a_closed_loop_passes_every_latent_and_comes_home_evenly():
    latents = jax.random.normal(jax.random.key(2), (3, 20))
    loop = closed_loop(latents, 12)
    np.testing.assert_allclose(loop[::4], latents, atol=1e-6)
    np.testing.assert_allclose(loop[11], slerp(latents[2], latents[0], jnp.float32(0.75)), atol=1e-6)
