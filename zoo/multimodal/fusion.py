"""Fusion: what is this, by its sound and its picture? Early, middle, late and four more ways of joining the two.

The task is that of AV-MNIST (Vielzeuf et al. 2018, "CentralNet"): a spoken digit with a picture of the same digit.
The ways: early, middle (bottlenecks) and late fusion as Nagrani et al. 2021 order them (arXiv:2107.00135); products of
features (Kim et al. 2017, arXiv:1610.04325); low-rank tensor fusion (Liu et al. 2018, arXiv:1806.00064); attention over
media (Hori et al. 2017, arXiv:1701.03126); cross-modal attention (Tsai et al. 2019, arXiv:1906.00295). All seven stand
on the same small transformers instead of each paper's own network, so that what differs is the joining.

In training whole media are dropped, as in ModDrop (Neverova et al. 2016, arXiv:1501.00102), so that a model can do with
either of the two.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from zoo.ascent import ascent
from zoo.errors import UserError
from zoo.losses import token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.multimodal import media
from zoo.multimodal.joining import JOININGS, Joining, Network
from zoo.multimodal.media import MEDIA
from zoo.tokens import DROPOUT

PLAYER = "fusion"
MISSING, NOISE = DROPOUT + 1, DROPOUT + 2  # what the step's key is folded with
BOTH, SOUND, PICTURE = (True, True), (True, False), (False, True)  # which media are there


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """Patches of both media as tokens, a few blocks, and one of seven ways to join them."""

    fusion: Joining = "middle"
    """Where and how the media meet: early (one row of tokens), middle (bottlenecks), late (mean of two answers); of two
    features their product (multiplicative), a tensor's (low-rank), or a weighted mean (attention); cross (each looks at
    the other's tokens)."""
    image_size: int = 28
    channels: int = 1
    frames: int = 64
    """T of a sound."""
    bands: int = 32
    """M of a sound."""
    classes: int = 10
    patch: int = 7
    """Pixels of a patch's side."""
    stride: int = 8
    """Frames of a sound's token."""
    layers: int = 3
    """Blocks from a patch to the answer; half of them, rounded down, before media meet in the middle or look across.
    (Through bottlenecks one medium reads the other in the second block after that.)"""
    heads: int = 4
    width: int = 64
    """D."""
    rank: int = 4
    """Of low-rank's tensor."""
    bottlenecks: int = 4
    """Tokens in which media meet in the middle."""
    dropout: float = 0.1
    """Of single numbers, in the blocks."""
    drop_sound: float = 0.25
    """Share of the training examples whose sound is missing."""
    drop_picture: float = 0.25
    """Share of the training examples whose picture is missing, never both. (1 and 0, or 0 and 1, train a model of one
    medium.)"""
    noise: float = 1.0
    """Standard deviation of what is added to a medium in [-1, 1] where a noisy one is evaluated."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    batch_spec = media.batch_spec

    def __post_init__(self):
        media.check(self)
        if self.fusion not in JOININGS:
            raise UserError(f"--model.fusion {self.fusion}: it is one of {', '.join(JOININGS)}")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> Network:
        return Network(
            fusion=self.fusion, classes=self.classes, stride=self.stride, patch=self.patch, layers=self.layers,
            heads=self.heads, width=self.width, rank=self.rank, bottlenecks=self.bottlenecks, dropout=self.dropout,
            dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        spectrum, images = (jnp.zeros(self.batch_spec(1)[name].shape) for name in ("spectrum", "image"))
        return {PLAYER: self.network.init(key, spectrum, images, jnp.ones((1, len(MEDIA)), bool))["params"]}, {}

    def logits(
        self, params: Params, spectrum: Array, images: Array, present: Array | None = None, **controls: Any
    ) -> Array:
        """[B, T, M] and [B, H, W, C], of which those that are ``present`` (bool [B, 2]: sound, picture; None: all) are
        read -> [B, classes]. What stands in the place of a missing one does not matter, as long as it is finite."""
        network: Any = self.network
        present = jnp.ones((len(images), len(MEDIA)), bool) if present is None else present
        return network.apply({"params": params[PLAYER]}, spectrum, images, present, **controls)

    def present(self, key: Array, n: int) -> Array:
        """Which media training leaves: bool [n, 2]."""
        u = jax.random.uniform(key, (n,))
        sound = u >= self.drop_sound
        return jnp.stack([sound, ~sound | (u < 1 - self.drop_picture)], axis=1)

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Cross entropy in nats, with media missing and dropout."""
        del step
        left = self.present(jax.random.fold_in(key, MISSING), len(batch["label"]))
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        logits = self.logits(params, batch["spectrum"], batch["image"], left, train=True, rngs=rngs)
        nll = token_nll(logits, batch["label"])
        right = jnp.mean(jnp.argmax(logits, axis=-1) == batch["label"], dtype=nll.dtype)
        return jnp.mean(nll), (extra, {"accuracy": right})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll`` in nats and ``accuracy`` of both media as they are; the accuracy by each alone, ``sound_only`` and
        ``picture_only``; that by both with Gaussian ``noise`` in one, ``noisy_sound`` and ``noisy_picture``. A medium
        that training always drops is not read."""
        del extra
        learnt = jnp.stack([jnp.asarray(self.drop_sound) < 1, jnp.asarray(self.drop_picture) < 1])[None]
        spectrum, images, label = batch["spectrum"], batch["image"], batch["label"]
        noisy = [
            x + self.noise * jax.random.normal(jax.random.fold_in(key, NOISE + m), x.shape, x.dtype)
            for m, x in enumerate((spectrum, images))
        ]
        asked = {
            "accuracy": (spectrum, images, BOTH),
            "sound_only": (spectrum, images, SOUND),
            "picture_only": (spectrum, images, PICTURE),
            "noisy_sound": (noisy[0], images, BOTH),
            "noisy_picture": (spectrum, noisy[1], BOTH),
        }
        found = {}
        for name, (heard, seen, there) in asked.items():
            logits = self.logits(
                params, heard, seen, jnp.broadcast_to(jnp.array([there]) & learnt, (len(label), len(MEDIA)))
            )
            count = jnp.asarray(len(label), logits.dtype)
            found[name] = jnp.sum(jnp.argmax(logits, axis=-1) == label, dtype=logits.dtype), count
            if name == "accuracy":
                found["nll"] = jnp.sum(token_nll(logits, label)), count
        return found

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """``n`` pictures [n, H, W, C] without a sound that the model is surest of, of class 0, 1, ... in turn, which a
        classifier has instead of samples: see ``zoo.ascent``."""
        del extra
        spec, wanted = self.batch_spec(n), jnp.arange(n) % self.classes
        silence, seen = jnp.zeros(spec["spectrum"].shape), jnp.broadcast_to(jnp.array([PICTURE]), (n, len(MEDIA)))

        def scores(images: Array) -> Array:
            return jnp.take_along_axis(self.logits(params, silence, images, seen), wanted[:, None], axis=1)[:, 0]

        return ascent(scores, spec["image"].shape, key)
