"""A picture and words in, the picture as the words say out: codes that climb towards what a tower knows of the words.

Crowson et al. 2022, "VQGAN-CLIP: open domain image generation and editing with natural language guidance"
(arXiv:2204.08583): what an autoencoder has made of a picture is changed, before it is quantised, until random views of
what comes out (sections 3.1 and 3.2) lie near the words in the space of a contrastive model. The towers here are the
zoo's own, and know the words that they were trained with.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array, Extra, Params

STEPS, VIEWS = 120, 8
RATE = 0.06  # of a step, in units of the spread of what the encoder says
MARGIN = 8  # a view may lie beyond the edge by the picture's side over this
LEAST, KEEP = 0.8, 3.2  # weight of the squared difference from the source: always, and what a strength of 0 adds


class Steered(Protocol):
    """What is asked of a model."""

    @property
    def image_size(self) -> int:
        """Pixels a side of what the towers see."""
        ...

    def restyled(self, params: Params, extra: Extra, z: Array) -> Array:
        """What was encoded [n, h, w, D] -> pictures, with a gradient through the codes."""
        ...

    def embed(self, params: Params, caption: Array, images: Array, **controls: Any) -> tuple[Array, Array]: ...


def climbed(
    model: Steered, params: Params, extra: Extra, source: Array, z: Array, caption: Array, key: Array, strength: Array
) -> Array:
    """Pictures [n, H, W, C] and what encodes them, z -> pictures that fit captions int32 [n, L], by gradient ascent in
    z. ``strength`` from 0 to 1: how little the source counts beside the words. UserError where they are smaller than
    what the towers see."""
    if min(source.shape[1:3]) < (side := model.image_size):
        raise UserError(f"a picture of {source.shape[2]} x {source.shape[1]} pixels: the towers see {side} x {side}")
    silence = jnp.zeros((1, *source.shape[1:]))[:, :side, :side]
    goal = model.embed(params, caption, silence)[0]

    def score(z: Array, key: Array) -> Array:
        made = model.restyled(params, extra, z)
        seen = model.embed(params, caption[:1], views(made, side, key))[1]
        near = jnp.einsum("vnd,nd->n", seen.reshape(VIEWS, len(source), -1), goal) / VIEWS
        change = jnp.mean(jnp.square(made - source), axis=(1, 2, 3))
        return jnp.sum(near - (LEAST + KEEP * (1 - strength)) * change)

    def climb(z: Array, index: Array) -> tuple[Array, None]:
        slope = jax.grad(score)(z, jax.random.fold_in(key, index))
        size = jnp.sqrt(jnp.mean(jnp.square(slope), axis=(1, 2, 3), keepdims=True))
        return z + RATE * spread * (1 - index / STEPS) * slope / (size + 1e-12), None

    spread = jnp.std(z)
    return model.restyled(params, extra, jax.lax.scan(climb, z, jnp.arange(STEPS))[0])


def views(images: Array, side: int, key: Array) -> Array:
    """Squares of ``side`` pixels from random places of pictures [n, H, W, C]: [VIEWS n, side, side, C]."""
    edge = side // MARGIN
    wide = jnp.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
    room = jnp.asarray(wide.shape[1:3]) - side + 1
    places = jax.random.randint(key, (VIEWS, 2), 0, jnp.broadcast_to(room, (VIEWS, 2)))
    cut = lambda place: jax.lax.dynamic_slice(
        wide, (0, place[0], place[1], 0), (len(images), side, side, images.shape[3])
    )  # fmt: skip
    return jax.vmap(cut)(places).reshape(-1, side, side, images.shape[3])
