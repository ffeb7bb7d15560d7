"""Generative autoencoders without a variational bound: Ghosh, Sajjadi, Vergari, Black & Schoelkopf 2020, "From
Variational to Deterministic Autoencoders" (arXiv:1903.12436), and a density that is fitted to what the encoder says."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.spectral import spectral_normalise, start_vectors
from zoo.vae.flow import Flow
from zoo.vae.networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder

NOISE = 0  # what the step's key is folded with
FLOOR = 1e-4  # of the latents' mean variance: what no direction of them falls below

Answer = tuple[Array, tuple[Extra, Metrics]]


@dataclass(frozen=True, kw_only=True)
class RAE:
    """An autoencoder whose decoder is kept smooth, and a flow that learns where its latents are.

    Two players. The autoencoder knows nothing of the density; the density learns the latents that the encoder of the
    moment gives, made white by their running mean and covariance (in ``extra``), so that without a flow it is the
    normal distribution that the paper fits first (section 4). What goes in and out of the model as a latent is on the
    standard normal's side: a straight way between two of them stays where pictures are.
    """

    image_size: int = 32
    """Any for dense networks, a power of two from 16 to 256 for convolutions."""
    channels: int = 3
    network: Literal["dense", "conv"] = "conv"
    """One hidden layer each way, or 4 x 4 convolutions of stride 2 down to 4 x 4 pixels."""
    latent_size: int = 32
    """Z."""
    width: int = 32
    """Hidden units; for convolutions, channels at half the image's size: they double with every halving, up to eight
    times this."""
    latent_weight: float = 1e-2
    """Weight of |z|^2 / 2, which keeps latents from growing."""
    smoothness: Literal["gradient", "decay", "spectral", "none"] = "gradient"
    """What keeps the decoder smooth (section 3.1): its squared gradient, the square of its weights, or that no layer
    stretches anything (Miyato et al. 2018, arXiv:1802.05957)."""
    weight: float = 1e-2
    """Of ``smoothness``: of the gradient's square it is the variance of a noise in the latents that would cost as
    much."""
    flow: int = 8
    """Couplings between white latents and N(0, I) (see ``zoo.vae.flow``); 0 leaves the normal distribution."""
    memory: float = 0.99
    """Decay of the latents' running mean and covariance."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.network not in ("dense", "conv"):
            raise UserError(f"network is {self.network!r}; a vae-gae is 'dense' or 'conv'")
        if self.network == "conv" and self.image_size not in (16, 32, 64, 128, 256):
            raise UserError(f"image_size is {self.image_size}; a conv vae-gae draws 16, 32, 64, 128 or 256 pixels")
        if self.smoothness not in ("gradient", "decay", "spectral", "none"):
            raise UserError(f"smoothness is {self.smoothness!r}; it is gradient, decay, spectral or none")

    @property
    def phases(self) -> tuple[Phase, ...]:
        autoencoder = Phase("autoencoder", self.loss)
        return (autoencoder, Phase("density", self.density_loss)) if self.flow else (autoencoder,)

    @property
    def encoder(self) -> nn.Module:
        dtype = compute_dtype(self.dtype)
        if self.network == "conv":
            return ConvEncoder(self.image_size, self.latent_size, self.width, dtype, sure=True)
        return DenseEncoder(self.latent_size, self.width, dtype, sure=True)

    @property
    def decoder(self) -> nn.Module:
        network = ConvDecoder if self.network == "conv" else DenseDecoder
        return network(self.image_size, self.channels, self.width, compute_dtype(self.dtype))

    @property
    def density(self) -> Flow:
        return Flow(self.flow, compute_dtype(self.dtype))

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the latents' mean [Z] and covariance [Z, Z], and a spectral decoder's vectors."""
        del batch
        keys = jax.random.split(key, 4)
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        latent = jnp.zeros((1, self.latent_size))
        encoder, decoder = self.encoder.init(keys[0], image)["params"], self.decoder.init(keys[1], latent)["params"]
        params: Params = {"autoencoder": {"encoder": encoder, "decoder": decoder}}
        extra: Extra = {"latents": {"mean": latent[0], "covariance": jnp.eye(self.latent_size)}}
        if self.flow:
            params["density"] = self.density.init(keys[2], latent)["params"]
        if self.smoothness == "spectral":
            extra["vectors"] = start_vectors(decoder, keys[3])
        return params, extra

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """|x - D(E(x))|^2 + latent_weight |E(x)|^2 / 2 + weight R(D), a picture (section 3); R is |dD/dz|^2 at E(x), by
        a random direction u: E |dD/dz u|^2 over u from N(0, I), or |theta|^2 of the decoder's kernels."""
        del step
        z = self._encode(params, batch["image"])
        decoder, extra = self._decoder(params, extra, train=True)
        decode = lambda z: self.decoder.apply({"params": decoder}, z)
        if self.smoothness == "gradient":
            u = jax.random.normal(jax.random.fold_in(key, NOISE), z.shape, z.dtype)
            again, along = jax.jvp(decode, (z,), (u,))
            rough = jnp.sum(jnp.square(along)) / len(z)
        else:
            again, rough = decode(z), jnp.zeros(())
        if self.smoothness == "decay":
            rough = sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(decoder) if leaf.ndim > 1), rough)
        parts = {
            "reconstruction": jnp.sum(jnp.square(again - batch["image"])) / len(z),
            "latents": jnp.sum(jnp.square(z)) / (2 * len(z)),
            "roughness": rough,
        }
        loss = parts["reconstruction"] + self.latent_weight * parts["latents"] + self.weight * rough
        return loss, ({**extra, "latents": self._followed(extra["latents"], z)}, parts)

    def density_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Mean nats of a latent; the encoder stays as it is."""
        del key, step
        return jnp.mean(self._nats(params, extra, self._encode(params, batch["image"]))), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``reconstruction``, the squared error of a picture, and ``density``, -log p of its latent in nats."""
        del key
        z = self._encode(params, batch["image"])
        decoder, _ = self._decoder(params, extra, train=False)
        error = jnp.square(self.decoder.apply({"params": decoder}, z) - batch["image"])
        sums = {"reconstruction": jnp.sum(error), "density": jnp.sum(self._nats(params, extra, z))}
        return {name: (total, jnp.asarray(len(z), total.dtype)) for name, total in sums.items()}

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] from N(0, I); float32 in any precision, so that a key means the same picture."""
        return jax.random.normal(key, (n, self.latent_size), jnp.float32)

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """x [B, H, W, C] in [-1, 1] -> its latent on the normal's side, [B, Z]; nothing is drawn."""
        del key
        return self._flow(params, self._whitened(extra, self._encode(params, x))[0])[0]

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] from the normal's side -> [n, H, W, C], cut to [-1, 1]."""
        white, _ = self._flow(params, latent, inverse=True)
        decoder, _ = self._decoder(params, extra, train=False)
        mean, root = extra["latents"]["mean"], self._root(extra)
        z = mean[None].astype(white.dtype) + jnp.sum(white[:, None] * root[None], axis=-1)
        return jnp.clip(self.decoder.apply({"params": decoder}, z), -1, 1)  # type: ignore[arg-type]

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]."""
        return self.render(params, extra, self.latents(key, n))

    def _encode(self, params: Params, x: Array) -> Array:
        return self.encoder.apply({"params": params["autoencoder"]["encoder"]}, x)  # type: ignore[return-value]

    def _decoder(self, params: Params, extra: Extra, *, train: bool) -> tuple[Any, Extra]:
        """The decoder's parameters as they are used, and ``extra`` after that."""
        decoder = params["autoencoder"]["decoder"]
        if self.smoothness != "spectral":
            return decoder, extra
        decoder, vectors = spectral_normalise(decoder, extra["vectors"], train=train)
        return decoder, {**extra, "vectors": vectors}

    def _flow(self, params: Params, x: Array, *, inverse: bool = False) -> Any:
        """White latents to N(0, I), or back, and the log determinant."""
        return self.density.apply({"params": params.get("density", {})}, x, inverse=inverse)

    def _nats(self, params: Params, extra: Extra, z: Array) -> Array:
        """-log p(z) [B]."""
        white, scale = self._whitened(extra, z)
        latent, log_determinant = self._flow(params, white)
        normal = jnp.sum(jnp.square(latent), axis=-1) / 2 + self.latent_size * math.log(2 * math.pi) / 2
        return normal - log_determinant + scale

    # ---- The latents' mean and covariance. Sums, not matrix products: small, and as precise as the parameters. -----

    def _followed(self, before: Any, z: Array) -> Any:
        """The running mean and covariance after a batch of latents."""
        z = wide(jax.lax.stop_gradient(z))
        mean = self.memory * before["mean"] + (1 - self.memory) * jnp.mean(z, axis=0)
        apart = z - mean[None].astype(z.dtype)
        covariance = jnp.mean(apart[:, :, None] * apart[:, None], axis=0)
        covariance = self.memory * before["covariance"] + (1 - self.memory) * covariance
        return jax.tree.map(lambda new, old: new.astype(old.dtype), {"mean": mean, "covariance": covariance}, before)

    def _root(self, extra: Extra) -> Array:
        """L [Z, Z] with L L^T the covariance, raised a little in every direction."""
        covariance = extra["latents"]["covariance"]
        floor = FLOOR * jnp.trace(covariance) / self.latent_size
        return jnp.linalg.cholesky(covariance + floor * jnp.eye(self.latent_size, dtype=covariance.dtype))

    def _whitened(self, extra: Extra, z: Array) -> tuple[Array, Array]:
        """Latents [B, Z] with mean 0 and covariance 1, and log |L|."""
        root = self._root(extra)
        apart = z - extra["latents"]["mean"][None].astype(z.dtype)
        white = jax.scipy.linalg.solve_triangular(root.astype(z.dtype), apart.T, lower=True).T
        return white, jnp.sum(jnp.log(jnp.diagonal(root)))
