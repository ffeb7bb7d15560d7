"""pix2pix: Isola, Zhu, Zhou & Efros 2017, "Image-to-Image Translation with Conditional Adversarial Networks"
(arXiv:1611.07004), with any of the zoo's adversarial losses; and what was built on it.

pix2pixHD: Wang, Liu, Zhu, Tao, Kautz & Catanzaro 2018, "High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs" (arXiv:1711.11585). SPADE: see `zoo.gan.spade`.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import Answer, play
from zoo.gan.spade import SpatialGenerator
from zoo.gan.translators import (
    CoarseToFine,
    PatchCritic,
    PyramidCritic,
    UNet,
    jittered,
    mean_distance,
    newest,
    patches,
    unlike,
)  # fmt: skip
from zoo.model import Array, Batch, Extra, Loss, Params, Phase
from zoo.nn.spectral import spectral_normalise, start_vectors

JITTER, DROPOUT = range(20, 22)  # folded into keys, beside those of `zoo.gan.adversarial`
VECTORS = 23  # and beside CycleGAN's
SHOWN = 36  # the newest pictures that it was to translate, which samples are translations of


@dataclass(frozen=True, kw_only=True)
class Pix2Pix:
    """A network that translates pictures, against critics of the patches of a picture beside its original."""

    image_size: int = 256
    """A power of two from 16 to 1024."""
    channels: int = 3
    """Of the pictures to arrive at."""
    input_channels: int = 3
    """Of the pictures to start from."""
    maps: bool = False
    """These are maps of labels, each a plane that is 1 where the label is and -1 elsewhere."""
    network: Literal["unet", "coarse-to-fine", "spade"] = "unet"
    """A U-Net; pix2pixHD's two translators, one within the other; or one that reads a map in every norm."""
    width: int = 64
    """Channels of a U-Net's layers at half the image's size, doubled with every halving, up to eight times this; of the
    other networks', at the image's own size."""
    dropout: float = 0.5
    """Of a U-Net's smallest layers on the way up, in use too: the generator's only noise."""
    blocks: int = 9
    """Residual blocks of coarse-to-fine's inner translator."""
    halvings: int = 4
    """And how often it halves the picture's half."""
    critic_width: int | None = None
    """Channels of the critics' first layer; None is ``width``."""
    critic_layers: int = 3
    """Halvings of a critic: 3 judges patches of 70 x 70 pixels, 2 of 34 and 1 of 16."""
    scales: int = 1
    """Critics: of the picture, of one of half its size, ..."""
    spectral: bool = False
    """Every layer of both players is spectrally normalised (Miyato et al. 2018, arXiv:1802.05957)."""
    conditional: bool = True
    """The critics see the original beside the picture."""
    jitter: bool = True
    """Pairs are enlarged, cropped and mirrored at random."""
    l1: float = 100.0
    """Weight of the mean absolute difference to the picture to arrive at."""
    matching: float = 0.0
    """Weight of how differently the critics' layers see it and the picture to arrive at (Wang et al. 2018, eq. 5)."""
    gan: float = 1.0
    """Weight of the adversarial loss; with 0 the generator learns by the difference alone."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 1
    """Steps of the critic to one of the generator."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        check_size("pix2pix", self.image_size, self.critic_layers, scales=self.scales)
        adversarial.check("pix2pix", self)
        if self.network == "coarse-to-fine" and self.image_size < 2 * self.granule:
            raise UserError(
                f"image_size is {self.image_size}; {self.halvings} halvings of its half ask for {2 * self.granule} "
                "pixels at least: use more pixels or fewer halvings"
            )

    @property
    def phases(self) -> tuple[Phase, ...]:
        critic, *others = adversarial.phases(self)
        others[-1] = replace(others[-1], loss=self.generator_loss)
        first = replace(critic, loss=partial(self._remembering, critic.loss))
        return tuple(replace(phase, loss=partial(self._jittering, phase.loss)) for phase in (first, *others))

    @property
    def generator(self) -> Any:
        match self.network:
            case "unet":
                return UNet(self.channels, self.width, self._levels, self.dropout, self.dtype)
            case "coarse-to-fine":
                return CoarseToFine(self.channels, self.width, self.blocks, self.halvings, self.dtype)
        return SpatialGenerator(self.channels, self.width, self._levels, self.dtype)

    @property
    def _levels(self) -> int:
        return self.granule.bit_length() - 1

    @property
    def granule(self) -> int:
        """What the sides of a picture are multiples of. A U-Net's smallest layer is of 1 x 1, but beyond 256 pixels;
        that of SPADE of 4 x 4 at least."""
        match self.network:
            case "unet":
                return min(self.image_size, 256)
            case "coarse-to-fine":
                return 2 ** (self.halvings + 1)
        return min(self.image_size // 4, 32)

    @property
    def critic(self) -> Any:
        width = self.critic_width or self.width
        if self.network == "unet" and self.scales == 1:
            return PatchCritic(width, self.critic_layers, True, self.dtype)
        return PyramidCritic(self.scales, width, self.critic_layers, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the newest pictures that it was to translate; SPADE's running statistics, and spectral vectors."""
        del batch
        side = self.image_size
        source, seen = (jnp.zeros((1, side, side, c)) for c in (self.input_channels, self._seen_channels))
        players = {"generator": (self.generator, source, key), "critic": (self.critic, seen)}
        params, extra = adversarial.start(key, **players, spectral=self.spectral)
        if self.spectral:
            extra["vectors"] = start_vectors(params["generator"], jax.random.fold_in(key, VECTORS))
        return params, extra | {"shown": jnp.zeros((SHOWN, side, side, self.input_channels))}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return pairs_spec(batch_size, self.image_size, self.input_channels, self.channels)

    def observe(self, batch: Batch) -> Array:
        return batch["image"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        """The translations of the batch's own pictures."""
        return self._paint(params, extra, batch["input"], jax.random.fold_in(key, DROPOUT), train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Any, Extra]:
        """[B, P], a logit a patch; of several critics a list of them."""
        del key
        return self._look(params, extra, x, batch, train=train)

    def generator_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Equation 4: to deceive the critic, and to be near, in pixels or as the critics' layers see it. (The paper
        halves the critic's loss; to Adam that is the same.)"""
        del step
        own = jax.random.fold_in(key, adversarial.GENERATOR_LATENTS)
        fake, after = self.imagine(params, extra, batch, own, train=True)
        deceit = adversarial.deceit(self, params, extra, fake, batch, key)
        distance = jnp.mean(mean_distance(fake, batch["image"]))
        loss, metrics = self.gan * deceit + self.l1 * distance, {"deceit": deceit, "l1": distance}
        if self.matching:
            seen = (self._look(params, extra, x, batch, train=True, method="seen")[0] for x in (batch["image"], fake))
            real, fakes = (x if isinstance(x[0], list) else [x] for x in seen)
            metrics["matching"] = unlike(real, fakes)
            loss += self.matching * metrics["matching"]
        return loss, (after, metrics)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """Both adversarial losses, see `zoo.gan.adversarial.evaluate`, and ``l1``, the mean absolute difference to the
        pictures to arrive at, which lie in [-1, 1]."""
        distance = mean_distance(self.translate(params, extra, batch["input"], key), batch["image"])
        l1 = {"l1": (jnp.sum(distance), jnp.asarray(len(distance), distance.dtype))}
        return adversarial.evaluate(self, params, extra, batch, key) | l1

    def translate(self, params: Params, extra: Extra, source: Array, key: Array) -> Array:
        """[n, H, W, input_channels] -> [n, H, W, channels] in [-1, 1], for H and W that ``granule`` divides; ``key``
        draws the dropout."""
        return self._paint(params, extra, source, key, train=False)[0]

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]: translations of the newest pictures that were to be translated in training."""
        return self.translate(params, extra, extra["shown"][jnp.arange(n) % SHOWN], key)

    def _paint(self, params: Params, extra: Extra, source: Array, key: Array, *, train: bool) -> tuple[Array, Extra]:
        if self.spectral:
            layers, vectors = spectral_normalise(params["generator"], extra["vectors"], train=train)
            params, extra = {**params, "generator": layers}, {**extra, "vectors": vectors}
        return play(self.generator, "generator", params, extra, source, key, train=train)

    def _look(self, params: Params, extra: Extra, x: Array, batch: Batch, *, train: bool, **method: str) -> Any:
        if self.conditional:
            x = jnp.concatenate([batch["input"].astype(x.dtype), x], axis=-1)
        return play(self.critic, "critic", params, extra, x, train=train, spectral=self.spectral, **method)

    @property
    def _seen_channels(self) -> int:
        return self.channels + (self.input_channels if self.conditional else 0)

    def _jittering(self, loss: Loss, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """A loss of pairs that are moved, each step's by the same draw in every phase."""
        if self.jitter:
            source, image = jittered((batch["input"], batch["image"]), jax.random.fold_in(key, JITTER))
            batch = {**batch, "input": source, "image": image}
        return loss(params, extra, batch, key, step)

    def _remembering(self, loss: Loss, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """A loss after which ``extra`` knows the batch's pictures."""
        value, (after, metrics) = loss(params, extra, batch, key, step)
        return value, ({**after, "shown": newest(extra["shown"], batch["input"])}, metrics)


def check_size(name: str, size: int, critic_layers: int, *, scales: int = 1) -> None:
    """UserError for sizes that the networks cannot take."""
    if size not in [2**n for n in range(4, 11)]:
        raise UserError(f"image_size is {size}; {name} translates 16, 32, 64, ... or 1024 pixels a side")
    if scales < 1 or size >> scales < 2:
        raise UserError(f"scales is {scales}; {name} at {size} pixels can have 1 to {size.bit_length() - 3}")
    smallest = size >> (scales - 1)
    if critic_layers < 1 or patches(smallest, critic_layers) < 1:
        raise UserError(
            f"critic_layers is {critic_layers}; at {smallest} pixels it can be 1 to {(smallest // 3).bit_length() - 1}"
        )


def pairs_spec(batch_size: int, size: int, input_channels: int, channels: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Pictures to start from and pictures to arrive at."""
    planes = {"input": input_channels, "image": channels}
    return {name: jax.ShapeDtypeStruct((batch_size, size, size, c), jnp.float32) for name, c in planes.items()}
