"""Artzoo: generative models for art and music, as pure functions.

import jax, zoo

model = zoo.create("dcgan", image_size=32)
params, extra = model.init(jax.random.key(0))
images = model.sample(params, extra, jax.random.key(1), 16)
"""

from zoo.catalog import CATALOG, Entry, create
from zoo.errors import UserError

__all__ = ["CATALOG", "Entry", "UserError", "create"]
