"""VQ-VAE-2: Razavi, van den Oord & Vinyals 2019, "Generating Diverse High-Fidelity Images with VQ-VAE-2"
(arXiv:1906.00446): a coarse grid of codes for what a picture is, a fine one for what it looks like close by."""

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
from zoo.vae.vqvae import Decoder, Encoder, Residuals

LEVELS = "top", "bottom"


@dataclass(frozen=True, kw_only=True)
class VQVAE2:
    """Pictures as two grids of codes, the finer one given the coarser one, and a transformer that writes both in turn.

    The paper has a network of its own for each grid's prior; here one reads the coarse grid and goes on with the fine.
    """

    image_size: int = 64
    """Pixels a side; a multiple of the coarse grid's cells."""
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
    grids: ClassVar[int] = 2
    sides, prior, phases = property(coded.sides), property(coded.prior), property(coded.phases)
    batch_spec, prior_loss = coded.batch_spec, coded.prior_loss
    evaluate, sample = coded.evaluate, coded.sample

    def __post_init__(self):
        coded.check(self)

    @property
    def networks(self) -> dict[str, nn.Module]:
        shape = self.width, self.residual_width, self.residual_layers
        return {
            "bottom_encoder": Encoder(self.width, self.levels, *shape, self.dtype),
            "top_encoder": Encoder(self.code_size, 1, *shape, self.dtype),
            "top_decoder": Decoder(self.code_size, 1, *shape, self.dtype),
            "join": Join(self.code_size, self.dtype),
            "decoder": PairDecoder(self.channels, self.levels, *shape, self.dtype),
        }

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the codebooks, empty: the first batch fills them."""
        del batch
        grid = lambda side, features: jnp.zeros((1, side, side, features))
        top, bottom = (grid(side, self.code_size) for side in self.sides)
        seen = grid(self.sides[-1], self.width)
        inputs = {
            "bottom_encoder": (grid(self.image_size, self.channels),),
            "top_encoder": (seen,),
            "top_decoder": (top,),
            "join": (seen, bottom),
            "decoder": (top, bottom),
        }
        keys = jax.random.split(key, len(inputs) + 1)
        trees = {
            name: network.init(own, *inputs[name])["params"]
            for own, (name, network) in zip(keys, self.networks.items(), strict=False)
        }
        params = {"autoencoder": trees, "prior": self.prior.init(keys[-1])}
        return params, {name: empty_codebook(self.codes, self.code_size) for name in LEVELS}

    def loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> coded.Answer:
        """Equation 2 for both grids, with the codebooks' terms replaced by moving averages. Metrics: its two parts, and
        for each grid how many codes are as good as in use."""
        del step
        image, commitment, after, vectors, metrics = batch["image"], jnp.zeros(()), {}, {}, {}
        key = jax.random.fold_in(key, coded.REVIVAL)

        def quantise(name: str, z: Array) -> Array:
            nonlocal commitment
            own = jax.random.fold_in(key, LEVELS.index(name))
            _, found, after[name] = quantised(extra[name], z, own, decay=self.decay, revival=self.revival)
            commitment += jnp.mean(jnp.square(wide(z) - jax.lax.stop_gradient(found)))
            metrics[f"{name}_codes"] = perplexity(after[name]["counts"])
            return straight_through(z, found)

        self._walk(params, image, lambda name, z: vectors.setdefault(name, quantise(name, z)))
        again = self._apply(params, "decoder", vectors["top"], vectors["bottom"])
        reconstruction = jnp.mean(jnp.square(again - wide(image))) / self.variance
        metrics |= {"reconstruction": reconstruction, "commitment": commitment}
        return reconstruction + self.commitment * commitment, ({**extra, **after}, metrics)

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> dict[str, Array]:
        """x [B, H, W, C] in [-1, 1] -> its codes int32 {"top": [B, h, w], "bottom": [B, 2 h, 2 w]}."""
        del key
        codes = {}

        def look_up(name: str, z: Array) -> Array:
            codes[name] = nearest(z, extra[name]["codes"])
            return extra[name]["codes"][codes[name]]

        self._walk(params, x, look_up)
        return codes

    def render(self, params: Params, extra: Extra, latent: dict[str, Array]) -> Array:
        """Codes as ``encode`` gives them -> [n, H, W, C] in [-1, 1]."""
        top, bottom = (extra[name]["codes"][latent[name]] for name in LEVELS)
        return jnp.clip(self._apply(params, "decoder", top, bottom), -1, 1)

    def listed(self, latent: dict[str, Array]) -> list[Array]:
        return [latent[name] for name in LEVELS]

    def unlisted(self, grids: list[Array]) -> dict[str, Array]:
        return dict(zip(LEVELS, grids, strict=True))

    def _walk(self, params: Params, x: Array, quantise: Any) -> None:
        """Pictures through the encoders; ``quantise(name, z)`` gives what goes on, of the coarse grid to the fine."""
        seen = self._apply(params, "bottom_encoder", x)
        top = quantise("top", self._apply(params, "top_encoder", seen))
        quantise("bottom", self._apply(params, "join", seen, self._apply(params, "top_decoder", top)))

    def _apply(self, params: Params, name: str, *inputs: Array) -> Array:
        return self.networks[name].apply({"params": params["autoencoder"][name]}, *inputs)  # type: ignore[return-value]


class Join(nn.Module):
    """What the encoder saw and what the coarse codes say, both [B, h, w, ...] -> [B, h, w, features]."""

    features: int
    dtype: str

    @nn.compact
    def __call__(self, seen: Array, said: Array) -> Array:
        both = jnp.concatenate([seen, said.astype(seen.dtype)], axis=-1)
        return Conv(self.features, kernel_size=1, dtype=compute_dtype(self.dtype))(both)


class PairDecoder(nn.Module):
    """Coarse [B, h, w, D] and fine [B, 2 h, 2 w, D] codes -> pictures [B, H, W, channels]."""

    channels: int
    levels: int
    width: int
    inside: int
    layers: int
    dtype: str

    @nn.compact
    def __call__(self, top: Array, bottom: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        up = partial(ConvTranspose, kernel_size=4, stride=2, dtype=dtype)
        raised = up(top.shape[-1])(top)
        both = jnp.concatenate([raised, bottom.astype(raised.dtype)], axis=-1)
        x = Residuals(self.inside, self.layers, dtype)(Conv(self.width, dtype=dtype)(both))
        for level in range(self.levels - 1):
            x = nn.relu(up(self.width // (2 if level == self.levels - 2 else 1))(x))
        return wide(up(self.channels)(x))
