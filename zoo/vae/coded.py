"""What models of pictures as grids of codes share: their fields, a prior over the codes, and how both are judged."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

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


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Two players: the autoencoder, and the prior, which learns the codes that the autoencoder of the moment gives.

    A model of this kind says what its grids are, and has ``init``, ``loss``, ``encode`` and ``render``.
    """

    image_size: int = 32
    """Pixels a side; a multiple of the largest grid's cells."""
    channels: int = 3
    levels: int = 2
    """How often a picture is halved for the finest grid of codes."""
    codes: int = 512
    """K, in a codebook."""
    code_size: int = 64
    """D, features of a code."""
    width: int = 128
    """Channels of the networks where pictures are smallest; half of them at half the picture's size."""
    residual_width: int = 32
    """Channels inside a residual block."""
    residual_layers: int = 2
    commitment: float = 0.25
    """Weight beta of the squared distance of what the encoder says to its code."""
    decay: float = 0.99
    """Of the codebook's moving averages."""
    revival: float = 0.01
    """Codes that are used less than this share of the mean use are begun again; 0 lets them die."""
    variance: float = 0.25
    """Of the pixels, in whose units squared errors are."""
    prior_layers: int = 4
    prior_heads: int = 4
    prior_width: int = 128
    prior_dropout: float = 0.1
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    shared_extra: ClassVar[bool] = True  # the same codebooks for all devices
    grids: ClassVar[int] = 1
    """Of a picture: each has half as many codes a side as the next."""

    def __post_init__(self):
        cells = 2 ** (self.levels + self.grids - 1)
        if self.levels < 1 or self.image_size % cells:
            raise UserError(f"image_size {self.image_size} is no multiple of {cells}, its grids' largest cells")
        if self.codes < 2:
            raise UserError(f"codes is {self.codes}; a codebook has at least 2")
        if self.prior_layers < 1 or self.prior_heads < 1:
            raise UserError("prior_layers and prior_heads should be at least 1")
        check_heads(self.prior_width, self.prior_heads)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("autoencoder", self.loss), Phase("prior", self.prior_loss)

    @property
    def sides(self) -> tuple[int, ...]:
        """Codes along a side of a picture, of the coarsest grid to the finest."""
        return tuple(self.image_size // 2 ** (self.levels + halved) for halved in reversed(range(self.grids)))

    @property
    def prior(self) -> CodePrior:
        return CodePrior(
            kinds=tuple((side**2, self.codes) for side in self.sides), layers=self.prior_layers, heads=self.prior_heads,
            width=self.prior_width, dropout=self.prior_dropout, dtype=self.dtype,
        )  # fmt: skip

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        raise NotImplementedError

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Any:
        """x [B, H, W, C] in [-1, 1] -> its grids of codes, int32."""
        raise NotImplementedError

    def render(self, params: Params, extra: Extra, latent: Any) -> Array:
        """Grids of codes, as ``encode`` gives them -> [n, H, W, C] in [-1, 1]."""
        raise NotImplementedError

    def listed(self, latent: Any) -> list[Array]:
        """Grids as ``encode`` gives them -> a list of them, coarse to fine."""
        raise NotImplementedError

    def unlisted(self, grids: list[Array]) -> Any:
        """And back."""
        raise NotImplementedError

    def prior_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Mean nats of a code given those before it, all of the coarser grids among them."""
        del step
        codes = self._sequence(self.encode(params, extra, batch["image"]))
        total, count = self.prior.nll(params["prior"], codes, jax.random.fold_in(key, DROPOUT))
        return total / count, (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nmse``, the squared error over the pixels' variance; ``prior``, nats of all codes of a picture."""
        del key
        image = wide(batch["image"])
        codes = self.encode(params, extra, image)
        nats, _ = self.prior.nll(params["prior"], self._sequence(codes))
        return {
            "nmse": self.error(params, extra, image, codes),
            "prior": (nats, jnp.asarray(len(image), nats.dtype)),
        }

    def error(self, params: Params, extra: Extra, image: Array, codes: Any) -> tuple[Array, Array]:
        """(squared error of what the codes of pictures [B, H, W, C] give, the pixels' squared distance from their
        mean)."""
        spread = jnp.square(image - jnp.mean(image, axis=(0, 1, 2), keepdims=True))
        return jnp.sum(jnp.square(self.render(params, extra, codes) - image)), jnp.sum(spread)

    def sample(self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling()) -> Array:
        """[n, H, W, C]: codes that the prior draws, decoded."""
        drawn = self.prior.sample(params["prior"], key, n, sampler=sampler)
        parts = jnp.split(drawn, list(accumulate(side**2 for side in self.sides))[:-1], axis=1)
        grids = [
            part.reshape(n, side, side) - number * self.codes
            for number, (part, side) in enumerate(zip(parts, self.sides, strict=True))
        ]
        return self.render(params, extra, self.unlisted(grids))

    def _sequence(self, latent: Any) -> Array:
        """All grids as one sequence int32 [B, T]: the prior counts a grid's codes on from those of the one before."""
        rows = [grid.reshape(len(grid), -1) + at * self.codes for at, grid in enumerate(self.listed(latent))]
        return jnp.concatenate(rows, axis=1)
