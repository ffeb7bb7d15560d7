"""What ``zoo-sample`` may be told, and where its files go. Imports nothing heavy: ``--help`` answers at once."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError

THROUGH = 8  # latents of a film
SECONDS_EACH = 1.25  # of a film, from one latent to the next

DOES = {"image": "makes pictures", "points": "draws points", "music": "makes music", "text": "writes text"}
SUFFIXES = {
    "image": (".png", ".gif", ".mp4"),
    "points": (".png",),
    "music": (".mid", ".wav", ".png"),
    "text": (".txt",),
}
FILMS = (".gif", ".mp4")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything ``zoo-sample`` may be told about a run's samples."""

    n: int | None = None
    """How many samples (default: 36 pictures, 2500 points, 1 film, 4 pieces, 2 texts; with prompts 1 of each)."""
    seed: int = 0
    """Of all draws: the same seed gives the same files."""
    out: str | None = None
    """A folder, or a file whose suffix says what to write: .png .gif .mp4 of pictures, .mid .wav .png of music, .txt
    (default: into RUN/samples)."""
    step: int | None = None
    """Which checkpoint (default: the newest)."""
    member: int | None = None
    """Which one of a population (default: the first)."""
    images: bool = False
    """Pictures: a file each instead of a grid."""
    interpolate: int | None = None
    """Pictures: a film through so many latents and back to the first."""
    frames: int | None = None
    """Films: frames in all (default: 1.25 seconds from each latent to the next)."""
    fps: float = 24.0
    """Films: frames a second."""
    label: int | None = None
    """Pictures: which class, of models that know classes (default: random ones)."""
    truncation: float | None = None
    """Pictures: below 1 nearer to the mean style, more typical and less various (StyleGAN2)."""
    reconstruct: str | None = None
    """Autoencoders: a picture, or a folder of them, beside what the model makes of it."""
    translate: str | None = None
    """Translators: a picture, or a folder of them, to be translated; a file each, or one sheet with --out FILE.png."""
    back: bool = False
    """Translators between two sets: from the second to the first."""
    keep_size: bool = False
    """Translators: whole pictures in their own sizes (default: their centre squares, in the size of the training)."""
    prompt: tuple[str, ...] = ()
    """Text: what to go on from; several at once are fine."""
    primer: tuple[str, ...] = ()
    """Music and text: files to go on from, .mid or .txt."""
    length: int | None = None
    """Sequences: tokens, or frames of a roll, behind the prompt (default: 500 of text, 1024 of music, 256 frames)."""
    temperature: float = 1.0
    """Sequences: below 1 the probable becomes more so."""
    top_k: int | None = None
    """Sequences: draw from the K most probable tokens only."""
    top_p: float | None = None
    """Sequences: draw from the smallest set of tokens whose probability reaches this."""
    greedy: bool = False
    """Sequences: always the most probable token."""

    def told(self) -> dict[str, Any]:
        """What differs from the defaults, for the files' metadata: those hold seed and step already, and where they
        lie changes nothing in them."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("out", "seed", "step")]
        changed = {name: getattr(self, name) for name in names}
        defaults = vars(Options())
        return {name: value for name, value in changed.items() if value != defaults[name]}


PICTURES = ("images", "interpolate", "frames", "fps", "label", "truncation", "reconstruct", "translate")
PICTURES += ("back", "keep_size")
SEQUENCES = ("prompt", "primer", "length", "temperature", "top_k", "top_p", "greedy")
KIND = {"image": "pictures", "points": "points", "music": "sequences", "text": "sequences"}
_BOUNDS = {"n": 1, "seed": 0, "interpolate": 2, "frames": 1, "length": 1, "top_k": 1}


def check(options: Options, media: str, name: str) -> None:
    """UserError where a value is out of its range, or means nothing to a model of this medium."""
    for option, least in _BOUNDS.items():
        value = getattr(options, option)
        if value is not None and value < least:
            raise UserError(f"{flag(option)} {value}: it must be at least {least}")
    if options.seed >= 2**32:
        raise UserError(f"--seed {options.seed}: it must be below 2**32")
    if not 0.1 <= options.fps <= 1000:
        raise UserError(f"--fps {options.fps:g}: it must be in 0.1 .. 1000")
    if not options.temperature > 0:
        raise UserError(f"--temperature {options.temperature:g}: it must be above 0; --greedy is its limit")
    if options.top_p is not None and not 0 < options.top_p <= 1:
        raise UserError(f"--top-p {options.top_p:g}: it must be above 0 and at most 1")
    told = options.told()
    for things, known in (("pictures", PICTURES), ("sequences", SEQUENCES)):
        strange = [option for option in known if option in told]
        if strange and things != KIND[media]:
            raise UserError(f"{flag(strange[0])} is for {things}; {name} {DOES[media]}")
    if options.prompt and media != "text":
        raise UserError(f"--prompt is for text; {name} {DOES[media]}: give it a --primer FILE.mid")
    if options.greedy and {"temperature", "top_k", "top_p"} & told.keys():
        raise UserError("--greedy draws nothing: leave out --temperature, --top-k and --top-p")
    if options.translate is None and (options.back or options.keep_size):
        raise UserError(f"{flag('back' if options.back else 'keep_size')} is for translations: add --translate DIR")
    if options.translate and (options.reconstruct or options.interpolate or options.images):
        raise UserError("--translate writes translations; leave out --reconstruct, --interpolate and --images")
    if options.reconstruct and (options.interpolate or options.images):
        raise UserError("--reconstruct writes one picture; leave out --interpolate and --images")


def flag(option: str) -> str:
    return "-n" if option == "n" else f"--{option.replace('_', '-')}"


@dataclass(frozen=True)
class Target:
    """Where files go: ``stem`` and one of ``kinds`` each. ``kinds`` is None where all that suits may be written."""

    stem: Path
    kinds: tuple[str, ...] | None


def target(options: Options, media: str, name: str, *, folder: Path, stem: str) -> Target:
    """Reads --out. ``folder`` and ``stem`` are what it is when nothing is said; a folder gets files called ``stem``."""
    if options.out is None:
        return made(Target(folder / stem, None))
    path = Path(options.out).expanduser()
    if path.is_dir() or options.out.endswith("/") or not path.suffix:
        return made(Target(path / stem, None))
    if path.suffix not in SUFFIXES[media]:
        fitting = ", ".join(SUFFIXES[media])
        raise UserError(f"--out {options.out}: {name} {DOES[media]}; it can write {fitting}, or into a folder (DIR/)")
    return made(Target(path.with_suffix(""), (path.suffix,)))


def made(place: Target) -> Target:
    """The same, in a folder that exists."""
    parent = place.stem.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {parent}: {error.strerror}; choose another --out") from error
    return place


def wanted(place: Target, suits: Iterable[str], *, what: str) -> tuple[str, ...]:
    """The forms to write: those that suit, or the one that was asked for."""
    suits = tuple(suits)
    if place.kinds is None:
        return suits
    if not set(place.kinds) <= set(suits):
        raise UserError(f"--out with {place.kinds[0]}: {what} can be written as {', '.join(suits)}")
    return place.kinds
