"""Textures: Gatys, Ecker & Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks" (arXiv:1505.07376).
What is learnt is a picture that can be laid beside itself without a seam."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast
from zoo.style.look import Look, grams, look_of, looks_of, unknown, unlike, weights_of
from zoo.style.neural import LEAST
from zoo.style.painting import blank, painted, roughness

SPREAD = 0.2  # of the noise that it begins with


@dataclass(frozen=True, kw_only=True)
class Texture:
    """A picture of any size that looks like another everywhere, at its borders too.

    The player is a sum of pictures of several sizes; at every step it is seen from another place, as if it had no
    borders. Batches are one example: ``style`` [B, S, h, w, 3]; of several the mean look is wanted.
    """

    size: int = 256
    """Pixels a side of what is made."""
    style_height: int = 256
    style_width: int = 256
    styles: int = 1
    """How many pictures' looks are mixed."""
    features: str | None = None
    """A file with SqueezeNet's or VGG's weights, as `zoo.features.load_features` reads it; None: random filters."""
    octaves: int | None = None
    """At how many sizes a picture is looked at; None is four with random filters, one with a trained network."""
    filters: int = 64
    """Random filters of each size."""
    levels: int = 6
    """Sizes of the pictures whose sum is the picture."""
    smooth: float = 0.0
    """Weight of the roughness."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if min(self.size, self.style_height, self.style_width) < LEAST:
            raise UserError(
                f"textures of {self.size} pixels from {self.style_width} x {self.style_height}: use {LEAST} or more"
            )
        if min(self.styles, self.levels, self.filters, self.octaves or 1) < 1:
            raise UserError("styles, levels, filters and octaves should be at least 1")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("picture", self.loss),)

    @property
    def shared_extra(self) -> bool:
        """What is wanted is measured once, for all devices."""
        return True

    @property
    def works(self) -> int:
        """A run is one picture."""
        return 1

    @property
    def look(self) -> Look:
        return look_of(self.features, self.octaves, self.filters)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Noise of every size. ``extra``: what is wanted of the features, and the mean colour."""
        del batch
        own, other = jax.random.split(key)
        levels = blank(self.size, self.size, self.levels)
        keys = jax.random.split(own, len(levels))
        noise = {
            name: SPREAD * jax.random.normal(one, levels[name].shape) for name, one in zip(levels, keys, strict=True)
        }
        params = {"picture": noise, "features": weights_of(self.look, self.features, other)}
        return params, unknown(self.wanted, params, self.batch_spec(1))

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = batch_size, self.styles, self.style_height, self.style_width, 3
        return {"style": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def wanted(self, params: Params, batch: Batch) -> Extra:
        """{colour [3], and of every layer looks [1, 1, C, C] and usual [1, 1, C]}, means over the examples and their
        styles."""
        rows = batch["style"].reshape(-1, *batch["style"].shape[2:])
        found = looks_of(self.look, params["features"], cast(rows, self.dtype))
        return {"colour": jnp.mean(rows, axis=(0, 1, 2)), **found}

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Equation 5, of relative distances (`zoo.style.look.unlike`)."""
        frozen = {**params, "features": jax.lax.stop_gradient(params["features"])}
        wanted = jax.lax.cond(step == 0, lambda: self.wanted(frozen, batch), lambda: extra)
        terms = self._terms(frozen, wanted, jax.random.randint(key, (2,), 0, self.size))
        return terms["style"] + self.smooth * terms["roughness"], (wanted, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms, of each example's look."""
        del extra, key
        nowhere = jnp.zeros(2, jnp.int32)
        each = jax.vmap(lambda row: self._terms(params, self.wanted(params, {"style": row[None]}), nowhere))
        found = each(batch["style"])
        return {name: (jnp.sum(terms), jnp.asarray(len(terms), jnp.float32)) for name, terms in found.items()}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, size, size, 3]: the picture, n times."""
        del key
        return jnp.repeat(jnp.clip(self._picture(params, extra), -1, 1), n, axis=0)

    def _terms(self, params: Params, wanted: Extra, place: Array) -> dict[str, Array]:
        picture = jnp.roll(self._picture(params, wanted), place, axis=(1, 2))
        looks, _ = self.look(params["features"], cast(picture, self.dtype))
        style = unlike(grams(looks, wanted["usual"]), wanted["looks"])
        return {"style": style[0], "roughness": roughness(picture)[0]}

    def _picture(self, params: Params, wanted: Extra) -> Array:
        return (wanted["colour"][None, None] + painted(params["picture"]))[None]
