"""Films in a style: how much steadier than frame by frame? And published networks: do they paint what they painted?

``video-style``. Films of three photographs by a camera that pans, turns and zooms, through glass that ripples, with the
grain of a film: so where everything goes is known, and errors are the pictures', not those of some flow. 16 frames of
128 pixels. Measured are the warping error (`train.metrics.steadiness`), how many times smaller it is than frame by
frame, and what that cost: the distance from the look (as fast-style's loss has it, by SqueezeNet), and the detail left
(the mean slope of brightness, in terms of that frame by frame). A grey film would be the steadiest. Arms: the published
network of Hokusai's wave, frame by frame; the same, --steady; and that network trained on, by other photographs, as
fast-style and as video-style, which has the temporal loss besides: frame by frame, both. --steady follows the flow that
the library finds in the films where that is installed, and the true one if not.

``fast-style-import``. Two networks of fast-style-transfer, read with `--model.weights`, paint the reference picture;
what differs from what they painted themselves. It is the same whatever the seed.
"""

import functools
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from sample.flow import flow
from sample.steady import steady
from train.config import default_config
from train.data.pair import cropped
from train.data.pixels import to_unit
from train.data.source import ENDLESS, Source
from train.metrics.steadiness import trusted_places, warping_error
from zoo.catalog import create
from zoo.codecs.images import ImageCodec, read_image
from zoo.style.look import grams, look_of, looks_of, read_features, unlike
from zoo.style.motion import warped

FRAMES, SIZE, SHARE = 16, 128, 0.8
GRAIN = 2.0  # levels of 255
ROOM = 1.5  # of a photograph's side, in terms of a frame's
FILMED = ("astronaut.png", "chelsea.png", "rocket.jpg")
SEEN = ("coffee.png", "camera.png", "gravel.png", "brick.png", "grass.png", "hubble_deep_field.jpg")
STEPS, RATE, CROP, BATCH = {"cpu": 300, "full": 4_000}, 1e-4, 64, 4
NETWORK, LOOK = Path("fast_style_transfer") / "wave_f16.npz", "great_wave_hokusai.jpg"
FEATURES = Path("squeezenet_imagenet") / "squeezenet_v1.0_caffe_oihw.npz"


class Film(NamedTuple):
    frames: np.ndarray
    """uint8 [T, H, W, 3]"""
    back: np.ndarray
    """The flow from each but the first to the one before, [T - 1, H, W, 2]."""
    forth: np.ndarray
    """And from that one to it."""
    where: np.ndarray
    """Where both are seen, [T - 1, H, W]."""


class Arm(NamedTuple):
    preset: str | None
    """As which the network is trained on; None: it is not."""
    share: float
    """Of --steady."""
    against: str
    """The arm that it is compared with."""


ARMS = MappingProxyType(
    {
        "frame by frame": Arm(None, 0.0, "frame by frame"),
        "--steady": Arm(None, SHARE, "frame by frame"),
        "fast-style": Arm("fast-style", 0.0, "fast-style"),
        "video-style": Arm("video-style", 0.0, "fast-style"),
    }
)


# -- films ------------------------------------------------------------------------------------------------------------


class Camera(NamedTuple):
    """What a frame sees: of its pixels p, from its middle, the places q = matrix p + shift of the photograph, and these
    bent by a wave."""

    matrix: np.ndarray
    shift: np.ndarray
    phase: float

    def places(self, pixels: np.ndarray) -> np.ndarray:
        straight = pixels @ self.matrix.T + self.shift
        return straight + self.bend(straight)

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """The inverse: the wave is flat, so that going back again and again comes nearer and nearer."""
        straight = places
        for _ in range(30):
            straight = places - self.bend(straight)
        return (straight - self.shift) @ np.linalg.inv(self.matrix).T

    def bend(self, places: np.ndarray) -> np.ndarray:
        x, y = places[..., 0], places[..., 1]
        return np.stack([np.sin(y / 9 + self.phase), np.cos(x / 11 - self.phase)], axis=-1)


def cameras(rng: np.random.Generator) -> list[Camera]:
    """One a frame: up to 1.5 pixels, half a degree and half a percent from each to the next."""
    pan, (turn, zoom) = rng.uniform(-1.5, 1.5, 2), rng.uniform(-1, 1, 2) * (np.pi / 360, 0.005)
    found = []
    for t in np.arange(FRAMES) - (FRAMES - 1) / 2:
        (c, s), scale = (np.cos(turn * t), np.sin(turn * t)), np.exp(zoom * t)
        found.append(Camera(scale * np.array([[c, -s], [s, c]]), pan * t, 0.3 * t))
    return found


def filmed(picture: np.ndarray, seed: int) -> Film:
    """A film of a photograph uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    side = round(ROOM * SIZE)
    photograph = jnp.asarray(cropped(picture, (side, side)), jnp.float32)[None]
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
    every = cameras(rng)
    frames = []
    for camera in every:
        to = camera.places(pixels) + (side - 1) / 2 - (pixels - axis[0])
        seen = warped(photograph, jnp.asarray(to, jnp.float32)[None], cubic=True)[0]
        frames.append(np.clip(np.rint(seen + rng.normal(0, GRAIN, seen.shape)), 0, 255).astype(np.uint8))
    leads = lambda one, other: (other.pixels(one.places(pixels)) - pixels).astype(np.float32)
    pairs = list(pairwise(every))
    back = np.stack([leads(after, before) for before, after in pairs])
    forth = np.stack([leads(before, after) for before, after in pairs])
    return Film(np.stack(frames), back, forth, trusted_places(back, forth))


# -- networks ---------------------------------------------------------------------------------------------------------


def contents(data: Path) -> Source:
    """Crops of photographs, and the picture with the look."""
    side = round(ROOM * CROP)
    read = lambda *path: read_image(data.joinpath("style_content", *path), channels=3)
    arrays = {
        "pictures": np.stack([cropped(read("content", name), (side, side)) for name in SEEN]),
        "look": cropped(read("style", LOOK), (CROP, CROP)),
    }

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        which, where = jax.random.split(jax.random.fold_in(jax.random.key(7), index))
        picture = arrays["pictures"][jax.random.randint(which, (), 0, len(SEEN))]
        top, left = jax.random.randint(where, (2,), 0, side - CROP + 1)
        crop = jax.lax.dynamic_slice(picture, (top, left, 0), (CROP, CROP, 3))
        return {"input": to_unit(crop), "image": to_unit(arrays["look"])}

    return Source(
        spec="contents", codec=ImageCodec(channels=3), size=ENDLESS, arrays=arrays, example=example,
        fields={"image_size": CROP, "channels": 3, "input_channels": 3},
    )  # fmt: skip


@functools.cache
def painter(data: Path, preset: str | None, seed: int, steps: int) -> Any:
    """[H, W, 3] in [-1, 1] -> what the network makes of it."""
    name = preset or "fast-style"
    model: Any = create(name, image_size=CROP, weights=str(data / NETWORK), features=str(data / FEATURES))
    if preset is None:
        params, extra = model.init(jax.random.key(0))
    else:
        config = default_config(name)
        options = replace(config.options, data="contents", steps=steps, batch_size=BATCH, seed=seed)
        optim = replace(config.optim, learning_rate=RATE)
        state = fit(replace(config, model=model, options=options, optim=optim), contents(data), chunk=50)
        params, extra = state.params, state.extra
    paint = jax.jit(functools.partial(model.translate, params, extra))
    return lambda picture: np.asarray(paint(picture[None], jax.random.key(0)))[0]


def distance(data: Path, frames: np.ndarray) -> float:
    """How far frames [T, H, W, 3] in [-1, 1] are from the look, as a share of it: 0 is as it is."""
    weights = str(data / FEATURES)
    seen, params = look_of(weights, None), read_features(weights)[1]
    picture = cropped(read_image(data / "style_content" / "style" / LOOK, channels=3), (SIZE, SIZE))
    wanted = looks_of(seen, params, jnp.asarray(to_unit(picture))[None])
    found, _ = jax.jit(seen)(params, jnp.asarray(frames))
    return float(jnp.mean(unlike(grams(found, wanted["usual"]), wanted["looks"])))


# -- rows -------------------------------------------------------------------------------------------------------------


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    for seed in seeds:
        found = [one_film(data, name, seed, STEPS[budget], ARMS[arm]) for name in FILMED]
        means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        yield means | {"factor": means.pop("base") / means["error"], "flow": known_flow()}


def one_film(data: Path, name: str, seed: int, steps: int, arm: Arm) -> dict[str, float]:
    film = film_of(data, name, seed)
    base, made = (shown(data, name, seed, steps, one) for one in (ARMS[arm.against], arm))
    error = lambda frames: warping_error(frames / 2 + 0.5, film.back, film.where)
    detail = lambda frames: float(np.abs(np.diff(frames.mean(axis=-1), axis=2)).mean())
    return {
        "error": error(made), "base": error(base),
        "style": distance(data, made),
        "detail": detail(made) / detail(base),
    }  # fmt: skip


@functools.cache
def film_of(data: Path, name: str, seed: int) -> Film:
    picture = read_image(data / "style_content" / "content" / name, channels=3)
    return filmed(picture, 100 * seed + FILMED.index(name))


@functools.cache
def shown(data: Path, name: str, seed: int, steps: int, arm: Arm) -> np.ndarray:
    """What an arm makes of a film, [T, H, W, 3] in [-1, 1]."""
    film, paint = film_of(data, name, seed), painter(data, arm.preset, seed, steps)
    made = (paint(to_unit(frame)) for frame in film.frames)
    if arm.share:
        made = steady(film.frames, made, share=arm.share, flow=flow if known_flow() == "library" else true_flow(film))
    return np.stack([*made])


def known_flow() -> str:
    return "true" if importlib.util.find_spec("cv2") is None else "library"


def true_flow(film: Film) -> Any:
    number = {frame.tobytes(): i for i, frame in enumerate(film.frames)}

    def leads(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
        one, two = number[frame.tobytes()], number[other.tobytes()]
        return film.back[two] if two < one else film.forth[one]

    return leads


def verdict(means: Means) -> str:
    """Whether each is steadier than its frames by themselves, and keeps its look."""
    tried = {arm: one for arm, one in means.items() if ARMS[arm].against != arm}
    steadier = ", ".join(f"{arm} {one['factor']:.2f}" for arm, one in tried.items())
    farther = max(one["style"] / means[ARMS[arm].against]["style"] for arm, one in tried.items())
    said = "steadier than frame by frame" if min(one["factor"] for one in tried.values()) > 1 else "not all steadier"
    return f"{said}, times: {steadier}; {farther:.2f} times as far from the look at most"


def imports(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    del budget
    folder = data / "fast_style_transfer"
    model: Any = create("fast-style", weights=str(folder / f"{arm}_f16.npz"), filters=1, octaves=1)
    params, extra = model.init(jax.random.key(0))
    picture = jnp.asarray(to_unit(read_image(folder / "reference_input.png", channels=3)))[None]
    made = jax.jit(functools.partial(model.translate, params, extra))(picture, jax.random.key(0))
    wanted = read_image(folder / f"{arm}_reference_output.png", channels=3).astype(int)
    apart = np.abs(ImageCodec(channels=3).decode(np.asarray(made))[0].astype(int) - wanted)
    for _ in seeds:
        yield {"largest": float(apart.max()), "mean": float(apart.mean())}


def verdict_of_imports(means: Means) -> str:
    largest = max(one["largest"] for one in means.values())
    said = "as published" if largest <= 1 else "not as published"
    return f"{said}: {largest:g} of 255 levels apart at most"


ROWS = MappingProxyType(
    {
        "video-style": Row(
            metrics={
                "error": "warping error, squared, of brightness from 0 to 1",
                "factor": "times as steady as frame by frame",
                "style": "distance from the look, share of it",
                "detail": "detail left, share of that frame by frame",
            },
            published={arm: {} for arm in ARMS}, measure=runs, verdict=verdict,
            source="no table has this: the papers' films are others",
            budgets={"cpu": "300 steps of 4,000"},
        ),
        "fast-style-import": Row(
            metrics={"largest": "largest difference, levels of 255", "mean": "mean difference, levels of 255"},
            published={"wave": {"largest": 0}, "scream": {"largest": 0}}, measure=imports, verdict=verdict_of_imports,
            source="pictures that the networks of fast-style-transfer-deeplearnjs painted; their weights are stored in "
            "half precision",
        ),
    }
)  # fmt: skip
