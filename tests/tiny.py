"""Each preset small enough for a test, random batches for it, and one compiled step that all tests share."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from train.config import Config, default_config
from train.engine import learner_of
from train.step import init_state, train_step
from zoo.codecs.strokes import END, START

_CODES: dict[str, Any] = {
    "width": 8,
    "codes": 16,
    "code_size": 4,
    "residual_width": 4,
    "residual_layers": 1,
    "prior_layers": 1,
    "prior_heads": 2,
    "prior_width": 8,
}
_MEDIA: dict[str, Any] = {
    "image_size": 8,
    "patch": 4,
    "frames": 8,
    "stride": 4,
    "bands": 4,
    "width": 16,
    "heads": 2,
}
TINY: dict[str, dict[str, Any]] = {
    "dcgan": {"image_size": 16, "width": 4, "latent_size": 8},
    "wgan-gp": {"image_size": 16, "width": 4, "widest": 2, "latent_size": 8},
    "cgan": {"image_size": 16, "width": 4, "widest": 2, "latent_size": 8, "classes": 3},
    "biggan": {"image_size": 16, "width": 4, "attention": 8, "chunk": 3, "embedding": 4, "classes": 3},
    "progressive": {"image_size": 8, "base": 64, "widest": 8, "latent_size": 8},
    "stylegan": {"image_size": 8, "base": 64, "widest": 8, "latent_size": 8, "mapping": 1},
    "stylegan2": {"image_size": 8, "base": 64, "widest": 8, "latent_size": 8, "mapping": 1},
    "r3gan": {"image_size": 8, "width": 8, "latent_size": 8, "group": 4, "blocks": 1, "expansion": 1},
    "pix2pix": {"image_size": 16, "width": 4, "critic_layers": 1},
    "pix2pixhd": {
        "image_size": 16,
        "width": 4,
        "critic_width": 4,
        "critic_layers": 1,
        "blocks": 1,
        "halvings": 1,
    },
    "spade": {"image_size": 16, "width": 2, "critic_layers": 1, "scales": 1, "matching": 0.0},
    "cyclegan": {"image_size": 16, "width": 4, "critic_layers": 1, "blocks": 1, "pool": 3},
    "animegan": {"image_size": 16, "width": 2, "blocks": 1, "first": 0},
    "neural-style": {
        "height": 16,
        "width": 20,
        "style_height": 20,
        "style_width": 16,
        "styles": 2,
        "filters": 3,
        "octaves": 2,
        "levels": 3,
    },
    "fast-style": {"image_size": 16, "width": 2, "blocks": 1, "filters": 3, "octaves": 2},
    "video-style": {"image_size": 16, "width": 2, "blocks": 1, "filters": 3, "octaves": 2},
    "adain": {"image_size": 16, "width": 2},
    "painter": {"height": 16, "width": 20, "count": 5},
    "ifs": {"height": 16, "width": 20, "maps": 3, "depth": 2},
    "nca": {
        "height": 16,
        "width": 20,
        "hidden": 2,
        "units": 6,
        "least": 2,
        "most": 4,
        "pool": 40,
        "growing": 2,
        "damage": 1,
    },
    "texture": {
        "size": 16,
        "style_height": 20,
        "style_width": 16,
        "directions": 3,
        "octaves": 2,
        "levels": 3,
        "grow": 2,
    },
    "audio-style": {"length": 200, "style_length": 180, "window": 32, "filters": 6, "taps": 3, "rounds": 3},
    "gan2d": {"width": 8, "layers": 2, "critic_width": 8},
    "voxgan": {"image_size": 8, "channels": 1, "width": 4, "latent_size": 8},
    "mocogan": {"image_size": 16, "channels": 1, "length": 8, "content_size": 4, "motion_size": 3, "width": 3},
    "wavegan": {"length": 256, "width": 4, "latent_size": 8},
    "seqgan": {"vocabulary": 11, "context": 16, "width": 8, "critic_width": 4, "rollouts": 2},
    "musegan": {"length": 2, "steps": 16, "tracks": 1, "latent_size": 8, "width": 1, "gradient_penalty": None},
    "vae": {"image_size": 8, "channels": 1, "width": 16, "latent_size": 4},
    "vae-conv": {"image_size": 16, "width": 4, "latent_size": 4, "flow": 2},
    "music-vae": {
        "context": 32,
        "voices": "SB",
        "bars": 2,
        "conductor": 8,
        "latent_size": 4,
        "encoder_width": 8,
        "width": 8,
    },
    "groovae": {"length": 16, "latent_size": 4, "encoder_width": 8, "width": 8, "layers": 2},
    "infovae": {"image_size": 16, "width": 4, "latent_size": 4},
    "vae-gae": {"image_size": 16, "width": 4, "latent_size": 4, "flow": 2},
    "sketch-rnn": {"context": 12, "latent_size": 4, "encoder_width": 8, "width": 8, "components": 3},
    "vqvae": {"image_size": 8, **_CODES},
    "vqvae2": {"image_size": 8, "levels": 1, **_CODES},
    "gpt": {"vocabulary": 11, "context": 16, "layers": 2, "heads": 2, "width": 16},
    "music-transformer": {"vocabulary": 11, "context": 16, "layers": 2, "heads": 2, "width": 16, "start_token": 0},
    "transformer-xl": {
        "vocabulary": 11,
        "context": 16,
        "segment": 4,
        "memory": 3,
        "layers": 2,
        "heads": 2,
        "width": 16,
    },
    "bert": {"vocabulary": 11, "context": 16, "layers": 2, "heads": 2, "width": 16},
    "ctrl": {"vocabulary": 11, "context": 16, "layers": 1, "heads": 2, "width": 16},
    "image-gpt": {"image_size": 4, "levels": 2, "layers": 1, "heads": 2, "width": 16},
    "vit": {"image_size": 8, "patch": 4, "classes": 3, "layers": 1, "heads": 2, "width": 16},
    "seq2seq": {"context": 16, "layers": 1, "heads": 2, "width": 16},
    "fusion": {**_MEDIA, "classes": 3},
    **{name: {**_MEDIA, "embedding": 8, "layers": 1} for name in ("tower", "tower-invariant")},
    "text-to-image": {
        "image_size": 8,
        "words": 9,
        "caption": 4,
        "codes": 16,
        "code_size": 4,
        "picture_width": 8,
        "residual_width": 4,
        "residual_layers": 1,
        "layers": 1,
        "heads": 2,
        "width": 16,
        "tower_layers": 1,
        "tower_width": 8,
        "embedding": 8,
    },
    "midi-style": {"length": 12, "cell": 3, "latent_size": 4, "encoder_width": 8, "width": 16, "critic_width": 8},
    "coconet": {"context": 32, "lowest": 0, "pitches": 9, "layers": 2, "width": 8, "steps": 3},
    "lstm": {"vocabulary": 11, "context": 16, "width": 16, "layers": 2},
    "gru": {"vocabulary": 11, "context": 16, "width": 16, "layers": 2},
    "rnn": {"vocabulary": 11, "context": 16, "width": 16, "layers": 2},
    "performance-rnn": {"context": 16, "width": 16, "layers": 2},
    "piano-composer": {"vocabulary": 11, "context": 16, "embed": 4, "width": 16, "hidden": 8, "start_token": 0},
    "piano-composer-events": {
        "vocabulary": 11,
        "context": 16,
        "embed": 4,
        "encoder_width": 8,
        "width": 16,
        "start_token": 0,
    },
    "lstm-roll": {"width": 16, "frames": 12},
    "gru-roll": {"width": 16, "frames": 12},
    "rnn-roll": {"width": 16, "frames": 12},
    "rnn-nade": {"width": 16, "frames": 12, "hidden": 6},
}
NAMES = list(TINY)
SAME_CLASS = {
    "wgan-gp-256": "wgan-gp",
    "stylegan2-ada": "stylegan2",
    "music-vae-trio": "music-vae",
    "pix2pix-256": "pix2pix",
    "cyclegan-256": "cyclegan",
    "sketch-rnn-free": "sketch-rnn",
    "gpt2": "gpt",
    "gpt2-medium": "gpt",
    "gpt2-large": "gpt",
    "gpt2-xl": "gpt",
}
BATCH = 8
VOICE_TOKENS = 132  # the vocabulary of four-voice grids


def tiny(name: str, **fields: Any) -> Any:
    """The preset, tiny; with ``fields`` of one's own."""
    return zoo.create(name, **{**TINY[name], **fields})


def tiny_config(name: str, *, steps: int = 100, **fields: Any) -> Config:
    """The preset's recipe around the tiny model."""
    config = default_config(name)
    options = dataclasses.replace(config.options, steps=steps, batch_size=BATCH)
    return dataclasses.replace(config, model=tiny(name, **fields), options=options)


def random_batch(model: Any, size: int = BATCH, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch as ``batch_spec`` describes it; sequences are ragged."""
    rng, batch = np.random.default_rng(seed), {}
    for name, spec in model.batch_spec(size).items():
        match name:
            case "guide":
                batch[name] = rng.uniform(0.1, 1, spec.shape).astype(np.float32)
            case "image" | "input" | "style" | "voxel" | "video" | "wave" | "spectrum":
                batch[name] = rng.uniform(-1, 1, spec.shape).astype(np.float32)
            case "point":
                batch[name] = rng.normal(size=spec.shape).astype(np.float32)
            case "tracks":
                batch[name] = rng.binomial(1, 0.05, spec.shape).astype(np.float32)
            case "groove":
                hits = rng.binomial(1, 0.2, (*spec.shape[:2], 9))
                touch = [rng.uniform(0.1, 1, hits.shape), rng.uniform(-0.5, 0.49, hits.shape)]
                batch[name] = np.concatenate([hits, *(hits * one for one in touch)], axis=-1).astype(np.float32)
            case "roll":
                batch[name] = rng.binomial(1, 0.1, spec.shape).astype(np.float32)
            case "tokens":
                batch[name] = rng.integers(0, model.vocabulary, spec.shape).astype(np.int32)
                if model.vocabulary == VOICE_TOKENS:  # few pitches, rests and holds
                    cells = [0, 1, 2, 3, 4, 5, 6, 7, 8, 128, 129, 129]
                    batch[name] = rng.choice(cells, spec.shape).astype(np.int32)
            case "strokes":
                pens = np.eye(3, dtype=np.float32)[rng.integers(0, 2, spec.shape[:2])]
                batch[name] = np.concatenate([rng.normal(size=(*spec.shape[:2], 2)), pens], axis=-1).astype(np.float32)
            case "caption":
                ended = rng.integers(1, spec.shape[1] + 1, size)[:, None] <= np.arange(spec.shape[1])
                batch[name] = np.where(ended, 0, rng.integers(1, model.words, spec.shape)).astype(np.int32)
            case "label":
                batch[name] = rng.integers(0, 2, spec.shape).astype(np.int32)
    for name in ("tokens", "roll", "strokes", "groove"):
        if name in batch:
            longest = batch[name].shape[1]
            batch["length"] = rng.integers(longest // 2, longest + 1, size).astype(np.int32)
    if "strokes" in batch:
        batch["strokes"][:, 0] = START
        batch["strokes"][np.arange(longest) >= batch["length"][:, None]] = END
    return batch


def random_like(tree: Any, seed: int = 0, scale: float = 0.1) -> Any:
    """Every leaf shaken, so that zeros and symmetries of the initialisation hide nothing. NumPy adds: JAX would compile
    an addition for each shape."""
    leaves, form = jax.tree.flatten(tree)
    rng = np.random.default_rng(seed)
    shaken = [np.asarray(leaf) + scale * rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(form, [jnp.asarray(leaf) for leaf in shaken])


@functools.cache
def jitted(model: Any, method: str, *static: str) -> Any:
    """A method of a model, compiled once for every test of a process that asks for it; eagerly, each of its hundreds of
    operations would be compiled by itself. ``static``: arguments that are no arrays."""
    return jax.jit(getattr(model, method), static_argnames=static)


def initialised(model: Any) -> Any:
    """(params, extra) of a model, drawn once; the trees are the caller's to change."""
    return jax.tree.map(lambda leaf: leaf, _initialised(model))


@functools.cache
def _initialised(model: Any) -> Any:
    return jax.jit(model.init)(jax.random.key(0))


@functools.cache
def compiled_step(name: str) -> Any:
    """(state, batch) -> (state, metrics) of the tiny model."""
    return jax.jit(functools.partial(train_step, learner_of(tiny_config(name))))


@functools.cache
def fresh_state(name: str) -> Any:
    learner = learner_of(tiny_config(name))
    return jax.jit(lambda seed: init_state(learner, jax.random.key(seed)))(0)


def as_float64(tree: Any) -> Any:
    """Floats in double precision; call under ``jax.enable_x64``."""
    wide = lambda leaf: leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    return jax.tree.map(wide, tree)
