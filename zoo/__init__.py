"""Artzoo: generative models for art and music, as pure functions.

import jax, zoo

model = zoo.create("dcgan", image_size=32)
params, extra = model.init(jax.random.key(0))
images = model.sample(params, extra, jax.random.key(1), 16)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.catalog import CATALOG, Entry, create
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.pretrained import load_pretrained, save_pretrained

__all__ = ["CATALOG", "Entry", "UserError", "create", "load_pretrained", "save_pretrained"]


def __getattr__(name: str) -> Any:
    """What needs jax is imported when it is asked for."""
    if name in ("load_pretrained", "save_pretrained"):
        return getattr(import_module("zoo.pretrained"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
