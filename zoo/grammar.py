"""Grammars of event streams, as rules of the decode loop: a model that follows one writes nothing but valid music.

Each is a small automaton beside every row: what has been read makes its state, the state says which tokens may follow.
At least one always may. What a prompt does wrong is read as the codec would read it.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.codecs import remi
from zoo.codecs.performance import NOTE_OFF, TIME_SHIFT, Performance
from zoo.codecs.remi import Remi
from zoo.codecs.voices import HOLD, REST, START, STOP, VOICES, VoiceGrid
from zoo.errors import UserError
from zoo.model import Array
from zoo.rules import Rule, State, scale

PITCHES = 128


def grammar(codec: Any, key: str | None = None) -> Rule:
    """The grammar of a codec's streams: of performance events, REMI or four-voice grids; with a ``key`` such as "D
    minor", of those that stay in it. UserError for another codec."""
    playable = np.ones(PITCHES, bool) if key is None else scale(key)
    match codec:
        case Performance():
            return PerformanceGrammar(codec, playable)
        case Remi():
            return RemiGrammar(codec, playable)
        case VoiceGrid():
            return VoiceGrammar(codec, playable)
    raise UserError(
        f"no grammar is known for a {type(codec).__name__}; there are ones for performance, remi and voices"
    )


@functools.partial(jax.tree_util.register_dataclass, data_fields=["playable"], meta_fields=["codec"])
@dataclass(frozen=True)
class PerformanceGrammar:
    """Exactly the streams t that a `Performance` codec writes, those with encode(decode(t)) == t, and their beginnings.

    An end only of a key that is down, an onset only of one that is up; a velocity only before an onset, and only
    another one than before; a gap as full shifts and then the rest of it; at one moment ends first, then onsets, each
    from low to high; nothing at the end but a key that comes up, or the last onsets' ends. ``playable`` bool [128]:
    which keys may be struck.
    """

    codec: Performance
    playable: Array | np.ndarray

    def begin(self, size: int, room: int) -> dict[str, Array]:
        none = jnp.full((), -1, jnp.int32)
        no = jnp.zeros((), bool)
        return {
            "begun": no,
            "ended": no,
            "down": jnp.zeros(PITCHES, bool),
            "last_off": none,  # at this moment
            "last_on": none,
            "velocity": none,
            "told": no,  # a velocity was just told
            "shifted": no,  # time has passed, nothing has happened yet
            "exact": no,  # and no more may pass
        }

    def read(self, state: State, token: Array) -> State:
        steps, velocity, start = self._bounds
        pitch = token % PITCHES
        on, off = token < NOTE_OFF, (token >= NOTE_OFF) & (token < TIME_SHIFT)
        shift, told = (token >= TIME_SHIFT) & (token < velocity), (token >= velocity) & (token < start)
        played = on | off
        down = state["down"].at[pitch].set(jnp.where(played, on, state["down"][pitch]))
        moment = lambda name, here: jnp.where(shift, -1, jnp.where(here, pitch, state[name]))
        return {
            "begun": jnp.ones((), bool),
            "ended": state["ended"] | (token == self.codec.stop),
            "down": down,
            "last_off": moment("last_off", off),
            "last_on": moment("last_on", on),
            "velocity": jnp.where(told, token - velocity, state["velocity"]),
            "told": told,
            "shifted": shift | (state["shifted"] & ~played),
            "exact": (shift & (token != TIME_SHIFT + steps - 1)) | (state["exact"] & ~played & ~shift),
        }

    def apply(self, state: State, logits: Array) -> Array:
        return jnp.where(self.allowed(state), logits, -jnp.inf)

    def allowed(self, state: State) -> Array:
        """bool [V]: what may come next."""
        steps, velocity, start = self._bounds
        keys, down, free = jnp.arange(PITCHES), state["down"], ~state["told"]
        on = ~down & jnp.asarray(self.playable) & (keys > state["last_on"])
        off = down & free & (state["last_on"] < 0) & (keys > state["last_off"])
        shift = jnp.broadcast_to(free & ~state["exact"], (steps,))
        louder = self._audible & (jnp.arange(start - velocity) != state["velocity"]) & free & jnp.any(on)
        stop = free & ~state["shifted"] & ~jnp.any(down)
        ends = jnp.stack([jnp.zeros((), bool), stop])
        going = jnp.concatenate([on & (state["velocity"] >= 0), off, shift, louder, ends])
        tokens = jnp.arange(self.codec.vocabulary)
        going = jnp.where(state["begun"], going, tokens == self.codec.start)
        return jnp.where(state["ended"], tokens == self.codec.stop, going)

    @property
    def _bounds(self) -> tuple[int, int, int]:
        """(longest shift, the first velocity's token, START)."""
        steps, start = self.codec.steps_per_second, self.codec.start
        return steps, TIME_SHIFT + steps, start

    @property
    def _audible(self) -> np.ndarray:
        """Bins that a velocity in 1..127 falls into, bool [velocities]."""
        bins = self.codec.velocities
        return np.isin(np.arange(bins), (np.arange(1, 128) - 1) // -(-127 // bins))


@functools.partial(jax.tree_util.register_dataclass, data_fields=["playable"], meta_fields=["codec"])
@dataclass(frozen=True)
class RemiGrammar:
    """Exactly the streams t that a `Remi` codec without chords writes, those with encode(decode(t)) == t, and their
    beginnings; with ``codec.chords`` a new chord may be told at any beat, whatever the notes.

    The first bar begins with a position and a tempo; positions rise within a bar, and something follows each; a tempo
    is another one than before; notes are velocity, pitch and duration, at one position from low to high, each of a key
    that is up by then; nothing at the end but a note. ``playable`` bool [128]: which keys may be struck.
    """

    codec: Remi
    playable: Array | np.ndarray

    def begin(self, size: int, room: int) -> dict[str, Array]:
        none = jnp.full((), -1, jnp.int32)
        return {
            "last": none,  # the token before
            "bar": none,
            "position": none,  # in the bar
            "tempo": none,
            "chord": none,
            "key": none,  # of the last note at this moment
            "until": jnp.zeros(PITCHES, jnp.int32),  # 32nds from the beginning: when each key is up again
        }

    def read(self, state: State, token: Array) -> State:
        bar, position = token == remi.BAR, _within(token, remi.POSITION, remi.TEMPO)
        pitched, length = token < remi.VELOCITY, _within(token, remi.DURATION, remi.POSITION)
        struck = length & (state["last"] < remi.VELOCITY) & (state["last"] >= 0)
        key = jnp.where(pitched, token, jnp.where(bar | position, -1, state["key"]))
        over = self._now(state) + token - remi.DURATION + 1
        last = jnp.where(state["last"] == remi.STOP, remi.STOP, token)  # nothing begins behind the end
        return {
            "last": last.astype(jnp.int32),
            "bar": state["bar"] + bar,
            "position": jnp.where(bar, -1, jnp.where(position, token - remi.POSITION, state["position"])),
            "tempo": jnp.where(_within(token, remi.TEMPO, remi.BAR), token, state["tempo"]),
            "chord": jnp.where(token >= remi.CHORD, token, state["chord"]),
            "key": key,
            "until": state["until"].at[key].set(jnp.where(struck, over, state["until"][key])),
        }

    def apply(self, state: State, logits: Array) -> Array:
        return jnp.where(self.allowed(state), logits, -jnp.inf)

    def allowed(self, state: State) -> Array:
        """bool [V]: what may come next."""
        last, tokens, keys = state["last"], jnp.arange(self.codec.vocabulary), jnp.arange(PITCHES)
        after = lambda first, beyond: _within(last, first, beyond)
        here = after(remi.POSITION, remi.TEMPO) | (last >= remi.CHORD)  # a place, and no note yet
        note, told = after(remi.DURATION, remi.POSITION), state["tempo"] >= 0
        up = jnp.asarray(self.playable) & (keys > state["key"]) & (state["until"] <= self._now(state))
        ready = told & (here | note | after(remi.TEMPO, remi.BAR)) & jnp.any(up)
        free = note | after(remi.TEMPO, remi.BAR) | (last == remi.BAR) | (last >= remi.CHORD)  # to go to another place
        places = jnp.arange(remi.SIXTEENTHS)
        going = jnp.concatenate([
            up & after(remi.VELOCITY, remi.DURATION),
            jnp.broadcast_to(ready, (remi.DURATION - remi.VELOCITY,)),
            jnp.broadcast_to(after(0, remi.VELOCITY), (remi.LONGEST,)),
            free & (places > state["position"]) & (told | (places == 0)),
            here & (tokens[remi.TEMPO : remi.BAR] != state["tempo"]),
            jnp.stack([(free & told) | (last == remi.START), jnp.zeros((), bool), note | (last == remi.START)]),
            after(remi.POSITION, remi.TEMPO) & self._beat(state) & (tokens[remi.CHORD :] != state["chord"]),
        ])  # fmt: skip
        going = jnp.where(last == remi.STOP, tokens == remi.STOP, going)
        return jnp.where(last < 0, tokens == remi.START, going)

    def _now(self, state: State) -> Array:
        return 2 * (remi.SIXTEENTHS * state["bar"] + state["position"])

    def _beat(self, state: State) -> Array:
        return state["position"] % remi.BEAT == 0


def _within(token: Array, first: int, beyond: int) -> Array:
    return (token >= first) & (token < beyond)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["playable"], meta_fields=["codec"])
@dataclass(frozen=True)
class VoiceGrammar:
    """Exactly the streams of a `VoiceGrid` codec that its ``to_grid`` and ``from_grid`` give back, and their
    beginnings: START first, four cells a step, a HOLD only of a note, STOP only behind a step that sounds.
    ``playable`` bool [128]: which pitches may be struck."""

    codec: VoiceGrid
    playable: Array | np.ndarray

    def begin(self, size: int, room: int) -> dict[str, Array]:
        no = jnp.zeros((), bool)
        return {
            "begun": no,
            "ended": no,
            "cells": jnp.zeros((), jnp.int32),
            "sounding": jnp.zeros(VOICES, bool),
        }

    def read(self, state: State, token: Array) -> State:
        voice, cell = state["cells"] % VOICES, token < START
        sounds = (token < REST) | ((token == HOLD) & state["sounding"][voice])
        sounding = jnp.where(cell, sounds, state["sounding"][voice])
        return {
            "begun": jnp.ones((), bool),
            "ended": state["ended"] | (token == STOP),
            "cells": state["cells"] + cell,
            "sounding": state["sounding"].at[voice].set(sounding),
        }

    def apply(self, state: State, logits: Array) -> Array:
        return jnp.where(self.allowed(state), logits, -jnp.inf)

    def allowed(self, state: State) -> Array:
        """bool [V]: what may come next."""
        voice, tokens = state["cells"] % VOICES, jnp.arange(self.codec.vocabulary)
        stop = (voice == 0) & ((state["cells"] == 0) | jnp.any(state["sounding"]))
        others = jnp.stack([jnp.ones((), bool), state["sounding"][voice], jnp.zeros((), bool), stop])
        going = jnp.concatenate([jnp.asarray(self.playable), others])
        going = jnp.where(state["begun"], going, tokens == START)
        return jnp.where(state["ended"], tokens == STOP, going)
