"""CycleGAN: Zhu, Park, Isola & Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks" (arXiv:1703.10593)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.gan.adversarial import Answer
from zoo.gan.pix2pix import JITTER, SHOWN, check_size, pairs_spec
from zoo.gan.translators import SMALL, PatchCritic, ResNetTranslator, at_once, jittered, mean_distance, newest, swapped
from zoo.losses import ADVERSARIAL
from zoo.model import Array, Batch, Extra, Params, Phase

POOL = 22  # folded into keys, beside those of `zoo.gan.adversarial` and of pix2pix

WAYS = {"forth": ("input", "image"), "back": ("image", "input")}
"""What each translator starts from and arrives at; each arrival has a critic of its own."""


@dataclass(frozen=True, kw_only=True)
class CycleGAN:
    """Two translators between two sets of pictures without pairs: there and back again, nothing must be lost."""

    image_size: int = 256
    """A power of two from 16 to 1024."""
    channels: int = 3
    """Of the pictures to arrive at."""
    input_channels: int = 3
    """Of the pictures to start from."""
    width: int = 64
    """Channels at the image's own size; four times as many at a quarter of it."""
    blocks: int | None = None
    """Residual blocks of a translator; None is six up to 128 pixels and nine beyond."""
    critic_layers: int = 3
    """Halvings of the critics: 3 judges patches of 70 x 70 pixels, 2 of 34 and 1 of 16."""
    jitter: bool = True
    """Pictures are enlarged, cropped and mirrored at random."""
    cycle: float = 10.0
    """Weight of the mean absolute difference after both translations."""
    identity: float | None = 5.0
    """Weight of the mean absolute difference when what is there already is translated, which keeps colours; None where
    the two sets differ in channels."""
    pool: int = 50
    """Samples that a critic may be shown again."""
    loss: str = "least-squares"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        check_size("cyclegan", self.image_size, self.critic_layers)
        if self.loss not in ADVERSARIAL:
            raise UserError(f"no adversarial loss is called {self.loss!r}; there are {', '.join(ADVERSARIAL)}")
        if self.pool < 1 or (self.blocks is not None and self.blocks < 1):
            raise UserError(f"pool {self.pool} and blocks {self.blocks} should be at least 1")
        if self.identity is not None and self.channels != self.input_channels:
            raise UserError(
                f"pictures of {self.input_channels} and of {self.channels} channels cannot be the same: "
                "give cyclegan --model.identity None"
            )

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("critic", self.critic_loss), Phase("generator", self.generator_loss)

    @property
    def granule(self) -> int:
        """Translators halve twice."""
        return 4

    @property
    def critic(self) -> PatchCritic:
        return PatchCritic(self.width, self.critic_layers, False, self.dtype)

    def translator(self, channels: int) -> ResNetTranslator:
        blocks = self.blocks or (6 if self.image_size <= SMALL else 9)
        return ResNetTranslator(channels, self.width, blocks, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: for each set the samples that its critic may be shown again, and how many there are; and the
        newest pictures that were to be translated."""
        del batch
        params: dict[str, Any] = {"generator": {}, "critic": {}}
        extra: dict[str, Any] = {"shown": jnp.zeros((SHOWN, *self._shape("input")))}
        for number, (way, (source, target)) in enumerate(WAYS.items()):
            own, other = jax.random.split(jax.random.fold_in(key, number))
            network = self.translator(self._channels(target))
            params["generator"][way] = network.init(own, jnp.zeros((1, *self._shape(source))))["params"]
            params["critic"][target] = self.critic.init(other, jnp.zeros((1, *self._shape(target))), train=False)[
                "params"
            ]
            extra[target] = {
                "pool": jnp.zeros((self.pool, *self._shape(target))),
                "count": jnp.zeros((), jnp.int32),
            }
        return params, extra

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return pairs_spec(batch_size, self.image_size, self.input_channels, self.channels)

    def critic_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Both critics', of data and of samples new and old (section 3.1, equation 1)."""
        del step
        batch, after = self._moved(batch, key), dict(extra)
        loss, metrics = jnp.zeros(()), {}
        for number, (way, (source, target)) in enumerate(WAYS.items()):
            fakes = jax.lax.stop_gradient(self._go(params, way, batch[source]))
            own, kept = jax.random.fold_in(jax.random.fold_in(key, POOL), number), extra[target]
            shown, pool, count = swapped(kept["pool"], kept["count"], fakes, own)
            after[target] = {"pool": pool, "count": count}
            real, fake = at_once(partial(self._judge, params, target), batch[target], shown)
            loss += ADVERSARIAL[self.loss].critic(real, fake)
            metrics |= {f"real_{target}": jnp.mean(real), f"fake_{target}": jnp.mean(fake)}
        after["shown"] = newest(extra["shown"], batch["input"])
        return loss, (after, metrics)

    def generator_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """To deceive both critics, to come back to where one started, and to leave alone what is there (equation 3 and
        section 5.2)."""
        del step
        batch = self._moved(batch, key)
        deceit, cycle, identity = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        for way, (source, target) in WAYS.items():
            start = [batch[source]] if self.identity is None else [batch[source], batch[target]]
            fake, *same = at_once(partial(self._go, params, way), *start)
            real = self._judge(params, target, batch[target])  # only relativistic losses look at it
            deceit += ADVERSARIAL[self.loss].generator(real, self._judge(params, target, fake))
            again = self._go(params, "back" if way == "forth" else "forth", fake)
            cycle += jnp.mean(mean_distance(again, batch[source]))
            identity += sum(jnp.mean(mean_distance(picture, batch[target])) for picture in same)
        loss = deceit + self.cycle * cycle + (0 if self.identity is None else self.identity * identity)
        metrics = {"deceit": deceit, "cycle": cycle} | ({} if self.identity is None else {"identity": identity})
        return loss, (extra, metrics)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """For each set ``cycle_``, the mean absolute difference of its pictures after both translations, and ``real_``
        and ``fake_``, what its critic says of its pictures and of translations into it."""
        del extra, key
        found = {}
        for way, (source, target) in WAYS.items():
            fake = self._go(params, way, batch[source])
            again = self._go(params, "back" if way == "forth" else "forth", fake)
            found[f"cycle_{source}"] = mean_distance(again, batch[source])
            found[f"real_{target}"] = jnp.mean(self._judge(params, target, batch[target]), axis=1)
            found[f"fake_{target}"] = jnp.mean(self._judge(params, target, fake), axis=1)
        return {name: (jnp.sum(each), jnp.asarray(len(each), each.dtype)) for name, each in found.items()}

    def translate(
        self,
        params: Params,
        extra: Extra,
        source: Array,
        key: Array | None = None,
        *,
        way: Literal["forth", "back"] = "forth",
    ) -> Array:
        """Pictures [n, H, W, C] of one set -> of the other, in [-1, 1]. H and W are multiples of 4. Nothing in it is
        random."""
        del extra, key
        return self._go(params, way, source)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]: translations of the newest pictures that were to be translated in training."""
        return self.translate(params, extra, extra["shown"][jnp.arange(n) % SHOWN], key)

    def _go(self, params: Params, way: str, source: Array) -> Array:
        network = self.translator(self._channels(WAYS[way][1]))
        return network.apply({"params": params["generator"][way]}, source)  # type: ignore[return-value]

    def _judge(self, params: Params, target: str, x: Array) -> Array:
        return self.critic.apply({"params": params["critic"][target]}, x, train=True)  # type: ignore[return-value]

    def _moved(self, batch: Batch, key: Array) -> Batch:
        """Pictures of both sets, moved each by its own draw."""
        if not self.jitter:
            return batch
        keys = jax.random.split(jax.random.fold_in(key, JITTER))
        return {name: jittered((batch[name],), own)[0] for name, own in zip(WAYS["forth"], keys, strict=True)}

    def _channels(self, name: str) -> int:
        return self.channels if name == "image" else self.input_channels

    def _shape(self, name: str) -> tuple[int, int, int]:
        return self.image_size, self.image_size, self._channels(name)
