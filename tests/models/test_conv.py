"""Every form of the convolutions against the plain one, through every transformation."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn.conv import Conv, ConvTranspose, conv2d, conv2d_transpose
from zoo.nn.correlate import LAYOUT
from zoo.nn.platform import traced_for

FORMS = ["packed", None]
OPERATORS = {"down": conv2d, "up": conv2d_transpose}

# (H, W), kernel, stride, padding
SHAPES = [
    ((8, 8), 4, 2, "SAME"),
    ((9, 6), 4, 2, "SAME"),
    ((6, 8), 3, 2, "SAME"),
    ((7, 9), 5, 3, ((1, 2), (0, 3))),
    ((4, 5), 1, 2, "SAME"),
    ((5, 4), 3, 1, "SAME"),
    ((4, 4), 4, 1, "VALID"),
    ((8, 8), 4, 2, 1),
]


def draw(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize(("sides", "kernel", "stride", "padding"), SHAPES)
def test_forms_agree(operator, sides, kernel, stride, padding):
    x, k = draw(2, *sides, 3), draw(kernel, kernel, 3, 5, seed=1)
    run = lambda form, x, k: operator(x, k, stride=stride, padding=padding, form=form)
    plain, *others = jax.jit(lambda *given: [run(form, *given) for form in ("lax", *FORMS)])(x, k)
    for other in others:
        assert other.shape == plain.shape
        np.testing.assert_allclose(other, plain, atol=2e-5)


@pytest.mark.parametrize(("sides", "kernel", "stride", "padding"), SHAPES)
def test_up_is_the_adjoint_of_down(sides, kernel, stride, padding):
    """<up(x), y> = <x, down(y)>, where down reads what up writes."""
    x, k, how = draw(2, *sides, 3), draw(kernel, kernel, 3, 5, seed=1), {"stride": stride, "padding": padding}
    y = draw(*jax.eval_shape(partial(conv2d_transpose, **how), x, k).shape, seed=2)

    @jax.jit
    def products(x, k, y):
        up, down = conv2d_transpose(x, k, **how), conv2d(y, jnp.swapaxes(k, 2, 3), **how)
        assert down.shape == x.shape
        return jnp.vdot(up, y), jnp.vdot(x, down)

    np.testing.assert_allclose(*products(x, k, y), rtol=1e-4)


def test_same_padding_is_that_of_jax():
    for (h, w), kernel, stride, padding in SHAPES:
        if padding == "SAME":
            x, k = draw(2, h, w, 3), draw(kernel, kernel, 3, 5, seed=1)
            want = lax.conv_general_dilated(x, k, (stride, stride), "SAME", dimension_numbers=LAYOUT)
            np.testing.assert_allclose(jax.jit(partial(conv2d, stride=stride))(x, k), want, atol=2e-5)
            up = jax.eval_shape(partial(conv2d_transpose, stride=stride), x, k)
            assert up.shape == (2, h * stride, w * stride, 5)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", FORMS)
def test_derivatives_agree(operator, form):
    """Gradient, gradient of a gradient (a penalty), forward mode, and forward over reverse."""
    x, k, dx, dk = draw(2, 6, 6, 2), draw(4, 4, 2, 3, seed=1), draw(2, 6, 6, 2, seed=2), draw(4, 4, 2, 3, seed=3)

    def answers(form, x, k, dx, dk):
        loss = lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=2, form=form) / 4))
        grad = jax.grad(loss, (0, 1))
        norm = lambda x, k: jnp.sum(jnp.square(grad(x, k)[0]))
        forward, forward_over_reverse = (jax.jvp(f, (x, k), (dx, dk)) for f in (loss, grad))
        return grad(x, k), jax.grad(norm, 1)(x, k), forward, forward_over_reverse

    ours, plain = jax.jit(lambda *given: (answers(form, *given), answers("lax", *given)))(x, k, dx, dk)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, plain)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize(("side", "kernel", "stride"), [(8, 4, 2), (4, 4, 2), (6, 3, 1)])
def test_inside_a_loop_every_convolution_has_the_library_s_layout(operator, side, kernel, stride):
    """Where one has not, XLA:CPU computes it in plain loops, a hundred times slower."""
    x, k = draw(4, side, side, 6), draw(kernel, kernel, 6, 5, seed=1)
    grad = jax.grad(lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=stride))), (0, 1))
    body = lambda _, pair: jax.tree.map(jnp.subtract, pair, grad(*pair))
    run = jax.jit(lambda n, x, k: lax.fori_loop(0, n, body, (x, k)))
    text = run.lower(2, x, k).compile().as_text() or ""
    layouts = re.findall(r"convolution\(.*dim_labels=(\S+?)[,\s]", text)
    assert len(layouts) >= 3 and set(layouts) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", FORMS)
def test_a_population_is_its_members(operator, form):
    """``vmap`` over pictures and kernels, of the value and of the kernel's gradient."""
    x, k = draw(3, 2, 6, 6, 2), draw(3, 4, 4, 2, 3, seed=1)
    loss = lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=2, form=form)))
    both = jax.value_and_grad(loss, 1)
    together, by_itself = jax.jit(jax.vmap(both))(x, k), jax.jit(both)
    for member in range(3):
        alone = by_itself(x[member], k[member])
        np.testing.assert_allclose(together[0][member], alone[0], rtol=1e-5)
        np.testing.assert_allclose(together[1][member], alone[1], atol=2e-5)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", ["lax", *FORMS])
def test_dtypes_pass(operator, form):
    exact = lambda x, k: operator(x.astype(float), k.astype(float), stride=2, form="lax")
    both = jax.jit(lambda *given: (operator(*given, stride=2, form=form), exact(*given)))
    for dtype, tolerance in ((jnp.float64, 1e-12), (jnp.bfloat16, 0.1)):
        with jax.enable_x64(dtype == jnp.float64):
            x, k = draw(2, 4, 4, 3, dtype=dtype), draw(4, 4, 3, 2, seed=1, dtype=dtype) / 4
            y, want = both(x, k)
            assert y.dtype == dtype
            np.testing.assert_allclose(np.asarray(y, float), want, atol=tolerance)


def test_layers_are_flax_s():
    x = draw(2, 8, 8, 3)
    ours, theirs = Conv(5, kernel_size=4, stride=2), nn.Conv(5, (4, 4), strides=2)
    variables = jax.jit(theirs.init)(jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), variables)  # the bias too
    fresh = jax.eval_shape(ours.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, variables)
    np.testing.assert_allclose(jax.jit(ours.apply)(variables, x), jax.jit(theirs.apply)(variables, x), atol=1e-5)
    up = ConvTranspose(5, kernel_size=4, stride=2)
    want = jax.jit(nn.ConvTranspose(5, (4, 4), strides=(2, 2)).apply)(
        {"params": {**variables["params"], "kernel": variables["params"]["kernel"][::-1, ::-1]}}, x
    )
    np.testing.assert_allclose(jax.jit(up.apply)(variables, x), want, atol=1e-5)


@pytest.mark.reference
def test_up_is_pytorch_s():
    torch = pytest.importorskip("torch")
    x, k = draw(2, 5, 6, 3), draw(4, 4, 3, 2, seed=1)
    weight = torch.from_numpy(np.array(k.transpose(2, 3, 0, 1)))
    want = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(np.array(x.transpose(0, 3, 1, 2))), weight, stride=2, padding=1
    )
    forms = [partial(conv2d_transpose, stride=2, padding=1, form=form) for form in ("lax", *FORMS)]
    for got in jax.jit(lambda *given: [form(*given) for form in forms])(x, k):
        np.testing.assert_allclose(got.transpose(0, 3, 1, 2), want.numpy(), atol=2e-5)


def test_a_gpu_is_given_no_reversed_kernel_for_the_transpose():
    """Else XLA does not see the kernel's gradient as one."""
    x, k = draw(2, 8, 8, 3), draw(4, 4, 3, 5, seed=1)
    gradient = jax.jit(jax.grad(lambda k: jnp.sum(jnp.sin(conv2d_transpose(x, k, stride=2)))))
    with traced_for("gpu"):
        assert "stablehlo.reverse" not in gradient.lower(k).as_text()
