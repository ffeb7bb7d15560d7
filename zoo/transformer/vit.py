"""Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929): what is in a picture, and features of it."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.ascent import ascent
from zoo.errors import UserError
from zoo.losses import token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn.dense import Dense
from zoo.nn.norm import LayerNorm
from zoo.tokens import DROPOUT
from zoo.transformer.decoder import Activation, Block, check_heads

PLAYER = "vit"


@dataclass(frozen=True, kw_only=True)
class ViT:
    """Patches as tokens, a token more for the picture as a whole, learned positions, and pre-norm blocks that see it
    all (equations 1 to 4). ``features`` is what stands at that token."""

    image_size: int = 32
    channels: int = 3
    classes: int = 4
    patch: int = 4
    """Pixels of a patch's side."""
    layers: int = 6
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    activation: Activation = "gelu"
    """Of the MLPs."""
    epsilon: float = 1e-6
    """Of the norms; weights from elsewhere may want 1e-12."""
    dropout: float = 0.1
    smoothing: float = 0.1
    """Of the labels: this much of the probability goes to all classes alike (Szegedy et al. 2016)."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        check_heads(self.width, self.heads)
        if self.image_size % self.patch:
            raise UserError(f"--model.patch {self.patch} does not divide pictures of {self.image_size} pixels a side")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> "Network":
        return Network(
            classes=self.classes, patch=self.patch, layers=self.layers, heads=self.heads, width=self.width,
            inner=self.inner or 4 * self.width, activation=self.activation, epsilon=self.epsilon,
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        images = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        return {PLAYER: self.network.init(key, images)["params"]}, {}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {
            "image": jax.ShapeDtypeStruct(shape, jnp.float32),
            "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def apply(self, params: Params, images: Array, **controls: Any) -> tuple[Array, Array]:
        """Images [B, H, W, C] in [-1, 1] -> (logits [B, classes], features [B, D])."""
        network: Any = self.network
        return network.apply({"params": params[PLAYER]}, images, **controls)

    def logits(self, params: Params, images: Array) -> Array:
        """Images [B, H, W, C] in [-1, 1] -> [B, classes]."""
        return self.apply(params, images)[0]

    def features(self, params: Params, images: Array) -> Array:
        """Images [B, H, W, C] in [-1, 1] -> [B, D], for metrics and probes."""
        return self.apply(params, images)[1]

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Cross entropy with smoothed labels, in nats."""
        del step
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        logits = self.apply(params, batch["image"], train=True, rngs=rngs)[0]
        nll = token_nll(logits, batch["label"])
        log_p = jax.nn.log_softmax(logits.astype(nll.dtype))
        right = jnp.mean(jnp.argmax(logits, axis=-1) == batch["label"], dtype=nll.dtype)
        loss = jnp.mean((1 - self.smoothing) * nll - self.smoothing * jnp.mean(log_p, axis=-1))
        return loss, (extra, {"accuracy": right})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll`` of the label in nats, and ``accuracy``."""
        del extra, key
        logits = self.logits(params, batch["image"])
        nll = token_nll(logits, batch["label"])
        count = jnp.asarray(nll.size, nll.dtype)
        right = jnp.sum(jnp.argmax(logits, axis=-1) == batch["label"], dtype=nll.dtype)
        return {"nll": (jnp.sum(nll), count), "accuracy": (right, count)}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """``n`` pictures [n, H, W, C] that the model is surest of, of class 0, 1, ... in turn, which a classifier has
        instead of samples: see ``zoo.ascent``."""
        del extra
        wanted = jnp.arange(n) % self.classes

        def scores(images: Array) -> Array:
            return jnp.take_along_axis(self.logits(params, images), wanted[:, None], axis=1)[:, 0]

        return ascent(scores, self.batch_spec(n)["image"].shape, key)


class Network(nn.Module):
    classes: int
    patch: int
    layers: int
    heads: int
    width: int
    inner: int
    activation: Activation
    epsilon: float
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, images: Array, *, train: bool = False) -> tuple[Array, Array]:
        """[B, H, W, C] -> logits [B, classes] and features [B, D]."""
        rows, dtype = len(images), jnp.dtype(self.dtype)
        x = Dense(self.width, dtype=dtype, name="patches")(picture_patches(images, self.patch).astype(dtype))
        whole = self.param("whole", nn.initializers.normal(0.02), (1, 1, self.width)).astype(dtype)
        x = jnp.concatenate([jnp.broadcast_to(whole, (rows, 1, self.width)), x], axis=1)
        places = self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], self.width))
        x = nn.Dropout(self.dropout)(x + places.astype(dtype), deterministic=not train)
        every = jnp.full(rows, x.shape[1])
        for index in range(self.layers):
            block = Block(
                layers=self.layers, heads=self.heads, width=self.width, inner=self.inner,
                epsilon=self.epsilon, dropout=self.dropout, dtype=self.dtype, activation=self.activation,
                name=f"blocks_{index}",
            )  # fmt: skip
            x = block(x, every, train=train)[0]
        features = LayerNorm(epsilon=self.epsilon, dtype=dtype, name="norm")(x[:, 0])
        return Dense(self.classes, dtype=dtype, name="head")(features), features


def picture_patches(images: Array, side: int) -> Array:
    """[B, H, W, C] -> [B, HW / side^2, side^2 C]: squares, row by row."""
    rows, height, width, channels = images.shape
    grid = images.reshape(rows, height // side, side, width // side, side, channels)
    return jnp.swapaxes(grid, 2, 3).reshape(rows, -1, side * side * channels)
