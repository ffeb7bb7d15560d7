"""What a codec keeps of the music that a spec names, before anything is learnt from it."""

from functools import partial
from pathlib import Path
from typing import Any

from train.data.folders import find
from train.data.music import SUFFIXES, notes_of
from train.data.spec import Spec
from train.data.workers import map_files
from zoo.codecs.errors import CodecError
from zoo.codecs.notes import Report, together

MOST = 100  # files that are looked at, from all over the folder


def fidelity(spec: Spec, codec: Any) -> tuple[Report, int] | None:
    """(the report of the codec on the files of a midi spec, how many they were); None for specs without MIDI files, and
    codecs that give none."""
    if spec.kind != "midi" or not hasattr(codec, "report"):
        return None
    folder = spec.folder()
    files, _ = find(folder, SUFFIXES)
    chosen = files[:: -(-len(files) // MOST)] if files else []
    found = list(map_files(partial(_report, folder, codec), chosen, "what is kept"))
    reports = [report for report in found if report is not None]
    return (together(reports), len(reports)) if reports else None


def _report(folder: Path, codec: Any, name: str) -> Report | None:
    try:
        return codec.report(notes_of(codec, folder / name))
    except CodecError:
        return None  # among what is skipped
