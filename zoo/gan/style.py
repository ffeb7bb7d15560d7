"""What style-based generators share (Karras et al. 2019, arXiv:1812.04948): the mapping network, styles that are mixed
and truncated, a critic's last layers; and StyleGAN2's own networks: synthesis with skips, residual critic (Karras et
al. 2020, arXiv:1912.04958)."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.losses import wide
from zoo.model import Array, Extra, Params
from zoo.nn import compute_dtype
from zoo.nn.columns import add_bias
from zoo.nn.equal import EqualConv, EqualDense, activate
from zoo.nn.filters import downsample, smooth, upsample
from zoo.nn.modulated import TAPS, modulated_conv2d

SMALLEST = 4  # pixels a side, where the generator begins and the critic ends
MIX, NOISE, SECOND = range(10, 13)  # folded into keys, beside those of `zoo.gan.adversarial`
AVERAGE_DECAY = 0.995  # of the mean style


def sizes(image_size: int) -> list[int]:
    """4, 8, ... ``image_size``."""
    return [SMALLEST * 2**level for level in range((image_size // SMALLEST).bit_length())]


def style_count(image_size: int) -> int:
    """Styles that a picture takes: two at each size; of StyleGAN2 one of the first, and one for the last colours."""
    return 2 * len(sizes(image_size))


def mixed(
    draw: Callable[[Array], Array], mean: Array, key: Array, *, layers: int, share: Array | float
) -> tuple[Array, Array]:
    """Styles [n, layers, W] as a generator is trained with them, and the mean style [W] after them.

    ``draw`` makes styles [n, W] of a key. ``share`` of the pictures take the styles of their finer layers, from a
    random one on, from a second draw (Karras et al. 2019, section 3.1).
    """
    first, second = draw(key), draw(jax.random.fold_in(key, SECOND))
    chosen, place = jax.random.split(jax.random.fold_in(key, MIX))
    n = len(first)
    cut = jax.random.randint(place, (n,), 1, layers)
    cut = jnp.where(jax.random.uniform(chosen, (n,)) < share, cut, layers)
    fine = jnp.arange(layers)[None] >= cut[:, None]
    styles = jnp.where(fine[..., None], second[:, None], first[:, None])
    now = jnp.mean(jax.lax.stop_gradient(first), axis=0).astype(mean.dtype)
    return styles, AVERAGE_DECAY * mean + (1 - AVERAGE_DECAY) * now


def truncated(w: Array, mean: Array, psi: Array | float, *, layers: int, cutoff: int | None = None) -> Array:
    """Styles [n, W] -> those of every layer [n, layers, W], brought nearer to the mean style [W]: mean + psi (w - mean)
    (Karras et al. 2019, appendix B). ``cutoff``: from this layer on they stay as they are."""
    near = mean[None].astype(w.dtype) * (1 - psi) + w * psi
    coarse = layers if cutoff is None else min(cutoff, layers)
    parts = jnp.repeat(near[:, None], coarse, axis=1), jnp.repeat(w[:, None], layers - coarse, axis=1)
    return jnp.concatenate(parts, axis=1)


# ---- What both StyleGANs do alike: functions of them, to be their methods ------------------------------------------


class Styled(Protocol):
    """A model whose generator is a mapping network and a synthesis of styles, with the mean style in ``extra``."""

    @property
    def image_size(self) -> int: ...

    @property
    def latent_size(self) -> int: ...

    @property
    def style_network(self) -> "Mapping": ...

    @property
    def synthesis(self) -> nn.Module:
        """(styles [n, L, W], key of noise, each=...) -> pictures."""
        ...


def styles(
    model: Styled,
    params: Params,
    extra: Extra,
    latent: Array,
    *,
    truncation: Array | float = 1.0,
    cutoff: int | None = None,
) -> Array:
    """[n, Z] -> the styles of every layer, [n, L, W]. ``truncation`` psi: below 1 they are nearer to the mean one, for
    pictures that are more typical and less various; StyleGAN's paper shows 0.7, of the first 8 layers (``cutoff``)."""
    layers = style_count(model.image_size)
    return truncated(style_of(model, params, latent), extra["style"], truncation, layers=layers, cutoff=cutoff)


def render(
    model: Styled,
    params: Params,
    extra: Extra,
    latent: Array,
    *,
    truncation: Array | float = 1.0,
    cutoff: int | None = None,
) -> Array:
    """[n, Z] -> [n, H, W, C], cut to [-1, 1]; all with the same noise."""
    return paint(model, params, styles(model, params, extra, latent, truncation=truncation, cutoff=cutoff))


def paint(model: Styled, params: Params, styles: Array) -> Array:
    """Styles [n, L, W] -> [n, H, W, C], cut to [-1, 1]; all with the same noise. Styles of several latents may be
    mixed: the first are those of the coarse layers."""
    return jnp.clip(painted(model, params, styles), -1, 1)


def sample(
    model: Styled, params: Params, extra: Extra, key: Array, n: int, *, truncation: Array | float = 1.0
) -> Array:
    """[n, H, W, C]."""
    return render(model, params, extra, prior.latents(model, key, n), truncation=truncation)  # type: ignore[arg-type]


def style_of(model: Styled, params: Params, latent: Array) -> Array:
    """[n, Z] -> styles [n, W]."""
    return model.style_network.apply({"params": params["generator"]["mapping"]}, latent)  # type: ignore[return-value]


def painted(model: Styled, params: Params, styles: Array, noise: Array | None = None) -> Array:
    """Styles [n, L, W] -> [n, H, W, C] as they come. ``noise``: the key of noise of its own for every picture; None is
    the same for all, and always."""
    key, each = (jax.random.key(0), False) if noise is None else (noise, True)
    variables = {"params": params["generator"]["synthesis"]}
    return model.synthesis.apply(variables, styles, key, each=each)  # type: ignore[return-value]


# ---- Networks -------------------------------------------------------------------------------------------------------


class Mapping(nn.Module):
    """Latents z [B, Z] -> styles w [B, W]: dense layers that learn slowly, on z of norm sqrt(Z)."""

    features: int
    layers: int
    dtype: str
    rate: float = 0.01

    @nn.compact
    def __call__(self, z: Array) -> Array:
        x = wide(z)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)
        for _ in range(self.layers):
            x = activate(EqualDense(self.features, rate=self.rate, dtype=compute_dtype(self.dtype))(x))
        return wide(x)


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution, noise with a learnt strength, bias, activation."""

    features: int
    dtype: Any
    up: bool = False

    @nn.compact
    def __call__(self, x: Array, style: Array, key: Array, *, each: bool) -> Array:
        """x [B, H, W, C], style [B, W]. ``each``: noise of its own for every picture, or the same for all."""
        kernel = self.param("kernel", nn.initializers.normal(1.0), (3, 3, x.shape[-1], self.features), jnp.float32)
        strength = self.param("strength", nn.initializers.zeros, (), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        scales = EqualDense(x.shape[-1], bias=1.0, dtype=self.dtype, name="style")(style)
        y = modulated_conv2d(x, kernel, scales, up=self.up)
        noise = jax.random.normal(key, (len(y) if each else 1, *y.shape[1:3], 1), jnp.float32)
        return activate(add_bias(y + (strength * noise).astype(y.dtype), bias.astype(y.dtype)))


class ToPicture(nn.Module):
    """A modulated 1 x 1 convolution to the picture's channels, not demodulated."""

    channels: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, style: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(1.0), (1, 1, x.shape[-1], self.channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        scales = EqualDense(x.shape[-1], bias=1.0, dtype=self.dtype, name="style")(style) / math.sqrt(x.shape[-1])
        return add_bias(wide(modulated_conv2d(x, kernel, scales, demodulate=False)), bias)


class Synthesis(nn.Module):
    """Styles [B, L, W] -> pictures [B, H, W, C]: the sum of what each size adds to the smaller one, enlarged."""

    widths: tuple[int, ...]
    """Channels at 4 x 4, 8 x 8, ..."""
    channels: int
    dtype: str

    @nn.compact
    def __call__(self, styles: Array, key: Array, *, each: bool) -> Array:
        """``key`` is that of the noise; for ``each`` see `StyledConv`."""
        dtype = compute_dtype(self.dtype)
        start = self.param("start", nn.initializers.normal(1.0), (SMALLEST, SMALLEST, self.widths[0]), jnp.float32)
        x = jnp.broadcast_to(start[None], (len(styles), *start.shape)).astype(dtype or styles.dtype)
        picture, at = None, 0
        for level, features in enumerate(self.widths):
            for layer in range(2 if level else 1):
                up = bool(level) and layer == 0
                noise = jax.random.fold_in(key, at)
                x = StyledConv(features, dtype, up=up)(x, styles[:, at], noise, each=each)
                at += 1
            added = ToPicture(self.channels, dtype)(x, styles[:, at])  # shares the next size's first style
            picture = added if picture is None else upsample(picture, TAPS) + added
        assert picture is not None
        return picture


class Critic(nn.Module):
    """Pictures [B, H, W, C] -> logits [B]: residual blocks down to 4 x 4, the spread of each minibatch beside them."""

    widths: tuple[int, ...]
    group: int | None
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        x = activate(EqualConv(self.widths[-1], kernel_size=1, dtype=dtype)(x))
        for level in range(len(self.widths) - 1, 0, -1):
            features = self.widths[level - 1]
            y = activate(EqualConv(self.widths[level], dtype=dtype)(x))
            y = smooth(y, TAPS, pads=(2, 2))
            y = activate(EqualConv(features, stride=2, padding=0, dtype=dtype)(y))
            skip = EqualConv(features, kernel_size=1, use_bias=False, dtype=dtype)(downsample(x, TAPS))
            x = (y + skip) / math.sqrt(2)
        return verdict(x, self.group, dtype)


def verdict(x: Array, group: int | None, dtype: Any) -> Array:
    """A critic's last layers, inside one: its features at 4 x 4 [B, 4, 4, C], with the spread of ``group`` pictures
    beside them, -> logits [B]."""
    features = x.shape[-1]
    x = x if group is None else with_spread(x, group)
    x = activate(EqualConv(features, dtype=dtype)(x))
    x = activate(EqualDense(features, dtype=dtype)(x.reshape(len(x), -1)))
    return wide(EqualDense(1, dtype=dtype)(x))[:, 0]


def with_spread(x: Array, group: int) -> Array:
    """x [B, H, W, C] with a channel more: the standard deviation over the group of pictures that one is in, meant over
    pixels and channels (Karras et al. 2018, arXiv:1710.10196, section 3). Groups are of the largest size up to
    ``group`` that divides the batch."""
    count = next(size for size in range(min(group, len(x)), 0, -1) if len(x) % size == 0)
    together = wide(x).reshape(count, -1, *x.shape[1:])
    spread = jnp.sqrt(jnp.var(together, axis=0) + 1e-8)
    spread = jnp.tile(jnp.mean(spread, axis=(1, 2, 3)), count)  # picture i is in group i mod (B / count)
    plane = jnp.broadcast_to(spread[:, None, None, None], (*x.shape[:3], 1))
    return jnp.concatenate([x, plane.astype(x.dtype)], axis=-1)
