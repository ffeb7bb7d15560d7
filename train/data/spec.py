"""What a user writes after ``--data``: a kind, a path or name, options as a query; ``images:~/photos?size=64``."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from zoo.errors import UserError

FORMS = {
    "art": "art",
    "sprites": "sprites",
    "bach": "bach",
    "ring": "ring",
    "grid": "grid",
    "docs": "docs",
    "sketch": "sketch",
    "seasons": "seasons",
    "looks": "looks",
    "regions": "regions",
    "solids": "solids",
    "plucks": "plucks",
    "beats": "beats",
    "chimes": "chimes",
    "bounce": "bounce",
    "figures": "figures",
    "images": "images:DIR",
    "picture": "picture:FILE",
    "pair": "pair:CONTENT,STYLE",
    "pairs": "pairs:A,B",
    "idx": "idx:DIR",
    "npz": "npz:FILE",
    "midi": "midi:DIR",
    "rolls": "rolls:FILE",
    "styles": "styles:A,B",
    "text": "text:FILE",
    "texts": "texts:DIR",
    "strokes": "strokes:FILE",
    "doodles": "doodles",
    "voxels": "voxels:DIR",
    "audio": "audio:DIR",
    "spoken": "spoken:DIR?pictures=DIR",
    "video": "video:DIR",
    "tfds": "tfds:NAME",
}

DRAWN = frozenset({"picture", "pair"})
"""Of those that name files, what is drawn where none are named."""


@dataclass(frozen=True)
class Spec:
    """A parsed spec. ``path`` is what stands between ``kind:`` and ``?``; empty for the embedded sets."""

    text: str
    kind: str
    path: str
    options: Mapping[str, str] = field(default_factory=dict)

    def allow(self, *names: str) -> None:
        """Raises UserError on an option that is not one of ``names``."""
        for name in self.options:
            if name not in names:
                raise UserError(f"{self.text}: no option {name!r}; {self.kind} takes {', '.join(names) or 'none'}")

    def integer(self, name: str, default: int | None = None, *, least: int = 1) -> int | None:
        """Option ``name`` as an integer not below ``least``; ``default`` where it was not given."""
        if name not in self.options:
            return default
        value = self.options[name]
        if not value.lstrip("-").isdecimal() or int(value) < least:
            raise UserError(f"{self.text}: {name}={value} should be an integer of at least {least}")
        return int(value)

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """Option ``name`` as one of ``choices``."""
        value = self.options.get(name, default)
        if value not in (choices := tuple(choices)):
            raise UserError(f"{self.text}: {name}={value} should be one of {', '.join(choices)}")
        return value

    def folder(self) -> Path:
        """``path`` as a folder that exists."""
        path = Path(self.path).expanduser()
        if not path.is_dir():
            why = "is a file, not a folder" if path.exists() else "no such folder"
            raise UserError(f"{self.text}: {why}: {self.path or '(none given)'}")
        return path

    def file(self) -> Path:
        """``path`` as a file that exists."""
        path = Path(self.path).expanduser()
        if not path.is_file():
            why = "is a folder, not a file" if path.is_dir() else "no such file"
            raise UserError(f"{self.text}: {why}: {self.path or '(none given)'}")
        return path


def parse(text: str) -> Spec:
    """The Spec of ``text``. Raises UserError where no kind of data is meant."""
    kind, colon, rest = text.partition(":")
    if not colon:
        kind, _, query = text.partition("?")
        rest = f"?{query}"
    if kind not in FORMS:
        raise UserError(f"unknown data {text!r}: {_advice(text, kind)}")
    path, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
    if query and "=" not in query:  # a question mark that belongs to the file's name
        path, query = rest, ""
    takes_path = ":" in FORMS[kind]
    if takes_path and not path and kind not in DRAWN:
        raise UserError(f"{text!r} names no data: write {FORMS[kind]}")
    if not takes_path and path:
        raise UserError(f"{text}: {kind} takes no path; write {FORMS[kind]}")
    return Spec(text, kind, path, dict(parse_qsl(query, keep_blank_values=True)))


def _advice(text: str, kind: str) -> str:
    path = Path(text).expanduser()
    if path.is_dir():
        return f"for a folder write images:{text} or midi:{text}"
    if path.is_file():
        return f"for a file write text:{text}, npz:{text} or rolls:{text}"
    close = difflib.get_close_matches(kind, FORMS, n=1)
    return (f"did you mean {FORMS[close[0]]}? " if close else "") + f"it is one of {', '.join(FORMS.values())}"
