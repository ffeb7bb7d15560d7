"""Fast style: Johnson, Alahi & Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
(arXiv:1603.08155), with the norms of Ulyanov et al. 2016 (arXiv:1607.08022). One network gives any picture one look;
and, if that is asked for, films (Huang et al. 2017, "Real-Time Neural Style Transfer for Videos"; Gupta et al. 2017,
"Characterizing and Improving Stability in Neural Style Transfer", arXiv:1705.02092)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.gan.pix2pix import SHOWN, pairs_spec
from zoo.gan.translators import at_once, newest
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast, compute_dtype
from zoo.nn.conv import Conv, ConvTranspose
from zoo.pretrained.arrays import read_arrays
from zoo.style.look import Look, grams, look_of, looks_of, unknown, unlike, weights_of
from zoo.style.motion import change, drawn_motion, inside, warped
from zoo.style.painting import roughness

RANGE = 150.0  # how far from grey, of 255, the last layer may go: beyond white and black, as published
GRAIN = 0.02  # of the noise of a next frame, in terms of its range of 2: about two levels of 255


@dataclass(frozen=True, kw_only=True)
class FastStyle:
    """A translator that gives pictures the look of those in its training's second set, in one pass.

    Batches: ``input``, pictures; ``image``, a picture with the look, of which the mean of the first batch is kept.
    """

    image_size: int = 256
    """A multiple of 4 from 16 on."""
    channels: int = 3
    input_channels: int = 3
    width: int = 32
    """Channels at the picture's size; four times as many at a quarter of it."""
    blocks: int = 5
    """Residual blocks."""
    weights: str | None = None
    """A file with a trained network to begin with: arrays Variable ... Variable_47, a kernel, a shift and a scale a
    layer, as the networks of fast-style-transfer are published."""
    features: str | None = None
    """A file with SqueezeNet's or VGG's weights, as `zoo.features.load_features` reads it; None: random filters."""
    octaves: int | None = None
    """At how many sizes a picture is looked at; None is four with random filters, one with a trained network."""
    filters: int = 32
    """Random filters of each size."""
    content: float = 1.0
    """Weight of what is shown."""
    style: float = 5.0
    """Weight of the look."""
    smooth: float = 1.0
    """Weight of the roughness."""
    steady: float | None = None
    """Weight of what changes from frame to frame beyond what moves; None: of single pictures nothing is asked."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size < 16 or self.image_size % 4:
            raise UserError(f"image_size is {self.image_size}; fast-style takes multiples of 4 from 16 on")
        if self.channels != 3 or self.input_channels != 3:
            raise UserError("fast-style speaks of colours: its pictures have 3 channels")
        if self.blocks < 1 or self.width < 1 or (self.octaves or 1) < 1:
            raise UserError("width, blocks and octaves should be at least 1")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("stylist", self.loss),)

    @property
    def shared_extra(self) -> bool:
        """What is wanted is measured once, for all devices."""
        return True

    @property
    def granule(self) -> int:
        """It halves twice."""
        return 4

    @property
    def stylist(self) -> "Stylist":
        return Stylist(self.width, self.blocks, self.dtype)

    @property
    def look(self) -> Look:
        return look_of(self.features, self.octaves, self.filters)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the look that is wanted, known from the first step on, and the newest pictures that were to be
        translated."""
        del batch
        own, other = jax.random.split(key)
        picture = jnp.zeros((1, self.image_size, self.image_size, 3))
        params = {
            "stylist": self.stylist.init(own, picture)["params"],
            "features": weights_of(self.look, self.features, other),
        }
        if self.weights is not None:
            params["stylist"] = read_stylist(Path(self.weights).expanduser(), params["stylist"])
        wanted = unknown(self.wanted, params, self.batch_spec(1))
        return params, {**wanted, "shown": jnp.zeros((SHOWN, *picture.shape[1:]))}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return pairs_spec(batch_size, self.image_size, 3, 3)

    def wanted(self, params: Params, batch: Batch) -> Extra:
        """{of every layer looks [1, 1, C, C] and usual [1, 1, C]}, means over the examples."""
        return looks_of(self.look, params["features"], cast(batch["image"], self.dtype))

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Equation 5, of relative distances (`zoo.style.look.unlike`), with the roughness for total variation; and the
        temporal loss of Huang et al. 2017."""
        frozen = {**params, "features": jax.lax.stop_gradient(params["features"])}
        kept = {name: extra[name] for name in ("usual", "looks")}
        wanted = jax.lax.cond(step == 0, lambda: self.wanted(frozen, batch), lambda: kept)
        terms = {name: jnp.mean(each) for name, each in self._terms(frozen, wanted, batch["input"], key).items()}
        loss = self.content * terms["content"] + self.style * terms["style"] + self.smooth * terms["roughness"]
        if self.steady is not None:
            loss = loss + self.steady * terms["change"]
        return loss, ({**wanted, "shown": newest(extra["shown"], batch["input"])}, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms."""
        found = self._terms(params, extra, batch["input"], key)
        return {name: (jnp.sum(each), jnp.asarray(len(each), each.dtype)) for name, each in found.items()}

    def translate(self, params: Params, extra: Extra, source: Array, key: Array) -> Array:
        """[n, H, W, 3] -> [n, H, W, 3] in [-1, 1]; sides are multiples of 4."""
        del extra, key
        return jnp.clip(self._paint(params, source), -1, 1)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, 3]: the newest pictures that were to be translated in training, translated."""
        return self.translate(params, extra, extra["shown"][jnp.arange(n) % SHOWN], key)

    def _terms(self, params: Params, wanted: Extra, source: Array, key: Array) -> dict[str, Array]:
        """Of each example [B]."""
        if self.steady is None:
            made, steady = self._paint(params, source), {}
        else:
            made, change = self._filmed(params, source, key)
            steady = {"change": change}
        looks, shows = self.look(params["features"], cast(made, self.dtype))
        _, shown = self.look(params["features"], cast(source, self.dtype))
        return {
            "content": unlike(shows, jax.lax.stop_gradient(shown)),
            "style": unlike(grams(looks, wanted["usual"]), wanted["looks"]),
            "roughness": roughness(made),
            **steady,
        }

    def _filmed(self, params: Params, source: Array, key: Array) -> tuple[Array, Array]:
        """What becomes of pictures [B, H, W, 3], and how that of a next frame differs from it, carried along: [B].

        The next frame is the picture itself, moved as by a camera and with the grain of a film (as in Wang et al. 2020,
        "Consistent Video Style Transfer via Compound Regularization"): so the flow is exact, and any set of pictures
        teaches films."""
        moves, noise = jax.random.split(key)
        flow = drawn_motion(moves, *source.shape[:3]).astype(source.dtype)
        grain = GRAIN * jax.random.normal(noise, source.shape, source.dtype)
        made, after = at_once(partial(self._paint, params), source, warped(source, flow) + grain)
        where = inside(flow, *source.shape[1:3]).astype(source.dtype)
        return made, change(after, warped(made, flow), where)

    def _paint(self, params: Params, source: Array) -> Array:
        picture: Any = self.stylist.apply({"params": params["stylist"]}, source)
        return picture


class Stylist(nn.Module):
    """x [B, H, W, 3] in [-1, 1] -> [B, H, W, 3], slightly beyond: c9s1-32, d64, d128, five residual blocks, u64, u32,
    c9s1-3, each normalised by picture and channel; the arithmetic of fast-style-transfer's networks, which see pictures
    from 0 to 255."""

    width: int
    blocks: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        norm = partial(nn.InstanceNorm, epsilon=1e-3, dtype=dtype)
        conv = lambda x, features, **how: norm()(Conv(features, use_bias=False, dtype=dtype, **how)(x))
        up = lambda x, features: norm()(ConvTranspose(features, stride=2, use_bias=False, dtype=dtype)(x))
        x = nn.relu(conv((x + 1) * 127.5, self.width, kernel_size=9))
        for level in (2, 4):
            x = nn.relu(conv(x, level * self.width, stride=2))
        for _ in range(self.blocks):
            x = x + conv(nn.relu(conv(x, 4 * self.width)), 4 * self.width)
        for level in (2, 1):
            x = nn.relu(up(x, level * self.width))
        return jnp.tanh(wide(conv(x, 3, kernel_size=9))) * (RANGE / 127.5)


def read_stylist(file: Path, like: Any) -> Any:
    """The parameters of a `Stylist`, of the form ``like``, that a file holds. UserError where it holds others."""
    arrays = read_arrays(file)
    convs = sum(name.startswith("Conv_") for name in like)
    kernels = [f"Conv_{number}" for number in range(convs - 1)]
    kernels += ["ConvTranspose_0", "ConvTranspose_1", f"Conv_{convs - 1}"]
    names = ["Variable", *(f"Variable_{number}" for number in range(1, 3 * len(kernels)))]
    if set(names) != set(arrays):
        raise UserError(
            f"{file}: it holds {len(arrays)} arrays, and not Variable to {names[-1]} as such a network does"
        )
    found: dict[str, Any] = {}
    for number, kernel in enumerate(kernels):
        weight, shift, scale = (np.asarray(arrays[name], np.float32) for name in names[3 * number : 3 * number + 3])
        if kernel.startswith("ConvTranspose") and weight.ndim == 4:  # kept as a convolution's that goes the other way
            weight = weight.transpose(0, 1, 3, 2)
        found[kernel] = {"kernel": weight}
        found[f"InstanceNorm_{number}"] = {"bias": shift.reshape(-1), "scale": scale.reshape(-1)}
    for name, leaf in ((name, leaf) for name, leaves in like.items() for leaf in leaves):
        if found[name][leaf].shape != like[name][leaf].shape:
            raise UserError(f"{file}: {name}'s {leaf} is {found[name][leaf].shape}, and not {like[name][leaf].shape}")
    return jax.tree.map(jnp.asarray, found)
