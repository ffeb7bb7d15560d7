"""From command-line words to a `Config`: presets, options, lists, and what config.json remembers."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.bounds import check_numbers
from train.config import FREE, Config, Options, default_config
from train.folder import RunFolder
from train.optim import Optim, PlayerOptim
from zoo.catalog import CATALOG
from zoo.errors import UserError

USAGE = """zoo-train NAME [options]

Trains a model of the zoo. NAME is one of:
  {names}

zoo-train NAME --help also lists the fields of the model (--model.X) and of its optimizer (--optim.X).
Numbers may be lists: --optim.learning-rate 1e-3,3e-4 trains both side by side."""


def help_text() -> str:
    """What ``zoo-train --help`` prints; needs no jax."""
    usage = USAGE.format(names=", ".join(CATALOG))
    output = run_parser(Options, Options(), ["--help"])
    options = output.split("\n", 2)[-1] if output.startswith("usage") else output
    return f"usage: {usage}\n\n{options}"


def parse(argv: Sequence[str]) -> tuple[Config, set[str]]:
    """(config, the flags that the user gave). ``argv`` begins with the model's name."""
    name, words = argv[0], list(argv[1:])
    config = default_config(name)
    given = {normal(word) for word in words if word.startswith("--")}
    config = remembered(config, words)
    words, sweep = take_lists(words, config)
    command = command_class(config)
    start = command(model=config.model, optim=optim_default(command, config), **vars(config.options))
    parsed = parse_words(command, start, words, prog=f"zoo-train {name}")
    options = Options(**{f.name: getattr(parsed, f.name) for f in dataclasses.fields(Options)})
    players = {player: getattr(parsed.optim, player) for player in players_of(config) if many_players(config)}
    changed = {player: change for player, change in players.items() if change != PlayerOptim()}
    optim = Optim(**{f.name: getattr(parsed.optim, f.name) for f in dataclasses.fields(Optim)})
    config = dataclasses.replace(
        config, model=parsed.model, optim=optim, options=options, players=changed or config.players,
        sweep=sweep or config.sweep,
    )  # fmt: skip
    return finished(config, given), given


def finished(config: Config, given: set[str]) -> Config:
    """Precision, averages and what numbers may be."""
    check_numbers(config)
    options, model = config.options, config.model
    if options.precision is not None and "model.dtype" not in given:
        model = dataclasses.replace(model, dtype={"fp32": "float32", "bf16": "bfloat16"}[options.precision])
    ema = dict(config.ema)
    if options.ema is not None:
        ema = dict.fromkeys(ema or players_of(config), options.ema) if options.ema else {}
    return dataclasses.replace(config, model=model, ema=ema)


def remembered(config: Config, words: Sequence[str]) -> Config:
    """With --resume, what the user does not say again is as config.json has it."""
    out = value_of(words, "out")
    if "--resume" not in words or out is None or not RunFolder(Path(out)).config_file.is_file():
        return config
    saved, _ = RunFolder(Path(out)).load()
    if saved.name != config.name:
        raise UserError(f"{out} holds another run: it holds a {saved.name}, not a {config.name}; choose another --out")
    forget = {"resume": False, "parallel": "jit", "coordinator": None, "processes": None, "process": None}
    return dataclasses.replace(saved, options=dataclasses.replace(saved.options, **forget))


def value_of(words: Sequence[str], flag: str) -> str | None:
    """What follows --flag, or stands after its =."""
    for index, word in enumerate(words):
        if word == f"--{flag}" and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"--{flag}="):
            return word.split("=", 1)[1]
    return None


# -- lists of numbers -------------------------------------------------------------------------------------------------


def take_lists(words: Sequence[str], config: Config) -> tuple[list[str], dict[str, tuple[float, ...]]]:
    """Replaces ``--optim.X a,b,c`` by ``--optim.X a`` and returns {"optim.x": (a, b, c)}."""
    out, sweep = [], {}
    words = [part for word in words for part in split_equals(word)]
    for index, word in enumerate(words):
        flag = normal(words[index - 1]) if index else ""
        if "," not in word or not flag.startswith(("model.", "optim.")) or not re.fullmatch(r"[-+.,\deE]+", word):
            out.append(word)
            continue
        part, name = flag.split(".", 1)
        value = getattr(getattr(config, part), name, None)
        if not isinstance(value, float):
            raise UserError(f"--{flag.replace('_', '-')} {word}: only numbers with a decimal default can be lists")
        try:
            sweep[f"{part}.{name}"] = tuple(float(item) for item in word.split(","))
        except ValueError:
            raise UserError(f"--{flag.replace('_', '-')} {word}: not a list of numbers such as 1e-3,3e-4") from None
        out.append(word.split(",")[0])
    return out, sweep


def split_equals(word: str) -> list[str]:
    return word.split("=", 1) if re.match(r"--(model|optim)\.[\w.-]+=", word) else [word]


def normal(word: str) -> str:
    """--model.image-size=64 -> model.image_size."""
    return word.removeprefix("--").split("=", 1)[0].replace("-", "_")


# -- the parser -------------------------------------------------------------------------------------------------------


def players_of(config: Config) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phase.player for phase in config.model.phases))


def many_players(config: Config) -> bool:
    return len(players_of(config)) > 1


def command_class(config: Config) -> Any:
    """A dataclass with the options, the model's own fields, and the optimizer's, with one group a player if several."""
    optim: Any = Optim
    if many_players(config):
        groups = [(player, PlayerOptim, dataclasses.field(default=PlayerOptim())) for player in players_of(config)]
        optim = dataclasses.make_dataclass("Optim", groups, bases=(Optim,), frozen=True, kw_only=True)
        optim.__doc__ = "The optimizer; a player's own fields override the common ones."
    fields = [("model", type(config.model)), ("optim", optim)]
    command = dataclasses.make_dataclass("Command", fields, bases=(Options,), frozen=True, kw_only=True)
    command.__doc__ = f"Trains {config.name}: {(type(config.model).__doc__ or '').strip().splitlines()[0]}"
    return command


def optim_default(command: Any, config: Config) -> Any:
    """The recipe's optimizer, as an instance of the class that ``command`` has for it."""
    cls = next(f.type for f in dataclasses.fields(command) if f.name == "optim")
    return cls(**vars(config.optim), **(config.players if many_players(config) else {}))  # type: ignore[operator]


def parse_words(command: Any, default: Any, words: Sequence[str], *, prog: str) -> Any:
    """tyro's parse; its complaint becomes one line."""
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(command, default=default, args=list(words), prog=prog)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(one_line(complaint.getvalue())) from None


def one_line(box: str) -> str:
    """The words inside a box that tyro drew."""
    lines = [re.sub(r"[╭╮╰╯│─]", " ", line).strip() for line in box.splitlines()]
    text = " ".join(line for line in lines if line and line != "Parsing error")
    return re.sub(r"\s+", " ", text).removeprefix("Parsing error ") or "the options do not parse; see --help"


def run_parser(command: Any, default: Any, words: Sequence[str]) -> str:
    """What tyro prints for ``words``."""
    import tyro

    output = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(output):
        tyro.cli(command, default=default, args=list(words), prog="zoo-train NAME")
    return output.getvalue()


__all__ = ["FREE", "help_text", "parse"]
