"""What is written out by hand in the recurrent and dense layers, against JAX's own derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nn.cells import gru_step, rnn_step
from zoo.nn.dense import rows_by_matrix
from zoo.nn.norm_lstm import norm_lstm_step
from zoo.nn.recurrence import lstm_scan, lstm_step, scan_cells, steps_before

T, B, H = 5, 2, 3
ENDS = pytest.mark.parametrize("lengths", [None, (2, 5), (0, 4)], ids=["whole rows", "one ends", "one never starts"])


def row_by_row(step, hidden_of, inputs, state, lengths):
    """A row's steps, one after the other, until it ends; then its state stays."""
    hidden, ends = [], []
    for row in range(B):
        mine, rows = jax.tree.map(lambda leaf, row=row: leaf[row : row + 1], state), []
        for time in range(T):
            entering = jax.tree.map(lambda leaf, at=(time, row): leaf[at][None], inputs)
            mine = step(mine, entering) if lengths is None or time < lengths[row] else mine
            rows.append(hidden_of(mine))
        hidden.append(jnp.stack(rows))
        ends.append(mine)
    return jnp.concatenate(hidden, axis=1), jax.tree.map(lambda *rows: jnp.concatenate(rows), *ends)


def plainly(inputs, recurrent, state, lengths=None):
    step = lambda state, inputs: lstm_step(state, inputs + state[1] @ recurrent)
    return row_by_row(step, lambda state: state[1], inputs, state, lengths)


def going(lengths):
    return None if lengths is None else steps_before(jnp.array(lengths), T)


def draw(seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), dtype)
    return normal(T, B, 4 * H), normal(H, 4 * H), (normal(B, H).astype(jnp.float32), normal(B, H))


def loss(scan, arguments, *more):
    hidden, (cell, last) = scan(*arguments, *more)
    return jnp.sum(jnp.tanh(hidden) ** 2) + jnp.sum(jnp.sin(cell) * last)


def agree(ours, plain, tolerance=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance), ours, plain)


@ENDS
def test_derivatives_of_the_scan_are_those_of_its_steps(lengths):
    """Value, gradient, forward mode, and a product with the Hessian: forward over reverse, and reverse over reverse."""
    arguments, along = draw(), draw(1)

    def answers(scan, more, arguments, along):
        of = lambda arguments: loss(scan, arguments, more)
        inner = lambda arguments: jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, jax.grad(of)(arguments), along))
        forward = jax.jvp(of, (arguments,), (along,))
        return (
            jax.value_and_grad(of)(arguments),
            forward,
            jax.jvp(jax.grad(of), (arguments,), (along,)),
            jax.grad(inner)(arguments),
        )

    both = jax.jit(lambda *given: (answers(lstm_scan, going(lengths), *given), answers(plainly, lengths, *given)))
    agree(*both(arguments, along), tolerance=5e-5)


@ENDS
@pytest.mark.parametrize(("step", "gates"), [(gru_step, 3), (rnn_step, 1)])
def test_derivatives_of_other_cells_are_those_of_their_steps(step, gates, lengths):
    def stepped(inputs, recurrent, bias, state):
        one = lambda state, entering: step(state, entering, state @ recurrent + bias[None])
        return row_by_row(one, lambda state: state, inputs, state, lengths)

    scanned = lambda *arguments: scan_cells(step, *arguments, going(lengths))

    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    draw = lambda: (normal(T, B, gates * H), normal(H, gates * H), normal(gates * H), normal(B, H))
    arguments, along = draw(), draw()

    def answers(scan, arguments, along):
        of = lambda arguments: jnp.sum(jnp.sin(scan(*arguments)[0])) + jnp.sum(scan(*arguments)[1] ** 2)
        inner = lambda arguments: jax.tree.reduce(jnp.add, jax.tree.map(jnp.vdot, jax.grad(of)(arguments), along))
        return jax.value_and_grad(of)(arguments), jax.jvp(of, (arguments,), (along,)), jax.grad(inner)(arguments)

    both = jax.jit(lambda *given: (answers(scanned, *given), answers(stepped, *given)))
    agree(*both(arguments, along), tolerance=5e-5)
    narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), arguments[:3])
    hidden, end = jax.eval_shape(partial(scan_cells, step), *narrow, arguments[3])
    assert hidden.dtype == jnp.bfloat16 and end.dtype == jnp.float32


@ENDS
def test_a_step_with_weights_of_its_own_has_its_derivatives(lengths):
    """That of layer normalisation: a state of two leaves, inputs of two, and weights used at every step."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    own = normal(B, 4 * H), normal(B, H), normal(B, H)
    arguments = (normal(T, B, 4 * H), normal(T, B, H)), normal(H, 4 * H), (normal(B, H), normal(B, H)), own

    def ours(inputs, recurrent, state, own):
        return scan_cells(norm_lstm_step, inputs, recurrent, None, state, going(lengths), own)

    def plain(inputs, recurrent, state, own):
        """``own`` is that of row 0 for both rows: what is learnt is shared."""
        step = lambda state, entering: norm_lstm_step(state, entering, state[1] @ recurrent, *(x[:1] for x in own))
        return row_by_row(step, lambda state: state[1], inputs, state, lengths)

    shared = lambda own: tuple(jnp.broadcast_to(x[:1], x.shape) for x in own)
    of = lambda scan: jax.value_and_grad(lambda *given: loss(scan, (*given[:-1], shared(given[-1]))), (0, 1, 2, 3))
    agree(jax.jit(of(ours))(*arguments), jax.jit(of(plain))(*arguments), tolerance=5e-5)


def test_a_population_of_scans_is_its_members():
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(draw(seed) for seed in range(3)))
    gradient = jax.grad(lambda arguments: loss(lstm_scan, arguments))
    together, alone = jax.device_get(jax.jit(jax.vmap(gradient))(members)), jax.jit(gradient)
    for seed in range(3):
        agree(jax.tree.map(lambda leaf, seed=seed: leaf[seed], together), alone(draw(seed)))


def test_the_scan_s_gradient_keeps_dtypes():
    """The cell stays in float32 where all else is in bfloat16, and the derivative is that of float32 to rounding."""
    arguments = draw(dtype=jnp.bfloat16)
    gradient = jax.jit(jax.grad(lambda arguments: loss(lstm_scan, arguments).astype(jnp.float32)))(arguments)
    assert jax.tree.map(lambda leaf: leaf.dtype, gradient) == jax.tree.map(lambda leaf: leaf.dtype, arguments)
    exact = jax.jit(jax.grad(lambda arguments: loss(plainly, arguments)))(jax.tree.map(jnp.float32, arguments))
    agree(jax.tree.map(jnp.float32, gradient), exact, tolerance=0.1)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_rows_by_matrix_is_the_product(shape):
    rng = np.random.default_rng(0)
    x, matrix = (jnp.asarray(rng.normal(size=sides), jnp.float32) for sides in (shape, (4, 5)))
    answers = lambda product: jax.value_and_grad(lambda x, m: jnp.sum(jnp.sin(product(x, m))), (0, 1))
    both = lambda product: jax.jit(answers(product))(x, matrix)
    agree(both(rows_by_matrix), both(jnp.matmul))


def test_a_kernel_s_gradient_is_one_product_of_matrices():
    x, kernel = jnp.ones((2, 3, 4)), jnp.ones((4, 5))
    text = str(jax.make_jaxpr(jax.grad(lambda kernel: jnp.sum(jnp.sin(rows_by_matrix(x, kernel)))))(kernel))
    assert "dimension_numbers=(([0], [0]), ([], []))" in text
    assert "dimension_numbers=(([0, 1], [0, 1])" not in text
