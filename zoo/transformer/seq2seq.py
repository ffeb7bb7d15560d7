"""An encoder-decoder transformer (Vaswani et al. 2017, arXiv:1706.03762): one sequence read, another one written."""

from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import tokens
from zoo.codecs.voices import REST, VOICES
from zoo.decoding import Sampler, Sampling, generate
from zoo.errors import UserError
from zoo.losses import token_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.music.grid import cells_of
from zoo.nn.attention import full_attention
from zoo.nn.dense import Dense, DenseParts
from zoo.nn.embed import Embed
from zoo.nn.norm import LayerNorm
from zoo.tokens import DROPOUT
from zoo.transformer.decoder import Block, check_heads

PLAYER = "seq2seq"
UNCONDITIONAL = 2  # what the step's key is folded with


@dataclass(frozen=True, kw_only=True)
class Seq2Seq:
    """Pre-norm blocks; in the decoder, each reads the source before it reads its own past.

    ``part`` says what is read and what is written of a window. "melody", of four-voice grids: the soprano is read;
    alto, tenor and bass are written, step by step. "half", of anything: the first half is read, the second written.

    A position is a step and, in the decoder, which of its tokens is due; encoder and decoder share the steps'
    embeddings, so that what belongs together finds each other. Of some training windows the source is withheld, so that
    the model can write without one too, and can be guided by one (`zoo.guidance`).
    """

    part: Literal["melody", "half"] = "melody"
    vocabulary: int = 132
    """V, different tokens, on both sides."""
    context: int = 256
    """Tokens of a window: of grids four a step."""
    layers: int = 4
    """Of the encoder, and of the decoder."""
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    dropout: float = 0.1
    withheld: float = 0.1
    """The share of windows whose source is not shown."""
    start_token: int = 130
    """What a target begins behind."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    batch_spec = tokens.batch_spec
    emit, start = tokens.emit, tokens.start

    def __post_init__(self):
        check_heads(self.width, self.heads)
        if self.context < VOICES or self.context % VOICES:
            raise UserError(f"--model.context {self.context}: it must be a multiple of {VOICES}")

    @property
    def stride(self) -> int:
        """Target tokens a step."""
        return VOICES - 1 if self.part == "melody" else 1

    @property
    def steps(self) -> int:
        return self.context // (VOICES if self.part == "melody" else 2)

    @property
    def capacity(self) -> int:
        """Tokens that a target can have, its start token among them."""
        return self.steps * self.stride + 1

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> "Network":
        return Network(
            vocabulary=self.vocabulary, steps=self.steps, stride=self.stride, layers=self.layers, heads=self.heads,
            width=self.width, inner=self.inner or 4 * self.width, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        row = jnp.zeros((1, 1), jnp.int32)
        return {PLAYER: self.network.init(key, row, self.nothing(1))["params"]}, {}

    # ---- Sources and targets --------------------------------------------------------------------------------------

    def nothing(self, n: int) -> dict[str, Array]:
        """The source of those that have none: the start token alone."""
        return {"source": jnp.full((n, 1), self.start_token, jnp.int32), "length": jnp.ones(n, jnp.int32)}

    def parts(self, batch: Batch) -> tuple[dict[str, Array], Array, Array]:
        """A batch of windows -> sources {source [B, S], length [B]}, targets [B, N], and which of these are real."""
        if self.part == "half":
            text, length = batch["tokens"][:, : self.context], jnp.minimum(batch["length"], self.context)
            source, target = jnp.split(text, [self.steps], axis=1)
            count, lengths = length - self.steps, jnp.clip(length, 1, self.steps)
        else:
            cells, steps = cells_of(batch)
            source, target = cells[:, :, 0], cells[:, :, 1:].reshape(cells.shape[0], -1)
            count, lengths = steps * self.stride, jnp.maximum(steps, 1)
        real = jnp.arange(target.shape[1])[None, :] < count[:, None]
        return {"source": source, "length": lengths}, target, real

    def together(self, source: Array, target: Array) -> Array:
        """What was read [B, S] and what was written [B, N], as tokens that a codec decodes, without START."""
        if self.part == "half":
            return jnp.concatenate([source, target], axis=1)
        rest = target.reshape(target.shape[0], -1, self.stride)
        voice = source[:, : rest.shape[1], None]
        return jnp.concatenate([voice, rest], axis=2).reshape(target.shape[0], -1)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a target token, given the source and the target before it."""
        del step
        shown = jax.random.uniform(jax.random.fold_in(key, UNCONDITIONAL), batch["length"].shape) >= self.withheld
        total, count = self.nats(params, batch, jax.random.fold_in(key, DROPOUT), shown)
        return total / jnp.maximum(count, 1), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all target tokens, given the source."""
        del extra, key
        return {"nll": self.nats(params, batch, None, None)}

    def nats(self, params: Params, batch: Batch, key: Array | None, shown: Array | None) -> tuple[Array, Array]:
        """(nats of all real target tokens, how many); ``shown`` bool [B]: whose source is not withheld (all)."""
        return self.target_nats(params, *self.parts(batch), key, shown)

    def target_nats(
        self,
        params: Params,
        source: dict[str, Array],
        target: Array,
        real: Array,
        key: Array | None = None,
        shown: Array | None = None,
    ) -> tuple[Array, Array]:
        """The same of sources, targets [B, N] and which of these are real."""
        if shown is not None:
            first = jnp.arange(source["source"].shape[1])[None, :] == 0
            nothing = jnp.where(first, self.start_token, source["source"])
            source = {
                "source": jnp.where(shown[:, None], source["source"], nothing),
                "length": jnp.where(shown, source["length"], 1),
            }
        begun = jnp.concatenate([self.start(target.shape[0]), target[:, :-1]], axis=1)
        rngs = None if key is None else {"dropout": key}
        logits = self.apply(params, begun, source, train=key is not None, rngs=rngs)
        nll = jnp.where(real, token_nll(logits, target), 0)
        return jnp.sum(nll), jnp.sum(real, dtype=nll.dtype)

    # ---- Writing --------------------------------------------------------------------------------------------------

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, **controls)

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Targets [B, N] behind their start token -> logits [B, N, V]. ``cond``: {source [B, S], length [B]}."""
        del extra
        return self.apply(params, tokens, self.nothing(tokens.shape[0]) if cond is None else cond)

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry holds keys and values of the target so far and of the source, a layer each."""
        del extra
        if capacity > self.capacity:
            raise UserError(f"{capacity} tokens do not fit into a target of {self.capacity}")
        cond = self.nothing(prompt.shape[0]) if cond is None else cond
        return self.apply(params, prompt, cond, lengths, capacity, method="prefill")

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        return self.apply(params, carry, token, method="decode")

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        source: Array | None = None,
        lengths: Array | None = None,
        length: int | None = None,
        sampler: Sampler = Sampling(),
    ) -> Array:
        """``n`` targets for ``source`` [n, S] of ``lengths`` [n] (S), or for none, with their sources: tokens that the
        codec decodes, without START. ``length``: how many tokens to write (all that there is room for)."""
        cond = None
        if source is not None:
            cond = {"source": source, "length": jnp.full(n, source.shape[1]) if lengths is None else lengths}
        begun, ones = self.start(n), jnp.ones(n, jnp.int32)
        length = self.capacity - 1 if length is None else length
        target = generate(
            self, params, extra, key, prompt=begun, lengths=ones, length=length, sampler=sampler, cond=cond
        )  # fmt: skip
        silence = jnp.full((n, self.steps), REST if self.part == "melody" else self.start_token, jnp.int32)
        return self.together(silence if source is None else source, target[:, : length // self.stride * self.stride])


class Cross(nn.Module):
    """x + attention from norm(x) to what the encoder has read."""

    heads: int
    width: int
    dropout: float
    dtype: str

    def setup(self):
        dtype, small = jnp.dtype(self.dtype), nn.initializers.normal(0.02)
        self.norm = LayerNorm(dtype=dtype)
        self.query = Dense(self.width, kernel_init=small, dtype=dtype)
        self.key_value = DenseParts(2 * self.width, parts=2, kernel_init=small, dtype=dtype)
        self.project = Dense(self.width, kernel_init=small, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)

    def read(self, memory: Array) -> tuple[Array, Array]:
        """[B, S, D] -> its keys and values [B, S, H, D/H]."""
        k, v = self.key_value(memory)
        return self.heads_of(k), self.heads_of(v)

    def __call__(self, x: Array, k: Array, v: Array, lengths: Array, *, train: bool = False) -> Array:
        """x [B, T, D] -> [B, T, D]."""
        mixed = full_attention(self.heads_of(self.query(self.norm(x))), k, v, lengths=lengths)
        return x + self.drop(self.project(mixed.reshape(x.shape)), deterministic=not train)

    def heads_of(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.heads, -1)


class Network(nn.Module):
    vocabulary: int
    steps: int
    stride: int
    layers: int
    heads: int
    width: int
    inner: int
    dropout: float
    dtype: str

    def setup(self):
        dtype, small, tiny = jnp.dtype(self.dtype), nn.initializers.normal(0.02), nn.initializers.normal(0.01)
        block = lambda: Block(
            layers=self.layers, heads=self.heads, width=self.width, inner=self.inner, epsilon=1e-6,
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip
        self.tokens = Embed(self.vocabulary, self.width, embedding_init=small, dtype=dtype)
        self.positions = Embed(self.steps, self.width, embedding_init=small, dtype=dtype)
        self.due = Embed(self.stride, self.width, embedding_init=tiny, dtype=dtype)
        self.sides = Embed(2, self.width, embedding_init=tiny, dtype=dtype)
        self.encoder = [block() for _ in range(self.layers)]
        self.cross = [Cross(self.heads, self.width, self.dropout, self.dtype) for _ in range(self.layers)]
        self.decoder = [block() for _ in range(self.layers)]
        self.norm_source, self.norm = LayerNorm(dtype=dtype), LayerNorm(dtype=dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, target: Array, cond: dict[str, Array], *, train: bool = False) -> Array:
        """target [B, N], cond as the model has it -> logits [B, N, V]."""
        return self.head(self.stack(target, cond, train=train)[0])

    def encode(self, cond: dict[str, Array], *, train: bool) -> list[tuple[Array, Array]]:
        """Every decoder layer's keys and values of the source."""
        source, lengths = cond["source"], cond["length"]
        x = self.tokens(source) + (self.positions(jnp.arange(source.shape[1])) + self.sides(jnp.int32(0))[None])[None]
        x = self.drop(x, deterministic=not train)
        for block in self.encoder:
            x = block(x, lengths, train=train)[0]
        x = self.norm_source(x)
        return [cross.read(x) for cross in self.cross]

    def stack(self, target: Array, cond: dict[str, Array], *, train: bool) -> tuple[Array, list, list]:
        """x [B, N, D], every layer's keys and values of the target, and of the source."""
        memory = self.encode(cond, train=train)
        x = self.drop(self.embed(target, jnp.arange(target.shape[1])[None]), deterministic=not train)
        own = []
        for cross, block, (k, v) in zip(self.cross, self.decoder, memory, strict=True):
            x, *kept = block(cross(x, k, v, cond["length"], train=train), train=train)
            own.append(tuple(kept))
        return x, own, memory

    def prefill(self, prompt: Array, cond: dict[str, Array], lengths: Array, capacity: int) -> tuple[Carry, Array]:
        x, own, memory = self.stack(prompt, cond, train=False)
        room = ((0, 0), (0, capacity - prompt.shape[1]), (0, 0), (0, 0))
        own = jax.tree.map(lambda cache: jnp.pad(cache, room), own)
        last = jnp.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)[:, 0]
        return {"own": own, "source": memory, "heard": cond["length"], "length": lengths}, self.head(last)

    def decode(self, carry: Carry, token: Array) -> tuple[Carry, Array]:
        length, own = carry["length"], []
        x = self.embed(token, length)
        layers = zip(self.cross, self.decoder, carry["source"], carry["own"], strict=True)
        for cross, block, (k, v), (own_k, own_v) in layers:
            x = cross(x[:, None], k, v, carry["heard"])[:, 0]
            x, *kept = block.decode(x, own_k, own_v, length)
            own.append(tuple(kept))
        return carry | {"own": own, "length": length + 1}, self.head(x)

    def embed(self, tokens: Array, times: Array) -> Array:
        """Target tokens [...] -> [..., D]: what each is, and which step's which token is due behind it."""
        times = jnp.minimum(times, self.steps * self.stride - 1)  # behind the last token nothing is due
        places = self.positions(times // self.stride) + self.due(times % self.stride)
        return self.tokens(tokens) + places + self.sides(jnp.ones_like(times))

    def head(self, x: Array) -> Array:
        return self.tokens.attend(self.norm(x))
