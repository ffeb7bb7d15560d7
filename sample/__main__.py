"""``python -m sample RUN`` and ``zoo-sample RUN``: draws from a run."""

import sys
from pathlib import Path
from typing import Any

from sample.command import ended, understood
from sample.options import MANY, Options, check, target


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return ended("zoo-sample", lambda: draw(*parse(sys.argv[1:] if argv is None else argv)))


def parse(argv: list[str]) -> tuple[str, Options]:
    """(the run's folder, the options). Needs no jax; ``--help`` ends the process."""
    from dataclasses import field
    from typing import Annotated

    import tyro

    run = Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="A run's folder, as zoo-train --out named it.")
    ]
    help_n = f"How many samples (default: {MANY}; with prompts 1 of each)."
    count = Annotated[int | None, tyro.conf.arg(aliases=["-n"], help=help_n)]
    says = "Draws from a run: pictures, films, voxels, sounds, music, text. The same command writes the same files."
    words: list[tuple[str, Any, Any]] = [("run", run, field()), ("n", count, field(default=None))]
    given, options = understood(Options, words, argv, prog="zoo-sample", says=says, run=tyro.MISSING)
    return given.run, options


def draw(path: str, options: Options) -> list[Path]:
    """Restores the run, draws what the options say, and returns the files."""
    from train.__main__ import compilation_cache
    from train.folder import RunFolder

    config, data = RunFolder(Path(path)).load()
    media = media_of(data)
    check(options, media, config.name)
    compilation_cache()
    from sample.restore import made_by, open_run

    run = open_run(path, step=options.step, member=options.member)
    place = target(options, media, config.name, folder=Path(path) / "samples", stem=stem(run, options))
    write = writer(media)
    return write(run, options, place, made_by(run, path, seed=options.seed, options=options.told()))


def media_of(data: dict[str, Any]) -> str:
    from zoo.codecs import from_config

    return from_config(data["codec"]).media


def writer(media: str) -> Any:
    if media in ("image", "points"):
        from sample.pictures import write_pictures

        return write_pictures
    if media == "drawing":
        from sample.drawings import write_sketches

        return write_sketches
    if media == "voxels":
        from sample.volumes import write_volumes

        return write_volumes
    if media == "video":
        from sample.clips import write_clips

        return write_clips
    if media == "audio":
        from sample.sounds import write_sounds

        return write_sounds
    from sample.scores import write_music, write_text

    return write_music if media == "music" else write_text


def stem(run: Any, options: Options) -> str:
    """What files are called when nothing is said."""
    walk = "interpolation" if run.codec.media in ("music", "audio", "drawing") else "film"
    named = {
        "reconstruct": "reconstruction",
        "project": "projection",
        "mix": "mixture",
        "genes": "genes",
        "breed": "family",
        "translate": "translation",
        "held_out": "judged",
        "interpolate": walk,
        "harmonise": "harmony",
        "infill": "infill",
        "play": "performance",
        "finish": "completion",
    }
    kind = next((name for option, name in named.items() if getattr(options, option)), "sample")
    return f"{kind}_step{run.step}_seed{options.seed}"


if __name__ == "__main__":
    sys.exit(main())
