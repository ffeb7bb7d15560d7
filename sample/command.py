"""What the commands that draw do alike: how their words are read, and how they end."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoo.codecs import CodecError
from zoo.errors import UserError


def ended(prog: str, run: Callable[[], Iterable[Any]]) -> int:
    """Prints what ``run`` has to say, a line each; returns the exit code. What the user can mend is one line."""
    try:
        for line in run():
            print(line)
        return 0
    except (UserError, CodecError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def understood(
    options: type, words: list[tuple[str, Any, Any]], argv: Sequence[str], *, prog: str, says: str, **missing: Any
) -> tuple[Any, Any]:
    """(what was given, and of it the ``options``, a dataclass), of a command that knows these and ``words`` (name,
    type, field). ``missing``: values of those that have no default. Needs no jax; ``--help`` ends the process."""
    from dataclasses import fields, make_dataclass

    from train.cli import parse_words

    command = make_dataclass("Command", words, bases=(options,), frozen=True, kw_only=True)
    command.__doc__ = says
    given = parse_words(command, command(**missing), argv, prog=prog)
    return given, options(**{field.name: getattr(given, field.name) for field in fields(options)})
