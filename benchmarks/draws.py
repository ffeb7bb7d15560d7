"""What our losses draw from a step's key, by name: a twin that is given the same numbers computes the same losses."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from zoo.gan import adversarial, cyclegan, pix2pix, style, stylegan2
from zoo.gan.style import style_count
from zoo.gan.translators import ENLARGED
from zoo.transformer import seq2seq
from zoo.vae import coded, vae

Draws = dict[str, Any]


def of_dcgan(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    purpose = {"critic": adversarial.CRITIC_LATENTS, "generator": adversarial.GENERATOR_LATENTS}[phase]
    return {"latent": model.latents(jax.random.fold_in(key, purpose), n)}


def of_wgan(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    found = of_dcgan(model, phase, key, n)
    if phase == "critic":
        found["share"] = jax.random.uniform(jax.random.fold_in(key, adversarial.PENALTY), (n, 1, 1, 1))
    return found


def of_stylegan2(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """Latents, the layer from which the second one's style is taken, each layer's noise; of the path length, which
    looks at a part of the batch, a random picture too."""
    if phase == "penalty":
        return {}
    if phase == "path_length":
        key, n = jax.random.fold_in(key, stylegan2.PATH), max(n // model.path_shrink, 1)
        shape = model.batch_spec(n)["image"].shape
        return mixed(model, key, n) | {
            "picture": jax.random.normal(jax.random.fold_in(key, style.SECOND + 1), shape, jnp.float32)
        }
    purpose = {"critic": adversarial.CRITIC_LATENTS, "generator": adversarial.GENERATOR_LATENTS}[phase]
    return mixed(model, jax.random.fold_in(key, purpose), n)


def mixed(model: Any, key: jax.Array, n: int) -> Draws:
    count = style_count(model.image_size)
    chosen, place = jax.random.split(jax.random.fold_in(key, style.MIX))
    cut = jax.random.randint(place, (n,), 1, count)
    noise, sides = jax.random.fold_in(key, style.NOISE), [4 * 2 ** ((layer + 1) // 2) for layer in range(count - 1)]
    return {
        "latent": model.latents(key, n),
        "second": model.latents(jax.random.fold_in(key, style.SECOND), n),
        "cut": jnp.where(jax.random.uniform(chosen, (n,)) < model.mixing, cut, count),
        "noise": [
            jax.random.normal(jax.random.fold_in(noise, layer), (n, side, side, 1), jnp.float32)
            for layer, side in enumerate(sides)
        ],
    }


def of_vae(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    return {"latent": model.latents(jax.random.fold_in(key, vae.LATENT), n)}


def of_pix2pix(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """How pairs are moved, in both phases alike; dropout's masks are PyTorch's own."""
    return moves(model, jax.random.fold_in(key, pix2pix.JITTER), n)


def of_cyclegan(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """How the pictures of each set are moved; and of its pool, for each sample whether it takes the place of an older
    one, and whose."""
    keys = jax.random.split(jax.random.fold_in(key, pix2pix.JITTER))
    found: Draws = {"moves": {name: moves(model, own, n) for name, own in zip(("input", "image"), keys, strict=True)}}
    if phase == "critic":
        pool = jax.random.fold_in(key, cyclegan.POOL)
        for number, (_, target) in enumerate(cyclegan.WAYS.values()):
            found[target] = jax.vmap(lambda own: swap(own, model.pool))(
                jax.random.split(jax.random.fold_in(pool, number), n)
            )
    return found


def moves(model: Any, key: jax.Array, n: int) -> Draws:
    side = model.image_size
    corner, flip = jax.random.split(key)
    return {
        "corner": jax.random.randint(corner, (n, 2), 0, round(side * ENLARGED) - side + 1),
        "flip": jax.random.bernoulli(flip, 0.5, (n,)),
    }


def swap(key: jax.Array, size: int) -> Draws:
    coin, place = jax.random.split(key)
    return {"coin": jax.random.bernoulli(coin), "place": jax.random.randint(place, (), 0, size)}


def of_vqvae(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """Which of the batch's vectors dead codes become; dropout's masks are PyTorch's own."""
    if phase == "prior":
        return {}
    revive = jax.random.fold_in(key, coded.REVIVAL)
    return {"drawn": jax.random.randint(revive, (model.codes,), 0, n * model.sides[0] ** 2)}


def of_text_to_image(model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """Which vectors dead codes become, and whose caption is shown."""
    if phase == "autoencoder":
        return of_vqvae(model.pictures, phase, key, n)
    if phase == "towers":
        return {}
    return {"shown": jax.random.uniform(jax.random.fold_in(key, seq2seq.UNCONDITIONAL), (n,)) >= model.withheld}


# preset -> (model, phase, step's key, batch size) -> draws; the others draw nothing.
DRAWS: Mapping[str, Callable[..., Draws]] = {
    "dcgan": of_dcgan, "wgan-gp": of_wgan, "stylegan2": of_stylegan2, "pix2pix": of_pix2pix, "pix2pix-256": of_pix2pix,
    "cyclegan": of_cyclegan, "cyclegan-256": of_cyclegan, "vae": of_vae, "vae-conv": of_vae, "vqvae": of_vqvae,
    "text-to-image": of_text_to_image,
}  # fmt: skip


def draws_of(preset: str, model: Any, phase: str, key: jax.Array, n: int) -> Draws:
    """Pictures [n, H, W, C], whatever else as the model has it."""
    return DRAWS[preset](model, phase, key, n) if preset in DRAWS else {}
