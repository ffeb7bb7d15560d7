"""The look of a report: a dark, quiet page that needs nothing but itself."""

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path

from zoo.errors import UserError

TYPES = {
    ".png": "image/png",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".wav": "audio/wav",
    ".mid": "audio/midi",
    ".txt": "text/plain",
}


def page(title: str, *, lead: str, body: Iterable[str]) -> str:
    """A whole HTML document. ``lead`` and ``body`` are HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n<main>\n<header><p class='mark'>artzoo</p><h1>{escape(title)}</h1>{lead}</header>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</html>\n"
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are text, but for what `code` made."""
    cell = lambda text: text if text.startswith("<") else escape(text)
    heads = "".join(f"<th>{cell(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell(text)}</td>' for text in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def code(text: str, *, title: str = "") -> str:
    return f'<code title="{escape(title or text)}">{escape(text)}</code>'


def chapter(number: int, title: str, *, note: str, body: Iterable[str]) -> str:
    """One run: a number in the margin, its name, a line about it, and what it made."""
    head = f"<h2><span>{number:02d}</span>{escape(title)}</h2><p class='note'>{escape(note)}</p>"
    return f"<section>{head}{''.join(body)}</section>"


def figures(items: Iterable[str]) -> str:
    return f'<div class="row">{"".join(items)}</div>'


def picture(path: Path, caption: str = "") -> str:
    """A PNG, a GIF or a film, with a line below it."""
    source = data_url(path)
    if path.suffix == ".mp4":
        shown = f'<video src="{source}" autoplay loop muted playsinline></video>'
    else:
        shown = f'<img src="{source}" alt="{escape(caption)}">'
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def piece(roll: Path, sound: Path, midi: Path, caption: str, *, offset: float, scale: float) -> str:
    """A piece of music: its notes, over which a line moves while it plays, and a link to the MIDI file.

    ``offset``: where time begins in the picture, ``scale``: a second, both as a part of the picture's width.
    """
    link = f'<a href="{data_url(midi)}" download="{escape(midi.name)}">MIDI</a>'
    return (
        f'<figure class="piece" data-offset="{offset:.6f}" data-scale="{scale:.6f}">'
        f'<div class="roll"><img src="{data_url(roll)}" alt="piano roll"><i></i></div>'
        f'<figcaption><span>{escape(caption)}</span><audio controls preload="metadata" src="{data_url(sound)}"></audio>'
        f"{link}</figcaption></figure>"
    )


def text(content: str) -> str:
    return f"<pre>{escape(content)}</pre>"


def heading(title: str, note: str = "") -> str:
    return f"<h3>{escape(title)}</h3>" + (f"<p class='hint'>{escape(note)}</p>" if note else "")


def data_url(path: Path) -> str:
    """The file inside the page."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; sample again") from error
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(data).decode()}"


STYLE = """
:root { color-scheme: dark; --ground: #0e0f14; --ink: #e8e6e1; --soft: #9b9ca6; --faint: #5b5d6b; --line: #23252f;
  --accent: #ffb03b; --serif: ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, serif;
  --sans: ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 var(--sans); }
main { max-width: 1080px; margin: 0 auto; padding: 88px 32px 120px; }
header { margin-bottom: 64px; }
.mark { margin: 0 0 28px; color: var(--accent); font: 500 13px var(--sans); letter-spacing: .28em;
  text-transform: uppercase; }
h1 { margin: 0 0 20px; max-width: 18em; font: 400 clamp(36px, 6vw, 60px)/1.08 var(--serif); letter-spacing: -.015em; }
header p:not(.mark) { max-width: 42em; margin: 0; color: var(--soft); font-size: 18px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
th { padding: 0 18px 10px 0; color: var(--faint); font-weight: 500; text-align: left; }
td { padding: 11px 18px 11px 0; border-top: 1px solid var(--line); }
td:first-child { font: 17px var(--serif); }
th:last-child, td:last-child { padding-right: 0; }
code { color: var(--soft); font: 13px var(--mono); }
.small { margin: 14px 0 0; color: var(--faint); font-size: 13px; }
section { margin-top: 104px; padding-top: 28px; border-top: 1px solid var(--line); }
h2 { display: flex; align-items: baseline; gap: 18px; margin: 0; font: 400 38px/1.2 var(--serif);
  letter-spacing: -.01em; }
h2 span { color: var(--accent); font: 500 14px var(--mono); }
.note { margin: 6px 0 0; color: var(--soft); }
h3 { margin: 48px 0 0; font: 400 21px var(--serif); }
.hint { max-width: 44em; margin: 4px 0 0; color: var(--soft); font-size: 15px; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 28px;
  margin-top: 20px; }
figure { margin: 0; }
figure > img, figure > video { display: block; width: 100%; border-radius: 3px; }
figcaption { margin-top: 10px; color: var(--soft); font-size: 14px; }
.piece { margin-top: 28px; }
.roll { position: relative; width: fit-content; max-width: 100%; cursor: pointer; }
.roll img { display: block; max-width: 100%; height: 220px; border-radius: 3px; }
.roll i { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; box-shadow: 0 0 12px #fff; opacity: 0; }
.piece figcaption { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 20px; }
.piece figcaption span { flex: 1 1 12em; }
audio { flex: 0 1 340px; height: 34px; opacity: .85; }
a { color: var(--accent); text-decoration: none; border-bottom: 1px solid transparent; }
a:hover { border-color: currentColor; }
pre { overflow-x: auto; margin: 20px 0 0; padding: 22px 26px; background: #14161d; border-radius: 3px; color: #cfcdc8;
  font: 13.5px/1.6 var(--mono); white-space: pre-wrap; }
.curves { display: block; width: 100%; height: auto; margin-top: 18px; overflow: visible; }
.curves path { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.curves .raw { stroke-width: 1; opacity: .22; }
.curves .grid { stroke: var(--line); stroke-width: 1; }
.curves text { fill: var(--faint); font: 12px var(--sans); font-variant-numeric: tabular-nums; }
.curves .name { fill: var(--soft); }
.curves .line { font-size: 13px; }
"""

# A line moves over the notes while they sound; a click on them plays from there; one piece at a time.
SCRIPT = """
const pieces = [...document.querySelectorAll('.piece')].map(figure => ({
  sound: figure.querySelector('audio'), roll: figure.querySelector('.roll'), line: figure.querySelector('i'),
  offset: +figure.dataset.offset, scale: +figure.dataset.scale }));
for (const piece of pieces) {
  const show = () => {
    piece.line.style.left = 100 * Math.min(1, piece.offset + piece.scale * piece.sound.currentTime) + '%';
    piece.line.style.opacity = piece.sound.paused ? .5 : .9;
    if (!piece.sound.paused) requestAnimationFrame(show);
  };
  piece.sound.addEventListener('play', () => {
    for (const other of pieces) if (other !== piece) other.sound.pause();
    show();
  });
  piece.sound.addEventListener('seeked', show);
  piece.roll.addEventListener('click', event => {
    const box = piece.roll.getBoundingClientRect();
    piece.sound.currentTime = Math.max(0, ((event.clientX - box.left) / box.width - piece.offset) / piece.scale);
    piece.sound.play();
  });
}
"""
