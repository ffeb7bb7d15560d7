"""SeqGAN: Yu, Zhang, Wang & Yu 2017, "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient"
(arXiv:1609.05473): a recurrent net that learns to write first by likelihood, and then by what a critic says of what it
has written."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.errors import UserError
from zoo.gan.adversarial import Answer
from zoo.losses import logistic_critic, next_token_nll, wide
from zoo.lstm.rnn import Network, capacity, decode, logits, prefill
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.cells import Cell, zero_states
from zoo.nn.conv3d import Conv1D
from zoo.nn.embed import Embed

FAKES, ROLLOUTS = 40, 41  # folded into keys
WINDOWS = (2, 3, 4, 5)  # tokens that the critic's filters see


@dataclass(frozen=True, kw_only=True)
class SeqGAN:
    """A generator of tokens whose reward for each is what the critic thinks of texts that go on from it."""

    cell: Cell = "lstm"
    vocabulary: int = 256
    """V, different tokens."""
    context: int = 32
    """Tokens of a training window, and of what the critic judges; a sample may be of any length."""
    width: int = 128
    """H, cells of the generator's layers."""
    layers: int = 1
    critic_width: int = 64
    """Size of the critic's embedding, and filters of each window."""
    critic_dropout: float = 0.25
    first: int = 2000
    """Steps in which the generator learns by likelihood, while the critic learns already."""
    rollouts: int = 4
    """Texts that the reward of a token is the mean of; the paper has 16."""
    every: int = 4
    """Of so many tokens in a row one is judged by rollouts, for all of them; the paper judges each."""
    start_token: int = 0
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    capacity = property(capacity)
    logits, prefill, decode = logits, prefill, decode
    batch_spec, outputs = tokens.batch_spec, tokens.outputs
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    def __post_init__(self):
        if min(self.first, self.rollouts - 1, self.every - 1) < 0:
            raise UserError(f"first {self.first}, rollouts {self.rollouts} and every {self.every}: at least 0, 1 and 1")
        if self.context < max(WINDOWS):
            raise UserError(f"context is {self.context}; seqgan's critic sees {max(WINDOWS)} tokens at once")

    @property
    def player(self) -> str:
        """Whom decoding asks."""
        return "generator"

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("critic", self.critic_loss), Phase("generator", self.generator_loss)

    @property
    def sample_length(self) -> int:
        return self.context

    @property
    def network(self) -> Network:
        return Network(
            cell=self.cell, embed=self.vocabulary, outputs=self.vocabulary, width=self.width, layers=self.layers,
            dropout=0.0, dtype=self.dtype,
        )  # fmt: skip

    @property
    def critic(self) -> "Critic":
        return Critic(self.vocabulary, self.critic_width, self.critic_dropout, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        own, other = jax.random.split(key)
        text = jnp.zeros((1, self.context + 1), jnp.int32)
        generator = self.network.init(own, text[:, :1])["params"]
        return {"generator": generator, "critic": self.critic.init(other, text)["params"]}, {}

    def critic_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Equation 5: texts of the data against texts that begin with the same tokens."""
        del step
        fakes = self.written(params, batch["tokens"][:, :1], jax.random.fold_in(key, FAKES))
        on_real, on_fake = (
            self._judged(params, text, own)
            for text, own in zip((batch["tokens"], fakes), jax.random.split(key), strict=True)
        )
        return logistic_critic(on_real, on_fake), (extra, {"real": jnp.mean(on_real), "fake": jnp.mean(on_fake)})

    def generator_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Nats of the data's tokens; after the first steps minus the expected reward (equation 2), whose gradient is
        that of equation 8, with the mean reward at a position as a baseline. The metric ``reward`` is 0 before that."""

        def likelihood(params: Params) -> tuple[Array, Array]:
            total, count = next_token_nll(self.logits(params, batch["tokens"][:, :-1]), batch)
            return total / count, jnp.zeros(())

        def policy(params: Params) -> tuple[Array, Array]:
            text = self.written(params, batch["tokens"][:, :1], jax.random.fold_in(key, FAKES))
            reward = self.rewards(params, text, jax.random.fold_in(key, ROLLOUTS))
            chances = jax.nn.log_softmax(wide(self.logits(params, text[:, :-1])), axis=-1)
            chosen = jnp.take_along_axis(chances, text[:, 1:, None], axis=-1)[..., 0]
            better = reward - jnp.mean(reward, axis=0, keepdims=True)
            return -jnp.mean(jax.lax.stop_gradient(better) * chosen), jnp.mean(reward[:, -1])

        loss, reward = jax.lax.cond(step < self.first, likelihood, policy, params)
        return loss, (extra, {"reward": reward})

    def written(self, params: Params, first: Array, key: Array) -> Array:
        """first [B, 1] -> tokens [B, T + 1] that go on from it, by draws; no gradient goes into them."""
        known = jnp.zeros((len(first), self.context + 1), jnp.int32).at[:, :1].set(first)
        return self._continued(params, known, jnp.ones(len(first), jnp.int32), key)

    def rewards(self, params: Params, text: Array, key: Array) -> Array:
        """text [B, T + 1] -> of each token but the first the critic's mean probability that texts with it, and all
        before it, are real: [B, T] (equation 4). Rollouts begin behind every ``every``-th token."""
        rows, length = text.shape
        ends = jnp.arange(1 + self.every, length, self.every)  # tokens that stay
        # A text's rollouts lie beside one another, so that they stay on its device.
        each = rows, len(ends), self.rollouts
        many = jnp.broadcast_to(text[:, None, None], (*each, length)).reshape(-1, length)
        kept = jnp.broadcast_to(ends[None, :, None], each).reshape(-1)
        rolled = self._continued(params, many, kept, key)
        real = lambda texts: jax.nn.sigmoid(self._judged(params, texts))
        of_end = jnp.concatenate([jnp.mean(real(rolled).reshape(each), axis=2), real(text)[:, None]], axis=1)
        judge = jnp.minimum(jnp.arange(length - 1) // self.every, len(ends))
        return of_end[:, judge]

    def _judged(self, params: Params, text: Array, key: Array | None = None) -> Array:
        """tokens [B, T] -> logits [B]; with dropout where there is a ``key``."""
        rngs = None if key is None else {"dropout": key}
        return self.critic.apply({"params": params["critic"]}, text, rngs=rngs)  # type: ignore[return-value]

    def _continued(self, params: Params, text: Array, kept: Array, key: Array) -> Array:
        """text [N, T + 1] of which ``kept`` [N] tokens stay and the others are drawn anew."""
        params = jax.lax.stop_gradient(params)
        states = zero_states(self.cell, len(text), width=self.width, layers=self.layers, dtype=self.dtype)

        def step(carry, xs):
            states, token = carry
            at, given, key = xs
            states, output = self.decode(params, {}, states, token)
            drawn = jax.random.categorical(key, wide(output)).astype(jnp.int32)
            token = jnp.where(at < kept, given, drawn)
            return (states, token), token

        places = jnp.arange(1, text.shape[1])
        xs = places, text[:, 1:].T, jax.random.split(key, len(places))
        _, more = jax.lax.scan(step, (states, text[:, 0]), xs)
        return jnp.concatenate([text[:, :1], more.T], axis=1)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all predicted tokens; ``told_apart``: how often the critic is right of texts of the data and
        of the model's own."""
        found = tokens.evaluate(self, params, extra, batch, key)  # type: ignore[arg-type]
        fakes = self.written(params, batch["tokens"][:, :1], key)
        on_real, on_fake = (self._judged(params, text) for text in (batch["tokens"], fakes))
        right = jnp.sum(on_real > 0) + jnp.sum(on_fake < 0)
        return found | {"told_apart": (right.astype(jnp.float32), jnp.asarray(2.0 * len(fakes)))}


class Critic(nn.Module):
    """tokens [B, T] -> logits [B]: filters over a few tokens, the most that each finds anywhere, and a highway layer
    (section 3.3; Srivastava et al. 2015, arXiv:1505.00387). With dropout where there is a key for it."""

    vocabulary: int
    width: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, text: Array) -> Array:
        dtype = compute_dtype(self.dtype)
        x = Embed(self.vocabulary, self.width, dtype=dtype)(text)
        layers = [Conv1D(self.width, kernel_size=size, padding="VALID", dtype=dtype) for size in WINDOWS]
        x = jnp.concatenate([jnp.max(nn.relu(layer(x)), axis=1) for layer in layers], axis=-1)
        gate = nn.sigmoid(nn.Dense(x.shape[-1], bias_init=nn.initializers.constant(-2.0), dtype=dtype)(x))
        x = gate * nn.relu(nn.Dense(x.shape[-1], dtype=dtype)(x)) + (1 - gate) * x
        x = nn.Dropout(self.dropout)(x, deterministic=not self.has_rng("dropout"))
        return wide(nn.Dense(1, dtype=dtype)(x))[:, 0]
