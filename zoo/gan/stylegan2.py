"""StyleGAN2: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv:1912.04958), in the
configuration of the same authors' later paper (arXiv:2006.06676)."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial, style
from zoo.gan.adversarial import Answer, play
from zoo.gan.augment import augment
from zoo.gan.style import NOISE, SECOND, Critic, Mapping, Synthesis, mixed, sizes, style_count
from zoo.losses import squared_gradient_norm
from zoo.model import Array, Batch, Extra, Params, Phase

PATH = 13  # folded into keys, beside those of `zoo.gan.style`
ADAPT_EVERY = 4  # steps from one change of the probability of augmentations to the next
PATH_DECAY = 0.01  # share of a new batch in the mean path length


@dataclass(frozen=True, kw_only=True)
class StyleGAN2:
    """A generator whose layers a learnt style modulates, against a residual critic, lazily regularised."""

    image_size: int = 32
    """A power of two from 8 to 1024."""
    channels: int = 3
    latent_size: int = 512
    """Z, drawn from N(0, I), and W, the size of a style."""
    mapping: int = 2
    """Layers from latents to styles; the first papers have 8."""
    base: int = 16384
    """Channels of a layer are ``base`` / pixels a side, at most ``widest``; from 512 pixels on, 32768."""
    widest: int = 512
    """The most channels."""
    group: int | None = 4
    """Pictures whose spread the critic sees; None hides it."""
    mixing: float = 0.9
    """Share of the samples in training that take their finer styles from a second latent."""
    path_length: float | None = 2.0
    """Weight of the path length's regulariser; None is none."""
    path_every: int = 4
    """Steps from one of its updates to the next."""
    path_shrink: int = 2
    """It looks at a part of a batch: one picture in so many."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = 0.01
    """Weight of the critic's squared gradient on data; for other sizes try 0.0002 image_size^2 / batch size. None is
    none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    ada_target: float | None = None
    """Adaptive augmentation, for few pictures: the mean sign of the critic's outputs on data that the augmentations'
    probability is steered to, such as 0.6 (Karras et al. 2020, arXiv:2006.06676, section 3). None augments nothing."""
    ada_images: int = 500_000
    """Pictures in which that probability could go from 0 to 1."""
    penalty_every: int = 16
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 1
    """Steps of the critic to one of the generator."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents = adversarial.evaluate, prior.latents
    styles, render, paint, sample = style.styles, style.render, style.paint, style.sample

    def __post_init__(self):
        if self.image_size not in [2**n for n in range(3, 11)]:
            raise UserError(f"image_size is {self.image_size}; stylegan2 draws 8, 16, 32, ... or 1024 pixels a side")
        if self.base < self.image_size:
            raise UserError(f"base {self.base} leaves no channel at {self.image_size} pixels; raise it")
        if self.gradient_penalty is not None and self.group is not None:
            raise UserError("gradient_penalty looks at one picture at a time: give stylegan2 group None")
        adversarial.check("stylegan2", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        critic, *others = adversarial.phases(self)
        if self.ada_target is not None:
            critic = replace(critic, loss=self.adaptive_loss)
        if self.path_length is not None:
            others.append(Phase("generator", self.path_loss, every=self.path_every, name="path_length"))
        return critic, *others

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(min(self.base // size, self.widest) for size in sizes(self.image_size))

    @property
    def style_network(self) -> Mapping:
        return Mapping(self.latent_size, self.mapping, self.dtype)

    @property
    def synthesis(self) -> Synthesis:
        return Synthesis(self.widths, self.channels, self.dtype)

    @property
    def critic(self) -> Critic:
        return Critic(self.widths, self.group, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the mean style [W], towards which truncation pulls, the mean path length [], and the probability
        of augmentations with the sum of the signs since it last changed."""
        del batch
        keys = jax.random.split(key, 3)
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        styles = jnp.zeros((1, style_count(self.image_size), self.latent_size))
        generator = {
            "mapping": self.style_network.init(keys[0], styles[:, 0])["params"],
            "synthesis": self.synthesis.init(keys[1], styles, keys[1], each=True)["params"],
        }
        critic = self.critic.init(keys[2], image, train=False)["params"]
        extra = {"critic": {}, "style": jnp.zeros(self.latent_size), "path_length": jnp.zeros(())}
        if self.ada_target is not None:
            extra["augment"] = {"probability": jnp.zeros(()), "signs": jnp.zeros(())}
        return {"generator": generator, "critic": critic}, extra

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        return batch["image"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        n = len(batch["image"])
        if not train:
            return style.painted(self, params, self.styles(params, extra, self.latents(key, n))), extra
        styles, extra = self._mixed(params, extra, key, n)
        return style.painted(self, params, styles, jax.random.fold_in(key, NOISE)), extra

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch
        if train and self.ada_target is not None:
            x = augment(x, extra["augment"]["probability"], key)
        return play(self.critic, "critic", params, extra, x, train=train)

    def adaptive_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """The critic's loss; then, on every fourth step, the augmentations' probability moves by a fixed amount, up
        where the critic has been surer of the data than ``ada_target``, else down."""
        loss, (after, metrics) = adversarial.critic_loss(self, params, extra, batch, key, step)
        before = extra["augment"]
        signs = before["signs"] + metrics["signs"].astype(before["signs"].dtype)
        due = step % ADAPT_EVERY == ADAPT_EVERY - 1
        amount = len(batch["image"]) * ADAPT_EVERY / self.ada_images
        moved = before["probability"] + amount * jnp.sign(signs / ADAPT_EVERY - self.ada_target)
        moved = jnp.where(due, jnp.clip(moved, 0, 1), before["probability"]).astype(before["probability"].dtype)
        state = {"probability": moved, "signs": jnp.where(due, 0, signs)}
        return loss, ({**after, "augment": state}, metrics | {"augment": moved})

    def path_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """(|J^T y| - mean)^2 with J the picture's Jacobian in its styles and y random pictures: equal steps in w should
        be equal steps in pictures. Section 3.2, equation 4; ``extra`` keeps the mean of the lengths."""
        del step
        key = jax.random.fold_in(key, PATH)
        n = max(len(batch["image"]) // self.path_shrink, 1)
        styles, _ = self._mixed(params, extra, key, n)
        noise = jax.random.fold_in(key, NOISE)
        shape = (n, self.image_size, self.image_size, self.channels)
        y = jax.random.normal(jax.random.fold_in(key, SECOND + 1), shape, jnp.float32) / self.image_size

        def along(moved: Array) -> Array:
            return jnp.sum(style.painted(self, params, styles + moved, noise) * y, axis=(1, 2, 3))

        # The derivative is taken where nothing has moved, so that the mapping is reached too.
        squares = squared_gradient_norm(along, jnp.zeros_like(styles)) / styles.shape[1]
        lengths = jnp.sqrt(jnp.maximum(squares, 1e-12))
        mean = extra["path_length"] + PATH_DECAY * (jnp.mean(jax.lax.stop_gradient(lengths)) - extra["path_length"])
        mean = mean.astype(extra["path_length"].dtype)
        penalty = jnp.mean(jnp.square(lengths - mean))
        assert self.path_length is not None
        return self.path_every * self.path_length * penalty, ({**extra, "path_length": mean}, {"length": mean})

    def _mixed(self, params: Params, extra: Extra, key: Array, n: int) -> tuple[Array, Extra]:
        """Styles [n, L, W] as they are trained with, and ``extra`` with the mean style."""
        draw = lambda key: style.style_of(self, params, self.latents(key, n))
        layers = style_count(self.image_size)
        styles, mean = mixed(draw, extra["style"], key, layers=layers, share=self.mixing)
        return styles, {**extra, "style": mean}
