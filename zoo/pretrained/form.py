"""What an architecture's folder looks like, told array by array."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.pretrained.files import CONFIG

TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")


@dataclass(frozen=True)
class Leaf:
    """One of our arrays, and those of theirs that it is made of."""

    place: tuple[str, ...]
    """Where it is in the player's tree."""
    theirs: Mapping[str, tuple[int, ...]]
    """name -> shape, without the prefix."""
    ours: Callable[..., np.ndarray] = lambda array: array
    """Theirs, in order, to ours."""
    back: Callable[[np.ndarray], tuple[np.ndarray, ...]] = lambda array: (array,)
    """And back."""


@dataclass(frozen=True)
class Form:
    """An architecture."""

    kind: str
    """Its ``model_type``."""
    model: type
    """Our class."""
    prefix: str
    """What names of the network begin with, in files of a network with a head."""
    heads: tuple[str, ...]
    """What names of the head begin with, which have no prefix."""
    player: str
    model_of: Callable[[Path, Mapping[str, Any], str], Any]
    """(folder, config, dtype) -> our model. ValueError and TypeError are a fault of the config."""
    config_of: Callable[[Any], dict[str, Any]]
    leaves: Callable[[Any, Mapping[str, Any]], Iterator[Leaf]]
    """(our model, their config) -> all arrays."""
    ignores: Callable[[Any, str], bool]
    """Of a name that files may hold and the model does not need."""


def transposed(place: tuple[str, ...], name: str, shape: tuple[int, int]) -> Leaf:
    """Our kernel [in, out] = ``shape``, which PyTorch's linear layers hold as [out, in]."""
    return Leaf(place, {name: shape[::-1]}, np.transpose, lambda array: (array.T,))


def norm(place: tuple[str, ...], name: str, width: int) -> Iterator[Leaf]:
    yield Leaf((*place, "scale"), {f"{name}.weight": (width,)})
    yield Leaf((*place, "bias"), {f"{name}.bias": (width,)})


def linear(place: tuple[str, ...], name: str, shape: tuple[int, int]) -> Iterator[Leaf]:
    """A linear layer [in, out] = ``shape``."""
    yield transposed((*place, "kernel"), f"{name}.weight", shape)
    yield Leaf((*place, "bias"), {f"{name}.bias": shape[1:]})


def linears(place: tuple[str, ...], names: list[str], width: int) -> Iterator[Leaf]:
    """Several linear layers [width, width] of theirs that are one of ours, side by side."""
    parts = len(names)
    yield Leaf(
        (*place, "kernel"), {f"{name}.weight": (width, width) for name in names},
        lambda *arrays: np.concatenate([array.T for array in arrays], axis=1),
        lambda array: tuple(part.T for part in np.split(array, parts, axis=1)),
    )  # fmt: skip
    yield Leaf(
        (*place, "bias"), {f"{name}.bias": (width,) for name in names},
        lambda *arrays: np.concatenate(arrays), lambda array: tuple(np.split(array, parts)),
    )  # fmt: skip


def sizes(folder: Path, config: Mapping[str, Any], names: Mapping[str, tuple[str, int]]) -> dict[str, int]:
    """{our field: a number of the config's, or its default}. ``names``: our field -> (theirs, default)."""
    found = {ours: int(config.get(theirs, default)) for ours, (theirs, default) in names.items()}
    if min(found.values()) < 1:
        raise UserError(f"{folder / CONFIG}: sizes must be at least 1")
    return found


def check(folder: Path, config: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> None:
    """UserError where the config asks for what our model does not compute. ``known``: name -> the values that it does,
    the default first."""
    for name, values in known.items():
        value = config.get(name, values[0])
        if value not in values:
            raise UserError(f"{folder}: {name} is {value}; what can be read is {', '.join(map(str, values))}")
