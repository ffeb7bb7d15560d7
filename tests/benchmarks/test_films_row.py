"""The row of films: the flow of what is filmed is known, and what is said of the arms can be otherwise."""

import numpy as np

from benchmarks.rows import films
from train.metrics.steadiness import warping_error


def waves(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    planes = [np.sin(x / a + y / b) for a, b in ((9, 12), (15, -9), (6, 21))]
    return np.rint(127.5 + 120 * np.stack(planes, axis=-1)).astype(np.uint8)


def test_where_everything_goes_is_known(monkeypatch):
    monkeypatch.setattr(films, "SIZE", 32)
    monkeypatch.setattr(films, "FRAMES", 4)
    monkeypatch.setattr(films, "GRAIN", 0.0)
    for seed in range(3):
        film = films.filmed(waves(48), seed)
        assert film.frames.shape == (4, 32, 32, 3) and film.where.mean() > 0.8
        known, unmoved = (warping_error(film.frames / 255, flow, film.where) for flow in (film.back, 0 * film.back))
        assert known < 1e-4 and known < 0.05 * unmoved
        true = films.true_flow(film)
        np.testing.assert_array_equal(true(film.frames[2], film.frames[1]), film.back[1])
        np.testing.assert_array_equal(true(film.frames[1], film.frames[2]), film.forth[1])


def test_a_camera_finds_its_pixels_again():
    pixels = np.random.default_rng(0).uniform(-64, 64, (50, 2))
    for camera in films.cameras(np.random.default_rng(1)):
        np.testing.assert_allclose(camera.pixels(camera.places(pixels)), pixels, atol=1e-9)


def test_what_is_said():
    means = {arm: {"factor": 2.0, "style": 0.3} for arm in films.ARMS}
    assert films.verdict(means).startswith("steadier than frame by frame, times: --steady 2.00, video-style 2.00;")
    means["video-style"] = {"factor": 0.9, "style": 0.6}
    said = films.verdict(means)
    assert said.startswith("not all steadier") and said.endswith("2.00 times as far from the look at most")
    assert films.verdict_of_imports({"wave": {"largest": 1.0}}).startswith("as published")
    assert films.verdict_of_imports({"wave": {"largest": 1.0}, "scream": {"largest": 2.0}}).startswith("not as")
