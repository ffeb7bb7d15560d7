"""As much of MusicXML as a choral score on paper needs: who sings which note, from when to when.

Repeats are not played twice, and grace notes, slurs, fermatas and texts are passed over.
Source: MusicXML 4.0, W3C Music Notation Community Group.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Sung(NamedTuple):
    """One note: onset and end in quarter notes, MIDI pitch, and whether it is tied to the one before."""

    onset: float
    end: float
    pitch: int
    tied: bool


def read_score(path: Path) -> dict[str, list[Sung]]:
    """{part's name: its notes, ties joined, the highest of a chord} of a .xml or .mxl file.

    Raises ValueError, KeyError or zipfile.BadZipFile on what is no score.
    """
    try:
        score = ElementTree.fromstring(_text(path))
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: {error}") from None
    names = [(part.findtext("part-name") or "").strip() for part in score.iterfind("part-list/score-part")]
    parts = [[list(_measure(*element)) for element in _divided(part)] for part in score.iterfind("part")]
    starts = [0.0]
    for bar in zip(*parts, strict=True):  # a bar is as long as its longest part, so that voices cannot drift apart
        starts.append(starts[-1] + max((end for notes in bar for _, end, _, _ in notes), default=0.0))
    return {name: _joined(part, starts) for name, part in zip(names, parts, strict=True)}


def _text(path: Path) -> bytes:
    if path.suffix != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as file:
        scores = [n for n in file.namelist() if n.endswith((".xml", ".musicxml")) and not n.startswith("META-INF")]
        return file.read(scores[0]) if scores else b""


def _divided(part: Element) -> Iterator[tuple[Element, int]]:
    """Measures with the divisions of a quarter note that they count in."""
    divisions = 1
    for measure in part.iterfind("measure"):
        divisions = int(measure.findtext("attributes/divisions") or divisions)
        yield measure, divisions


def _measure(measure: Element, divisions: int) -> Iterator[tuple[float, float, int | None, bool]]:
    """(onset, end, pitch or None for a rest, tied) in quarter notes since the bar line."""
    now = onset = 0.0
    for element in measure:
        length = int(element.findtext("duration") or 0) / divisions
        if element.tag in ("backup", "forward"):
            now += length if element.tag == "forward" else -length
        elif element.tag == "note" and element.find("grace") is None:
            if element.find("chord") is None:
                onset, now = now, now + length
            tied = any(tie.get("type") == "stop" for tie in element.iterfind("tie"))
            yield onset, onset + length, _pitch(element.find("pitch")), tied


def _pitch(element: Element | None) -> int | None:
    if element is None:
        return None
    step, octave = element.findtext("step", ""), element.findtext("octave", "")
    return 12 * (int(octave) + 1) + SEMITONES[step] + int(float(element.findtext("alter") or 0))


def _joined(bars: list[list[tuple[float, float, int | None, bool]]], starts: list[float]) -> list[Sung]:
    notes: dict[float, Sung] = {}
    for start, bar in zip(starts, bars, strict=False):
        for onset, end, pitch, tied in bar:
            if pitch is None or onset == end:
                continue
            note = Sung(start + onset, start + end, pitch, tied)
            before = next((n for n in reversed(notes.values()) if n.pitch == pitch and n.end == note.onset), None)
            if tied and before is not None:
                notes[before.onset] = before._replace(end=note.end)
            elif note.onset not in notes or notes[note.onset].pitch < pitch:
                notes[note.onset] = note
    return sorted(notes.values())
