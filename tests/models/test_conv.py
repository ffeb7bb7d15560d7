"""Every form of the convolutions against the plain one, through every transformation."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn.conv import Conv, ConvTranspose, conv2d, conv2d_transpose
from zoo.nn.correlate import LAYOUT

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
    run = lambda form: operator(x, k, stride=stride, padding=padding, form=form)
    plain, *others = jax.jit(lambda: [run(form) for form in ("lax", *FORMS)])()
    for other in others:
        assert other.shape == plain.shape
        np.testing.assert_allclose(other, plain, atol=2e-5)


@pytest.mark.parametrize(("sides", "kernel", "stride", "padding"), SHAPES)
def test_up_is_the_adjoint_of_down(sides, kernel, stride, padding):
    """<up(x), y> = <x, down(y)>, where down reads what up writes."""
    x, k = draw(2, *sides, 3), draw(kernel, kernel, 3, 5, seed=1)
    up = conv2d_transpose(x, k, stride=stride, padding=padding)
    y = draw(*up.shape, seed=2)
    down = conv2d(y, jnp.swapaxes(k, 2, 3), stride=stride, padding=padding)
    assert down.shape == x.shape
    np.testing.assert_allclose(jnp.vdot(up, y), jnp.vdot(x, down), rtol=1e-4)


def test_same_padding_is_that_of_jax():
    for (h, w), kernel, stride, padding in SHAPES:
        if padding == "SAME":
            x, k = draw(2, h, w, 3), draw(kernel, kernel, 3, 5, seed=1)
            want = lax.conv_general_dilated(x, k, (stride, stride), "SAME", dimension_numbers=LAYOUT)
            np.testing.assert_allclose(conv2d(x, k, stride=stride), want, atol=2e-5)
            assert conv2d_transpose(x, k, stride=stride).shape == (2, h * stride, w * stride, 5)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", FORMS)
def test_derivatives_agree(operator, form):
    """Gradient, gradient of a gradient (a penalty), forward mode, and forward over reverse."""
    x, k, dx, dk = draw(2, 6, 6, 2), draw(4, 4, 2, 3, seed=1), draw(2, 6, 6, 2, seed=2), draw(4, 4, 2, 3, seed=3)

    def answers(form):
        loss = lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=2, form=form) / 4))
        grad = jax.grad(loss, (0, 1))
        norm = lambda x, k: jnp.sum(jnp.square(grad(x, k)[0]))
        forward, forward_over_reverse = (jax.jvp(f, (x, k), (dx, dk)) for f in (loss, grad))
        return grad(x, k), jax.grad(norm, 1)(x, k), forward, forward_over_reverse

    ours, plain = jax.jit(lambda: (answers(form), answers("lax")))()
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
    together = jax.jit(jax.vmap(both))(x, k)
    for member in range(3):
        alone = both(x[member], k[member])
        np.testing.assert_allclose(together[0][member], alone[0], rtol=1e-5)
        np.testing.assert_allclose(together[1][member], alone[1], atol=2e-5)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("form", ["lax", *FORMS])
def test_dtypes_pass(operator, form):
    for dtype, tolerance in ((jnp.float64, 1e-12), (jnp.bfloat16, 0.1)):
        with jax.enable_x64(dtype == jnp.float64):
            x, k = draw(2, 4, 4, 3, dtype=dtype), draw(4, 4, 3, 2, seed=1, dtype=dtype) / 4
            y = operator(x, k, stride=2, form=form)
            assert y.dtype == dtype
            exact = operator(x.astype(float), k.astype(float), stride=2, form="lax")
            np.testing.assert_allclose(y.astype(float), exact, atol=tolerance)


def test_layers_are_flax_s():
    x = draw(2, 8, 8, 3)
    ours, theirs = Conv(5, kernel_size=4, stride=2), nn.Conv(5, (4, 4), strides=2)
    variables = theirs.init(jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)  # the bias too
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x)) == jax.tree.map(jnp.shape, variables)
    np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), atol=1e-5)
    up = ConvTranspose(5, kernel_size=4, stride=2)
    want = nn.ConvTranspose(5, (4, 4), strides=(2, 2)).apply(
        {"params": {**variables["params"], "kernel": variables["params"]["kernel"][::-1, ::-1]}}, x
    )
    np.testing.assert_allclose(up.apply(variables, x), want, atol=1e-5)


@pytest.mark.reference
def test_up_is_pytorch_s():
    torch = pytest.importorskip("torch")
    x, k = draw(2, 5, 6, 3), draw(4, 4, 3, 2, seed=1)
    weight = torch.from_numpy(np.array(k.transpose(2, 3, 0, 1)))
    want = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(np.array(x.transpose(0, 3, 1, 2))), weight, stride=2, padding=1
    )
    for form in ("lax", *FORMS):
        got = conv2d_transpose(x, k, stride=2, padding=1, form=form)
        np.testing.assert_allclose(got.transpose(0, 3, 1, 2), want.numpy(), atol=2e-5)
