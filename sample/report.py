"""``python -m sample.report RUN``: a run, or several, on one page that carries everything in itself."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample import page
from zoo.codecs import CodecError
from zoo.errors import UserError

RECENT = 3  # pieces of music shown when nobody chose
STAGES = 4  # earlier previews shown beside the newest


@dataclass(frozen=True)
class Exhibit:
    """Something to look at, to hear or to read: ``files`` are pictures and films, MIDI files, or texts."""

    title: str
    files: tuple[Path, ...]
    note: str = ""
    captions: tuple[str, ...] = ()
    """One a file; their names where there are none."""


@dataclass(frozen=True)
class Story:
    """A run and what is shown of it."""

    folder: Path
    exhibits: tuple[Exhibit, ...]
    seconds: float | None = None
    """How long it trained; None: as its files tell."""


@dataclass(frozen=True)
class Facts:
    """A run's row in the table."""

    name: str
    family: str
    paper: str
    parameters: int
    data: str
    step: int
    batch_size: int
    seconds: float | None
    device: str
    versions: str
    sha: str | None
    """Of the parameters as they were trained; None for a population."""


def write_report(folder: Path, runs: Sequence[Story], *, title: str | None = None, lead: str | None = None) -> Path:
    """Writes ``folder/report.html``: one self-contained page, with a table of the runs and a chapter for each.

    UserError where a run cannot be opened or the page not be written.
    """
    from sample.curves import loss_curves, svg
    from train.folder import RunFolder, write_text
    from train.log import read_metrics

    facts = [facts_of(run) for run in runs]
    chapters = []
    for number, (run, its) in enumerate(zip(runs, facts, strict=True), 1):
        body = [shown for exhibit in run.exhibits for shown in show(exhibit)]
        metrics = RunFolder(run.folder).metrics_file
        curves = svg(loss_curves(read_metrics(metrics)), unit=unit_of(its)) if metrics.is_file() else ""
        if curves:
            body += [page.heading("Loss", "Smoothed; the raw values lie behind the lines."), curves]
        note = f"{its.paper}. {its.parameters:,} parameters, {its.step:,} steps of {its.batch_size} on {its.data}."
        chapters.append(page.chapter(number, its.name, note=note, body=body))
    title = title or " and ".join(dict.fromkeys(its.name for its in facts))
    lead = lead or f"What {'this run' if len(facts) == 1 else 'these runs'} learnt, in pictures and sound."
    html = page.page(title, lead=f"<p>{page.escape(lead)}</p>", body=[overview(facts), *chapters])
    write_text(folder / "report.html", html)
    return folder / "report.html"


def overview(facts: Sequence[Facts]) -> str:
    """The table of all runs, and what they have in common below it."""
    head = ("model", "family", "parameters", "data", "steps", "time", "parameters' sha256")
    rows = [
        (f.name, f.family, f"{f.parameters:,}", f.data, f"{f.step:,} × {f.batch_size}", duration(f.seconds), sha(f.sha))
        for f in facts
    ]
    common = " · ".join(dict.fromkeys(line for f in facts for line in (f.device, f.versions)))
    return page.table(head, rows) + f"<p class='small'>{page.escape(common)}</p>"


def sha(digest: str | None) -> str:
    return "–" if digest is None else page.code(f"{digest[:12]}…", title=digest)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def unit_of(facts: Facts) -> str:
    return "nats a token" if facts.family in ("transformer", "lstm") and "roll" not in facts.name else "loss"


# -- what is known of a run -------------------------------------------------------------------------------------------


def facts_of(story: Story) -> Facts:
    """Opens the run."""
    import jax

    from sample.restore import open_run
    from train.checkpoint import digest
    from zoo.catalog import entry

    run = open_run(story.folder)
    found, options = entry(run.config.name), run.config.options
    return Facts(
        name=run.config.name,
        family=found.family,
        paper=found.paper,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(run.raw)),
        data=run.data["spec"],
        step=run.step,
        batch_size=options.batch_size or 0,
        seconds=trained_seconds(story.folder, options) if story.seconds is None else story.seconds,
        device=device(),
        versions=versions(),
        sha=digest(run.raw) if run.config.members is None else None,
    )


def trained_seconds(folder: Path, options: Any) -> float | None:
    """From the first file of a run to its last line; None where it did not train in one go."""
    from train.folder import RunFolder

    files = RunFolder(folder)
    if options.resume or not files.metrics_file.is_file():
        return None
    return max(0.0, files.metrics_file.stat().st_mtime - files.config_file.stat().st_mtime)


def device() -> str:
    """What this machine computes with."""
    import os

    import jax

    first, count = jax.devices()[0], len(jax.devices())
    if first.platform == "cpu":
        return f"{cpu_name()}, {os.cpu_count()} cores"
    return f"{count} × {first.device_kind}" if count > 1 else first.device_kind


def cpu_name() -> str:
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or "CPU"


def versions() -> str:
    import platform

    import jax

    from train.folder import version

    return f"artzoo {version()}, jax {jax.__version__}, Python {platform.python_version()}"


# -- what is shown of it -----------------------------------------------------------------------------------------------


def show(exhibit: Exhibit) -> list[str]:
    """An exhibit as HTML."""
    captions = exhibit.captions or tuple(path.stem for path in exhibit.files)
    pairs = list(zip(exhibit.files, captions, strict=True))
    parts = [page.heading(exhibit.title, exhibit.note)]
    pictures = [page.picture(path, caption) for path, caption in pairs if path.suffix in (".png", ".gif", ".mp4")]
    if pictures:
        parts.append(page.figures(pictures))
    parts += [show_piece(path, caption) for path, caption in pairs if path.suffix == ".mid"]
    parts += [page.text(path.read_text(errors="replace")) for path, _ in pairs if path.suffix == ".txt"]
    return parts


def show_piece(midi: Path, caption: str) -> str:
    """A MIDI file with its picture and its sound, which are made where they do not lie beside it."""
    from zoo.codecs import read_midi
    from zoo.codecs.images import read_png
    from zoo.codecs.media import write_piece

    try:
        notes = read_midi(midi)
    except ValueError as error:  # a model that learnt little may have written silence
        return page.text(str(error))
    roll, sound = midi.with_suffix(".png"), midi.with_suffix(".wav")
    for path in (roll, sound):
        if not path.is_file():
            write_piece(notes, path, meta=dict(notes.meta))
    width = read_png(roll)[0].shape[1]
    margin = 16  # pixels left of the first moment, as in zoo.codecs.pianoroll
    scale = (width - margin - 4) / max(notes.duration, 1.0)
    return page.piece(roll, sound, midi, caption, offset=margin / width, scale=scale / width)


def gallery(folder: Path) -> Story:
    """What a run's own folder has to show: the newest samples, and how they came about."""
    files = sorted((folder / "samples").glob("*"), key=lambda path: (path.stat().st_mtime, path.name))
    by = lambda *suffixes: [path for path in files if path.suffix in suffixes]
    midi = by(".mid")
    rolls = {path.with_suffix(".png") for path in midi}
    pictures = [path for path in by(".png") if path not in rolls]
    stages = [path for path in pictures if path.stem.startswith("step_")]
    exhibits = []
    if pictures:
        exhibits.append(Exhibit("Samples", (pictures[-1],)))
    if len(stages) > 1:
        chosen = stages[:: max(1, -(-len(stages) // STAGES))]
        exhibits.append(Exhibit("On the way", tuple(chosen), captions=tuple(stage_name(path) for path in chosen)))
    if films := by(".mp4") or by(".gif"):
        exhibits.append(Exhibit("Through the latent space", tuple(films[-1:])))
    if midi:
        exhibits.append(Exhibit("Pieces", tuple(midi[-RECENT:])))
    if texts := by(".txt"):
        exhibits.append(Exhibit("Text", tuple(texts[-1:])))
    return Story(folder, tuple(exhibits))


def stage_name(path: Path) -> str:
    return f"step {int(path.stem.removeprefix('step_')):,}"


def main(argv: list[str] | None = None) -> int:
    """``python -m sample.report RUN``."""
    parser = argparse.ArgumentParser(prog="python -m sample.report", description="Writes RUN/report.html.")
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    arguments = parser.parse_args(argv)
    try:
        folder = Path(arguments.run)
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} is not a run folder: it has no config.json")
        print(write_report(folder, [gallery(folder)]))
        return 0
    except (UserError, CodecError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
