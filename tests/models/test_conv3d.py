"""Both forms of the convolutions of volumes and of sounds, through every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn.conv3d import Conv1D, Conv3D, ConvTranspose1D, ConvTranspose3D, conv3d, conv3d_transpose

OPERATORS = {"down": conv3d, "up": conv3d_transpose}

# sides, kernel, stride, padding
SHAPES = [
    ((4, 6, 4), (4, 4, 4), 2, "SAME"),
    ((5, 4, 7), (4, 3, 5), (1, 2, 3), "SAME"),
    ((7, 6, 4), (4, 4, 4), (1, 2, 2), ((0, 0), (1, 1), (1, 1))),
    ((4, 4, 5), (1, 4, 4), 1, "VALID"),
    ((4, 3, 4), (1, 1, 1), 2, "SAME"),
    ((32,), (25,), 4, "SAME"),
    ((10,), (4,), 3, 2),
]


def draw(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def pair(sides, kernel, *, channels=(2, 3)):
    return draw(2, *sides, channels[0]), draw(*kernel, *channels, seed=1)


@pytest.mark.parametrize(("sides", "kernel", "stride", "padding"), SHAPES)
def test_forms_agree_and_up_is_the_adjoint_of_down(sides, kernel, stride, padding):
    """<up(x), y> = <x, down(y)>, where down reads what up writes; "SAME" is what it is to JAX."""
    x, k = pair(sides, kernel)
    how = {"stride": stride, "padding": padding}
    high = jax.eval_shape(lambda: conv3d_transpose(x, k, **how)).shape
    y = draw(*high, seed=2)

    @jax.jit
    def answers():
        up = [conv3d_transpose(x, k, form=form, **how) for form in ("lax", "packed", None)]
        down = [conv3d(y, jnp.swapaxes(k, -1, -2), form=form, **how) for form in ("lax", "packed", None)]
        return up, down

    for plain, *others in answers():
        for other in others:
            assert other.shape == plain.shape
            np.testing.assert_allclose(other, plain, atol=5e-5)
    (up, *_), (down, *_) = answers()
    assert down.shape == x.shape
    np.testing.assert_allclose(jnp.vdot(up, y), jnp.vdot(x, down), rtol=1e-4)
    if padding == "SAME":
        strides = (stride,) * len(sides) if isinstance(stride, int) else stride
        assert high[1:-1] == tuple(n * s for n, s in zip(sides, strides, strict=True))
        layout = ("NDHWC", "DHWIO", "NDHWC") if len(sides) == 3 else ("NWC", "WIO", "NWC")
        want = lax.conv_general_dilated(y, jnp.swapaxes(k, -1, -2), strides, "SAME", dimension_numbers=layout)
        np.testing.assert_allclose(down, want, atol=5e-5)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("axes", [3, 1])
def test_derivatives_agree(operator, axes):
    """Gradient, gradient of a gradient (a penalty), forward mode, and forward over reverse."""
    (x, k), (dx, dk) = pair((4,) * axes, (4,) * axes), (draw(2, *(4,) * axes, 2, seed=2), draw(*(4,) * axes, 2, 3))

    def answers(form):
        loss = lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=2, form=form) / 8))
        grad = jax.grad(loss, (0, 1))
        norm = lambda x, k: jnp.sum(jnp.square(grad(x, k)[0]))
        forward, forward_over_reverse = (jax.jvp(f, (x, k), (dx, dk)) for f in (loss, grad))
        return grad(x, k), jax.grad(norm, 1)(x, k), forward, forward_over_reverse

    ours, plain = jax.jit(lambda: (answers("packed"), answers("lax")))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), ours, plain)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_on_a_cpu_no_convolution_is_left_in_a_loop(operator):
    """XLA:CPU would compute its gradients in plain loops."""
    x, k = pair((4, 4, 4), (4, 4, 4))
    grad = jax.grad(lambda x, k: jnp.sum(jnp.tanh(operator(x, k, stride=2))), (0, 1))
    body = lambda _, pair: jax.tree.map(jnp.subtract, pair, grad(*pair))
    text = jax.jit(lambda n, x, k: lax.fori_loop(0, n, body, (x, k))).lower(2, x, k).compile().as_text() or ""
    assert "while(" in text and "convolution(" not in text


def test_a_population_is_its_members():
    x, k = draw(2, 2, 4, 4, 4, 2), draw(2, 4, 4, 4, 2, 3, seed=1)
    both = jax.jit(jax.value_and_grad(lambda x, k: jnp.sum(jnp.tanh(conv3d(x, k, stride=2, form="packed"))), 1))
    together = jax.jit(jax.vmap(both))(x, k)
    for member in range(2):
        alone = both(x[member], k[member])
        jax.tree.map(lambda a, b, i=member: np.testing.assert_allclose(a[i], b, atol=3e-5), together, alone)


def test_layers_keep_dtypes_and_shapes():
    volume, sound = draw(2, 4, 4, 4, 3), draw(2, 32, 3)
    for layer, x, shape in (
        (Conv3D(5, (3, 4, 4), (1, 2, 2), dtype=jnp.bfloat16), volume, (2, 4, 2, 2, 5)),
        (ConvTranspose3D(5, 4, 2, dtype=jnp.bfloat16), volume, (2, 8, 8, 8, 5)),
        (Conv1D(5, 25, 4, dtype=jnp.bfloat16), sound, (2, 8, 5)),
        (ConvTranspose1D(5, 25, 4, dtype=jnp.bfloat16), sound, (2, 128, 5)),
    ):
        y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
        assert y.shape == shape and y.dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.reference
@pytest.mark.parametrize(("sides", "kernel"), [((3, 4, 5), (4, 4, 4)), ((9,), (5,))], ids=["volumes", "sounds"])
def test_both_are_pytorch_s(sides, kernel):
    torch = pytest.importorskip("torch")
    (x, k), axes, functions = pair(sides, kernel), len(sides), torch.nn.functional
    outwards = (0, *range(2, axes + 2), 1)
    signal = torch.from_numpy(np.array(x.transpose(0, axes + 1, *range(1, axes + 1))))
    weight = torch.from_numpy(np.array(k.transpose(axes, axes + 1, *range(axes))))
    up = getattr(functions, f"conv_transpose{axes}d")(signal, weight, stride=2, padding=1)
    down = getattr(functions, f"conv{axes}d")(signal, weight.swapaxes(0, 1).contiguous(), stride=2, padding=1)
    np.testing.assert_allclose(conv3d_transpose(x, k, stride=2, padding=1), up.numpy().transpose(outwards), atol=5e-5)
    np.testing.assert_allclose(conv3d(x, k, stride=2, padding=1), down.numpy().transpose(outwards), atol=5e-5)
