"""What ``zoo-sample`` may be told, and where its files go. Imports nothing heavy: ``--help`` answers at once."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.errors import UserError

MANY = "36 pictures or drawings, 2500 points, 16 objects of voxels, 9 videos, 8 sounds, 1 film, 4 pieces, 2 texts"
THROUGH = 8  # latents of a film
SECONDS_EACH = 1.25  # of a film, from one latent to the next

DOES = {
    "image": "makes pictures",
    "points": "draws points",
    "voxels": "builds objects of voxels",
    "video": "makes videos",
    "audio": "makes sounds",
    "music": "makes music",
    "text": "writes text",
    "drawing": "draws lines",
}
SUFFIXES = {
    "image": (".png", ".gif", ".mp4", ".npz", ".svg"),
    "points": (".png",),
    "voxels": (".png", ".gif", ".mp4", ".npz", ".vox"),
    "video": (".gif", ".mp4", ".png", ".npz"),
    "audio": (".wav", ".png", ".npz"),
    "music": (".mid", ".wav", ".png"),
    "text": (".txt",),
    "drawing": (".svg", ".png"),
}
FILMS = (".gif", ".mp4")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything ``zoo-sample`` may be told about a run's samples."""

    n: int | None = None
    """How many samples (default: 36 pictures or drawings, 2500 points, 16 objects of voxels, 9 videos, 8 sounds, 1
    film, 4 pieces, 2 texts; with prompts 1 of each)."""
    seed: int = 0
    """Of all draws: the same seed gives the same files."""
    out: str | None = None
    """A folder, or a file whose suffix says what to write: .png .gif .mp4 of pictures and videos, .svg of paintings
    made of strokes, .npz .vox of voxels, .wav .png .npz of sounds, .mid .wav .png of music, .txt, .svg .png of drawings
    (default: into RUN/samples)."""
    step: int | None = None
    """Which checkpoint (default: the newest)."""
    member: int | None = None
    """Which one of a population (default: the first)."""
    images: bool = False
    """Pictures and drawings: a file each instead of a grid."""
    interpolate: int | None = None
    """Pictures, voxels: a film through so many latents and back to the first. Music, sounds: so many from one to
    another, one after the other; of music the two are --primer's. Drawings: so many in a row from one to another,
    --primer's two or new ones."""
    music: str | None = None
    """Decoders of pictures: a film that moves with a MIDI or WAV file, and carries it: strokes push it on through
    --interpolate latents (8), loudness drives it, and harmony says how much of each class there is."""
    frames: int | None = None
    """Films: frames in all (default: 1.25 seconds from each latent to the next, 3 seconds for a turn of voxels, of
    videos as many as in training, of films that are translated and with --music all of them)."""
    fps: float = 24.0
    """Films: frames a second (of videos, if not said, those of the data; of films that are translated, theirs)."""
    vary: Literal["motion", "content"] | None = None
    """Videos: one content with many motions, or one motion of many contents."""
    label: int | str | None = None
    """Pictures: which class, of models that know classes, by number or by name (default: random ones). With
    --translate of music: the style that it is to have."""
    truncation: float | None = None
    """Pictures: below 1 nearer to the mean style, more typical and less various (StyleGAN2)."""
    space: Literal["z", "w"] = "z"
    """Films of models with styles: the way leads through latents, or through styles (StyleGANs)."""
    mix: int | None = None
    """Models with styles: a table of so many pictures' coarse styles with as many others' fine ones (StyleGANs)."""
    cross: int | None = None
    """With --mix: the layer from which on styles are the other's (default: half way)."""
    genes: int | None = None
    """Decoders of pictures: so many directions that change them the most, each as a row from -3 to 3 standard
    deviations around -n pictures; also as .npz."""
    by: Literal["pca", "sefa"] = "pca"
    """With --genes: principal components, or what the layers stretch the most (StyleGANs)."""
    breed: str | None = None
    """Decoders of pictures: children of two samples, by their numbers in this seed's grid: 3,7; the parents first."""
    ratio: float = 0.5
    """With --breed: 0 is the first parent, 1 the second."""
    mutation: float = 0.2
    """With --breed: how far from there each child is, towards a picture of its own."""
    project: str | None = None
    """Decoders of pictures: a picture, or a folder of them, beside the nearest that the model can make."""
    effort: int = 400
    """With --project: steps of the search."""
    reconstruct: str | None = None
    """Autoencoders: a picture or an SVG drawing, or a folder of them, beside what the model makes of it."""
    finish: str | None = None
    """Drawings: an SVG drawing that is begun, beside -n (4) ways of finishing it, and below it beside -n drawings of
    the training data that began alike."""
    complete: str | None = None
    """Models that draw row by row: a picture whose upper half is kept."""
    translate: str | None = None
    """Translators: a picture, or a folder of them, to be translated; a file each, or one sheet with --out FILE.png. Or
    a film, .gif or .mp4, of which a film is made (its first --frames of them). Of music: a MIDI file, or a folder of
    them, in the style that --label names (midi-style)."""
    steady: float = 0.0
    """Films that are translated: below 1, how much of a frame is what the one before showed, carried along with what
    moves (0.8 flickers little)."""
    back: bool = False
    """Translators between two sets: from the second to the first."""
    looks: tuple[str, ...] = ()
    """Translators that take any look: the pictures that have it; of several, a mixture."""
    shares: tuple[float, ...] = ()
    """With --looks: how much each counts (default: all the same)."""
    regions: str | None = None
    """With --looks: a map as a picture, of 0 where the first look is to be, 1 where the second, and so on."""
    strength: float = 1.0
    """With --looks: how much of them, from 0 to 1. With --translate and --caption: how little is kept beside the
    words."""
    keep_colours: bool = False
    """With --looks: the colours of the picture that is translated."""
    keep_size: bool = False
    """Translators: whole pictures in their own sizes (default: their centre squares, in the size of the training)."""
    held_out: bool = False
    """Models of sound and picture: pairs that training has not seen, and what the model calls them, or which pictures
    it finds for a sound."""
    caption: tuple[str, ...] = ()
    """Pictures of words: what they should show; several captions are a row each, of -n (8) pictures. With --translate:
    what is to become of a picture."""
    candidates: int | None = None
    """With --caption: of how many pictures each is the one that fits the words best (8)."""
    prompt: tuple[str, ...] = ()
    """Text: what to go on from; several at once are fine."""
    primer: tuple[str, ...] = ()
    """Sequences: files to go on from, .mid, .txt or .svg; music also from a picture, .png or .jpg, which is played."""
    length: int | None = None
    """Sequences: tokens, or frames of a roll, behind the prompt (default: 500 of text, 1024 of music, 256 frames)."""
    temperature: float = 1.0
    """Sequences: below 1 the probable becomes more so."""
    top_k: int | None = None
    """Sequences: draw from the K most probable tokens only."""
    top_p: float | None = None
    """Sequences: draw from the smallest set of tokens whose probability reaches this."""
    min_p: float | None = None
    """Sequences: draw from the tokens at least this times as probable as the best one."""
    typical: float | None = None
    """Sequences: draw from tokens about as surprising as one expects, of this probability together."""
    greedy: bool = False
    """Sequences: always the most probable token."""
    beam: int | None = None
    """Sequences: no draws; search with so many beams, and give the best -n of them."""
    repetition_penalty: float | None = None
    """Sequences: above 1 what was read or written before becomes less probable (CTRL)."""
    penalty: Literal["logprob", "paper", "hf"] = "logprob"
    """What --repetition-penalty is applied to: log-probabilities, logits as CTRL's paper has it, or as Hugging Face."""
    key: str | None = None
    """Music: strike only what is in a key, "D minor", "Eb major"."""
    harmonise: str | None = None
    """Music of four voices: a MIDI file whose melody gets the other three."""
    infill: str | None = None
    """Music of four voices: bars of a --primer to write anew, such as 3-4; a bar has four quarter notes."""
    play: str | None = None
    """Drums: a MIDI file that is played anew: a score humanised, taps drummed, a groove reconstructed (groovae)."""
    density: float | None = None
    """Music: notes a second (performance-rnn)."""
    pitches: str | None = None
    """Music: how much of each pitch class, "C,E,G" or "C:2,Eb:1,G:1" (performance-rnn)."""
    guidance: float | None = None
    """With --harmonise, --code, --density, --pitches or --caption (3): above 1 the model heeds it more (models that
    know how to do without)."""
    code: str | None = None
    """Text: what kind to write, one that the model has learnt from (CTRL)."""
    by_heart: bool | None = None
    """Music and text: tell how much of each sample stands in the training data (default: where reading that takes
    seconds)."""
    form: str | None = None
    """Text: a poem's form; a number is so many letters, all else stands for itself: "5，5。5，5。", "7/7/7/7"."""

    def told(self) -> dict[str, Any]:
        """What differs from the defaults, for the files' metadata: those hold seed and step already, and where they
        lie changes nothing in them."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("out", "seed", "step")]
        changed = {name: getattr(self, name) for name in names}
        defaults = vars(Options())
        return {name: value for name, value in changed.items() if value != defaults[name]}


LOOKS = ("shares", "regions", "strength", "keep_colours")  # what else is said of looks
TRANSLATION = ("back", "keep_size", "steady", "looks", *LOOKS)
SPACE = ("space", "mix", "cross", "genes", "by", "breed", "ratio", "mutation", "project", "effort")
SHEETS = ("mix", "genes", "breed", "project", "reconstruct", "complete", "translate", "interpolate", "held_out")
DRAWS = ("temperature", "top_k", "top_p", "min_p", "typical")
CUTS = (*DRAWS[1:], "beam", "repetition_penalty", "penalty")
WORDS = ("caption", "candidates")

# What options are for, in words; the media that have it; the options.
SUITS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("pictures and music", ("image", "music"), ("label", "translate")),
    ("pictures", ("image",), ("truncation", "complete", "music", "held_out", *WORDS, *TRANSLATION, *SPACE)),
    ("films", ("image", "voxels", "video"), ("frames", "fps")),
    ("videos", ("video",), ("vary",)),
    ("pictures and drawings", ("image", "drawing"), ("images", "reconstruct")),
    (
        "pictures, voxels, sounds, music and drawings",
        ("image", "voxels", "audio", "music", "drawing"),
        ("interpolate",),
    ),
    ("sequences", ("music", "text"), ("prompt", "length", "by_heart", *CUTS)),
    ("sequences and pictures of words", ("music", "text", "image"), ("guidance",)),
    ("sequences and drawings", ("music", "text", "drawing"), ("primer", "temperature", "greedy")),
    ("drawings", ("drawing",), ("finish",)),
    ("music", ("music",), ("key", "harmonise", "infill", "play", "density", "pitches")),
    ("text", ("text",), ("prompt", "form", "code")),
)
# An option; those that it leaves no room for; why.
EXCLUDES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("harmonise", ("primer", "infill", "beam"), "takes its melody and nothing else"),
    ("play", ("primer", "interpolate", "harmonise", "infill", "beam"), "takes its file and nothing else"),
    ("finish", ("primer", "interpolate", "reconstruct", "images"), "takes its drawing and nothing else"),
    ("greedy", DRAWS, "draws nothing"),
    ("beam", (*DRAWS, "greedy"), "draws nothing"),
    ("translate", ("images",), "writes translations"),
    (
        "translate",
        ("primer", "prompt", "harmonise", "infill", "play", "beam", "length", "key", "density", "pitches"),
        "takes its files and nothing else",
    ),
    ("music", ("n", "images", *(name for name in SHEETS if name != "interpolate")), "makes one film"),
    ("held_out", ("images",), "writes one sheet"),
    ("caption", ("label", *(name for name in SHEETS if name != "translate")), "makes pictures of its words"),
    ("candidates", ("translate",), "is for new pictures"),
    ("regions", ("shares",), "says where each look is to be"),
    ("reconstruct", ("images",), "writes one sheet"),
    ("mix", ("n", "images"), "writes one table"),
    ("genes", ("images",), "writes one sheet"),
    ("project", ("images",), "writes one sheet"),
    *((name, SHEETS[at + 1 :], "writes a sheet of its own") for at, name in enumerate(SHEETS[:-1])),
)
# An option; those of which it needs one; why.
NEEDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("infill", ("primer",), "writes bars of a piece anew: give it as --primer FILE.mid"),
    (
        "guidance",
        ("harmonise", "code", "density", "pitches", "caption"),
        "is for --harmonise, --code, --density, --pitches and --caption",
    ),
    ("candidates", ("caption",), "is for pictures of words: add --caption TEXT"),
    ("penalty", ("repetition_penalty",), "says how --repetition-penalty is meant: give that too"),
    ("back", ("translate",), "is for translations: add --translate DIR"),
    ("cross", ("mix",), "says where styles cross: add --mix N"),
    ("by", ("genes",), "says how directions are found: add --genes N"),
    ("ratio", ("breed",), "is between two parents: add --breed A,B"),
    ("mutation", ("breed",), "is of children: add --breed A,B"),
    ("effort", ("project",), "is for projections: add --project FILE"),
    ("keep_size", ("translate",), "is for translations: add --translate DIR"),
    ("steady", ("translate",), "is for films that are translated: add --translate FILM.mp4"),
    ("looks", ("translate",), "are for translations: add --translate DIR"),
    *((name, ("looks",), "is of looks: add --looks FILE") for name in LOOKS if name != "strength"),
    ("strength", ("looks", "caption"), "is of looks, or of words: add --looks FILE or --caption TEXT"),
)
LEAST = {
    "n": 1, "seed": 0, "interpolate": 2, "frames": 1, "length": 1, "top_k": 1, "beam": 1, "density": 0, "mix": 1,
    "genes": 1, "effort": 1, "candidates": 1,
}  # fmt: skip
SHARES = ("top_p", "min_p", "typical")


def check(options: Options, media: str, name: str) -> None:
    """UserError where a value is out of its range, or means nothing to a model of this medium or beside the others."""
    check_ranges(options)
    told = options.told()
    for things, known, names in SUITS:
        strange = [option for option in names if option in told]
        if strange and media not in known:
            hint = ": give it a --primer FILE.mid" if strange[0] == "prompt" and media == "music" else ""
            raise UserError(f"{flag(strange[0])} is for {things}; {name} {DOES[media]}{hint}")
    for option, others, why in NEEDS:
        if option in told and not any(other in told for other in others):
            raise UserError(f"{flag(option)} {why}")
    for option, others, why in EXCLUDES:
        strange = [other for other in others if other in told]
        if option in told and strange:
            raise UserError(f"{flag(option)} {why}: leave out {', '.join(map(flag, strange))}")
    if options.infill is not None and len(options.primer) != 1:
        raise UserError("--infill writes bars of one piece anew: give one --primer FILE.mid")
    if options.beam is not None and (options.n or 1) > options.beam:
        raise UserError(f"--beam {options.beam} gives at most so many: ask for fewer with -n")


def check_ranges(options: Options) -> None:
    """UserError where a number is out of its range."""
    for option, least in LEAST.items():
        value = getattr(options, option)
        if value is not None and not value >= least:
            raise UserError(f"{flag(option)} {value}: it must be at least {least}")
    if options.seed >= 2**32:
        raise UserError(f"--seed {options.seed}: it must be below 2**32")
    if not 0.1 <= options.fps <= 1000:
        raise UserError(f"--fps {options.fps:g}: it must be in 0.1 .. 1000")
    if not options.temperature > 0:
        raise UserError(f"--temperature {options.temperature:g}: it must be above 0; --greedy is its limit")
    for option in ("ratio", "mutation", "strength"):
        if not 0 <= getattr(options, option) <= 1:
            raise UserError(f"{flag(option)} {getattr(options, option):g}: it must be from 0 to 1")
    if not 0 <= options.steady < 1:
        raise UserError(f"--steady {options.steady:g}: it must be at least 0 and below 1")
    for option in SHARES:
        value = getattr(options, option)
        if value is not None and not 0 < value <= 1:
            raise UserError(f"{flag(option)} {value:g}: it must be above 0 and at most 1")
    if options.repetition_penalty is not None and not options.repetition_penalty > 0:
        raise UserError(f"--repetition-penalty {options.repetition_penalty:g}: it must be above 0; 1 is none")


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
