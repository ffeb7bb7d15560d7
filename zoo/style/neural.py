"""Neural style: Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks" (CVPR; the
report is arXiv:1508.06576). What is learnt is the picture."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast
from zoo.style.look import Look, grams, look_of, means, unknown, unlike, weights_of
from zoo.style.painting import blank, brightness_of, painted, roughness, with_colours_of

LEAST = 16  # pixels a side


@dataclass(frozen=True, kw_only=True)
class NeuralStyle:
    """One picture with the content of another and the look of one or several more.

    The player is what is added to the content: a sum of pictures of several sizes. Batches are one example: ``input``,
    the content; ``style``, the pictures whose look is wanted; ``guide``, how much each of them counts at each place. Of
    several examples the mean is wanted.
    """

    height: int = 256
    width: int = 256
    style_height: int = 256
    style_width: int = 256
    styles: int = 1
    """How many pictures' looks are mixed, or have regions of their own."""
    features: str | None = None
    """A file with SqueezeNet's or VGG's weights, as `zoo.features.load_features` reads it. None: random filters, which
    have learnt nothing and tell textures apart (Ustyuzhaninov et al. 2016)."""
    octaves: int | None = None
    """At how many sizes a picture is looked at; None is four with random filters, one with a trained network."""
    filters: int = 64
    """Random filters of each size."""
    levels: int = 5
    """Sizes of the pictures whose sum is the picture."""
    content: float = 1.0
    """Weight of what is shown."""
    style: float = 10.0
    """Weight of the look."""
    smooth: float = 0.0
    """Weight of the roughness."""
    colour: Literal["style", "content", "matched"] = "style"
    """Whose colours the picture has: the styles'; the content's, of which only the brightness is repainted; or the
    styles', once these have the content's mean and covariance of colours."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        sides = self.height, self.width, self.style_height, self.style_width
        if min(sides) < LEAST:
            raise UserError(
                f"pictures of {sides[1]} x {sides[0]} and {sides[3]} x {sides[2]}: use {LEAST} or more a side"
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
        """``extra``: the content, and what is wanted of the features, both known from the first step on."""
        del batch
        params = {
            "picture": blank(self.height, self.width, self.levels),
            "features": weights_of(self.look, self.features, key),
        }
        return params, unknown(self.wanted, params, self.batch_spec(1))

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        of = lambda *shape: jax.ShapeDtypeStruct((batch_size, *shape), jnp.float32)
        return {
            "input": of(self.height, self.width, 3),
            "style": of(self.styles, self.style_height, self.style_width, 3),
            "guide": of(self.height, self.width, self.styles),
        }

    def wanted(self, params: Params, batch: Batch) -> Extra:
        """{content [1, H, W, 3], guide [1, H, W, S], and of every layer looks [1, S, C, C], usual [1, S, C] and shows
        [1, h, w, C]}, means over the examples."""
        content, guide, styles = batch["input"], batch["guide"], batch["style"]
        if self.colour == "content":  # of equal brightness, too (Gatys et al. 2016, arXiv:1606.05897, section 4.2)
            styles = brightness_of(styles, jnp.zeros_like(styles))
        if self.colour != "style":
            styles = with_colours_of(styles, self._seen(content)[:, None])
        rows = cast(styles.reshape(-1, *styles.shape[2:]), self.dtype)
        looks, _ = self.look(params["features"], rows)
        usual = [x[:, None] for x in means(looks)]
        every = grams(looks, usual)
        apart = lambda x: x.reshape(len(styles), self.styles, *x.shape[2:])
        _, shows = self.look(params["features"], cast(self._seen(content), self.dtype))
        mean = lambda x: jnp.mean(wide(x), axis=0, keepdims=True)
        found = {"content": content, "guide": guide, "shows": shows}
        found |= {"usual": [apart(x) for x in usual], "looks": [apart(x) for x in every]}
        return jax.tree.map(mean, found)

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Equation 7, of relative distances (`zoo.style.look.unlike`)."""
        del key
        frozen = jax.lax.stop_gradient(params["features"])
        wanted = jax.lax.cond(step == 0, lambda: self.wanted({**params, "features": frozen}, batch), lambda: extra)
        terms = self._terms({**params, "features": frozen}, wanted)
        loss = self.content * terms["content"] + self.style * terms["style"] + self.smooth * terms["roughness"]
        return loss, (wanted, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms, of each example's content and styles."""
        del extra, key
        each = jax.vmap(lambda row: self._terms(params, self.wanted(params, jax.tree.map(lambda x: x[None], row))))
        found = each(dict(batch))
        return {name: (jnp.sum(each), jnp.asarray(len(each), jnp.float32)) for name, each in found.items()}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, 3]: the picture, n times."""
        del key
        picture = self._picture(params, extra["content"])
        if self.colour == "content":
            picture = brightness_of(picture, extra["content"])
        return jnp.repeat(jnp.clip(picture, -1, 1), n, axis=0)

    def _terms(self, params: Params, wanted: Extra) -> dict[str, Array]:
        picture = self._picture(params, wanted["content"])
        looks, shows = self.look(params["features"], cast(self._seen(picture), self.dtype))
        shares = jnp.mean(wanted["guide"], axis=(1, 2))
        shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
        style = unlike(grams(looks, wanted["usual"], wanted["guide"]), wanted["looks"], shares)
        terms = {"content": unlike(shows, wanted["shows"]), "style": style, "roughness": roughness(picture)}
        return {name: term[0] for name, term in terms.items()}  # of the one picture

    def _picture(self, params: Params, content: Array) -> Array:
        return content + painted(params["picture"])[None]

    def _seen(self, picture: Array) -> Array:
        """What the network is shown of it."""
        return brightness_of(picture, jnp.zeros_like(picture)) if self.colour == "content" else picture
