"""The painter: what a stroke covers, which one lies on top, and that it learns a picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, tiny

from zoo.algorithmic.strokes import PIECES, Strokes, painted
from zoo.errors import UserError

PAINT = jax.jit(painted, static_argnums=(1, 2))


def lines(*strokes):
    """Straight ones: (from, to, width, colour, opacity) each."""
    along = jnp.linspace(0.0, 1.0, PIECES + 1)[:, None]
    starts, ends, widths, colours, opacities = (jnp.asarray(part, jnp.float32) for part in zip(*strokes, strict=True))
    points = starts[:, None] + along[None] * (ends - starts)[:, None]
    return Strokes(points, widths, colours, opacities, jnp.full(3, -1.0))


def test_a_stroke_is_as_broad_as_it_says_wherever_it_is_painted():
    stroke = lines(((-0.5, 0), (0.5, 0), 0.25, (1, 1, 1), 1.0))
    for height, width in ((64, 64), (64, 128), (200, 100)):
        picture = np.asarray(PAINT(stroke, height, width))[..., 0] / 2 + 0.5
        covered = picture.sum() * (2 / min(height, width)) ** 2
        assert covered == pytest.approx(0.25 + np.pi * 0.125**2, rel=0.02)  # a bar and two half discs
        rows, columns = np.nonzero(picture > 0.5)
        assert abs(rows.mean() - (height - 1) / 2) < 0.01 and abs(columns.mean() - (width - 1) / 2) < 0.01


def test_the_last_stroke_lies_on_top_and_lets_through_what_it_does_not_hide():
    red, green = (1, -1, -1), (-1, 1, -1)
    across, down = ((-0.8, 0), (0.8, 0), 0.4), ((0, -0.8), (0, 0.8), 0.4)
    picture = PAINT(lines((*across, red, 1.0), (*down, green, 1.0)), 32, 32)
    np.testing.assert_allclose(picture[16, 16], green, atol=1e-3)
    np.testing.assert_allclose(picture[16, 5], red, atol=1e-3)
    through = PAINT(lines((*across, red, 1.0), (*down, green, 0.25)), 32, 32)
    np.testing.assert_allclose(through[16, 16], 0.75 * np.array(red) + 0.25 * np.array(green), atol=1e-2)
    np.testing.assert_allclose(through[1, 1], [-1, -1, -1], atol=1e-3)


def test_y_points_downwards():
    picture = PAINT(lines(((-0.5, -0.75), (0.5, -0.75), 0.3, (1, 1, 1), 1.0)), 32, 32)
    assert picture[4, 16, 0] > 0.9 and picture[28, 16, 0] < -0.9


def test_a_picture_is_learnt():
    model = tiny("painter", count=12)
    params, extra = initialised(model)
    y, x = np.mgrid[0:16, 0:20]
    image = np.where((x > 9)[..., None], [0.8, -0.2, -0.6], [-0.7, 0.1, 0.5]) * np.where(y < 6, 1, 0.3)[..., None]
    batch = {"image": jnp.asarray(image[None], jnp.float32)}

    def step(carry, number):
        painter, velocity = carry
        of = lambda painter: model.loss({"painter": painter}, extra, batch, jax.random.key(0), number)[0]
        loss, grads = jax.value_and_grad(of)(painter)
        return (jax.tree.map(lambda p, g: p - 0.01 * jnp.sign(g), painter, grads), velocity), loss

    _, losses = jax.jit(lambda painter: jax.lax.scan(step, (painter, 0.0), jnp.arange(150)))(params["painter"])
    assert losses[-10:].mean() < 0.2 * losses[0]


def test_bad_canvases_are_told():
    for fields in ({"height": 8}, {"count": 0}):
        with pytest.raises(UserError):
            tiny("painter", **fields)
