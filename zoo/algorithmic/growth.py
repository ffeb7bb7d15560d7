"""Pictures that grow: neural cellular automata (Mordvintsev, Randazzo, Niklasson & Levin 2020, "Growing Neural Cellular
Automata", Distill, doi:10.23915/distill.00023).

Every cell looks at its neighbours and changes by one small network's word, which all cells share. From a single cell
they build the picture that was learnt, keep it, and mend it where it is damaged.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from zoo.algorithmic import fitted
from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast
from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix
from zoo.nn.platform import platform

FIRES = 0.5  # how likely a cell is to change at a step
ALIVE = 0.1  # opacity from which a cell, and those beside it, live
HOLES = 0.1, 0.4  # radii of damage, where the shorter side is 2
TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class NCA:
    """Batches are one example: ``image`` [B, H, W, C]. Of a pool of automata that have come so far some grow on."""

    height: int = 40
    width: int = 40
    channels: int = 4
    """Of the picture: 4 has opacity, without which cells are dead; of 3 all cells live."""
    hidden: int = 12
    """Numbers of a cell that nobody sees."""
    units: int = 128
    """Of the network."""
    least: int = 64
    most: int = 96
    """How many steps it grows at a time."""
    pool: int = 256
    """Automata that are kept (the paper has 1024)."""
    growing: int = 8
    """Of these, so many grow at a step for each example, or fewer, where a batch has many."""
    damage: int = 3
    """So many of the best get a hole first."""
    dtype: str = "float32"
    """Compute dtype of the network; cells and parameters are float32."""

    works = property(fitted.works)

    def __post_init__(self):
        fitted.check_sides(self, "an automaton")
        if self.channels not in (3, 4):
            raise UserError(f"channels is {self.channels}; an automaton shows 3, or 4 with opacity")
        if not 1 <= self.least <= self.most:
            raise UserError(
                f"an automaton grows {self.least} to {self.most} steps: the first should be 1 to the second"
            )
        for name, low in (("hidden", 1), ("units", 1), ("pool", 1), ("growing", 1), ("damage", 0)):
            if getattr(self, name) < low:
                raise UserError(f"{name} should be at least {low}")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("automaton", self.loss),)

    @property
    def numbers(self) -> int:
        """C, of a cell."""
        return self.channels + self.hidden

    @property
    def seed(self) -> Array:
        """[H, W, C]: one cell in the middle, opaque and black."""
        return jnp.zeros((self.height, self.width, self.numbers)).at[self.height // 2, self.width // 2, 3:].set(1.0)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """At first no cell changes. ``extra``: the pool, all of them seeds."""
        del batch
        draw = jax.nn.initializers.lecun_normal()
        automaton = {
            "kernel": draw(key, (3 * self.numbers, self.units)),
            "bias": jnp.zeros(self.units),
            "change": jnp.zeros((self.units, self.numbers)),
        }
        return {"automaton": automaton}, {"pool": jnp.repeat(self.seed[None], self.pool, axis=0)}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"image": jax.ShapeDtypeStruct((batch_size, self.height, self.width, self.channels), jnp.float32)}

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """The mean squared difference after as many steps as are drawn, of premultiplied colours from 0 to 1. Before
        them the one that differs most begins anew, and some that differ least are damaged. ``worst`` is how far that
        one had come."""
        del step
        each = max(1, min(self.growing, self.pool // len(batch["image"])))
        rows = each * len(batch["image"])
        if rows > self.pool:
            raise UserError(f"{rows} automata are to grow of a pool of {self.pool}: use a larger --model.pool")
        choice, holes, steps, growth = jax.random.split(key, 4)
        which = jax.random.choice(choice, self.pool, (rows,), replace=False)
        cells, wanted = extra["pool"][which], jnp.repeat(premultiplied(batch["image"]), each, axis=0)
        apart = self._apart(cells, wanted)
        order = jnp.argsort(jnp.argsort(apart))  # 0 is nearest to its picture
        whole = lambda chosen: chosen[:, None, None, None]
        holed = cells * jax.vmap(self._hole)(jax.random.split(holes, rows))
        cells = jnp.where(whole(order < self.damage), holed, cells)
        cells = jnp.where(whole(order == rows - 1), self.seed, cells)
        count = jax.random.randint(steps, (), self.least, self.most + 1)
        cells = self.grow(params, cells, jax.random.split(growth, rows), count)
        after = {"pool": extra["pool"].at[which].set(jax.lax.stop_gradient(cells))}
        return jnp.mean(self._apart(cells, wanted)), (after, {"worst": jnp.max(apart)})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The squared difference of each example, grown from a seed."""
        del extra
        rows = len(batch["image"])
        grown = self.grow(params, self._seeds(rows), jax.random.split(key, rows), self.most)
        apart = self._apart(grown, premultiplied(batch["image"]))
        return {"difference": (jnp.sum(apart), jnp.asarray(rows, jnp.float32))}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C] in [-1, 1]: grown from a seed, each with chances of its own."""
        del extra
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(n))
        return self.seen(self.grow(params, self._seeds(n), keys, self.most))

    def unfold(self, params: Params, extra: Extra, key: Array, frames: int) -> Array:
        """[frames, H, W, C] in [-1, 1]: a seed, step by step."""
        del extra

        def turn(cells: Array, at: Array) -> tuple[Array, Array]:
            return self.step(params["automaton"], cells, jax.random.fold_in(key, at)), self.seen(cells)

        return jax.lax.scan(turn, self.seed, jnp.arange(frames))[1]

    def grow(self, params: Params, cells: Array, keys: Array, count: Array | int) -> Array:
        """Cells [B, H, W, C] and a key each -> after ``count`` steps, at most ``most``."""
        # Beside accelerators every automaton has weights of its own inside the loop: their gradients are summed over
        # automata, hence over devices, once after it and not at every step. A CPU multiplies by one matrix faster.
        weights, shared = params["automaton"], platform() == "cpu"
        if not shared:
            weights = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (len(cells), *leaf.shape)), weights)
        every = partial(jax.vmap(self.step, (None if shared else 0, 0, 0)), weights)

        # On the way back a step is done again: what its network said would be many times as large as the cells.
        @jax.checkpoint
        def turn(cells: Array, at: Array) -> Array:
            chances = jax.vmap(jax.random.fold_in, (0, None))(keys, at)
            return jax.lax.cond(at < count, every, lambda cells, chances: cells, cells, chances)

        return jax.lax.scan(lambda cells, at: (turn(cells, at), None), cells, jnp.arange(self.most))[0]

    def step(self, automaton: Params, cells: Array, key: Array) -> Array:
        """Cells [H, W, C] -> the same a moment later."""
        kernel, bias, change = (cast(automaton[name], self.dtype) for name in ("kernel", "bias", "change"))
        told = jax.nn.relu(add_bias(rows_by_matrix(cast(noticed(cells), self.dtype), kernel), bias))
        fires = jax.random.bernoulli(key, FIRES, cells.shape[:2])[..., None]
        after = cells + fires * wide(rows_by_matrix(told, change))
        return after * (self._alive(cells) & self._alive(after))

    def seen(self, cells: Array) -> Array:
        """Cells [..., C] -> pictures [..., channels] in [-1, 1], not premultiplied."""
        shown = jnp.clip(cells[..., : self.channels], 0, 1)
        if self.channels == 4:
            opaque = shown[..., 3:]
            shown = jnp.concatenate([jnp.minimum(shown[..., :3] / (opaque + TINY), 1), opaque], axis=-1)
        return 2 * shown - 1

    def _seeds(self, count: int) -> Array:
        return jnp.repeat(self.seed[None], count, axis=0)

    def _alive(self, cells: Array) -> Array:
        """[H, W, 1]: opaque, or beside what is."""
        if self.channels == 3:
            return jnp.ones((*cells.shape[:2], 1), bool)
        near = jax.lax.reduce_window(cells[..., 3], -jnp.inf, jax.lax.max, (3, 3), (1, 1), "SAME")
        return near[..., None] > ALIVE

    def _apart(self, cells: Array, wanted: Array) -> Array:
        """[B]."""
        return jnp.mean(jnp.square(cells[..., : self.channels] - wanted), axis=(1, 2, 3))

    def _hole(self, key: Array) -> Array:
        """[H, W, 1]: 0 in a disc near the middle, 1 elsewhere."""
        where, how = jax.random.split(key)
        pixel = 2 / min(self.height, self.width)
        y, x = (pixel * (jnp.arange(side) + 0.5 - side / 2) for side in (self.height, self.width))
        right, down = jax.random.uniform(where, (2,), minval=-0.5, maxval=0.5)
        far = jnp.square(x[None, :] - right) + jnp.square(y[:, None] - down)
        return (far > jnp.square(jax.random.uniform(how, minval=HOLES[0], maxval=HOLES[1])))[..., None]


def noticed(cells: Array) -> Array:
    """[H, W, C] -> what each cell notices [H, W, 3 C]: itself, and how its neighbours grow to the right and downwards,
    by Sobel's filters; nothing lies beyond the edges."""
    padded = jnp.pad(cells, ((1, 1), (1, 1), (0, 0)))
    slope = lambda x: x[2:] - x[:-2]
    smooth = lambda x: x[:-2] + 2 * x[1:-1] + x[2:]
    turned = lambda x: jnp.swapaxes(x, 0, 1)
    right, down = smooth(turned(slope(turned(padded)))), slope(turned(smooth(turned(padded))))
    return jnp.concatenate([cells, right / 8, down / 8], axis=-1)


def premultiplied(images: Array) -> Array:
    """Pictures [..., C] in [-1, 1] -> colours from 0 to 1, as dark as they are clear."""
    unit = (images + 1) / 2
    return unit if unit.shape[-1] == 3 else jnp.concatenate([unit[..., :3] * unit[..., 3:], unit[..., 3:]], axis=-1)
