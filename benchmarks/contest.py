"""Two forms of the same mathematics: what both are given, whether they agree, and how fast each is inside a loop.

Training steps live in loops, and XLA:CPU compiles what is inside one differently (see `zoo.nn.correlate`). So a form is
timed as the body of a ``lax.scan``, compiled with the train step's options: each turn has its arguments from the turn
before, moved by a step too small to move them, so that nothing can be taken out of the loop.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.peers import Session
from benchmarks.speed import undisturbed
from benchmarks.workloads import fresh, random_examples
from train.optim import Optim, build
from train.step import Learner, init_state, train_step
from zoo.catalog import create
from zoo.errors import UserError
from zoo.gan.style import style_count

What = Literal["forward", "forward + backward", "gradient of the penalty", "whole step"]
Array = jax.Array
Trees = tuple[Any, ...]
Options = Mapping[str, str]

KEY = 0
STEP = 1e-12  # of each turn
TURNS = {"cpu": 2, "gpu": 10}  # of a dispatch: a loop of one turn is none, and a GPU is not to wait for its host
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of the largest value
EXACT = 1e-6  # in float64, of gradients that are kept in float32


@dataclass(frozen=True)
class Contest:
    """What is compared and timed. A form maps (*moving, *fixed) to an array; of a whole step, to the new ``moving``."""

    fast: Callable[..., Any]
    plain: Callable[..., Any]
    moving: Trees
    """What gradients are taken of."""
    fixed: Trees = ()
    """A batch's: what is given anew at each turn."""


def normals(shapes: tuple[tuple[int, ...], ...], dtype: str, seed: int = 0) -> tuple[Array, ...]:
    """An array a shape. Matrices and kernels behind the first array are scaled so that products keep its size."""
    rng = np.random.default_rng(seed)
    drawn = []
    for shape in shapes:
        weight = len(shape) > 1 and shape != shapes[0]
        scale = 1 / math.sqrt(math.prod(shape[:-1])) if weight else 1
        drawn.append(jnp.asarray(scale * rng.normal(size=shape).astype(np.float32), dtype))
    return tuple(drawn)


# -- contests -----------------------------------------------------------------------------------------


def arrays(fast: Callable[..., Array], plain: Callable[..., Array]) -> Callable[[Any, str], Contest]:
    """Forms of nothing but arrays, of which all are moved."""
    return lambda shapes, dtype: Contest(fast, plain, normals(shapes, dtype))


def with_tokens(fast: Callable[..., Array], plain: Callable[..., Array]) -> Callable[[Any, str], Contest]:
    """The same, with a token for each row of the first array; the last array's last or first axis counts them."""

    def contest(shapes: Any, dtype: str) -> Contest:
        count = shapes[0][-1] if len(shapes) == 1 else shapes[1][0]
        tokens = jnp.asarray(np.random.default_rng(1).integers(0, count, shapes[0][:-1]), jnp.int32)
        return Contest(fast, plain, normals(shapes, dtype), (tokens,))

    return contest


def created(size: Mapping[str, Any], dtype: str) -> tuple[Any, int]:
    """A model, and how many examples it is given."""
    fields = dict(size)
    preset, batch = fields.pop("preset"), fields.pop("batch")
    return create(preset, **fields, dtype=dtype), batch


def penalised(fast: Callable[..., Array], plain: Callable[..., Array]) -> Callable[[Any, str], Contest]:
    """Penalties (critic, real, fake) -> [], whose gradient in the critic's parameters is wanted."""

    def contest(size: Any, dtype: str) -> Contest:
        model, batch = created(size, dtype)
        params, extra = fresh(model)

        def side(penalty: Callable[..., Array]) -> Callable[..., Array]:
            def value(mine: Any, *examples: Array) -> Array:
                judge = lambda x: model.judge({"critic": mine}, extra, x, {}, jax.random.key(KEY), train=True)[0]
                return penalty(judge, *examples)

            return value

        shape = next(iter(model.batch_spec(batch).values())).shape  # of pictures, or of points
        return Contest(side(fast), side(plain), (params["critic"],), normals((shape, shape), "float32"))

    return contest


def path_length(fast: Callable[..., Array], plain: Callable[..., Array]) -> Callable[[Any, str], Contest]:
    """StyleGAN2's regulariser by (function of how the styles are moved, where) -> squared norms [B]."""

    def contest(size: Any, dtype: str) -> Contest:
        model, batch = created(size, dtype)
        params, _ = fresh(model)
        styles = batch, style_count(model.image_size), model.latent_size

        def side(squares: Callable[..., Array]) -> Callable[..., Array]:
            def value(mine: Any, styles: Array, y: Array) -> Array:
                paint = lambda moved: model.synthesis.apply({"params": mine}, moved, jax.random.key(KEY), each=True)
                along = lambda moved: jnp.sum(paint(styles + moved) * y, axis=(1, 2, 3))
                lengths = jnp.sqrt(jnp.maximum(squares(along, jnp.zeros_like(styles)), 1e-12))
                return jnp.mean(jnp.square(lengths - 1))

            return value

        fixed = normals((styles, model.batch_spec(batch)["image"].shape), "float32")
        return Contest(side(fast), side(plain), (params["generator"]["synthesis"],), fixed)

    return contest


def whole_step(size: Any, dtype: str) -> Contest:
    """A model's train step, by plain gradient descent: of what Adam makes of a gradient of 0, rounding decides."""
    model, batch = created(size, dtype)
    players = dict.fromkeys(phase.player for phase in model.phases)
    descent = build(Optim(rule="sgd", learning_rate=1e-4), steps=1)
    learner = Learner(model=model, optimizers=dict.fromkeys(players, descent))
    state = jax.jit(partial(init_state, learner))(jax.random.key(KEY))
    step = lambda state, batch: (train_step(learner, state, batch)[0],)
    return Contest(step, step, (state,), (random_examples(model, batch, 0),))


# -- what a form computes, and a turn of it in a loop ------------------------------------------------------------------


def answers(form: Callable[..., Any], what: What) -> Callable[[Trees, Trees], Trees]:
    """(moving, fixed) -> the form's value y, and with it the gradient of |max(y, 0)|^2 / 2, as a ReLU behind it would
    ask for it; of a whole step, the new state's optimizers, which have the gradients."""

    def value(moving: Trees, fixed: Trees) -> Trees:
        return (form(*moving, *fixed),)

    def both(moving: Trees, fixed: Trees) -> Trees:
        y, pull = jax.vjp(lambda *moving: form(*moving, *fixed), *moving)
        return y, *pull(jnp.maximum(y, 0))

    def step(moving: Trees, fixed: Trees) -> Trees:
        return tuple(form(*moving, *fixed)[0].opt.values())

    return {"forward": value, "whole step": step}.get(what, both)


def turn_of(form: Callable[..., Any], what: What) -> Callable[[Trees, Trees], Trees]:
    """(moving, fixed) -> moving, after one turn."""
    if what == "whole step":
        return lambda moving, fixed: form(*moving, *fixed)
    found = answers(form, what)

    def turn(moving: Trees, fixed: Trees) -> Trees:
        y, *grads = found(moving, fixed)
        if not grads:
            return jax.tree.map(lambda leaf: leaf + (STEP * jnp.sum(y)).astype(leaf.dtype), moving)
        return jax.tree.map(lambda leaf, grad: leaf - STEP * grad, moving, tuple(grads))

    return turn


# -- whether they agree ------------------------------------------------------------------------------------------------


def disagreement(contest: Contest, what: What, options: tuple[Options, Options]) -> float:
    """The largest difference of the two forms' values and gradients, each part in times of its largest value."""
    with jax.default_matmul_precision("highest"):
        ours, theirs = (
            jax.jit(answers(form, what), compiler_options=dict(told))(contest.moving, contest.fixed)
            for form, told in zip((contest.fast, contest.plain), options, strict=True)
        )
    if jax.tree.map(jnp.shape, ours) != jax.tree.map(jnp.shape, theirs):
        return math.inf
    return max(difference(*parts) for parts in zip(ours, theirs, strict=True))


def difference(ours: Any, theirs: Any) -> float:
    """Of two trees of the same form; infinite where there is a NaN or nothing but zeros."""
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
        if jnp.issubdtype(b.dtype, jnp.floating)
    ]
    largest = max(np.abs(b).max() for _, b in pairs)
    apart = max(np.abs(a - b).max() for a, b in pairs) / largest if largest else math.inf
    return float(apart) if math.isfinite(apart) else math.inf


def check(contest: Callable[[str], Contest], what: What, dtype: str, options: tuple[Options, Options]) -> float:
    """`disagreement` in this dtype, or a UserError where it is too large for timing to mean anything.

    Rounding puts some of a whole step's millions of units on the other side of their kinks, so that its gradients can
    differ by more. Such a step is asked again in float64, where only the same function agrees by ``EXACT``.
    """
    apart = disagreement(contest(dtype), what, options)
    if apart <= TOLERANCE[dtype]:
        return apart
    if what == "whole step":
        with jax.enable_x64(True):
            exact = disagreement(contest("float64"), what, options)
        if exact <= EXACT:
            return apart
        raise UserError(f"the two forms disagree by {exact:.1e} in float64 (at most {EXACT:.0e}): not timed")
    raise UserError(
        f"the two forms disagree by {apart:.1e} of the largest value (at most {TOLERANCE[dtype]:.0e}): not timed"
    )


# -- how fast each is --------------------------------------------------------------------------------------------------


class Side:
    """A form compiled, warmed up, and timed by windows."""

    def __init__(self, turn: Callable[[Trees, Trees], Trees], moving: Trees, fixed: Trees, options: Options):
        self.turns = TURNS.get(jax.default_backend(), TURNS["gpu"])
        self.moving = jax.tree.map(jnp.copy, moving)  # a copy: it is donated
        self.fixed = jax.tree.map(lambda leaf: jnp.stack([leaf] * self.turns), fixed)

        @partial(jax.jit, donate_argnums=0, compiler_options=dict(options))
        def run(moving: Trees, fixed: Trees) -> Trees:
            return lax.scan(lambda moving, one: (turn(moving, one), None), moving, fixed, length=self.turns)[0]

        self.run = run
        self.pace = min(self.seconds(1) for _ in range(2))  # the first compiles

    def seconds(self, dispatches: int) -> float:
        began = time.perf_counter()
        for _ in range(dispatches):
            self.moving = self.run(self.moving, self.fixed)
        jax.block_until_ready(self.moving)
        return time.perf_counter() - began

    def window(self, seconds: float) -> float:
        """Turns a second, over at least so many seconds unless it is quicker than ever before."""
        dispatches = math.ceil(seconds / self.pace)
        took = self.seconds(dispatches)
        self.pace = min(self.pace, took / dispatches)
        return dispatches * self.turns / took


def race(contest: Contest, what: What, options: tuple[Options, Options], session: Session) -> tuple[list[float], ...]:
    """Turns a second of the fast form and of the plain one, window by window, in turn."""
    sides: Any = [
        Side(turn_of(form, what), contest.moving, contest.fixed, told)
        for form, told in zip((contest.fast, contest.plain), options, strict=True)
    ]
    for side in sides:
        if side.pace < session.method.seconds:
            side.window(session.method.seconds)
    fast, plain = zip(*undisturbed(session, *sides), strict=True)
    return list(fast), list(plain)
