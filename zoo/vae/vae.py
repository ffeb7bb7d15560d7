"""Variational autoencoders (Kingma & Welling 2014, arXiv:1312.6114), dense or convolutional."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.losses import bernoulli_nll, gaussian_kl, gaussian_nll, maximum_mean_discrepancy
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn import compute_dtype
from zoo.vae.flow import Flow
from zoo.vae.networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder

LATENT, PIXELS, PRIOR = range(3)  # what the step's key is folded with

# Adam moves a parameter by about its rate a step, whatever the gradient: times this, the one number log(sigma) follows
# the reconstruction error within a few hundred steps.
SIGMA_PACE = 10


@dataclass(frozen=True, kw_only=True)
class VAE:
    """-log p(x | z) + beta KL(q(z | x) || N(0, I)), by one draw of z (Kingma & Welling 2014, equation 10)."""

    image_size: int = 28
    """Any for dense networks, a power of two from 16 to 256 for convolutions."""
    channels: int = 1
    network: Literal["dense", "conv"] = "dense"
    """One hidden layer each way, or 4 x 4 convolutions of stride 2 down to 4 x 4 pixels."""
    latent_size: int = 40
    """Z."""
    width: int = 400
    """Hidden units; for convolutions, channels at half the image's size: they double with every halving, up to eight
    times this."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Of a pixel: its grey level as a probability, or a normal around the decoder's output in [-1, 1]."""
    binarize: bool = False
    """Bernoulli only: draw each pixel by its grey level, afresh at every step (Burda et al. 2016, section 5.1)."""
    sigma: float | None = None
    """Gaussian only: the deviation of a pixel. None learns one for all pixels (Rybkin et al. 2021, arXiv:2006.13202),
    so that reconstruction and KL find their balance whatever the size and the contrast of the pictures."""
    beta: float = 1.0
    """Weight of the KL (Higgins et al. 2017, equation 4); with ``mmd``, 1 - alpha of InfoVAE."""
    capacity: float | None = None
    """Nats that the KL is held at instead of at 0, by beta |KL - capacity| (Burgess et al. 2018, arXiv:1804.03599,
    equation 8, with a beta of 1000 and a capacity of 25). None is none."""
    anneal: int = 0
    """Steps in which beta, or with it the capacity instead, rises from 0 in a straight line; 0 is at once."""
    mmd: float | None = None
    """Weight of the maximum mean discrepancy between latents and N(0, I): alpha + lambda - 1 of InfoVAE (Zhao et al.
    2017, arXiv:1706.02262, equation 6). None is none."""
    draws: int = 1
    """Latents drawn for each picture; more than one train it as an importance weighted autoencoder (Burda et al. 2016,
    arXiv:1509.00519, equation 8), whose bound is tighter."""
    flow: int = 0
    """Couplings between z and N(0, I): a learnt prior (see ``zoo.vae.flow``). What goes in and out of the model as a
    latent is on the normal's side."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.network not in ("dense", "conv"):
            raise UserError(f"network is {self.network!r}; a vae is 'dense' or 'conv'")
        if self.likelihood not in ("bernoulli", "gaussian"):
            raise UserError(f"likelihood is {self.likelihood!r}; a vae's is 'bernoulli' or 'gaussian'")
        if self.network == "conv" and self.image_size not in (16, 32, 64, 128, 256):
            raise UserError(f"image_size is {self.image_size}; a conv vae draws 16, 32, 64, 128 or 256 pixels a side")
        if self.binarize and self.likelihood != "bernoulli":
            raise UserError("binarize draws black and white pixels: it needs likelihood 'bernoulli'")
        if self.draws < 1:
            raise UserError(f"draws is {self.draws}; a vae draws at least one latent a picture")
        if self.draws > 1 and (self.beta, self.capacity, self.anneal, self.mmd) != (1, None, 0, None):
            raise UserError("several draws bound the likelihood: with them beta is 1, without capacity, anneal and mmd")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("vae", self.loss),)

    @property
    def encoder(self) -> nn.Module:
        dtype = compute_dtype(self.dtype)
        if self.network == "conv":
            return ConvEncoder(self.image_size, self.latent_size, self.width, dtype)
        return DenseEncoder(self.latent_size, self.width, dtype)

    @property
    def decoder(self) -> nn.Module:
        network = ConvDecoder if self.network == "conv" else DenseDecoder
        return network(self.image_size, self.channels, self.width, compute_dtype(self.dtype))

    @property
    def prior(self) -> Flow:
        return Flow(self.flow, compute_dtype(self.dtype))

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        keys = jax.random.split(key, 3)
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        latent = jnp.zeros((1, self.latent_size))
        encoder, decoder = self.encoder.init(keys[0], image)["params"], self.decoder.init(keys[1], latent)["params"]
        tree = {"encoder": encoder, "decoder": decoder}
        if self.flow:
            tree["flow"] = self.prior.init(keys[2], latent)["params"]
        if self.likelihood == "gaussian" and self.sigma is None:
            tree["sigma"] = jnp.zeros(())
        return {"vae": tree}, {}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """The mean negative (beta-)ELBO; metrics: its two parts, in nats a picture. With several ``draws``, the mean
        negative bound by all of them, and nothing else."""
        if self.draws > 1:
            return -jnp.mean(self._tighter_bound(params, batch["image"], key)), (extra, {})
        nll, kl, latent = self._terms(params, batch["image"], key)
        nll, kl = jnp.mean(nll), jnp.mean(kl)
        risen = jnp.minimum(step / self.anneal, 1) if self.anneal else 1.0
        cost = risen * kl if self.capacity is None else jnp.abs(kl - risen * self.capacity)
        loss, metrics = nll + self.beta * cost, {"reconstruction": nll, "kl": kl}
        if self.mmd is not None:
            prior = self.latents(jax.random.fold_in(key, PRIOR), len(latent))
            metrics["mmd"] = maximum_mean_discrepancy(latent, prior)
            loss += self.mmd * metrics["mmd"]
        return loss, (extra, metrics)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``elbo`` (beta = 1) and its parts ``reconstruction`` (-log p(x | z)) and ``kl``, in nats a picture."""
        del extra
        nll, kl, _ = self._terms(params, batch["image"], key)
        sums = {"elbo": jnp.sum(-nll - kl), "reconstruction": jnp.sum(nll), "kl": jnp.sum(kl)}
        return {name: (total, jnp.asarray(len(nll), total.dtype)) for name, total in sums.items()}

    def log_likelihood(self, params: Params, extra: Extra, batch: Batch, key: Array, *, samples: int = 200) -> Array:
        """log p(x) of each picture in nats, [B], from below: log mean_k p(x, z_k) / q(z_k | x) over ``samples`` draws
        (Burda et al. 2016, equation 8). Memory is that of one draw.

        With ``binarize``, pixels are drawn once from ``key``; pictures that are black and white already stay so.
        """
        del extra
        x = self._target(batch["image"], jax.random.fold_in(key, PIXELS))
        posterior = self._posterior(params, x)
        keys = jax.random.split(jax.random.fold_in(key, LATENT), samples)
        log_weights = jax.lax.map(lambda key: self._log_weights(params, x, posterior, key, draws=1)[0], keys)
        return jax.nn.logsumexp(log_weights, axis=0) - math.log(samples)

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] from N(0, I); float32 in any precision, so that a key means the same picture."""
        return jax.random.normal(key, (n, self.latent_size), jnp.float32)

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """x [B, H, W, C] in [-1, 1] -> the latent of a draw from q(z | x), or of its mean without a key: [B, Z]."""
        del extra
        mean, log_variance = self._posterior(params, (x + 1) / 2 if self.likelihood == "bernoulli" else x)
        z = mean if key is None else _draw(mean, log_variance, key)
        return self._flow(params, z)[0]

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> the mean picture of each latent, [n, H, W, C] in [-1, 1]."""
        del extra
        z, _ = self._flow(params, latent, inverse=True)
        output = self._decode(params, z)
        return jnp.tanh(output / 2) if self.likelihood == "bernoulli" else jnp.clip(output, -1, 1)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]."""
        return self.render(params, extra, self.latents(key, n))

    def _terms(self, params: Params, image: Array, key: Array) -> tuple[Array, Array, Array]:
        """-log p(x | z) and the KL, of one draw of z, each [B]; and its latent [B, Z]."""
        x = self._target(image, jax.random.fold_in(key, PIXELS))
        mean, log_variance = self._posterior(params, x)
        z = _draw(mean, log_variance, jax.random.fold_in(key, LATENT))
        if not self.flow:
            return self._nll(params, z, x), gaussian_kl(mean, log_variance), z
        latent, log_determinant = self._flow(params, z)
        kl = jnp.sum(jnp.square(latent) - 1 - log_variance, axis=-1) / 2 - log_determinant  # q's entropy is exact
        return self._nll(params, z, x), kl, latent

    def _tighter_bound(self, params: Params, image: Array, key: Array) -> Array:
        """log mean_k p(x, z_k) / q(z_k | x) of each picture over the ``draws``, [B]."""
        x = self._target(image, jax.random.fold_in(key, PIXELS))
        own = jax.random.fold_in(key, LATENT)
        log_weights = self._log_weights(params, x, self._posterior(params, x), own, draws=self.draws)
        return jax.nn.logsumexp(log_weights, axis=0) - math.log(self.draws)

    def _log_weights(
        self, params: Params, x: Array, posterior: tuple[Array, Array], key: Array, *, draws: int
    ) -> Array:
        """log p(x, z) / q(z | x) of draws from the posterior's mean and log variance, [draws, B]."""
        mean, log_variance = (one[None] for one in posterior)
        noise = jax.random.normal(key, (draws, *mean.shape[1:]), jnp.float32)
        z = (mean + jnp.exp(log_variance / 2) * noise).reshape(-1, mean.shape[-1])
        latent, log_determinant = self._flow(params, z)
        own = jnp.sum(jnp.square(noise) + log_variance, axis=-1) / 2  # -log q, but for a constant of log p(z) too
        others = jnp.sum(jnp.square(latent), axis=-1) / 2 - log_determinant
        return own - (others + self._nll(params, z, jnp.tile(x, (draws, 1, 1, 1)))).reshape(draws, -1)

    def _target(self, image: Array, key: Array) -> Array:
        """What is encoded and reconstructed: [-1, 1] as it is, or as probabilities, or as black and white pixels."""
        if self.likelihood == "gaussian":
            return image
        grey = (image + 1) / 2
        if not self.binarize:
            return grey
        return (jax.random.uniform(key, grey.shape, jnp.float32) < grey).astype(grey.dtype)

    def _posterior(self, params: Params, x: Array) -> Any:
        return self.encoder.apply({"params": params["vae"]["encoder"]}, x)

    def _decode(self, params: Params, z: Array) -> Any:
        return self.decoder.apply({"params": params["vae"]["decoder"]}, z)

    def _flow(self, params: Params, x: Array, *, inverse: bool = False) -> Any:
        """z to a latent, or back, and the log determinant."""
        return self.prior.apply({"params": params["vae"].get("flow", {})}, x, inverse=inverse)

    def _nll(self, params: Params, z: Array, x: Array) -> Array:
        output = self._decode(params, z)
        if self.likelihood == "bernoulli":
            nll = bernoulli_nll(output, x)
        else:
            log_sigma = SIGMA_PACE * params["vae"]["sigma"] if self.sigma is None else jnp.log(self.sigma)
            nll = gaussian_nll(output, x, log_sigma)
        return jnp.sum(nll, axis=(1, 2, 3))


def _draw(mean: Array, log_variance: Array, key: Array) -> Array:
    return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, jnp.float32)
