"""What a step has to compute and to read, counted in its mathematics and not in what a compiler made of it."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params
from jax.interpreters import partial_eval
from jax.lax import conv_dimension_numbers

from zoo.nn.correlate import LAYOUT
from zoo.nn.platform import traced_for

FORMULA = "2 M N K of every matrix product and convolution of the traced step, loops multiplied, no other operation"
READING = "a decoding step: the weights of every matrix product once, and each row's state at its mean length"

CORRELATE = conv_dimension_numbers((1,) * 4, (1,) * 4, LAYOUT)


def step_flops(model: Any, batch: int) -> float:
    """Of one training step: every phase's loss and gradient. A phase that is due every k-th step counts 1 / k."""
    params, extra, key = abstract(model)
    step, total = jax.ShapeDtypeStruct((), jnp.int32), 0.0
    for phase in model.phases:

        def gradient(mine: Any, params: Any, extra: Any, batch: Any, key: Any, step: Any, phase: Any = phase) -> Any:
            loss = lambda mine: phase.loss({**params, phase.player: mine}, extra, batch, key, step)
            return jax.value_and_grad(loss, has_aux=True)(mine)

        arguments = params[phase.player], params, extra, model.batch_spec(batch), key, step
        total += flops_of(gradient, *arguments) / phase.every
    return total


def sample_flops(model: Any, draw: Callable[..., Any]) -> float:
    """Of one ``draw(params, extra, key)``."""
    return flops_of(draw, *abstract(model))


def decode_bytes(model: Any, batch: int, length: int) -> float:
    """Read by one step that decodes a token of each row, on average over ``length`` steps: see ``READING``."""
    params, extra, _ = abstract(model)
    prompt, lengths = jax.ShapeDtypeStruct((batch, 1), jnp.int32), jax.ShapeDtypeStruct((batch,), jnp.int32)

    def state_at(capacity: int) -> Any:
        prefill = lambda params, extra, prompt, lengths: model.prefill(
            params, extra, prompt, lengths, capacity=capacity
        )[0]
        return jax.eval_shape(prefill, params, extra, prompt, lengths)

    program = traced(model.decode, params, extra, state_at(length + 1), lengths)
    state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state_at((length + 1) // 2 + 1)))
    return count(program, {"dot_general": weight_bytes}) + state


def abstract(model: Any) -> tuple[Any, Any, Any]:
    """Shapes of (params, extra, key)."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    return *jax.eval_shape(model.init, key), key


def traced(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's program, without what no result reads: it is not run."""
    program = jax.make_jaxpr(lambda *arguments: function(*arguments))(*arguments).jaxpr  # traced anew at every call
    return partial_eval.dce_jaxpr(program, [True] * len(program.outvars))[0]


def flops_of(function: Callable[..., Any], *arguments: Any) -> float:
    """In the forms of the platform that has the least: those that pad taps with zeros compute the same."""
    convolutions = {
        "conv_general_dilated": convolution_flops, "correlate": convolution_flops, "taps": taps_flops,
    }  # fmt: skip
    found = []
    for platform in ("cpu", "tpu"):
        with traced_for(platform):
            found.append(count(traced(function, *arguments), {"dot_general": product_flops, **convolutions}))
    return min(found)


def count(jaxpr: Any, measures: dict[str, Callable[[Any], float]]) -> float:
    """The sum of ``measures[primitive](equation)`` over a traced program; of branches, the one that has the least."""
    total = 0.0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in measures:
            total += measures[name](equation)
        elif name == "cond":
            total += min(count(branch.jaxpr, measures) for branch in equation.params["branches"])
        else:
            times = equation.params["length"] if name == "scan" else 1
            total += times * sum(count(inner, measures) for inner in jaxprs_in_params(equation.params))
    return total


def product_flops(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * inner


def convolution_flops(equation: Any) -> float:
    """Every tap at every pixel of the output, or of the input where that has fewer: what a transposed convolution pads
    or dilates its input with is not counted."""
    numbers = equation.params.get("dimension_numbers", CORRELATE)
    (picture, kernel), result = (one.aval.shape for one in equation.invars), equation.outvars[0].aval.shape
    sides = ((picture, numbers.lhs_spec), (result, numbers.out_spec))
    pixels = min(math.prod(shape[axis] for axis in spec[2:]) for shape, spec in sides)
    features, channels, *taps = (kernel[axis] for axis in numbers.rhs_spec)
    return 2.0 * picture[numbers.lhs_spec[0]] * pixels * math.prod(taps) * channels * features


def taps_flops(equation: Any) -> float:
    """Of a convolution's kernel from its two pictures: as many as of the convolution."""
    (batch, *sides, channels), (_, *others, features) = (one.aval.shape for one in equation.invars)
    pixels = min(math.prod(sides), math.prod(others))
    return 2.0 * batch * pixels * math.prod(equation.params["sides"]) * channels * features


def weight_bytes(equation: Any) -> float:
    """Of the factor that is the same for all rows. It is the right one; or, of products by head with the vectors of
    distances, the left one. Attention's products with a cache are by row and head: that is state."""
    _, (batched, _) = equation.params["dimension_numbers"]
    if len(batched) > 1:
        return 0.0
    weights = equation.invars[1 - len(batched)].aval
    return float(weights.size * weights.dtype.itemsize)
