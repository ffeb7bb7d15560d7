"""Before anything is timed: with the same weights, data and noise, both sides have the same loss and gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.theirs import TWINS, batch_of
from benchmarks.workloads import Workload, random_examples
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.vae import vae

TOLERANCE = 1e-4
CPU = torch.device("cpu")


def dcgan_noise(model: Any, player: str, key: jax.Array, n: int) -> jax.Array:
    purpose = {"critic": adversarial.CRITIC_LATENTS, "generator": adversarial.GENERATOR_LATENTS}[player]
    return model.latents(jax.random.fold_in(key, purpose), n)


def vae_noise(model: Any, player: str, key: jax.Array, n: int) -> jax.Array:
    del player
    return model.latents(jax.random.fold_in(key, vae.LATENT), n)


# preset -> what its loss draws from the step's key; the others draw nothing.
NOISE: Mapping[str, Callable[..., jax.Array]] = {"dcgan": dcgan_noise, "vae": vae_noise, "vae-conv": vae_noise}


def disagreement(preset: str, model: Any, *, batch: int = 4, seed: int = 0) -> dict[str, float]:
    """{"PLAYER/loss" and "PLAYER/gradient": the largest difference, as a share of the largest value}."""
    params, extra = jax.device_get(jax.jit(model.init)(jax.random.key(seed)))
    tables, key = random_examples(model, batch, seed), jax.random.key(seed + 1)
    theirs = batch_of(tables, slice(None), CPU)
    found = {}
    for phase in model.phases:
        player = phase.player
        loss = lambda mine, phase=phase: phase.loss(
            {**params, phase.player: mine}, extra, tables, key, jnp.zeros((), jnp.int32)
        )
        (ours, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params[player])
        noise = NOISE[preset](model, player, key, batch) if preset in NOISE else None
        twin = TWINS[preset](model, params, extra)
        value = getattr(twin, f"{player}_loss")(theirs, None if noise is None else torch.tensor(np.asarray(noise)))
        value.backward()
        found[f"{player}/loss"] = difference([float(ours)], [value.item()])
        # A twin is linear in the weights it is made of: made of our gradient, it holds it in PyTorch's layout.
        expected = TWINS[preset](model, {**params, player: jax.device_get(gradient)}, extra).modules[player]
        pairs = zip(expected.parameters(), twin.modules[player].parameters(), strict=True)
        leaves = [(mine, its) for mine, its in pairs if its.requires_grad]
        found[f"{player}/gradient"] = difference(
            np.concatenate([mine.detach().numpy().ravel() for mine, _ in leaves]),
            np.concatenate([its.grad.numpy().ravel() for _, its in leaves]),
        )
    return found


def difference(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def check(workload: Workload) -> None:
    """UserError where the two sides are not the same model."""
    for name, value in disagreement(workload.preset, workload.model("cpu")).items():
        if not value <= TOLERANCE:
            raise UserError(f"{workload.name}: {name} differs from PyTorch's by {value:.1e}, more than {TOLERANCE:.0e}")


if __name__ == "__main__":
    import sys

    from benchmarks.workloads import find

    try:
        check(find(sys.argv[1], sys.argv[2]))  # type: ignore[arg-type]
    except UserError as error:
        sys.exit(str(error))
