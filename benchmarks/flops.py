"""Floating-point operations of a step, counted in its mathematics and not in what a compiler made of it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params
from jax.interpreters import partial_eval
from jax.lax import ConvDimensionNumbers, conv_dimension_numbers

from zoo.nn.correlate import LAYOUT

FORMULA = "2 M N K of every matrix product and convolution of the traced step, loops multiplied, no other operation"

CORRELATE = conv_dimension_numbers((1,) * 4, (1,) * 4, LAYOUT)


def step_flops(model: Any, batch: int) -> float:
    """Of one training step: every phase's loss and gradient. A phase that is due every k-th step counts 1 / k."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, extra = jax.eval_shape(model.init, key)
    step, total = jax.ShapeDtypeStruct((), jnp.int32), 0.0
    for phase in model.phases:

        def gradient(mine: Any, params: Any, extra: Any, batch: Any, key: Any, step: Any, phase: Any = phase) -> Any:
            loss = lambda mine: phase.loss({**params, phase.player: mine}, extra, batch, key, step)
            return jax.value_and_grad(loss, has_aux=True)(mine)

        arguments = params[phase.player], params, extra, model.batch_spec(batch), key, step
        traced = jax.make_jaxpr(gradient)(*arguments).jaxpr
        needed, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))  # what no result reads is not run
        total += flops_of(needed) / phase.every
    return total


def flops_of(jaxpr: Any) -> float:
    """Of a traced program. Where it branches by platform, the branch that has the fewest: forms that pad taps with
    zeros compute the same."""
    total = 0.0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            total += product_flops(equation)
        elif name == "conv_general_dilated":
            total += convolution_flops(equation, equation.params["dimension_numbers"])
        elif name == "correlate":
            total += convolution_flops(equation, CORRELATE)
        elif name == "cond":
            total += min(flops_of(branch.jaxpr) for branch in equation.params["branches"])
        else:
            times = equation.params["length"] if name == "scan" else 1
            total += times * sum(map(flops_of, jaxprs_in_params(equation.params)))
    return total


def product_flops(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * inner


def convolution_flops(equation: Any, numbers: ConvDimensionNumbers) -> float:
    """Every tap at every pixel of the output, or of the input where that has fewer: what a transposed convolution pads
    or dilates its input with is not counted."""
    (picture, kernel), result = (one.aval.shape for one in equation.invars), equation.outvars[0].aval.shape
    sides = ((picture, numbers.lhs_spec), (result, numbers.out_spec))
    pixels = min(math.prod(shape[axis] for axis in spec[2:]) for shape, spec in sides)
    features, channels, *taps = (kernel[axis] for axis in numbers.rhs_spec)
    return 2.0 * picture[numbers.lhs_spec[0]] * pixels * math.prod(taps) * channels * features
