"""AdaIN: Huang & Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"
(arXiv:1703.06868). One network gives any picture the look of any other, in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.features import VGG, FeatureNetwork, SqueezeNet
from zoo.features.random import RandomPyramid
from zoo.gan.pix2pix import SHOWN, pairs_spec
from zoo.gan.translators import mirrored, newest
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast, compute_dtype
from zoo.nn.conv import Conv
from zoo.style.look import placed, read_features, unlike
from zoo.style.painting import with_colours_of


class Seen(NamedTuple):
    """What is asked of a network of features."""

    names: tuple[str, ...]
    """Layers that tell a look, of which the last is decoded again."""
    halvings: int
    """Of the picture's sides, as far as that one."""
    edge: int = 0
    """Pixels that the picture is continued by, so that each halving gives half."""


# Of VGG the layers of the paper, section 6.1.
SEEN: Mapping[type, Seen] = {
    RandomPyramid: Seen(("relu1", "relu2", "relu3", "relu4"), halvings=3),
    SqueezeNet: Seen(("conv1", "fire2", "fire3", "fire4"), halvings=2, edge=3),
    VGG: Seen(("relu1_1", "relu2_1", "relu3_1", "relu4_1"), halvings=3),
}
EPSILON = 1e-5  # added to variances, as published

Statistics = tuple[Array, Array]
"""Means and standard deviations of features over places, [..., C] each."""


@dataclass(frozen=True, kw_only=True)
class AdaIN:
    """A translator that gives pictures the look of pictures that are told when it is used.

    Batches: ``input``, pictures; ``image``, pictures with looks. What is learnt is the way back from features.
    """

    image_size: int = 256
    """A multiple of 8 from 16 on."""
    channels: int = 3
    input_channels: int = 3
    features: str | None = None
    """A file with SqueezeNet's or VGG's weights, as `zoo.features.load_features` reads it; None: random weights."""
    width: int = 32
    """Random features of the first of four layers; each of the others has twice as many as the one before."""
    content: float = 1.0
    """Weight of what is shown."""
    style: float = 10.0
    """Weight of the look."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size < 16 or self.image_size % 8:
            raise UserError(f"image_size is {self.image_size}; adain takes multiples of 8 from 16 on")
        if self.channels != 3 or self.input_channels != 3:
            raise UserError("adain speaks of colours: its pictures have 3 channels")
        if self.width < 1:
            raise UserError("width should be at least 1")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("decoder", self.loss),)

    @property
    def network(self) -> FeatureNetwork:
        return RandomPyramid(self.width) if self.features is None else read_features(self.features)[0]

    @property
    def granule(self) -> int:
        return 2 ** SEEN[type(self.network)].halvings

    @property
    def decoder(self) -> "Decoder":
        return Decoder(SEEN[type(self.network)].halvings, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the newest pictures of training, and the newest looks. ``size`` is what the last layer makes of
        noise, the root of its mean square: networks that read 0 to 255 make hundreds, of which no decoder begins."""
        del batch
        own, other, drawn = jax.random.split(key, 3)
        network = self.network
        weights = network.init(other) if isinstance(network, RandomPyramid) else read_features(self.features or "")[1]
        picture = jax.random.uniform(drawn, (1, self.image_size, self.image_size, 3), minval=-1.0, maxval=1.0)
        *_, last = self.encode({"features": weights, "size": jnp.ones(())}, picture)
        size = jnp.sqrt(jnp.mean(jnp.square(wide(last))) + EPSILON)
        params = {"decoder": self.decoder.init(own, last)["params"], "features": weights, "size": size}
        kept = jnp.zeros((SHOWN, *picture.shape[1:]))
        return params, {"shown": kept, "looks": kept}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return pairs_spec(batch_size, self.image_size, 3, 3)

    def encode(self, params: Params, images: Array) -> list[Array]:
        """Images [B, H, W, 3] in [-1, 1] -> features [B, h, w, C] of each layer, of the last in terms of ``size``."""
        names, _, edge = SEEN[type(self.network)]
        seen = self.network(params["features"], cast(mirrored(images, edge), self.dtype), names)
        *early, last = (seen[name] for name in names)
        return [*early, last / params["size"].astype(last.dtype)]

    def decode(self, params: Params, features: Array) -> Array:
        """The last layer's features [B, h, w, C] -> pictures [B, H, W, 3]."""
        picture: Any = self.decoder.apply({"params": params["decoder"]}, features)
        return picture

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Equations 11 to 13, of relative distances (`zoo.style.look.unlike`)."""
        del key, step
        frozen = {name: tree if name == "decoder" else jax.lax.stop_gradient(tree) for name, tree in params.items()}
        terms = {name: jnp.mean(each) for name, each in self._terms(frozen, batch).items()}
        kept = {"shown": newest(extra["shown"], batch["input"]), "looks": newest(extra["looks"], batch["image"])}
        return self.content * terms["content"] + self.style * terms["style"], (kept, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms."""
        del extra, key
        found = self._terms(params, batch)
        return {name: (jnp.sum(each), jnp.asarray(len(each), each.dtype)) for name, each in found.items()}

    def translate(
        self, params: Params, extra: Extra, source: Array, key: Array, *,
        looks: Sequence[Array] | None = None, guide: Array | None = None, strength: float | Array = 1.0,
        keep_colours: bool = False,
    ) -> Array:  # fmt: skip
        """[n, H, W, 3] -> [n, H, W, 3] in [-1, 1]; sides are multiples of ``granule``.

        ``looks``: S pictures [h, w, 3], each of its own size; None draws one of the training's newest for each of the
        n. ``guide`` [S], or [H, W, S]: how much each look counts, everywhere or at each place (equation 15, and section
        7.3); equally, if not said. ``strength``: from 0, the picture itself, to 1 (equation 14). ``keep_colours``: each
        look is given the picture's colours first (section 7.3).
        """
        if looks is None:
            drawn = extra["looks"][jax.random.randint(key, (len(source),), 0, SHOWN)]
            return self._drawn(params, source, [drawn], None, strength, keep_colours)
        repeated = [jnp.broadcast_to(look[None], (len(source), *look.shape)) for look in looks]
        return self._drawn(params, source, repeated, guide, strength, keep_colours)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, 3]: the newest pictures of training with the newest looks."""
        of = lambda name, shift: extra[name][(jnp.arange(n) + shift * (jnp.arange(n) // SHOWN)) % SHOWN]
        del key
        return self._drawn(params, of("shown", 0), [of("looks", 1)], None, 1.0, False)

    def _drawn(
        self, params: Params, source: Array, looks: list[Array], guide: Array | None, strength: Any, keep_colours: bool
    ) -> Array:
        """``looks`` [n, h, w, 3] each."""
        if keep_colours:
            looks = [with_colours_of(look, source) for look in looks]
        told = [statistics(self.encode(params, look)[-1]) for look in looks]
        shown = self.encode(params, source)[-1]
        share = jnp.ones(len(looks)) if guide is None else guide
        share = jnp.broadcast_to(share, (len(source), *(source.shape[1:3] if share.ndim == 1 else ()), *share.shape))
        wanted = adain(shown, told, share if share.ndim == 4 else share[:, None, None])
        return jnp.clip(self.decode(params, shown + jnp.asarray(strength, shown.dtype) * (wanted - shown)), -1, 1)

    def _terms(self, params: Params, batch: Batch) -> dict[str, Array]:
        """Of each example [B]."""
        told = [statistics(x) for x in self.encode(params, batch["image"])]
        *_, shown = self.encode(params, batch["input"])
        wanted = adain(shown, told[-1:], jnp.ones((len(shown), 1, 1, 1)))
        found = self.encode(params, self.decode(params, wanted))
        looks = jax.tree.leaves([statistics(x) for x in found])
        return {"content": unlike(found[-1:], [wanted]), "style": unlike(looks, jax.tree.leaves(told))}


def statistics(x: Array, where: Array | None = None) -> Statistics:
    """Of features [B, h, w, C], in float32 or wider; ``where`` [B, h, w]: how much each place counts."""
    x = wide(x)
    share = None if where is None else where[..., None] / (jnp.sum(where, axis=(1, 2))[:, None, None, None] + EPSILON)
    mean = lambda x: jnp.mean(x, axis=(1, 2)) if share is None else jnp.sum(share * x, axis=(1, 2))
    middle = mean(x)
    return middle, jnp.sqrt(mean(jnp.square(x - middle[:, None, None])) + EPSILON)


def adain(x: Array, looks: Sequence[Statistics], share: Array) -> Array:
    """Features [B, h, w, C] with the means and deviations of looks (equation 8), mixed at each place as ``share``
    [B, H, W, S] says, or [B, 1, 1, S] says of all; normalised by what each look has to do with. In x's dtype."""
    share = share / (jnp.sum(share, axis=-1, keepdims=True) + EPSILON)
    share = share if share.shape[1:3] == (1, 1) else placed(share, x.shape[1:3])
    made = jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32))
    for number, (mean, deviation) in enumerate(looks):
        here = jnp.broadcast_to(share[..., number], x.shape[:3])
        own, spread = statistics(x, None if share.shape[1:3] == (1, 1) else here)
        middle = lambda v: v[:, None, None]
        moved = (wide(x) - middle(own)) / middle(spread) * middle(deviation) + middle(mean)
        made = made + here[..., None] * moved
    return made.astype(x.dtype)


class Decoder(nn.Module):
    """x [B, h, w, C] -> [B, H, W, 3]: 3 x 3 convolutions of pictures continued by reflection, channels halved before
    each doubling of pixels, no norms: an instance norm would take the look away again (section 5.1)."""

    halvings: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        init = nn.initializers.he_normal()
        conv = lambda x, features: Conv(features, padding="VALID", kernel_init=init, dtype=dtype)(mirrored(x, 1))
        channels = x.shape[-1]
        for _ in range(self.halvings):
            channels = max(channels // 2, 3)
            x = nn.relu(conv(x, channels))
            x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            x = nn.relu(conv(x, channels))
        return wide(conv(x, 3))
