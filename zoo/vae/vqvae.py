"""VQ-VAE: van den Oord, Vinyals & Kavukcuoglu 2017, "Neural Discrete Representation Learning" (arXiv:1711.00937), with
a codebook that follows by moving averages (appendix A.1) and a transformer for the prior over its codes."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv, ConvTranspose
from zoo.nn.quantize import empty_codebook, nearest, perplexity, quantised, straight_through
from zoo.vae import coded


@dataclass(frozen=True, kw_only=True)
class VQVAE:
    """Pictures as grids of codes, and a transformer that writes such grids."""

    image_size: int = 32
    """Pixels a side; a multiple of the cells of a grid."""
    channels: int = 3
    levels: int = 2
    """How often a picture is halved for its codes."""
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

    shared_extra: ClassVar[bool] = True  # the same codebook for all devices
    grids: ClassVar[int] = 1
    sides, prior, phases = property(coded.sides), property(coded.prior), property(coded.phases)
    batch_spec, prior_loss, sample = coded.batch_spec, coded.prior_loss, coded.sample

    def __post_init__(self):
        coded.check(self)

    @property
    def encoder(self) -> "Encoder":
        shape = self.levels, self.width, self.residual_width, self.residual_layers
        return Encoder(self.code_size, *shape, self.dtype)

    @property
    def decoder(self) -> "Decoder":
        shape = self.levels, self.width, self.residual_width, self.residual_layers
        return Decoder(self.channels, *shape, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the codebook, empty: the first batch fills it."""
        del batch
        params = {"autoencoder": self.autoencoder(key), "prior": self.prior.init(jax.random.split(key, 3)[2])}
        return params, {"codebook": empty_codebook(self.codes, self.code_size)}

    def autoencoder(self, key: Array) -> Params:
        """Its two networks' parameters, drawn."""
        encoder_key, decoder_key, _ = jax.random.split(key, 3)  # the third is the prior's
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        grid = jnp.zeros((1, *2 * self.sides, self.code_size))
        return {
            "encoder": self.encoder.init(encoder_key, image)["params"],
            "decoder": self.decoder.init(decoder_key, grid)["params"],
        }

    def loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> coded.Answer:
        """Equation 3, with the codebook's term replaced by moving averages. Metrics: its two parts, and how many codes
        are as good as in use, in this batch and on average."""
        del step
        image = batch["image"]
        z = self.features(params, image)
        revive = jax.random.fold_in(key, coded.REVIVAL)
        codes, vectors, after = quantised(extra["codebook"], z, revive, decay=self.decay, revival=self.revival)
        again = self.painted(params, straight_through(z, vectors))
        reconstruction = jnp.mean(jnp.square(again - wide(image))) / self.variance
        commitment = jnp.mean(jnp.square(wide(z) - jax.lax.stop_gradient(vectors)))
        metrics = {
            "reconstruction": reconstruction,
            "commitment": commitment,
            "perplexity": perplexity(jnp.bincount(codes.reshape(-1), length=self.codes)),
            "codes": perplexity(after["counts"]),
        }
        return reconstruction + self.commitment * commitment, ({**extra, "codebook": after}, metrics)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """And ``used``, the share of the codebook that is as good as in use, by its moving averages."""
        found = coded.evaluate(self, params, extra, batch, key)
        count = found["prior"][1]
        return found | {"used": (self.used(extra) * count, count)}

    def used(self, extra: Extra) -> Array:
        return perplexity(extra["codebook"]["counts"]) / self.codes

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """x [B, H, W, C] in [-1, 1] -> its codes int32 [B, side, side]."""
        del key
        return nearest(self.features(params, x), extra["codebook"]["codes"])

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """Codes int32 [n, side, side] -> [n, H, W, C] in [-1, 1]."""
        return jnp.clip(self.painted(params, extra["codebook"]["codes"][latent]), -1, 1)

    def listed(self, latent: Array) -> list[Array]:
        return [latent]

    def unlisted(self, grids: list[Array]) -> Array:
        return grids[0]

    def features(self, params: Params, x: Array) -> Array:
        """x [B, H, W, C] in [-1, 1] -> what is quantised, [B, side, side, D]."""
        return self.encoder.apply({"params": params["autoencoder"]["encoder"]}, x)  # type: ignore[return-value]

    def painted(self, params: Params, z: Array) -> Array:
        """Vectors [B, side, side, D], of codes as a rule -> [B, H, W, C]."""
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
