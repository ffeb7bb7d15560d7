"""What a picture shows and how it looks, in numbers: features, and how often two of them are seen together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.features import VGG, FeatureNetwork, SqueezeNet, load_features
from zoo.features.filters import RandomFilters
from zoo.gan.translators import mirrored
from zoo.losses import wide
from zoo.model import Array
from zoo.style.painting import half

# network -> (layers that tell a look, layers that tell what is shown). Of VGG those of Gatys et al. 2016, section 3.
LAYERS: Mapping[type, tuple[tuple[str, ...], tuple[str, ...]]] = {
    RandomFilters: (("filters3", "filters5", "filters7", "colours"), ("filters5",)),
    SqueezeNet: (("conv1", "fire2", "fire3", "fire4", "fire6"), ("fire4",)),
    VGG: (("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), ("relu4_2",)),
}
COLOURS = "colours"
SIDES = (3, 5, 7)  # of random filters; larger ones are these at a smaller size of the picture
SMALLEST = 16  # pixels a side that a picture is looked at
TINY = 1e-8


@dataclass(frozen=True)
class Look:
    """A network that sees, and at how many sizes of a picture, each half the one before: what sees little at once, as
    one layer of filters does, wants several (Snelgrove 2017, "High-resolution multi-scale neural texture
    synthesis")."""

    network: FeatureNetwork
    octaves: int
    coarse: int = 0
    """Halvings from which on what is shown counts: a layer that has learnt nothing sees nothing but strokes before."""

    def __call__(self, params: Any, images: Array) -> tuple[list[Array], list[Array]]:
        """Images [B, H, W, 3] in [-1, 1] -> (features that tell a look, features that tell what is shown), each
        [B, h, w, C]."""
        style, content = LAYERS[type(self.network)]
        names = tuple(name for name in self.network.names if name in style or name in content)
        sizes = [self._seen(params, images, names)]
        while len(sizes) < self.octaves and min(images.shape[1:3]) >= 2 * SMALLEST:
            images = half(images)
            sizes.append(self._seen(params, images, names))
        coarse = min(self.coarse, len(sizes) - 1)
        shows = [seen[name] for seen in sizes[coarse:] for name in content]
        return [seen[name] for seen in sizes for name in style], shows

    def _seen(self, params: Any, images: Array, names: tuple[str, ...]) -> dict[str, Array]:
        """Random filters see a picture mirrored at its borders, not grey around it, which their pictures would show;
        and as they see no flat colour, the colours themselves are seen beside them."""
        if not isinstance(self.network, RandomFilters):
            return self.network(params, images, names)
        edge = max(self.network.sides) // 2
        inside = (slice(None), slice(edge, -edge), slice(edge, -edge))
        seen = {name: x[inside] for name, x in self.network(params, mirrored(images, edge), names).items()}
        return {**seen, COLOURS: images}


def look_of(features: str | None, octaves: int | None, filters: int = 64) -> Look:
    """Of a file as `zoo.features.load_features` reads it, or of random filters. ``octaves`` None: four of random
    filters, one of a network that was trained. UserError where the file is none."""
    if features is None:
        return Look(RandomFilters(SIDES, filters), octaves or 4, coarse=2)
    return Look(read_features(features)[0], octaves or 1)


def weights_of(look: Look, features: str | None, key: Array) -> Any:
    """The network's parameters: the file's, or drawn."""
    if isinstance(look.network, RandomFilters):
        return look.network.init(key)
    assert features is not None
    return read_features(features)[1]


@lru_cache(maxsize=1)
def read_features(features: str) -> tuple[FeatureNetwork, Any]:
    """Once, though every trace asks for the network; outside of any trace, so that the arrays may be kept."""
    with jax.ensure_compile_time_eval():
        return load_features(features)


def means(features: list[Array]) -> list[Array]:
    """Features [B, h, w, C] each -> [B, C] each, the mean over places."""
    return [jnp.mean(wide(x), axis=(1, 2)) for x in features]


def grams(features: list[Array], usual: list[Array], guide: Array | None = None) -> list[Array]:
    """Features [B, h, w, C] each, what is usual of them in the styles' pictures, [B, S, C] or [1, S, C] each, and where
    which style counts, [B, H, W, S] of 0 and above (None: one style, everywhere) -> [B, S, C, C] each: how often two
    features are seen together there, more or less than usual; the mean over the places, divided by C (Gatys et al.
    2016, equation 3; by regions Gatys et al. 2017, arXiv:1611.07865, equation 3; more or less than usual, without which
    what is everywhere hides what tells looks apart, Novak & Nikulin 2016, arXiv:1605.04603, section 3.2)."""
    return [_gram(x, own, guide) for x, own in zip(features, usual, strict=True)]


def _gram(x: Array, usual: Array, guide: Array | None) -> Array:
    places, each = x.reshape(len(x), -1, x.shape[-1]), []
    where = jnp.ones((1, 1, 1), jnp.float32) / places.shape[1] if guide is None else _where(guide, x)
    for style in range(where.shape[-1]):
        apart = places - usual[:, style, None].astype(x.dtype)
        weighted = apart * where[..., style, None].astype(x.dtype)
        precise = jnp.promote_types(x.dtype, jnp.float32)
        each.append(jnp.einsum("bpc,bpd->bcd", weighted, apart, preferred_element_type=precise))
    return jnp.stack(each, axis=1) / x.shape[-1]


def _where(guide: Array, x: Array) -> Array:
    """[B, H, W, S] -> [B, h * w, S] at the places of x [B, h, w, C], which sum to one."""
    where = placed(guide, x.shape[1:3]).reshape(len(x), -1, guide.shape[-1])
    return where / (jnp.sum(where, axis=1, keepdims=True) + TINY)


def placed(guide: Array, sides: Sequence[int]) -> Array:
    """[B, H, W, S] -> [B, h, w, S], what stands at so many places."""
    rows, columns = (np.arange(small) * large // small for small, large in zip(sides, guide.shape[1:3], strict=True))
    return guide[:, rows][:, :, columns]


def unlike(found: list[Array], wanted: list[Array], shares: Array | None = None) -> Array:
    """[B], how far numbers [B, ...] are from those that are wanted, [B, ...] or [1, ...]: the squared distance as a
    share of the squared length, the mean over layers, so that no network and no layer outweighs another by its scale.
    ``shares`` [1, S]: of second axes."""
    each = [_unlike(a, b, shares) for a, b in zip(found, wanted, strict=True)]
    return jnp.mean(jnp.stack(each), axis=0)


def _unlike(a: Array, b: Array, shares: Array | None) -> Array:
    a, b = wide(a), wide(b)
    axes = tuple(range(1 if shares is None else 2, a.ndim))
    apart = jnp.sum(jnp.square(a - b), axis=axes) / (jnp.sum(jnp.square(b), axis=axes) + TINY)
    return apart if shares is None else jnp.sum(shares * apart, axis=1)


def looks_of(look: Look, params: Any, images: Array) -> dict[str, list[Array]]:
    """{of every layer usual [1, 1, C] and looks [1, 1, C, C]} of pictures [B, H, W, 3], the means over them."""
    seen, _ = look(params, images)
    mean = lambda x: jnp.mean(wide(x), axis=0, keepdims=True)
    usual = [mean(x)[None] for x in means(seen)]
    return {"usual": usual, "looks": [mean(x) for x in grams(seen, usual)]}


def unknown(measure: Callable[..., Any], *arguments: Any) -> Any:
    """Zeros of the shapes that ``measure(*arguments)`` has: what is measured at a run's first step, before that."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(measure, *arguments))
