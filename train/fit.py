"""Fits a model to the data it is given: opens the source, and fills the fields that the data decides."""

import dataclasses
from typing import Any

from train.config import Config
from train.data.source import Source, open_source
from zoo.errors import UserError

# What a source calls a thing -> what models call it.
FIELDS = {"start": "start_token"}


def fit_to_data(config: Config, given: set[str]) -> tuple[Config, Source]:
    """(config with the model's open fields filled, the opened source).

    ``given``: the flags that the user wrote; a field set so that does not fit the data is an error.
    """
    spec = config.options.data or ""
    length = window_length(config.model)
    chosen = config.model.image_size if "model.image_size" in given else None
    source = open_source(spec, "train", image_size=chosen, length=length)
    check_names(config.name, config.model, source)
    try:
        model = fill(config, source, given)
    except UserError:
        if chosen is not None or not hasattr(config.model, "image_size"):
            raise
        # The pictures' own size does not suit the model: they are brought to the model's.
        source = open_source(spec, "train", image_size=config.model.image_size, length=length)
        model = fill(config, source, given)
    check(config.name, model, source)
    return dataclasses.replace(config, model=model), source


def window_length(model: Any) -> int | None:
    """Positions of an example: of tokens one more than a model predicts at once, of films and sounds the model's own
    length. None: whole pieces."""
    context = getattr(model, "context", None)
    return getattr(model, "length", None) if context is None else context + 1


def fill(config: Config, source: Source, given: set[str]) -> Any:
    """The model with what the source knows."""
    names = {f.name for f in dataclasses.fields(config.model)}
    changes = {FIELDS.get(name, name): value for name, value in source.fields.items()}
    changes = {name: value for name, value in changes.items() if name in names}
    for name, value in changes.items():
        if f"model.{name}" in given and getattr(config.model, name) != value:
            flag = f"--model.{name.replace('_', '-')}"
            raise UserError(
                f"{flag} {getattr(config.model, name)} does not fit {source.spec}, which has {value}; leave {flag} out"
            )
    return dataclasses.replace(config.model, **changes)


def check_names(name: str, model: Any, source: Source) -> None:
    """The batches must be of what the model reads, whatever its shape."""
    want, have = model.batch_spec(1), source.batch_spec(1)
    if not want.keys() <= have.keys():
        raise UserError(f"{name} learns from {' and '.join(want)}; {source.spec} gives {' and '.join(have)}")


def check(name: str, model: Any, source: Source) -> None:
    """The batches must be what the model reads."""
    want, have = model.batch_spec(1), source.batch_spec(1)
    for key, spec in want.items():
        if key != "roll" and spec.shape != have[key].shape:
            raise UserError(f"{name} reads {key} of shape {spec.shape[1:]}; {source.spec} gives {have[key].shape[1:]}")
