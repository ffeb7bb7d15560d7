"""Before anything is timed: with the same weights, data and noise, both sides have the same loss and gradients."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.draws import draws_of
from benchmarks.theirs import TWINS, batch_of, tensor_of
from benchmarks.workloads import Workload, random_examples
from zoo.errors import UserError

TOLERANCE = 1e-4
SHAKE = 0.05  # of every weight, so that zeros and symmetries of the initialisation hide nothing
CPU = torch.device("cpu")


def disagreement(preset: str, model: Any, *, batch: int = 4, seed: int = 0) -> dict[str, float]:
    """{"PHASE/loss" and "PHASE/gradient": the largest difference, as a share of the largest value}; without dropout,
    whose masks are PyTorch's own."""
    model = dataclasses.replace(model, dropout=0.0) if hasattr(model, "dropout") else model
    params, extra = jax.device_get(jax.jit(model.init)(jax.random.key(seed)))
    params = shaken(params, seed)
    tables, key = random_examples(model, batch, seed), jax.random.key(seed + 1)
    theirs = batch_of(tables, slice(None), CPU)
    found = {}
    for phase in model.phases:
        player, name = phase.player, phase.name or phase.player
        loss = lambda mine, phase=phase: phase.loss(
            {**params, phase.player: mine}, extra, tables, key, jnp.zeros((), jnp.int32)
        )
        (ours, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params[player])
        twin = TWINS[preset](model, params, extra)
        value = getattr(twin, f"{name}_loss")(theirs, torch_draws(preset, model, name, key, batch))
        value.backward()
        found[f"{name}/loss"] = difference([float(ours)], [value.item()])
        # A twin is linear in the weights it is made of: made of our gradient, it holds it in PyTorch's layout.
        expected = TWINS[preset](model, {**params, player: jax.device_get(gradient)}, extra).modules[player]
        pairs = zip(expected.parameters(), twin.modules[player].parameters(), strict=True)
        leaves = [(mine.detach(), gradient_of(its)) for mine, its in pairs if its.requires_grad]
        found[f"{name}/gradient"] = difference(
            torch.cat([mine.ravel() for mine, _ in leaves]), torch.cat([its.ravel() for _, its in leaves])
        )
    return found


def shaken(params: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf + SHAKE * rng.normal(size=leaf.shape).astype(leaf.dtype), params)


def torch_draws(preset: str, model: Any, phase: str, key: jax.Array, n: int) -> dict[str, Any]:
    """What our loss draws in the phase, as the twin wants it."""
    return jax.tree.map(lambda leaf: tensor_of(leaf, CPU), draws_of(preset, model, phase, key, n))


def gradient_of(leaf: torch.Tensor) -> torch.Tensor:
    """Zeros where the loss does not reach."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


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
