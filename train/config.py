"""What a run is: the options of the command, the model and its optimizer, as plain data that JSON keeps.

Imports nothing heavy, so that ``zoo-train --help`` answers at once.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from train.optim import Optim, PlayerOptim
from train.recipes import RECIPES, Recipe
from zoo.catalog import create, entry
from zoo.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything about a run but its model and optimizer."""

    data: str | None = None
    """What to learn from: art, sprites, sketch, seasons, looks, regions, solids, plucks, beats, bounce, chimes,
    figures, ring, grid, bach, docs, doodles, images:DIR, picture:FILE, pair:CONTENT,STYLE, pairs:A,B, idx:DIR,
    npz:FILE, midi:DIR, rolls:FILE, styles:A,B, text:FILE, texts:DIR, strokes:FILE, voxels:DIR, audio:DIR,
    spoken:DIR?pictures=DIR, video:DIR, tfds:NAME; options follow as in images:DIR?size=64."""
    steps: int | None = None
    """Updates in all."""
    batch_size: int | None = None
    """Examples a step, over all devices and processes."""
    seed: int = 0
    """Of the parameters, of the order of the data and of all noise."""
    out: str | None = None
    """The run's folder (default runs/NAME-TIME)."""
    save_every: int = 500
    """Steps between checkpoints; the last step is always saved."""
    keep: int = 3
    """Checkpoints kept."""
    log_every: int = 50
    """Steps between lines of metrics.jsonl."""
    sample_every: int | None = None
    """Steps between previews in samples/ (default: with every checkpoint)."""
    parallel: Literal["jit", "fsdp", "pmap"] = "jit"
    """How the devices share the work: jit splits the batch, fsdp also the state, pmap makes replicas."""
    precision: Literal["fp32", "bf16"] | None = None
    """Compute dtype; parameters stay float32."""
    accumulate: int = 1
    """Micro-batches whose gradients make one update."""
    dispatch: int | None = None
    """Steps in one dispatch (default: as many as make sense); it does not change the result."""
    ema: float | None = None
    """Decay of the moving average that samples are drawn with (default: the recipe's; 0 for none)."""
    population: int | None = None
    """Seeds to train at once, side by side under vmap. A list such as --optim.learning-rate 1e-3,3e-4 trains its
    values so."""
    resume: bool = False
    """Go on with the run in --out."""
    init_from: str | None = None
    """Start from another run's parameters: fine-tuning."""
    coordinator: str | None = None
    """HOST:PORT of process 0, when several processes train together (on Slurm, GKE and TPU pods: «auto»)."""
    processes: int | None = None
    """How many processes train together."""
    process: int | None = None
    """This process's number."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run, complete: what config.json holds and what rebuilds it."""

    name: str
    model: Any
    optim: Optim
    options: Options
    players: Mapping[str, PlayerOptim] = field(default_factory=dict)
    ema: Mapping[str, float] = field(default_factory=dict)
    sweep: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Fields that differ between the members of a population: "optim.learning_rate" -> values."""

    @property
    def members(self) -> int | None:
        """How many runs train side by side; None for a single one."""
        values = {len(values) for values in self.sweep.values()}
        if len(values) > 1:
            raise UserError(f"lists of different lengths cannot train side by side: {sorted(values)}")
        lists = values.pop() if values else 1
        seeds = self.options.population
        return None if seeds is None and not self.sweep else lists * (seeds or 1)

    @property
    def seeds(self) -> list[int]:
        """Each member's seed: --seed and the next ones, the same ones for every value of a list."""
        seeds = self.options.population or 1
        return [self.options.seed + index % seeds for index in range(self.members or 1)]

    def varied(self) -> dict[str, list[float]]:
        """{"optim.learning_rate": one value a member}."""
        seeds = self.options.population or 1
        return {name: [value for value in values for _ in range(seeds)] for name, values in self.sweep.items()}


def default_config(name: str) -> Config:
    """The preset with its recipe."""
    recipe: Recipe = RECIPES[name] if name in RECIPES else RECIPES["gpt"]
    options = Options(data=entry(name).data, steps=recipe.steps, batch_size=recipe.batch_size)
    return Config(
        name=name, model=create(name), optim=recipe.optim, options=options, players=recipe.players, ema=recipe.ema
    )


def with_member(config: Config, values: Mapping[str, Any]) -> Config:
    """The config of one member; values may be tracers."""
    model, optim = config.model, config.optim
    for path, value in values.items():
        part, name = path.split(".")
        if part == "model":
            model = dataclasses.replace(model, **{name: value})
        else:
            optim = dataclasses.replace(optim, **{name: value})
    return dataclasses.replace(config, model=model, optim=optim)


# What a run was started with and a resumed one must share: all but where it runs and how it reports.
FREE = (
    "out",
    "steps",
    "save_every",
    "keep",
    "log_every",
    "sample_every",
    "parallel",
    "dispatch",
    "resume",
    "init_from",
)
FREE += ("coordinator", "processes", "process")


def difference(saved: Config, now: Config) -> str | None:
    """What first differs between two configs that must be the same run, for people."""
    if saved.name != now.name:
        return f"it holds a {saved.name}, not a {now.name}"
    for part in ("model", "optim", "players", "ema", "sweep", "options"):
        before, after = flat(getattr(saved, part)), flat(getattr(now, part))
        for key in sorted(before.keys() | after.keys()):
            if part == "options" and key in FREE:
                continue
            if before.get(key) != after.get(key):
                flag = "--" + (key if part == "options" else f"{part}.{key}").replace("_", "-")
                return f"its {flag} is {before.get(key)}, not {after.get(key)}"
    return None


def flat(thing: Any) -> dict[str, Any]:
    """Nested dataclasses and dicts as {"a.b": value}."""
    pairs = dataclasses.asdict(thing) if dataclasses.is_dataclass(thing) else dict(thing)  # type: ignore[arg-type]
    out: dict[str, Any] = {}
    for name, value in pairs.items():
        if dataclasses.is_dataclass(value) or isinstance(value, Mapping):
            out |= {f"{name}.{inner}": item for inner, item in flat(value).items()}
        else:
            out[name] = tuple(value) if isinstance(value, list) else value
    return out


def to_json(config: Config) -> dict[str, Any]:
    """Plain data; `from_json` is its inverse."""
    plain = dataclasses.asdict
    return {
        "name": config.name,
        "model": plain(config.model),
        "optim": plain(config.optim),
        "players": {name: plain(change) for name, change in config.players.items()},
        "ema": dict(config.ema),
        "sweep": {name: list(values) for name, values in config.sweep.items()},
        "options": plain(config.options),
    }


def from_json(data: Mapping[str, Any]) -> Config:
    """The config that `to_json` wrote."""
    return Config(
        name=data["name"],
        model=create(data["name"], **data["model"]),
        optim=Optim(**data["optim"]),
        players={name: PlayerOptim(**change) for name, change in data["players"].items()},
        ema=data["ema"],
        sweep={name: tuple(values) for name, values in data["sweep"].items()},
        options=Options(**data["options"]),
    )
