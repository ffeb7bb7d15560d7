"""Formulas: what every one promises, asked by one body, and what mathematics knows of each."""

from functools import cache, partial
from math import comb, pi

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.algorithmic import (
    art,
    attractor,
    board,
    chaos,
    cppn,
    curve,
    cyclic,
    escape,
    flame,
    ifs,
    life,
    lissajous,
    lsystem,
    newton,
    noise,
    orbit,
    pen,
    plant,
    reaction,
    rule,
    streams,
    superformula,
    truchet,
    voronoi,
)  # fmt: skip
from zoo.algorithmic.canvas import Among, Between, Canvas, dimension, ranges, scaled, square, supersampled
from zoo.algorithmic.colour import PALETTES, accent, palette
from zoo.algorithmic.formulas import FORMULAS

COLOURS = jnp.asarray(palette(PALETTES["great wave"]))
NEW = [name for name in FORMULAS if name not in art.FAMILIES]  # tests/models/test_art.py asks the others
DETAILED = ("mandelbrot", "fatou", "newton", "warp", "reaction")  # which, like thin lines, no few pixels hold


SIZE = 20


def one_of_each(*names: str) -> list:
    """All formulas; but for ``names``, which stand for the machinery that the others share, they take their time."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in NEW]


@pytest.fixture(autouse=True, scope="module")
def small():
    """Fewer steps, lines and visits: what every formula promises holds with any number of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(reaction.react.__kwdefaults__, "steps", 250)
        for module, name, value in (
            (cyclic, "STEPS", 30), (chaos, "LEAST", 2**15), (chaos, "LOOKS", 8), (streams, "SIDE", 7),
            (orbit, "STROKES", 32), (superformula, "PIECES", 64), (lissajous, "COPIES", 5), (truchet, "PIECES", 4),
            (pen, "TILE", SIZE),
        ):  # fmt: skip
            patch.setattr(module, name, value)
        yield


def drawn_by(name: str, key: jax.Array):
    """(parameters, key) of one picture."""
    where, own = jax.random.split(key)
    kind = FORMULAS[name].parameters
    return scaled(jax.random.uniform(where, (dimension(kind),)), kind), own


def paint(name: str, key: jax.Array, *, size: int) -> jax.Array:
    parameters, own = drawn_by(name, key)
    return FORMULAS[name].paint(parameters, COLOURS, square(size), own)


KEYS = jax.random.split(jax.random.key(3), 2)


@cache
def pictures(name: str) -> np.ndarray:
    """Two in a batch: [2, 3, SIZE, SIZE]."""
    return np.asarray(jax.jit(jax.vmap(partial(paint, name, size=SIZE)))(KEYS))


@pytest.mark.parametrize("name", NEW)
def test_every_formula_paints(name):
    many = pictures(name)
    assert many.shape == (2, 3, SIZE, SIZE) and many.dtype == np.float32 and np.isfinite(many).all()
    assert many.min() > -0.35 and many.max() < 1.35, "far beyond what a screen shows"
    assert all(np.std(one.mean(0)) > 0.03 for one in many), "a picture is nearly blank"
    assert all(len(np.unique(np.round(15 * one.reshape(3, -1)), axis=1).T) > 6 for one in many), "few colours"
    assert np.abs(many[0] - many[1]).mean() > 0.03, "two seeds gave one picture"


@pytest.mark.parametrize("name", one_of_each("mandelbrot", "ifs", "plant", "reaction", "voronoi", "rule"))
def test_alone_and_twice_as_large_the_picture_is_the_same(name):
    large = np.asarray(jax.jit(partial(paint, name, size=2 * SIZE))(KEYS[0]))
    pooled = large.reshape(3, SIZE, 2, SIZE, 2).mean((2, 4))
    detailed = FORMULAS[name].lines is not None or name in DETAILED
    assert np.abs(pooled - pictures(name)[0]).mean() < (0.065 if detailed else 0.03)


@pytest.mark.parametrize("name", one_of_each("mandelbrot", "curve", "voronoi"))
def test_gradients_are_finite_and_reach_what_they_should(name):
    formula, (parameters, own) = FORMULAS[name], drawn_by(name, KEYS[1])
    weights = jax.random.normal(jax.random.key(0), (3, SIZE, SIZE))

    def loss(smooth, colours):
        return jnp.sum(weights * formula.paint(smooth or parameters, colours, square(SIZE), own))

    by_parameters, by_colours = jax.jit(jax.grad(loss, (0, 1)))(parameters if formula.smooth else None, COLOURS)
    assert jnp.isfinite(by_colours).all() and jnp.abs(by_colours).max() > 1e-2
    leaves = {each: jnp.abs(leaf).max() for each, leaf in by_parameters._asdict().items()} if by_parameters else {}
    assert all(jnp.isfinite(leaf) for leaf in leaves.values())
    reached = [each for each, space in ranges(formula.parameters).items() if isinstance(space, Between)]
    assert not leaves or np.mean([leaves[each] > 1e-4 for each in reached]) >= 0.5


@pytest.mark.parametrize("name", ["mandelbrot", "streams", "attractor", "life"])
def test_of_a_part_of_a_canvas_that_part_is_painted(name):
    parameters, own = drawn_by(name, KEYS[1])
    whole = square(SIZE)
    part = Canvas(whole.x[:, 5:18], whole.y[9:16], whole.pixel)
    painted = jax.jit(lambda: FORMULAS[name].paint(parameters, COLOURS, part, own))()
    np.testing.assert_allclose(painted, pictures(name)[1][:, 9:16, 5:18], atol=0.03)


def test_parameters_lie_where_they_should():
    for name, formula in FORMULAS.items():
        units = (np.full(dimension(formula.parameters), unit, np.float32) for unit in (0.0, 1.0))
        low, high = (scaled(unit, formula.parameters) for unit in units)
        for each, space in ranges(formula.parameters).items():
            ends = (space.values[0], space.values[-1]) if isinstance(space, Among) else (space.low, space.high)
            for value, end in zip((getattr(low, each), getattr(high, each)), ends, strict=True):
                np.testing.assert_allclose(value, end, atol=1e-5, err_msg=f"{name}.{each}")
    last_but_one = scaled(jnp.full(3, 1 - 1.5 / len(rule.RULES)), rule.Rule)
    assert last_but_one.rule == rule.RULES[-2]


# ---- What they are made of ------------------------------------------------------------------------------------------


def test_samples_of_a_pixel_lie_around_its_centre():
    canvas = square(4)
    of = lambda finer: jnp.stack([finer.x + 3 * finer.y, finer.x**2 + 0 * finer.y])
    means, squares = jax.jit(lambda: supersampled(of, canvas, 8))()
    np.testing.assert_allclose(means, np.asarray(canvas.x) + 3 * np.asarray(canvas.y), atol=1e-6)
    np.testing.assert_allclose(squares[0], np.asarray(canvas.x[0]) ** 2 + canvas.pixel**2 / 12, atol=1e-3)


def test_boards_have_exact_means_and_grids_are_smooth():
    values = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 5, 6)), jnp.float32)
    squares = jax.jit(lambda size: board.squares(values, square(size)), static_argnums=0)
    for size in (7, 60):
        assert squares(size).mean() == pytest.approx(float(values.mean()), abs=1e-5)
    np.testing.assert_allclose(squares(60)[:, ::12, ::10], values, atol=1e-6)  # the top row first
    along = jnp.cos(2 * pi * (jnp.arange(16) + 0.5) / 16)[None, None, :] * jnp.ones((1, 16, 1))
    between = jax.jit(lambda: board.smooth(along, square(64)))()
    softened = (2 + np.cos(2 * pi / 16)) / 3  # what a cubic B-spline leaves of this wave
    np.testing.assert_allclose(between[0, 0], -softened * np.cos(pi * np.asarray(square(64).x[0])), atol=2e-3)


def test_simplex_noise_is_zero_at_its_vertices_and_fills_its_range():
    table = noise.lattice(jax.random.key(0))
    assert sorted(table.tolist()) == list(range(noise.PERIOD))
    i, j = (x.ravel() for x in np.mgrid[-9:9, -9:9])
    away, random = noise.UNSKEW * (i + j), np.random.default_rng(0).uniform(-60, 60, (2, 20_000))
    x, y = np.hstack([[i - away, j - away], random, random + [[1e-3], [0]]])
    vertices, values, near = np.split(np.asarray(jax.jit(noise.simplex)(x, y, table)), [324, 20_324])
    np.testing.assert_allclose(vertices, 0, atol=1e-4)
    assert np.abs(values).max() <= 1.0001 and values.max() > 0.85 and values.min() < -0.85
    assert abs(values.mean()) < 0.02
    assert np.abs(near - values).max() < 0.01, "it jumps"


def test_a_pen_draws_as_much_ink_as_a_line_has():
    black_on_white = jnp.asarray(palette(("000000", "404040", "808080", "c0c0c0", "ffffff", "ff0000")))
    points = jnp.array([[[-0.5, 0.1], [0.0, 0.1], [0.5, 0.1]], [[-0.9, -0.9], [0.9, 0.9], [0.9, 0.9]]])
    draw = jax.jit(lambda lines: pen.drawn(lines, black_on_white, square(64)))
    for width in (0.01, 0.2):  # a third of a pixel, and many
        lines = pen.Lines(points, jnp.zeros(2), jnp.array([width, 0.0]), jnp.float32(1))
        ink = 1 - draw(lines)[0]
        ends = pi / 4 * width**2 if width > 2 / 64 else 0
        assert ink.sum() * (2 / 64) ** 2 == pytest.approx(1.0 * width + ends, rel=0.05)
        assert ink[:20].sum() == 0 and ink[40:].sum() == 0  # y = 0.1 is above the middle; the other line has no width
    assert jnp.array_equal(
        pen.inks(jnp.array([pen.ACCENT]), jnp.float32(1), black_on_white)[:, 0], jnp.array([1, 0, 0])
    )
    unseen = jnp.asarray(palette(("000000", "404040", "808080", "c0c0c0", "ffffff", "fffff0")))
    assert pen.inks(jnp.array([pen.ACCENT]), jnp.float32(1), unseen)[2, 0] < 0.8


def test_no_tile_misses_a_line(monkeypatch):
    random = np.random.default_rng(0)
    points = random.uniform(-0.9, 0.9, (12, 1, 2)) + random.uniform(-0.2, 0.2, (12, 3, 2))
    lines = pen.Lines(points, np.linspace(0, 1, 12), np.full(12, 0.03), np.float32(1))
    monkeypatch.setattr(pen, "RUN", 2)
    pictures = []
    for tile in (6, 16):
        monkeypatch.setattr(pen, "TILE", tile)
        pictures.append(jax.jit(lambda: pen._drawn(lines, COLOURS, square(16)))())
    np.testing.assert_allclose(*pictures, atol=1e-5)


def test_a_pen_has_a_slope_even_on_its_line():
    canvas, tones = Canvas(jnp.zeros((1, 1)), jnp.zeros((1, 1)), 0.1), (jnp.zeros(1), jnp.full(1, 0.05), jnp.float32(1))
    ink = lambda points: pen._drawn(pen.Lines(points, *tones), COLOURS, canvas).sum()
    through_the_pixel = jnp.array([[[-0.5, 0.0], [0.5, 0.0]]])
    assert jnp.isfinite(jax.jit(jax.grad(ink))(through_the_pixel)).all()


# ---- Fractals and attractors ----------------------------------------------------------------------------------------


def test_points_known_to_be_in_the_mandelbrot_set_and_beyond():
    inside, outside = (
        [(0, 0), (-1, 0), (0, 1), (-2, 0), (0.25, 0), (-0.12, 0.74)],
        [(0.3, 0), (1, 0), (-2.01, 0), (0.5, 0.7)],
    )
    c = jnp.array(inside + outside, jnp.float32)
    zero = jnp.zeros(len(c))
    found = escape.orbits((zero, zero), (c[:, 0], c[:, 1]), steps=200, moving=True)
    assert (found.distance[: len(inside)] == 0).all() and (found.distance[len(inside) :] > 0).all()
    assert found.right[-3] == pytest.approx(1) and found.right[-2] == pytest.approx(-1)  # away from the set


def test_the_julia_set_of_zero_is_the_unit_circle():
    z = jnp.array([0.99, 1.001, 1.01, 3.0, 7.0])
    found = escape.orbits((z, 0 * z), (jnp.float32(0), jnp.float32(0)), steps=60, moving=False)
    np.testing.assert_allclose(found.distance[:3], [0, 0.001, 0.01], atol=1e-4)
    np.testing.assert_allclose(found.count[3:], np.log2(np.log(escape.RADIUS) / np.log([3, 7])), atol=1e-4)


def test_newton_finds_the_roots_of_unity():
    three = newton.Newton(*map(jnp.float32, (3, 0, 1, 0, 0)))._replace(shift=jnp.zeros(2 * newton.MOST))
    x, y, there = newton.roots_of(three)
    np.testing.assert_allclose((x + 1j * y)[:3] ** 3, 1, atol=1e-5)
    assert there.tolist() == [1, 1, 1, 0, 0, 0]
    at = lambda x, y: Canvas(jnp.full((1, 1), x / 1.2), jnp.full((1, 1), y / 1.2), 1e-4)
    basin = jax.jit(partial(newton._paint, three, COLOURS))
    first, *others = (basin(at(*place))[:, 0, 0] for place in zip(x[:3], y[:3], strict=True))
    hue = lambda colour: colour / jnp.linalg.norm(colour)
    np.testing.assert_allclose(hue(first), hue(accent(COLOURS)), atol=0.02)
    assert all(jnp.abs(hue(other) - hue(first)).max() > 0.1 for other in others)


def test_sierpinski_s_triangle_comes_from_its_maps():
    three = ifs.Ifs(*map(jnp.float32, (3, 1, 0, -1, 0, 0)))
    linear, shift, often = ifs.maps(three)
    np.testing.assert_allclose(linear[:3], np.broadcast_to(0.5 * np.eye(2), (3, 2, 2)), atol=1e-6)
    assert often.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    corners = 2 * shift[:3]
    np.testing.assert_allclose(jnp.linalg.norm(corners - jnp.roll(corners, 1, 0), axis=1), 3**0.5, atol=1e-5)
    golden = (3 - 5**0.5) / 2
    np.testing.assert_allclose(
        [ifs.touching(jnp.float32(n)) for n in (3, 4, 5, 6)], [1 / 2, 1 / 2, golden, 1 / 3], atol=1e-5
    )
    picture = jax.jit(lambda: ifs.paint(three, COLOURS, square(32), jax.random.key(0)))()
    drawn = jnp.abs(picture - COLOURS[0][:, None, None]).sum(0) > 0.05
    assert not drawn[17:22, 15:17].any() and drawn[3:6, 14:18].any() and drawn[26, 3:6].any()  # the hole, two corners
    assert 0.15 < drawn.mean() < 0.45 and (drawn != drawn[:, ::-1]).mean() < 0.1


def test_variations_of_a_flame_are_those_of_their_names():
    x, y = jax.random.normal(jax.random.key(0), (2, 50))
    linear, sinusoidal, spherical, swirl, julia, bubble = (v[0] + 1j * v[1] for v in flame.varied(x, y))
    z = x + 1j * y
    np.testing.assert_allclose(linear, z)
    np.testing.assert_allclose(sinusoidal, jnp.sin(x) + 1j * jnp.sin(y), atol=1e-6)
    far = jnp.abs(z) > 0.5
    np.testing.assert_allclose(spherical[far] * z[far].conj(), 1, atol=5e-3)
    np.testing.assert_allclose(jnp.abs(swirl), jnp.abs(z), rtol=1e-5)
    np.testing.assert_allclose((julia**2)[far], z[far], atol=0.05)
    assert jnp.abs(bubble).max() <= 1.001


@pytest.mark.slow
def test_a_flame_is_the_same_after_its_turn():
    parameters, own = drawn_by("flame", KEYS[0])
    picture = jax.jit(lambda p: flame.paint(p, COLOURS, square(24), own))(parameters._replace(symmetry=jnp.float32(4)))
    assert jnp.abs(picture - jnp.rot90(picture, axes=(1, 2))).mean() < 0.03
    assert jnp.abs(picture - picture[:, ::-1]).mean() > 0.03


def test_lorenz_rests_where_he_says_and_an_attractor_stays_near():
    rest = jnp.array([72**0.5, 72**0.5, 27.0])
    np.testing.assert_allclose(orbit.flow(jnp.float32(0), rest), 0, atol=1e-4)
    assert all(jnp.abs(orbit.flow(jnp.float32(n), rest)).max() > 1 for n in (1, 2, 3))
    known = np.array(attractor.KNOWN)
    assert known.shape[1] == 4 and (1 + np.abs(known[:, 2:]) < chaos.COARSE).all()


# ---- Lines ----------------------------------------------------------------------------------------------------------


def test_koch_s_snowflake_is_longer_by_a_third_each_time_and_closed():
    for times in (1, 2, 3):
        walk = lsystem.walk_of(lsystem.rewritten(curve.SYSTEMS["koch"]._replace(times=times)))
        path = np.asarray(lsystem.walked(walk.turns, np.radians(60)))
        side = np.linalg.norm(path[4**times] - path[0])
        assert (len(path) - 1) / side == pytest.approx(3 * (4 / 3) ** times, rel=1e-4)
        np.testing.assert_allclose(path[-1], path[0], atol=1e-3)


@pytest.mark.parametrize("name", ["hilbert", "dragon", "gosper", "arrowhead"])
def test_curves_that_fill_never_go_the_same_way_twice(name):
    system = curve.SYSTEMS[name]
    turns = lsystem.walk_of(lsystem.rewritten(system)).turns
    path = np.asarray(jax.jit(lsystem.walked)(turns, np.radians(system.degrees)))
    middles = np.round(20 * (path[1:] + path[:-1]))
    assert len(np.unique(middles, axis=0)) == len(middles)
    if name == "hilbert":
        assert len(path) == 4**system.times == len(np.unique(np.round(path), axis=0))
        assert np.ptp(np.round(path), axis=0).tolist() == [2**system.times - 1] * 2


def test_branches_begin_where_others_end():
    walk = lsystem.walk_of("F[+F[-F]F]F")
    assert walk.turns.tolist() == [0, 1, 0, 1, 0] and walk.parent.tolist() == [-1, 0, 1, 1, 0]
    assert walk.level.tolist() == [0, 1, 2, 1, 0] and plant._tips(walk).tolist() == [3, 2, 1, 1, 1]
    zero = jnp.zeros(5)
    pieces = lsystem.grown(jnp.asarray(walk.turns), jnp.asarray(walk.parent), jnp.float32(pi / 2), zero + 1, zero)
    ends = [(0, 1), (-1, 1), (-1, 2), (-2, 1), (0, 2)]
    np.testing.assert_allclose(pieces[:, 1], ends, atol=1e-6)
    np.testing.assert_allclose(pieces[1:, 0], [ends[parent] for parent in walk.parent[1:]], atol=1e-6)
    swayed = lsystem.grown(
        jnp.asarray(walk.turns), jnp.asarray(walk.parent), jnp.float32(pi / 2), zero + 1, zero.at[0].set(pi)
    )
    np.testing.assert_allclose(swayed, -pieces, atol=1e-5)  # all that grows on the first step turns with it


def test_lissajous_figures_close_and_swing_as_they_should():
    lines = jax.jit(lambda figure: lissajous.lines(figure, KEYS[0]))
    for number, (a, b) in enumerate(lissajous.RATIOS):
        figure = lissajous.Lissajous(*map(np.float32, (number, 0.3, 0.5, 0, 0.01, 0)))
        points = np.asarray(lines(figure).points)
        np.testing.assert_allclose(points[:, 0], points[:, -1], atol=1e-5)
        sign = np.sign(points[0]) if np.gcd(a, b) == 1 else None
        x, y = np.abs(np.diff(sign, axis=0)).sum(0) / 2
        assert abs(x - 2 * a) <= 1 and abs(y - 2 * b) <= 1


def test_the_superformula_has_circles_and_as_many_petals():
    radius, angle = jax.jit(superformula.radius), np.linspace(0, 2 * pi, 720, endpoint=False)
    np.testing.assert_allclose(radius(angle, 6, 2.0, 0.5), 1, atol=1e-3)
    out = np.asarray(radius(angle, 5, 5.0, 0.4))
    peaks = (out > np.roll(out, 1)) & (out >= np.roll(out, -1))
    assert peaks.sum() == 5 and out.max() == pytest.approx(1, abs=1e-3)


def test_truchet_s_lines_go_on_in_the_next_tile():
    tiling = truchet.Truchet(*map(jnp.float32, (5, 0, 0.1, 0.5, 0)))
    points = np.asarray(jax.jit(truchet.lines)(tiling, KEYS[0]).points)
    ends = np.round(points[:, [0, -1]].reshape(-1, 2), 3)
    within = ends[np.abs(ends).max(1) < 1.9]
    assert (np.unique(within, axis=0, return_counts=True)[1] == 2).all() and len(within) > 500


# ---- Cells ----------------------------------------------------------------------------------------------------------


def test_rule_90_is_pascal_s_triangle_modulo_two():
    first = jnp.zeros(33, jnp.int32).at[16].set(1)
    states, numbers = rule.evolve(jnp.int32(90), first, 16)
    for row in range(16):
        expected = [
            comb(row, (at - 16 + row) // 2) % 2 if (at - 16 + row) % 2 == 0 and abs(at - 16) <= row else 0
            for at in range(33)
        ]
        assert states[row].tolist() == expected
    assert ((90 >> np.asarray(numbers[1:])) & 1 == states[1:]).all()
    right = rule.evolve(jnp.int32(2), first, 5)[0]  # 001 -> 1: it moves to the left
    assert [int(jnp.argmax(row)) for row in right] == [16, 15, 14, 13, 12]


def test_a_blinker_blinks_and_a_glider_glides():
    conway = jnp.int32(list(life.RULES).index("life"))
    blinker = jnp.zeros((7, 7), jnp.int32).at[3, 2:5].set(1)
    once, since = life.evolve(conway, blinker, 1)
    assert jnp.array_equal(once, blinker.T) and since[3, 3] == 1 and since[3, 2] == 0
    assert jnp.array_equal(life.evolve(conway, blinker, 2)[0], blinker)
    glider = jnp.zeros((9, 9), jnp.int32).at[jnp.array([0, 1, 2, 2, 2]), jnp.array([1, 2, 0, 1, 2])].set(1)
    assert jnp.array_equal(life.evolve(conway, glider, 4)[0], jnp.roll(glider, (1, 1), (0, 1)))


def test_a_state_is_eaten_by_the_next_and_by_no_other():
    start = jnp.full((12, 12), 2).at[4:7, 4:7].set(0)  # of three states, 0 eats 2
    after = cyclic.evolve(start, jnp.int32(3), jnp.int32(1), 1)
    eaten = (
        jnp.zeros((12, 12), bool).at[4 - cyclic.RANGE : 7 + cyclic.RANGE, 4 - cyclic.RANGE : 7 + cyclic.RANGE].set(True)
    )
    assert jnp.array_equal(after == 0, eaten)
    assert jnp.array_equal(
        cyclic.evolve(start, jnp.int32(4), jnp.int32(1), 5), start
    )  # of four, neither eats the other


def test_a_reaction_stays_between_nothing_and_all():
    dish = scaled(jnp.full(dimension(reaction.Reaction), 0.4), reaction.Reaction)
    u, v = jax.jit(partial(reaction.react, steps=300))(dish, KEYS[0])
    for each in (u, v):
        assert each.min() >= 0 and each.max() <= 1 and each.std() > 0.02
    assert abs(u.mean() + v.mean() - 1) > 0.1  # what reacts is drained, and fed anew
    assert jnp.abs(reaction._laplacian(jnp.ones((8, 8)))).max() < 1e-6
    x = jnp.arange(8.0)[None, :] * jnp.ones((8, 1))
    np.testing.assert_allclose(reaction._laplacian(x * x)[:, 2:-2], 2 * 1.2, atol=1e-4)


def test_voronoi_cells_are_those_of_the_nearest_sites_and_even():
    sites = jax.jit(voronoi.sites_of)(KEYS[0])
    canvas = square(20)
    cells = voronoi.cells(sites, canvas)
    for row, column in [(0, 0), (7, 13), (19, 4)]:
        place = np.array([canvas.x[0, column], canvas.y[row, 0]])
        assert cells[row, column] == np.argmin(np.linalg.norm(np.asarray(sites) - place, axis=1))
    nearest = lambda points: jnp.sort(jnp.linalg.norm(points[:, None] - points[None], axis=-1), axis=1)[:, 1].min()
    scattered = jax.random.uniform(KEYS[0], sites.shape, minval=-voronoi.REACH, maxval=voronoi.REACH)
    assert nearest(sites) > 2 * nearest(scattered)


def test_a_symmetric_network_draws_symmetric_pictures():
    parameters, own = drawn_by("cppn", KEYS[1])
    picture = jax.jit(lambda symmetry: cppn.paint(parameters._replace(symmetry=symmetry), COLOURS, square(16), own))
    mirrored = picture(jnp.float32(1))
    np.testing.assert_allclose(mirrored, mirrored[:, :, ::-1], atol=1e-4)
    assert jnp.abs(mirrored - picture(jnp.float32(0))).max() > 0.1
