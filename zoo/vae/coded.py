"""What models of pictures as grids of codes do alike, a prior over the codes among it: functions of them, to be their
methods."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp

from zoo.decoding import Sampler, Sampling
from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.transformer.decoder import check_heads
from zoo.vae.prior import CodePrior

REVIVAL, DROPOUT = 1, 2  # what the step's key is folded with

Answer = tuple[Array, tuple[Extra, Metrics]]


class Coded(Protocol):
    """Two players: the autoencoder, and the prior, which learns the codes that the autoencoder of the moment gives."""

    grids: ClassVar[int]
    """Of a picture: each has half as many codes a side as the next."""

    @property
    def image_size(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def levels(self) -> int: ...
    @property
    def codes(self) -> int: ...
    @property
    def prior_layers(self) -> int: ...
    @property
    def prior_heads(self) -> int: ...
    @property
    def prior_width(self) -> int: ...
    @property
    def prior_dropout(self) -> float: ...
    @property
    def dtype(self) -> str: ...
    @property
    def loss(self) -> Callable[..., Answer]: ...
    @property
    def prior_loss(self) -> Callable[..., Answer]: ...
    @property
    def encode(self) -> Callable[..., Any]:
        """(params, extra, x [B, H, W, C] in [-1, 1]) -> its grids of codes, int32."""
        ...

    @property
    def render(self) -> Callable[..., Array]:
        """(params, extra, grids as ``encode`` gives them) -> [n, H, W, C] in [-1, 1]."""
        ...

    @property
    def listed(self) -> Callable[[Any], list[Array]]:
        """Grids as ``encode`` gives them -> a list of them, coarse to fine."""
        ...

    @property
    def unlisted(self) -> Callable[[list[Array]], Any]:
        """And back."""
        ...


def check(model: Coded) -> None:
    """Raises UserError for fields that do not fit together."""
    cells = 2 ** (model.levels + model.grids - 1)
    if model.levels < 1 or model.image_size % cells:
        raise UserError(f"image_size {model.image_size} is no multiple of {cells}, its grids' largest cells")
    if model.codes < 2:
        raise UserError(f"codes is {model.codes}; a codebook has at least 2")
    if model.prior_layers < 1 or model.prior_heads < 1:
        raise UserError("prior_layers and prior_heads should be at least 1")
    check_heads(model.prior_width, model.prior_heads)


def phases(model: Coded) -> tuple[Phase, ...]:
    return Phase("autoencoder", model.loss), Phase("prior", model.prior_loss)


def sides(model: Coded) -> tuple[int, ...]:
    """Codes along a side of a picture, of the coarsest grid to the finest."""
    return tuple(model.image_size // 2 ** (model.levels + halved) for halved in reversed(range(model.grids)))


def prior(model: Coded) -> CodePrior:
    return CodePrior(
        kinds=tuple((side**2, model.codes) for side in sides(model)), layers=model.prior_layers,
        heads=model.prior_heads, width=model.prior_width, dropout=model.prior_dropout, dtype=model.dtype,
    )  # fmt: skip


def batch_spec(model: Coded, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    shape = (batch_size, model.image_size, model.image_size, model.channels)
    return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}


def prior_loss(model: Coded, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """Mean nats of a code given those before it, all of the coarser grids among them."""
    del step
    codes = sequence(model, model.encode(params, extra, batch["image"]))
    total, count = prior(model).nll(params["prior"], codes, jax.random.fold_in(key, DROPOUT))
    return total / count, (extra, {})


def evaluate(model: Coded, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
    """``nmse``, the squared error over the pixels' variance; ``prior``, nats of all codes of a picture."""
    del key
    image = wide(batch["image"])
    codes = model.encode(params, extra, image)
    nats, _ = prior(model).nll(params["prior"], sequence(model, codes))
    return {
        "nmse": error(model, params, extra, image, codes),
        "prior": (nats, jnp.asarray(len(image), nats.dtype)),
    }


def error(model: Coded, params: Params, extra: Extra, image: Array, codes: Any) -> tuple[Array, Array]:
    """(squared error of what the codes of pictures [B, H, W, C] give, the pixels' squared distance from their
    mean)."""
    spread = jnp.square(image - jnp.mean(image, axis=(0, 1, 2), keepdims=True))
    return jnp.sum(jnp.square(model.render(params, extra, codes) - image)), jnp.sum(spread)


def sample(model: Coded, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling()) -> Array:
    """[n, H, W, C]: codes that the prior draws, decoded."""
    drawn = prior(model).sample(params["prior"], key, n, sampler=sampler)
    parts = jnp.split(drawn, list(accumulate(side**2 for side in sides(model)))[:-1], axis=1)
    grids = [
        part.reshape(n, side, side) - number * model.codes
        for number, (part, side) in enumerate(zip(parts, sides(model), strict=True))
    ]
    return model.render(params, extra, model.unlisted(grids))


def sequence(model: Coded, latent: Any) -> Array:
    """All grids as one sequence int32 [B, T]: the prior counts a grid's codes on from those of the one before."""
    rows = [grid.reshape(len(grid), -1) + at * model.codes for at, grid in enumerate(model.listed(latent))]
    return jnp.concatenate(rows, axis=1)
