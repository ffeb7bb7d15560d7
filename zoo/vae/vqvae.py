"""VQ-VAE: van den Oord, Vinyals & Kavukcuoglu 2017, "Neural Discrete Representation Learning" (arXiv:1711.00937), with
a codebook that follows by moving averages (appendix A.1) and a transformer for the prior over its codes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.decoding import Sampler, Sampling
from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv, ConvTranspose
from zoo.nn.quantize import empty_codebook, nearest, perplexity, quantised, straight_through
from zoo.transformer.decoder import check_heads
from zoo.vae.prior import CodePrior

REVIVAL, DROPOUT = 1, 2  # what the step's key is folded with

Answer = tuple[Array, tuple[Extra, Metrics]]


@dataclass(frozen=True, kw_only=True)
class VQVAE:
    """Pictures as grids of codes, and a transformer that writes such grids.

    Two players: the autoencoder, and the prior, which learns the codes that the autoencoder of the moment gives.
    """

    image_size: int = 32
    """Pixels a side; a multiple of 2^levels."""
    channels: int = 3
    levels: int = 2
    """How often a picture is halved: its codes are a grid of image_size / 2^levels a side."""
    codes: int = 512
    """K, in the codebook."""
    code_size: int = 64
    """D, features of a code."""
    width: int = 128
    """Channels of the networks where pictures are smallest; half of them at half the picture's size."""
    residual_width: int = 32
    """Channels inside a residual block."""
    residual_layers: int = 2
    commitment: float = 0.25
    """Weight beta of the squared distance of what the encoder says to its code (equation 3)."""
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

    shared_extra = True  # one codebook for all devices

    def __post_init__(self):
        if self.levels < 1 or self.image_size % 2**self.levels:
            raise UserError(f"image_size {self.image_size} is no multiple of {2**self.levels}: 2^levels")
        if self.codes < 2:
            raise UserError(f"codes is {self.codes}; a codebook has at least 2")
        if self.prior_layers < 1 or self.prior_heads < 1:
            raise UserError("prior_layers and prior_heads should be at least 1")
        check_heads(self.prior_width, self.prior_heads)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("autoencoder", self.loss), Phase("prior", self.prior_loss)

    @property
    def side(self) -> int:
        """Codes along a side of a picture."""
        return self.image_size // 2**self.levels

    @property
    def encoder(self) -> "Encoder":
        shape = self.levels, self.width, self.residual_width, self.residual_layers
        return Encoder(self.code_size, *shape, self.dtype)

    @property
    def decoder(self) -> "Decoder":
        shape = self.levels, self.width, self.residual_width, self.residual_layers
        return Decoder(self.channels, *shape, self.dtype)

    @property
    def prior(self) -> CodePrior:
        return CodePrior(
            kinds=((self.side**2, self.codes),), layers=self.prior_layers, heads=self.prior_heads,
            width=self.prior_width, dropout=self.prior_dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the codebook, empty: the first batch fills it."""
        del batch
        keys = jax.random.split(key, 3)
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        grid = jnp.zeros((1, self.side, self.side, self.code_size))
        encoder, decoder = self.encoder.init(keys[0], image)["params"], self.decoder.init(keys[1], grid)["params"]
        params = {"autoencoder": {"encoder": encoder, "decoder": decoder}, "prior": self.prior.init(keys[2])}
        return params, {"codebook": empty_codebook(self.codes, self.code_size)}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Equation 3, with the codebook's term replaced by moving averages. Metrics: its two parts, and how many codes
        are as good as in use, in this batch and on average."""
        del step
        image = batch["image"]
        z = self._encode(params, image)
        revive = jax.random.fold_in(key, REVIVAL)
        codes, vectors, after = quantised(extra["codebook"], z, revive, decay=self.decay, revival=self.revival)
        again = self._decode(params, straight_through(z, vectors))
        reconstruction = jnp.mean(jnp.square(again - wide(image))) / self.variance
        commitment = jnp.mean(jnp.square(wide(z) - jax.lax.stop_gradient(vectors)))
        metrics = {
            "reconstruction": reconstruction,
            "commitment": commitment,
            "perplexity": perplexity(jnp.bincount(codes.reshape(-1), length=self.codes)),
            "codes": perplexity(after["counts"]),
        }
        return reconstruction + self.commitment * commitment, ({**extra, "codebook": after}, metrics)

    def prior_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Mean nats of a code given those before it."""
        del step
        codes = self.encode(params, extra, batch["image"]).reshape(len(batch["image"]), -1)
        total, count = self.prior.nll(params["prior"], codes, jax.random.fold_in(key, DROPOUT))
        return total / count, (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nmse``, the squared error over the pixels' variance; ``prior``, nats of all codes of a picture; ``used``,
        the share of the codebook that is as good as in use, by its moving averages."""
        del key
        image = wide(batch["image"])
        codes = self.encode(params, extra, image)
        again = self.render(params, extra, codes)
        spread = jnp.square(image - jnp.mean(image, axis=(0, 1, 2), keepdims=True))
        nats, _ = self.prior.nll(params["prior"], codes.reshape(len(codes), -1))
        count = jnp.asarray(len(image), nats.dtype)
        share = perplexity(extra["codebook"]["counts"]) / self.codes
        return {
            "nmse": (jnp.sum(jnp.square(again - image)), jnp.sum(spread)),
            "prior": (nats, count),
            "used": (share * count, count),
        }

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """x [B, H, W, C] in [-1, 1] -> its codes int32 [B, side, side]."""
        del key
        return nearest(self._encode(params, x), extra["codebook"]["codes"])

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """Codes int32 [n, side, side] -> [n, H, W, C] in [-1, 1]."""
        return jnp.clip(self._decode(params, extra["codebook"]["codes"][latent]), -1, 1)

    def sample(self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling()) -> Array:
        """[n, H, W, C]: codes that the prior draws, decoded."""
        codes = self.prior.sample(params["prior"], key, n, sampler=sampler)
        return self.render(params, extra, codes.reshape(n, self.side, self.side))

    def _encode(self, params: Params, x: Array) -> Array:
        return self.encoder.apply({"params": params["autoencoder"]["encoder"]}, x)  # type: ignore[return-value]

    def _decode(self, params: Params, z: Array) -> Array:
        return self.decoder.apply({"params": params["autoencoder"]["decoder"]}, z)  # type: ignore[return-value]


class Residuals(nn.Module):
    """Blocks x + conv1(relu(conv3(relu(x)))), then a ReLU."""

    inside: int
    layers: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for _ in range(self.layers):
            y = Conv(self.inside, dtype=self.dtype)(nn.relu(x))
            x = x + Conv(x.shape[-1], kernel_size=1, dtype=self.dtype)(nn.relu(y))
        return nn.relu(x)


class Encoder(nn.Module):
    """Pictures [B, H, W, C] -> [B, H / 2^levels, W / 2^levels, features] in the compute dtype."""

    features: int
    levels: int
    width: int
    inside: int
    layers: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        for level in range(self.levels):
            features = self.width // (2 if level == 0 else 1)
            x = nn.relu(Conv(features, kernel_size=4, stride=2, dtype=dtype)(x))
        x = Residuals(self.inside, self.layers, dtype)(Conv(self.width, dtype=dtype)(x))
        return Conv(self.features, kernel_size=1, dtype=dtype)(x)


class Decoder(nn.Module):
    """[B, h, w, D] -> pictures [B, h 2^levels, w 2^levels, channels]: the encoder backwards."""

    channels: int
    levels: int
    width: int
    inside: int
    layers: int
    dtype: str

    @nn.compact
    def __call__(self, z: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        up = partial(ConvTranspose, kernel_size=4, stride=2, dtype=dtype)
        x = Residuals(self.inside, self.layers, dtype)(Conv(self.width, dtype=dtype)(z))
        for level in range(self.levels - 1):
            x = nn.relu(up(self.width // (2 if level == self.levels - 2 else 1))(x))
        return wide(up(self.channels)(x))
