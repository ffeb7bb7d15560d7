"""What a row has read and written, and what that says of its next token: penalties on repetition, constraints.

`zoo.decoding.generate` takes them as ``rules=(...)`` and applies them in this order, before the sampler. A rule is a
frozen dataclass of pure functions over one row; its numbers may change without another compilation.
"""

import functools
import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.model import Array

State = Any


class Rule(Protocol):
    """All of one row. ``begin`` before any token, ``read`` after each, ``apply`` before each draw."""

    def begin(self, size: int, room: int) -> State:
        """``size``: V, of the outputs; ``room``: how many tokens will be read at most."""
        ...

    def read(self, state: State, token: Array) -> State:
        """The state after one more token."""
        ...

    def apply(self, state: State, logits: Array) -> Array:
        """Logits [V] -> [V]; -inf forbids."""
        ...


@functools.partial(jax.jit, static_argnames=("size", "room"))
def read_prompts(rules: tuple[Rule, ...], prompt: Array, lengths: Array, *, size: int, room: int) -> tuple[State, ...]:
    """Every rule's state after prompts [B, P] of ``lengths`` [B] tokens, batch first; ``room`` more will follow."""

    def row(tokens: Array, length: Array) -> tuple[State, ...]:
        def step(states, xs):
            token, at = xs
            after = read_token(rules, states, token)
            return jax.tree.map(lambda new, old: jnp.where(at < length, new, old), after, states), None

        begun = tuple(rule.begin(size, tokens.shape[0] + room) for rule in rules)
        return jax.lax.scan(step, begun, (tokens, jnp.arange(tokens.shape[0])))[0]

    return jax.vmap(row)(prompt, lengths)


def read_token(rules: tuple[Rule, ...], states: tuple[State, ...], token: Array) -> tuple[State, ...]:
    """The states of one row after ``token``."""
    return tuple(rule.read(state, token) for rule, state in zip(rules, states, strict=True))


def apply_rules(rules: tuple[Rule, ...], states: tuple[State, ...], logits: Array) -> Array:
    """Logits [V] of one row, in float32 or wider where there are rules."""
    if rules:
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    for rule, state in zip(rules, states, strict=True):
        logits = rule.apply(state, logits)
    return logits


# ---- Repetition -----------------------------------------------------------------------------------------------------


@functools.partial(jax.tree_util.register_dataclass, data_fields=["theta"], meta_fields=["form", "exempt"])
@dataclass(frozen=True, kw_only=True)
class RepetitionPenalty:
    """Tokens that were read or written before become less probable. Keskar et al. 2019 (CTRL, arXiv:1909.05858),
    equation of section 4.1: p_i ~ exp(x_i / (T I(i))), I = theta for tokens seen before, otherwise 1.

    ``form``: what "divided by theta" means of logits x.
        logprob   log p_i times theta: always less probable, and adding a constant to all logits changes nothing
        paper     x_i / theta whatever its sign, as the paper's formula and code have it: where x_i < 0, more probable
        hf        x_i / theta where x_i > 0, x_i theta where x_i < 0: Hugging Face's mending of it
    ``exempt``: tokens that are never penalised (the paper's code spares the newline).
    """

    theta: float | Array = 1.2
    form: Literal["logprob", "paper", "hf"] = "logprob"
    exempt: tuple[int, ...] = ()

    def begin(self, size: int, room: int) -> Array:
        return jnp.zeros(size, bool)

    def read(self, state: Array, token: Array) -> Array:
        return state.at[token].set(True)

    def apply(self, state: Array, logits: Array) -> Array:
        seen = state.at[np.array(self.exempt, np.int32)].set(False)
        if self.form == "logprob":
            logits = jax.nn.log_softmax(logits)
        rises = {"logprob": logits <= 0, "paper": jnp.zeros_like(seen), "hf": logits < 0}[self.form]
        return jnp.where(seen, jnp.where(rises, logits * self.theta, logits / self.theta), logits)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["presence", "frequency"], meta_fields=[])
@dataclass(frozen=True, kw_only=True)
class CountPenalty:
    """x_i - presence [c_i > 0] - frequency c_i, where c_i is how often token i was read or written: the presence and
    frequency penalties of OpenAI's programming interface."""

    presence: float | Array = 0.0
    frequency: float | Array = 0.0

    def begin(self, size: int, room: int) -> Array:
        return jnp.zeros(size, jnp.int32)

    def read(self, state: Array, token: Array) -> Array:
        return state.at[token].add(1)

    def apply(self, state: Array, logits: Array) -> Array:
        return logits - self.presence * (state > 0) - self.frequency * state


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["size"])
@dataclass(frozen=True, kw_only=True)
class NoRepeat:
    """No ``size`` tokens follow one another twice, unless nothing else is left. Paulus et al. 2018 (arXiv:1705.04304),
    section 2.5, with 3."""

    size: int = 3

    def __post_init__(self):
        if self.size < 1:
            raise UserError(f"NoRepeat of {self.size} tokens: it must be at least 1")

    def begin(self, size: int, room: int) -> tuple[Array, Array]:
        return jnp.full(room + self.size, -1, jnp.int32), jnp.zeros((), jnp.int32)

    def read(self, state: tuple[Array, Array], token: Array) -> tuple[Array, Array]:
        text, count = state
        return text.at[count].set(token), count + 1

    def apply(self, state: tuple[Array, Array], logits: Array) -> Array:
        text, count = state
        before = self.size - 1
        starts = jnp.arange(text.shape[0] - before)
        newest = jax.lax.dynamic_slice(text, (count - before,), (before,))
        same = (starts + before < count) & (count >= before)
        for at in range(before):
            same &= text[at : at + starts.shape[0]] == newest[at]
        left = logits.at[jnp.where(same, text[before:], logits.shape[0])].set(-jnp.inf, mode="drop")
        return jnp.where(jnp.max(left) > -jnp.inf, left, logits)


# ---- Constraints ----------------------------------------------------------------------------------------------------


@functools.partial(jax.tree_util.register_dataclass, data_fields=["mask"], meta_fields=[])
@dataclass(frozen=True)
class Allow:
    """Only the tokens of a mask, bool [V]; of a roll, only those keys, which are the first numbers of its outputs."""

    mask: Array | np.ndarray

    def begin(self, size: int, room: int) -> tuple[()]:
        return ()

    def read(self, state: tuple[()], token: Array) -> tuple[()]:
        return ()

    def apply(self, state: tuple[()], logits: Array) -> Array:
        size = self.mask.shape[0]
        return jnp.concatenate([jnp.where(self.mask, logits[:size], -jnp.inf), logits[size:]])


@functools.partial(jax.tree_util.register_dataclass, data_fields=["tokens", "given"], meta_fields=[])
@dataclass(frozen=True)
class Fixed:
    """At the positions ``given``, bool [T], only the tokens [T] there; elsewhere, and behind T, anything. Positions
    count from the beginning of the prompt. With a soprano fixed, a model of four voices harmonises it."""

    tokens: Array | np.ndarray
    given: Array | np.ndarray

    def begin(self, size: int, room: int) -> Array:
        return jnp.zeros((), jnp.int32)

    def read(self, state: Array, token: Array) -> Array:
        return state + 1

    def apply(self, state: Array, logits: Array) -> Array:
        at = jnp.minimum(state, len(self.tokens) - 1)
        bound = jnp.asarray(self.given)[at] & (state < len(self.tokens))
        other = jnp.arange(logits.shape[0]) != jnp.asarray(self.tokens)[at]
        return jnp.where(bound & other, -jnp.inf, logits)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["tokens", "letters"], meta_fields=["skip"])
@dataclass(frozen=True)
class Form:
    """A poem's form, position by position: ``tokens`` int [T], or -1 where any of ``letters``, bool [V], may stand;
    behind T, anything. ``skip``: so many tokens of the prompt are no part of the poem."""

    tokens: Array | np.ndarray
    letters: Array | np.ndarray
    skip: int = 0

    def begin(self, size: int, room: int) -> Array:
        return jnp.full((), -self.skip, jnp.int32)

    def read(self, state: Array, token: Array) -> Array:
        return state + 1

    def apply(self, state: Array, logits: Array) -> Array:
        here = jnp.asarray(self.tokens)[jnp.clip(state, 0, len(self.tokens) - 1)]
        allowed = jnp.where(here < 0, self.letters, jnp.arange(logits.shape[0]) == here)
        return jnp.where(allowed | (state >= len(self.tokens)), logits, -jnp.inf)

    def fits(self, text: np.ndarray) -> bool:
        """Whether a poem of this form may begin with tokens [N]."""
        here = np.asarray(self.tokens)[: len(text)]
        return len(here) == len(text) and bool(np.all(np.where(here < 0, np.asarray(self.letters)[text], here == text)))


def form(codec: Any, template: str, *, skip: int = 0) -> Form:
    """The form that a template says: a number is so many letters, "/" a new line, all else stands for itself. A poem of
    two couplets with five characters a line: "5，5。5，5。". UserError where the codec's alphabet cannot write it."""
    alphabet = getattr(codec, "alphabet", None)
    if alphabet is None:
        raise UserError(f"a {type(codec).__name__} has no letters; forms are for models of characters")
    parts = re.findall(r"[0-9]+|[^0-9]", template)
    marks = {part: alphabet.find(part.replace("/", "\n")) for part in parts if not part.isdecimal()}
    for mark, token in marks.items():
        if token < 0:
            raise UserError(f"form {template!r}: the model has never read {mark!r}")
    tokens = [t for part in parts for t in ([-1] * int(part) if part.isdecimal() else [marks[part]])]
    if -1 not in tokens or len(tokens) > 100_000:
        raise UserError(f"form {template!r}: write how many letters its lines have, as in 5/7/5")
    return Form(np.array(tokens, np.int32), np.array([mark.isalnum() for mark in alphabet]), skip)


SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic-minor": (0, 2, 3, 5, 7, 8, 11),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 3, 5, 6, 7, 10),
}
_TWELVE = "C C#/Db D D#/Eb E F F#/Gb G G#/Ab A A#/Bb B"
TONICS = {name: at for at, names in enumerate(_TWELVE.split()) for name in names.split("/")}


def scale(key: str) -> np.ndarray:
    """ "C major", "f# minor", "Eb blues" -> which of the MIDI pitches 0..127 are in it, bool [128]. UserError for a
    tonic or a scale that there is none of."""
    tonic, _, name = key.partition(" ")
    tonic, name = tonic[:1].upper() + tonic[1:], name or "major"
    if tonic not in TONICS or name not in SCALES:
        raise UserError(f"no key is called {key!r}; write a tonic ({', '.join(TONICS)}) and one of {', '.join(SCALES)}")
    return np.isin((np.arange(128) - TONICS[tonic]) % 12, SCALES[name])


def in_key(codec: Any, key: str) -> Allow:
    """Keeps what a music codec's model writes in a key: no onset of another pitch. Of performance events, REMI and
    voices use `zoo.grammar.grammar` with a key instead where streams must be valid too: two masks may leave nothing."""
    from zoo.codecs.chords import ChordWords
    from zoo.codecs.leadsheet import LeadSheet
    from zoo.codecs.performance import Performance
    from zoo.codecs.remi import Remi
    from zoo.codecs.rolls import KEYS, LOWEST, PianoRoll
    from zoo.codecs.voices import VoiceGrid

    inside = scale(key)
    if isinstance(codec, PianoRoll):
        return Allow(inside[LOWEST : LOWEST + KEYS])
    if isinstance(codec, ChordWords):
        return Allow(np.asarray(~(codec.keys & ~inside).any(axis=1)))
    if not isinstance(codec, Performance | Remi | VoiceGrid | LeadSheet):
        raise UserError(f"a {type(codec).__name__} has no pitches to keep in a key")
    mask = np.ones(codec.vocabulary, bool)
    mask[: len(inside)] = inside  # an onset's token is its MIDI pitch, with each of them
    return Allow(mask)
