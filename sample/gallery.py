"""``python -m sample.gallery [NAME ...]``: a small training of each preset, and what it draws, for a page of them all.

Every run is a command that a user has, of minutes on two cores: smaller networks, shorter trainings. What comes out is
drawn with a fixed seed, the first that came.
"""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from train.pages import restart_with_large_pages
from zoo.catalog import entry
from zoo.codecs import CodecError
from zoo.errors import UserError

SEED = 1
# A dispatch of as many steps as lie between two lines of the log is the only one that is compiled.
COMMON = "--log-every 10 --dispatch 10 --save-every 1000000 --sample-every 1000000"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a preset is told here."""

    train: str
    """Options of zoo-train."""
    sample: str = "-n 16"
    """Options of zoo-sample."""
    suffix: str = ".png"


_ART = "--data art --batch-size 32"
_CLASSES = "--data art?family=ridges,bloom,spiral,glass --batch-size 32"
_STYLES = "--batch-size 16 --model.base 1024 --model.widest 64 --model.mapping 4 --ema 0.995"
_LINES = "--data doodles --batch-size 64 --model.width 192 --steps 2500"
_LATENT_MUSIC = "--model.width 128 --model.encoder-width 128 --batch-size 64 --steps 1500"
_TEXT = "--batch-size 32 --model.context 128 --model.width 128"
_EVENTS = "--batch-size 32 --model.context 128 --model.width 192 --steps 1500"
_VOICES = "--data bach?steps=2 --steps 1200 --batch-size 32 --model.context 128 --model.width 192"
_ROLL = "--steps 1000 --model.width 192"


def _image(train: str) -> Piece:
    return Piece(train=train)


def _music(train: str, length: int | None = None) -> Piece:
    return Piece(train=train, sample="-n 1" + (f" --length {length}" if length else ""))


def _text(train: str, sample: str = "-n 1 --length 300") -> Piece:
    return Piece(train=train, sample=sample, suffix=".txt")


PIECES: Mapping[str, Piece] = {
    "dcgan": _image(f"{_ART} --steps 3000 --model.width 32 --ema 0.995 --optim.learning-rate 8e-4"),
    "wgan-gp": _image(
        f"{_ART} --model.image-size 32 --model.width 16 --steps 6000 --optim.learning-rate 4e-4 --ema 0.995"
    ),
    "cgan": _image(
        f"{_CLASSES} --model.image-size 32 --model.width 16 --steps 5000 --optim.learning-rate 4e-4 --ema 0.995"
    ),
    "biggan": _image(f"{_CLASSES} --model.width 16 --steps 3000 --ema 0.995"),
    "progressive": _image(
        "--data art?size=32 --batch-size 16 --model.image-size 32 --model.base 512 --model.widest 64 --steps 5000 "
        "--ema 0.995"
    ),
    "stylegan": _image(f"--data art {_STYLES} --steps 3000"),
    "stylegan2": _image(f"--data art {_STYLES} --steps 4000"),
    "stylegan2-ada": _image(f"--data art?count=1000 {_STYLES} --steps 4000"),
    "r3gan": _image(f"{_ART} --model.width 16 --steps 2000 --ema 0.995"),
    "pix2pix": _image("--data sketch?size=64 --steps 3000 --batch-size 4"),
    "pix2pixhd": _image(
        "--data sketch?size=64 --model.image-size 64 --model.width 8 --model.critic-width 16 --model.blocks 3 "
        "--steps 2000 --batch-size 4"
    ),
    "spade": _image(
        "--data regions?size=32 --model.image-size 32 --model.width 8 --model.critic-layers 2 --steps 4000"
    ),
    "cyclegan": _image("--data seasons?size=32 --model.image-size 32 --model.width 16 --steps 3000 --batch-size 4"),
    "animegan": _image("--data seasons?size=32 --model.image-size 32 --model.width 16 --model.first 300 --steps 3000"),
    "neural-style": Piece(
        train="--data pair?size=256&seed=3 --batch-size 1 --steps 500 --model.style 30", sample="-n 1"
    ),
    "fast-style": _image(
        "--data seasons?size=64 --model.image-size 64 --model.width 16 --model.blocks 3 --steps 1500 --batch-size 4"
    ),
    "video-style": _image(
        "--data seasons?size=64 --model.image-size 64 --model.width 16 --model.blocks 3 --steps 1500 --batch-size 4"
    ),
    **dict.fromkeys(
        ("fusion", "tower", "tower-invariant"),
        Piece(train="--data chimes --steps 1000 --batch-size 64", sample="--held-out -n 18"),
    ),
    "nca": Piece(
        train="--data picture?size=32&channels=4&seed=3 --model.units 64 --model.pool 64 --model.growing 4 "
        "--model.damage 1 --model.least 32 --model.most 48 --steps 2000",
        sample="-n 4",
    ),
    "ifs": Piece(train="--data picture?seed=3&size=96 --steps 800", sample="-n 1"),
    "painter": Piece(train="--data picture?seed=3&size=128 --batch-size 1 --steps 600 --model.count 90", sample="-n 1"),
    "adain": _image(
        "--data looks?size=64 --model.image-size 64 --model.width 16 --steps 3000 --optim.learning-rate 1e-3"
    ),
    "texture": Piece(train="--data pair?size=192&seed=3 --batch-size 1 --model.size 192 --steps 1500", sample="-n 1"),
    "audio-style": Piece(
        train="--data pair?of=sounds&rate=8000 --batch-size 1 --model.filters 512 --steps 500", sample="-n 1"
    ),
    "gan2d": Piece(train="--data ring --steps 20000", sample="-n 2500"),
    "voxgan": Piece(train="--data solids?size=16 --model.width 16 --steps 3000 --ema 0.995", sample="-n 8"),
    "mocogan": Piece(
        train="--data bounce?size=16 --model.image-size 16 --model.width 16 --steps 4000 --ema 0.995", sample="-n 4"
    ),
    "wavegan": Piece(
        train="--data plucks?rate=4000 --model.length 4096 --model.width 8 --steps 3000 --ema 0.99", sample="-n 4"
    ),
    "musegan": _music("--model.width 8 --steps 4000 --batch-size 32 --ema 0.995"),
    "seqgan": _text("--model.width 64 --model.context 48 --steps 800", sample="-n 3"),
    "vae": _image(f"{_ART} --steps 3000 --model.width 256 --ema 0.99"),
    "vae-conv": _image(f"{_ART} --steps 2500 --ema 0.99"),
    "infovae": _image(f"{_ART} --steps 2500 --ema 0.99"),
    "vae-gae": _image(f"{_ART} --steps 2500 --ema 0.99"),
    "vqvae": _image(f"{_ART} --model.width 32 --model.residual-width 16 --steps 2500"),
    "vqvae2": _image("--data art?size=32 --batch-size 16 --model.image-size 32 --model.width 32 --steps 2000"),
    "sketch-rnn": _image(f"{_LINES} --model.encoder-width 96"),
    "sketch-rnn-free": _image(_LINES),
    "music-vae": _music(_LATENT_MUSIC),
    "groovae": _music(_LATENT_MUSIC),
    "gpt": _music("--data bach?steps=2 --steps 1000 --batch-size 16 --model.context 128 --model.width 128", 512),
    "music-transformer": _music(
        "--batch-size 8 --model.context 128 --model.width 128 --model.inner 256 --steps 1500", 400
    ),
    "transformer-xl": _text(f"{_TEXT} --steps 800"),
    "bert": _text(f"{_TEXT} --steps 1500", sample="-n 1"),
    "ctrl": _text(f"{_TEXT} --steps 800"),
    "image-gpt": _image("--batch-size 16 --model.width 128 --model.layers 4 --steps 1500"),
    "seq2seq": _music("--data bach?steps=2 --model.width 128 --model.context 128 --batch-size 16 --steps 1500"),
    "text-to-image": Piece(
        train="--data figures --batch-size 32 --model.width 96 --model.layers 2 --model.codes 128 "
        "--model.picture-width 32 --model.residual-width 16 --steps 6000",
        sample="--caption 'a large blue spiral on a dark ground' 'a yellow moon on a dark ground' 'a small red star' "
        "'a large green flower on a light ground' 'a purple square' -n 5",
    ),
    "midi-style": _music("--batch-size 32 --model.width 192 --model.encoder-width 192 --steps 1500"),
    "coconet": _music("--model.width 32 --model.layers 8 --batch-size 8 --steps 1500"),
    **{name: _music(_VOICES, 512) for name in ("lstm", "gru", "rnn")},
    **{name: _music(_ROLL, 64) for name in ("lstm-roll", "gru-roll", "rnn-roll")},
    "rnn-nade": _music(f"{_ROLL} --model.hidden 64", 64),
    "performance-rnn": _music(_EVENTS, 300),
    "piano-composer": _music("--batch-size 32 --model.width 128 --steps 1500", 120),
    "piano-composer-events": _music(_EVENTS, 300),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sample.gallery", description="Trains presets, and keeps what they draw."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PIECES)} (default: those without one)")
    parser.add_argument("--runs", default="runs/gallery", type=Path, metavar="DIR", help="where the runs lie")
    parser.add_argument("--out", default=ROOT / "docs" / "gallery", type=Path, metavar="DIR")
    arguments = parser.parse_args(argv)
    try:
        for name in arguments.names:
            if name not in PIECES:
                entry(name)
                raise UserError(f"{name} has no piece here; there are {', '.join(PIECES)}")
        names = arguments.names or [name for name in PIECES if not picture_of(name, arguments.out).exists()]
        for number, name in enumerate(names, 1):
            print(f"[{number}/{len(names)}] {name}", flush=True)
            began = time.monotonic()
            code = make(name, arguments.runs / name, arguments.out)
            if code:
                return code
            print(f"{picture_of(name, arguments.out)}: {time.monotonic() - began:.0f} s", flush=True)
        return 0
    except (UserError, CodecError) as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def picture_of(name: str, out: Path) -> Path:
    return out / f"{name}{PIECES[name].suffix}"


def make(name: str, run: Path, out: Path) -> int:
    """Trains, or goes on where it was, and draws; returns the exit code."""
    from sample.__main__ import main as zoo_sample
    from sample.demo import steps_done
    from train.__main__ import main as zoo_train
    from train.cli import parse

    piece = PIECES[name]
    words = [name, *f"{COMMON} {piece.train}".split(), "--out", str(run)]
    code = zoo_train([*words, *(["--resume"] if run.exists() else [])])
    if code == 0 and steps_done(run) < (parse(words)[0].options.steps or 0):  # a SIGTERM, after which it exits with 0
        code = 128 + signal.SIGTERM
    if code:
        return code
    out.mkdir(parents=True, exist_ok=True)
    return zoo_sample([str(run), *shlex.split(piece.sample), "--seed", str(SEED), "--out", str(picture_of(name, out))])


if __name__ == "__main__":
    restart_with_large_pages()
    sys.exit(main())
