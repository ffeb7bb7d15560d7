"""AnimeGAN, in its second version: Chen, Liu & Chen 2020, "AnimeGAN: A Novel Lightweight GAN for Photo Animation", and
what its authors published as AnimeGANv2 (github.com/TachibanaYoshino/AnimeGANv2).

What they compare in VGG-19's features is compared in those of random filters here, so that nothing is downloaded.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.features.filters import RandomFilters, gram
from zoo.gan.adversarial import Answer, play
from zoo.gan.pix2pix import SHOWN, pairs_spec
from zoo.gan.residual import enlarged
from zoo.gan.translators import at_once, mean_distance, mirrored, newest
from zoo.losses import ADVERSARIAL, wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv
from zoo.nn.filters import smooth
from zoo.nn.grouped import GroupedConv
from zoo.nn.spectral import spectral_normalise, start_vectors

LOOK = RandomFilters()
SMOOTH = 5  # pixels: the side of what edges are widened by, and blurred with
BELL = (1, 4, 6, 4, 1)
EDGE = 0.1  # the largest change of grey between two pixels that is no edge
# Of red, green and blue (ITU-R BT.601): luma and the two differences of colour.
YUV = np.array([[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]])
CRITIC_INIT = nn.initializers.normal(0.02)
HE = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")


@dataclass(frozen=True, kw_only=True)
class AnimeGAN:
    """A light translator from photographs to drawn pictures, that need not belong together, against a critic that knows
    drawings from samples, from drawings without colours, and from drawings without hard edges."""

    image_size: int = 256
    """A multiple of 4."""
    channels: int = 3
    """Of both; 3, as it speaks of colours."""
    input_channels: int = 3
    width: int = 32
    """Channels of the generator at the picture's size, and of the critic's first layer."""
    blocks: int = 4
    """Inverted residual blocks (Sandler et al. 2018) at a quarter of the size."""
    first: int = 1000
    """Steps in which only the content is learnt."""
    adversarial: float = 300.0
    """Weight of deceiving the critic."""
    content: float = 1.2
    """Weight of what random filters see of the photograph and of its translation: the mean absolute difference."""
    style: float = 2.0
    """Weight of the mean absolute difference of Gram matrices of what they see of grey drawings and of samples."""
    colour: float = 10.0
    """Weight of the distance of colours: absolute of luma, Huber's of the two differences."""
    variation: float = 1.0
    """Weight of the squared differences of neighbours."""
    smooth: float = 1.0
    """Weight, in the critic's loss, of drawings whose edges are blurred; those of the other three are ``judged``."""
    judged: float = 1.7
    loss: str = "least-squares"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size < 16 or self.image_size % 4:
            raise UserError(f"image_size is {self.image_size}; animegan translates multiples of 4 from 16 on")
        if self.channels != 3 or self.input_channels != 3:
            raise UserError("animegan speaks of colours: its pictures have 3 channels")
        if self.loss not in ADVERSARIAL:
            raise UserError(f"no adversarial loss is called {self.loss!r}; there are {', '.join(ADVERSARIAL)}")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("critic", self.critic_loss), Phase("generator", self.generator_loss)

    @property
    def granule(self) -> int:
        """It halves twice."""
        return 4

    @property
    def generator(self) -> "Generator":
        return Generator(self.channels, self.width, self.blocks, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.width, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the random filters, the critic's spectral vectors, and the newest pictures that were to be
        translated."""
        del batch
        keys, picture = jax.random.split(key, 4), jnp.zeros((1, self.image_size, self.image_size, 3))
        params = {
            "generator": self.generator.init(keys[0], picture, train=False)["params"],
            "critic": self.critic.init(keys[1], picture, train=False)["params"],
        }
        extra = {
            "generator": {},
            "critic": start_vectors(params["critic"], keys[2]),
            "filters": LOOK.init(keys[3]),
            "shown": jnp.zeros((SHOWN, self.image_size, self.image_size, 3)),
        }
        return params, extra

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return pairs_spec(batch_size, self.image_size, 3, 3)

    def critic_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Of drawings, samples, grey drawings and smooth ones; nothing in the first steps."""
        del key
        drawn = batch["image"]
        fake = jax.lax.stop_gradient(self._go(params, extra, batch["input"]))
        weights, after = spectral_normalise(params["critic"], extra["critic"], train=True)
        say: Any = lambda x: self.critic.apply({"params": weights}, x, train=True)
        real, made, pale, soft = at_once(say, drawn, fake.astype(drawn.dtype), grey(drawn), smoothed(drawn))
        pair, still = ADVERSARIAL[self.loss], jax.lax.stop_gradient(real)  # what is drawn counts once, with the samples
        loss = self.judged * (pair.critic(real, made) + pair.critic(still, pale)) + self.smooth * pair.critic(
            still, soft
        )
        loss = jnp.where(step < self.first, 0.0, loss)
        metrics = {"real": jnp.mean(real), "fake": jnp.mean(made), "grey": jnp.mean(pale), "soft": jnp.mean(soft)}
        return loss, ({**extra, "critic": after, "shown": newest(extra["shown"], batch["input"])}, metrics)

    def generator_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """To keep what is in the photograph and its colours, to have the drawings' texture, to be smooth, and to
        deceive; in the first steps only to keep what is in the photograph."""
        del key
        photo, drawn = batch["input"], batch["image"]
        fake = self._go(params, extra, photo)
        pair = ADVERSARIAL[self.loss]
        logits, _ = self._judge(params, extra, fake, train=True)
        on_drawn, _ = self._judge(params, extra, drawn, train=True)  # only relativistic losses look at it
        see = lambda x: LOOK(extra["filters"], x.astype(compute_dtype(self.dtype)))
        of_photo, of_fake, of_drawn = (see(x) for x in (photo, fake, grey(drawn)))
        unlike = lambda a, b: jnp.mean(jnp.abs(wide(a) - wide(b)))
        over = lambda each: sum(map(each, LOOK.names), jnp.zeros(())) / len(LOOK.names)
        terms = {
            "content": over(lambda name: unlike(of_photo[name], of_fake[name])),
            "style": over(lambda name: unlike(gram(of_drawn[name]), gram(of_fake[name]))),
            "colour": colour_distance(photo, fake),
            "variation": variation(fake),
            "deceit": pair.generator(on_drawn, logits),
        }
        weights = {"content": self.content, "style": self.style, "colour": self.colour, "variation": self.variation}
        whole = sum((weight * terms[name] for name, weight in weights.items()), self.adversarial * terms["deceit"])
        return jnp.where(step < self.first, self.content * terms["content"], whole), (extra, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``colour``, the mean absolute difference of photographs and their translations, and what the critic says of
        drawings (``real``) and of translations (``fake``)."""
        del key
        fake = self._go(params, extra, batch["input"])
        say = lambda x: jnp.mean(self._judge(params, extra, x, train=False)[0], axis=1)
        found = {"colour": mean_distance(fake, batch["input"]), "real": say(batch["image"]), "fake": say(fake)}
        return {name: (jnp.sum(each), jnp.asarray(len(each), each.dtype)) for name, each in found.items()}

    def translate(self, params: Params, extra: Extra, source: Array, key: Array | None = None) -> Array:
        """Photographs [n, H, W, 3] -> drawings [n, H, W, 3] in [-1, 1], for H and W that are multiples of 4. Nothing in
        it is random."""
        del key
        return self._go(params, extra, source)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]: translations of the newest pictures that were to be translated in training."""
        return self.translate(params, extra, extra["shown"][jnp.arange(n) % SHOWN], key)

    def _go(self, params: Params, extra: Extra, source: Array) -> Array:
        return play(self.generator, "generator", params, extra, source, train=True)[0]

    def _judge(self, params: Params, extra: Extra, x: Array, *, train: bool) -> tuple[Array, Extra]:
        return play(self.critic, "critic", params, extra, x, train=train, spectral=True)


# ---- What is compared -----------------------------------------------------------------------------------------------


def grey(x: Array) -> Array:
    """[B, H, W, 3] -> the same without colours."""
    luma = jnp.sum(x * YUV[:, 0].astype(x.dtype).reshape(1, 1, 1, 3), axis=-1, keepdims=True)
    return jnp.broadcast_to(luma, x.shape)


def smoothed(x: Array) -> Array:
    """[B, H, W, 3] with its edges, and what is within two pixels of them, blurred (section 3.1, as CartoonGAN's)."""
    padded = jnp.pad(grey(x)[..., :1], ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across, along = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2], padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    steep = (jnp.maximum(jnp.abs(across), jnp.abs(along)) / 2 > EDGE).astype(x.dtype)
    near = jnp.maximum(*(nn.max_pool(steep, window, padding="SAME") for window in ((SMOOTH, 1), (1, SMOOTH))))
    half = SMOOTH // 2
    padded = jnp.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), mode="edge")
    return near * smooth(padded, BELL, pads=(0, 0)) + (1 - near) * x


def colour_distance(a: Array, b: Array) -> Array:
    """The mean absolute difference of luma, and Huber's of the two differences of colour, of pictures brought to
    [0, 1]."""
    table = jnp.asarray(YUV, jnp.float32)[None, None, None]
    apart = jnp.abs(jnp.sum(((wide(a) - wide(b)) / 2)[..., None] * table, axis=-2))
    huber = jnp.where(apart < 1, jnp.square(apart) / 2, apart - 0.5)
    return jnp.mean(apart[..., 0]) + jnp.mean(huber[..., 1]) + jnp.mean(huber[..., 2])


def variation(x: Array) -> Array:
    """Half the mean squared difference of neighbours, downwards and to the right."""
    half = lambda d: jnp.mean(jnp.square(wide(d))) / 2
    return half(x[:, 1:] - x[:, :-1]) + half(x[:, :, 1:] - x[:, :, :-1])


# ---- Networks -------------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """A convolution with mirrored borders, and behind it a norm over all of a picture, and a leaky ReLU."""

    features: int
    kernel_size: int
    dtype: Any
    stride: int = 1
    linear: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        edge = self.kernel_size // 2
        x = mirrored(x, edge) if edge else x
        layer = partial(Conv, self.features, kernel_size=self.kernel_size, stride=self.stride, padding="VALID")
        x = whole_norm(self.dtype)(layer(use_bias=False, kernel_init=HE, dtype=self.dtype)(x))
        return x if self.linear else nn.leaky_relu(x, 0.2)


def whole_norm(dtype: Any) -> nn.Module:
    """Over a picture's pixels and channels."""
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, dtype=dtype)


class InvertedBlock(nn.Module):
    """Twice as many channels, a filter for each by itself, and ``features`` again (Sandler et al. 2018,
    arXiv:1801.04381, figure 3)."""

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inner = 2 * x.shape[-1]
        y = Layer(inner, 1, self.dtype)(x)
        # Of zeros, not mirrored, at the borders.
        y = GroupedConv(inner, groups=inner, kernel_init=HE, dtype=self.dtype)(y)
        y = nn.leaky_relu(whole_norm(self.dtype)(y), 0.2)
        y = Layer(self.features, 1, self.dtype, linear=True)(y)
        return x + y if x.shape[-1] == self.features else y


class Generator(nn.Module):
    """x [B, H, W, 3] -> [B, H, W, channels] in [-1, 1]: halved twice, inverted blocks, and enlarged twice."""

    channels: int
    width: int
    blocks: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype, width = compute_dtype(self.dtype), self.width
        layer = lambda features, kernel=3, stride=1: Layer(features, kernel, dtype, stride)
        x = layer(width, 7)(x)
        for features in (2 * width, 4 * width):
            x = layer(features)(layer(features, stride=2)(x))
        x = layer(4 * width)(x)
        for _ in range(self.blocks):
            x = InvertedBlock(8 * width, dtype)(x)
        x = layer(4 * width)(x)
        for features in (4 * width, 2 * width):
            x = layer(features)(layer(features)(enlarged(x)))
        x = layer(width, 7)(x)
        return jnp.tanh(wide(Conv(self.channels, kernel_size=1, use_bias=False, kernel_init=HE, dtype=dtype)(x)))


class Critic(nn.Module):
    """x [B, H, W, 3] -> logits [B, P], one for each place of a quarter of the size."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        layer = partial(Conv, use_bias=False, kernel_init=CRITIC_INIT, dtype=dtype)
        x = nn.leaky_relu(layer(self.width)(x), 0.2)
        for features in (2 * self.width, 4 * self.width):
            x = nn.leaky_relu(layer(features, stride=2, padding=1)(x), 0.2)
            x = nn.leaky_relu(whole_norm(dtype)(layer(2 * features)(x)), 0.2)
        x = nn.leaky_relu(whole_norm(dtype)(layer(8 * self.width)(x)), 0.2)
        return wide(layer(1)(x)).reshape(len(x), -1)
