"""Image GPT (Chen et al. 2020, "Generative Pretraining from Pixels"): pictures as sequences of colours."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from zoo import tokens
from zoo.decoding import Sampler, Sampling, generate
from zoo.errors import UserError
from zoo.losses import token_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.tokens import DROPOUT
from zoo.transformer import decoder
from zoo.transformer.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class ImageGPT:
    """A decoder over the pixels of a picture, row by row (section 2.2, the autoregressive objective).

    ``unit``: "palette" makes one token of a pixel, its colour in a cube of ``levels`` a channel (the paper's palette
    has 512 colours too, found by k-means); "channels" makes one of each channel's level, so that sequences are longer
    and nothing is lost with 256 levels.
    """

    image_size: int = 16
    channels: int = 3
    unit: Literal["palette", "channels"] = "palette"
    levels: int = 8
    """Of a channel."""
    layers: int = 6
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    dropout: float = 0.0
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "image_gpt"
    init, emit, start = decoder.init, tokens.emit, tokens.start

    def __post_init__(self):
        decoder.check_heads(self.width, self.heads)
        if self.unit not in ("palette", "channels") or not 2 <= self.levels <= 256 or self.vocabulary > 2**16:
            raise UserError(f"{self.unit} of {self.levels} levels: palettes have up to 65536 colours, channels 256")

    @property
    def vocabulary(self) -> int:
        """V, different colours, or levels of a channel."""
        return self.levels**self.channels if self.unit == "palette" else self.levels

    @property
    def start_token(self) -> int:
        """One more, that pictures begin behind."""
        return self.vocabulary

    @property
    def context(self) -> int:
        """T, tokens of a picture."""
        return self.image_size**2 * (1 if self.unit == "palette" else self.channels)

    @property
    def capacity(self) -> int:
        return self.context + 1

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.player, self.loss),)

    @property
    def network(self) -> Decoder:
        return Decoder(
            vocabulary=self.vocabulary + 1, context=self.capacity, layers=self.layers, heads=self.heads,
            width=self.width, inner=self.inner, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    # ---- Pictures and sequences -----------------------------------------------------------------------------------

    def sequence(self, images: Array) -> Array:
        """Images [B, H, W, C] in [-1, 1] -> tokens [B, T]: the nearest levels."""
        levels = jnp.round((images + 1) / 2 * (self.levels - 1)).astype(jnp.int32)
        if self.unit == "palette":
            levels = jnp.sum(levels * self.levels ** jnp.arange(self.channels)[None, None, None], axis=-1)
        return levels.reshape(images.shape[0], -1)

    def picture(self, tokens: Array) -> Array:
        """Tokens [B, T] -> images [B, H, W, C] in [-1, 1]."""
        shape = (tokens.shape[0], self.image_size, self.image_size, self.channels)
        if self.unit == "palette":
            tokens = tokens[..., None] // self.levels ** jnp.arange(self.channels)[None, None] % self.levels
        return (tokens.reshape(shape) * (2 / (self.levels - 1)) - 1).astype(jnp.float32)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a token given those before it (equation 1)."""
        del step
        return jnp.mean(self.nats(params, batch, jax.random.fold_in(key, DROPOUT))), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of a token."""
        del extra, key
        nats = self.nats(params, batch, None)
        return {"nll": (jnp.sum(nats), jnp.asarray(nats.size, nats.dtype))}

    def nats(self, params: Params, batch: Batch, key: Array | None) -> Array:
        """Nats [B, T] of the tokens of the batch's pictures."""
        truth = self.sequence(batch["image"])
        begun = jnp.concatenate([self.start(truth.shape[0]), truth[:, :-1]], axis=1)
        return token_nll(decoder.logits(self, params, begun, key)[..., : self.vocabulary], truth)

    # ---- Drawing --------------------------------------------------------------------------------------------------

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        del extra, cond
        return decoder.logits(self, params, tokens)[..., : self.vocabulary]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: None = None
    ) -> tuple[Carry, Array]:
        del extra, cond
        if capacity > self.capacity:
            raise UserError(f"{capacity} tokens do not fit into a picture of {self.context}")
        carry, logits = decoder.apply(self, params, prompt, lengths, capacity, method="prefill")
        return carry, logits[:, : self.vocabulary]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        carry, logits = decoder.decode(self, params, extra, carry, token)
        return carry, logits[:, : self.vocabulary]

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        upper: Array | None = None,
        sampler: Sampler = Sampling(),
    ) -> Array:
        """``n`` pictures [n, H, W, C] in [-1, 1]; with ``upper`` [n, h, W, C], those rows are given and the rest is
        drawn below them."""
        begun = self.start(n)
        if upper is not None:
            begun = jnp.concatenate([begun, self.sequence(upper)], axis=1)
        lengths = jnp.full(n, begun.shape[1])
        more = generate(
            self, params, extra, key, prompt=begun, lengths=lengths, length=self.capacity - begun.shape[1],
            sampler=sampler,
        )  # fmt: skip
        return self.picture(jnp.concatenate([begun[:, 1:], more], axis=1))
