"""Textures: pictures that can be laid beside themselves without a seam, and look like another.

By a network's features: Gatys, Ecker & Bethge 2015, "Texture Synthesis Using Convolutional Neural Networks"
(arXiv:1505.07376). Without one: by patches, from coarse to fine (`zoo.style.patches`).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast
from zoo.style.look import Look, grams, look_of, looks_of, unknown, unlike, weights_of
from zoo.style.neural import LEAST
from zoo.style.painting import blank, painted, roughness
from zoo.style.patches import apart, octaves, octaves_of

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
    """A file with SqueezeNet's or VGG's weights, as `zoo.features.load_features` reads it; None: patches."""
    octaves: int | None = None
    """At how many sizes a picture is looked at; None is one with a network, as many as there are with patches."""
    directions: int = 64
    """Along which patches are compared, in a step."""
    grow: int = 900
    """Steps that the sizes share in which patches are looked at before the picture's own, the smallest first."""
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
        if min(self.styles, self.levels, self.directions, self.grow, self.octaves or 1) < 1:
            raise UserError("styles, levels, directions, grow and octaves should be at least 1")

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
    def look(self) -> Look | None:
        return look_of(self.features, self.octaves) if self.features else None

    @property
    def sizes(self) -> int:
        """At how many sizes patches are compared."""
        return self.octaves or octaves_of(self.size, self.style_height, self.style_width)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Noise, of every size or of the smallest. ``extra``: what is wanted of the features, and the mean colour."""
        del batch
        own, other = jax.random.split(key)
        levels = blank(self.size, self.size, max(self.levels, self.sizes))
        begun = range(len(levels)) if self.look else range(self.sizes - 1, len(levels))
        keys = jax.random.split(own, len(levels))
        for number in begun:
            name = f"level{number}"
            levels[name] = SPREAD * jax.random.normal(keys[number], levels[name].shape)
        params: Params = {"picture": levels}
        if self.look:
            params["features"] = weights_of(self.look, self.features, other)
        return params, unknown(self.wanted, params, self.batch_spec(1))

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = batch_size, self.styles, self.style_height, self.style_width, 3
        return {"style": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def wanted(self, params: Params, batch: Batch) -> Extra:
        """{colour [3]}, and with a network of every layer looks [1, 1, C, C] and usual [1, 1, C], means over the
        examples and their styles."""
        rows = together(batch)
        found = looks_of(self.look, params["features"], cast(rows, self.dtype)) if self.look else {}
        return {"colour": jnp.mean(rows, axis=(0, 1, 2)), **found}

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Equation 5 of relative distances (`zoo.style.look.unlike`), or the distance of the patches of one size."""
        frozen = {**jax.lax.stop_gradient(params), "picture": params["picture"]}
        wanted = jax.lax.cond(step == 0, lambda: self.wanted(frozen, batch), lambda: extra)
        if self.look:
            terms = self._seen(self.look, frozen, wanted, jax.random.randint(key, (2,), 0, self.size))
        else:
            halvings = self.sizes - 1
            number = jnp.maximum(halvings - step * halvings // self.grow, 0)
            terms = jax.lax.switch(
                number, [partial(self._patched, octave) for octave in range(self.sizes)], frozen, wanted, batch, key
            )
        return terms["style"] + self.smooth * terms["roughness"], (wanted, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms, of each example's look, in the picture's own size."""
        del extra

        def each(style: Array) -> dict[str, Array]:
            batch = {"style": style[None]}
            wanted = self.wanted(params, batch)
            if self.look:
                return self._seen(self.look, params, wanted, jnp.zeros(2, jnp.int32))
            return self._patched(0, params, wanted, batch, key)

        found = jax.vmap(each)(batch["style"])
        return {name: (jnp.sum(terms), jnp.asarray(len(terms), jnp.float32)) for name, terms in found.items()}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, size, size, 3]: the picture, n times."""
        del key
        return jnp.repeat(jnp.clip(self._picture(params, extra), -1, 1), n, axis=0)

    def _seen(self, look: Look, params: Params, wanted: Extra, place: Array) -> dict[str, Array]:
        picture = jnp.roll(self._picture(params, wanted), place, axis=(1, 2))
        looks, _ = look(params["features"], cast(picture, self.dtype))
        style = unlike(grams(looks, wanted["usual"]), wanted["looks"])
        return {"style": style[0], "roughness": roughness(picture)[0]}

    def _patched(self, octave: int, params: Params, wanted: Extra, batch: Batch, key: Array) -> dict[str, Array]:
        picture = self._picture(params, wanted, octave)
        others = octaves(together(batch), octave + 1)[-1]
        style = apart(cast(picture, self.dtype), cast(others, self.dtype), key, self.directions)
        return {"style": style, "roughness": roughness(picture)[0]}

    def _picture(self, params: Params, wanted: Extra, octave: int = 0) -> Array:
        """[1, size, size, 3] or, without what is finer, halved ``octave`` times."""
        levels = {f"level{n}": params["picture"][f"level{n}"] for n in range(octave, len(params["picture"]))}
        return (wanted["colour"][None, None] + painted(levels))[None]


def together(batch: Batch) -> Array:
    """Every style of every example, [N, h, w, 3]."""
    return batch["style"].reshape(-1, *batch["style"].shape[2:])
