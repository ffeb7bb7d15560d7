"""Before anything is timed: with the same weights, data and noise, both sides have the same loss and gradients."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.draws import draws_of
from benchmarks.theirs import TWINS, batch_of, tensor_of
from benchmarks.workloads import Workload, fresh, random_examples
from train.flags import compiler_options
from zoo.errors import UserError
from zoo.model import Phase

TOLERANCE = 1e-4
EXACT = 1e-6  # in float64; PyTorch layers are made in float32, so that their copies are exact to 1e-7
CPU = torch.device("cpu")

Answer = tuple[np.ndarray, np.ndarray]
"""A phase's loss, and its player's gradient in PyTorch's order."""


class Question:
    """Weights, data and noise, the same ones for both sides; without dropout, whose masks are PyTorch's own."""

    def __init__(self, preset: str, model: Any, *, batch: int = 4, seed: int = 0, shake: float = 0.0):
        self.model = dataclasses.replace(model, **{name: 0.0 for name in vars(model) if name.endswith("dropout")})
        self.twin, self.preset, self.batch = TWINS[preset], preset, batch
        params, extra = jax.device_get(fresh(self.model, seed))
        dtype = np.dtype(model.dtype)
        self.params, self.extra = as_floats(shaken(params, shake), dtype), as_floats(extra, dtype)
        self.tables = as_floats(random_examples(self.model, batch, seed), dtype)
        self.key = jax.random.key(seed + 1)

    def phases(self) -> Iterator[tuple[str, Phase]]:
        return ((phase.name or phase.player, phase) for phase in self.model.phases)

    def ours(self, phase: Phase) -> Answer:
        player = phase.player
        loss = lambda mine: phase.loss(
            {**self.params, player: mine}, self.extra, self.tables, self.key, jnp.zeros((), jnp.int32)
        )
        once = compiler_options(jax.default_backend(), once=True)
        slope = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=once)
        (value, _), gradient = slope(self.params[player])
        # A twin is linear in the weights it is made of: made of our gradient, it holds it in PyTorch's layout.
        leaves = self.weights(self.made({**self.params, player: jax.device_get(gradient)}), player)
        return np.array([float(value)]), flat([leaf.detach() for leaf in leaves])

    def theirs(self, name: str, phase: Phase) -> Answer:
        twin = self.made(self.params)
        draws = draws_of(self.preset, self.model, name, self.key, self.batch)
        draws = jax.tree.map(lambda leaf: tensor_of(leaf, CPU), as_floats(draws, np.dtype(self.model.dtype)))
        value = getattr(twin, f"{name}_loss")(batch_of(self.tables, slice(None), CPU), draws)
        value.backward()
        leaves = self.weights(twin, phase.player)
        return np.array([value.item()]), flat([torch.zeros_like(x) if x.grad is None else x.grad for x in leaves])

    def made(self, params: Any) -> Any:
        """The twin of these weights, in the model's precision."""
        twin = self.twin(self.model, params, self.extra)
        for module in twin.modules.values():
            module.to(tensor_of(np.zeros(1, self.model.dtype), CPU).dtype)
        return twin

    def weights(self, twin: Any, player: str) -> list[torch.Tensor]:
        return [leaf for leaf in twin.modules[player].parameters() if leaf.requires_grad]


def as_floats(tree: Any, dtype: np.dtype) -> Any:
    """The tree's floating-point leaves in this precision."""
    wide = lambda leaf: np.asarray(leaf).astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf
    return jax.tree.map(wide, tree)


def flat(leaves: list[torch.Tensor]) -> np.ndarray:
    return torch.cat([leaf.ravel() for leaf in leaves]).numpy()


def shaken(params: Any, scale: float) -> Any:
    """Normal noise of this size added to every weight."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: leaf + (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype), params)


def disagreement(preset: str, model: Any, *, shake: float = 0.0) -> dict[str, float]:
    """{"PHASE/loss" and "PHASE/gradient": the largest difference of the two sides, as a share of the largest value}.
    ``shake`` is what the weights are moved by, away from zeros and symmetries of the initialisation."""
    asked, found = Question(preset, model, shake=shake), {}
    for name, phase in asked.phases():
        for what, ours, theirs in zip(("loss", "gradient"), asked.ours(phase), asked.theirs(name, phase), strict=True):
            found[f"{name}/{what}"] = difference(ours, theirs)
    return found


def difference(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def check(workload: Workload) -> None:
    """UserError where the two sides are not the same model.

    In float32 they may differ by ``TOLERANCE``. A network with millions of kinks can differ by more, and still be the
    same: rounding puts some units on their other side. Such a one is asked again in float64, and has to agree there by
    ``EXACT``, which nothing but the same function does.
    """
    preset, model = workload.preset, workload.model("cpu")
    if not all(value <= TOLERANCE for value in disagreement(preset, model).values()):
        with jax.enable_x64(True):
            found = disagreement(preset, dataclasses.replace(model, dtype="float64"))
        for name, value in found.items():
            if not value <= EXACT:
                raise UserError(
                    f"{workload.name}: {name} differs from PyTorch's by {value:.1e} in float64, more than {EXACT:.0e}"
                )


if __name__ == "__main__":
    import sys

    from benchmarks.workloads import find

    try:
        check(find(sys.argv[1], sys.argv[2]))  # type: ignore[arg-type]
    except UserError as error:
        sys.exit(str(error))
