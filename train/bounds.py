"""What numbers of a run may be: nonsense is refused in one line, before anything is opened or compiled."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from train.config import Config
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Bound:
    """least <= x <= most; ``below`` and ``above`` leave the limit itself out."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def holds(self, value: float) -> bool:
        return math.isfinite(value) and self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        words = {"at least": self.least, "more than": self.above, "at most": self.most, "less than": self.below}
        return " and ".join(f"{word} {limit:g}" for word, limit in words.items() if math.isfinite(limit)) or "finite"


COUNT, NOT_NEGATIVE, POSITIVE, SHARE = Bound(least=1), Bound(least=0), Bound(above=0), Bound(least=0, below=1)
SEEDS = 2**31 - 1
SIZES = ("image_size", "channels", "latent_size", "width", "layers", "heads", "vocabulary", "context", "frames")

BOUNDS: Mapping[str, Bound] = MappingProxyType(
    {
        "steps": NOT_NEGATIVE,
        **dict.fromkeys(("batch_size", "save_every", "keep", "log_every", "sample_every"), COUNT),
        **dict.fromkeys(("accumulate", "dispatch", "population", "processes"), COUNT),
        **dict.fromkeys(("seed", "process"), NOT_NEGATIVE),
        "ema": SHARE,
        **dict.fromkeys(("optim.learning_rate", "optim.weight_decay", "optim.warmup", "optim.final"), NOT_NEGATIVE),
        **dict.fromkeys(("optim.b1", "optim.b2", "optim.hold"), SHARE),
        **dict.fromkeys(("optim.eps", "optim.clip", "optim.weight_bound"), POSITIVE),
        "optim.decay_steps": COUNT,
        **dict.fromkeys([f"model.{name}" for name in SIZES], COUNT),
        **dict.fromkeys(("model.beta", "model.r1", "model.r2", "model.gradient_penalty", "model.mmd"), NOT_NEGATIVE),
        **dict.fromkeys(("model.penalty_every", "model.critic_steps", "model.pack", "model.ada_images"), COUNT),
        **dict.fromkeys(("model.patch", "model.stride", "model.bands", "model.rank", "model.bottlenecks"), COUNT),
        "model.dropout": SHARE,
        **dict.fromkeys(("model.drop_sound", "model.drop_picture"), Bound(least=0, most=1)),
        "model.noise": NOT_NEGATIVE,
        "model.sigma": POSITIVE,
    }
)
DTYPES = ("float32", "bfloat16", "float16", "float64")


def check_numbers(config: Config) -> None:
    """UserError for the first number of ``config`` that makes no sense. Whole numbers count something."""
    for name, value in numbers(config):
        field = "optim." + name.rsplit(".", 1)[1] if name.startswith("optim.") else name
        bound = BOUNDS.get(field, NOT_NEGATIVE if isinstance(value, int) else Bound())
        if not bound.holds(value):
            raise UserError(f"--{name.replace('_', '-')} {value}: it must be {bound}")
    options, dtype = config.options, getattr(config.model, "dtype", DTYPES[0])
    if options.seed + (options.population or 1) > SEEDS:
        raise UserError(f"--seed {options.seed}: seeds must be less than {SEEDS}")
    if dtype not in DTYPES:
        raise UserError(f"--model.dtype {dtype}: it must be one of {', '.join(DTYPES)}")


def numbers(config: Config) -> Iterator[tuple[str, float]]:
    """(flag, value) of all numbers in a config, those of lists and of single players too."""
    parts: dict[str, Any] = {"": config.options, "model.": config.model, "optim.": config.optim}
    parts |= {f"optim.{player}.": change for player, change in config.players.items()}
    for prefix, part in parts.items():
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield prefix + field.name, value
    for name, values in config.sweep.items():
        yield from ((name, value) for value in values)
