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
from benchmarks.workloads import Workload, random_examples
from zoo.errors import UserError
from zoo.model import Phase

TOLERANCE = 1e-4
ROUNDING = 1e-5  # relative change of the weights that does at least what a deep network's rounding does
CPU = torch.device("cpu")

Answer = tuple[np.ndarray, np.ndarray]
"""A phase's loss, and its player's gradient in PyTorch's order."""


class Question:
    """Weights, data and noise, the same ones for both sides; without dropout, whose masks are PyTorch's own."""

    def __init__(self, preset: str, model: Any, *, batch: int = 4, seed: int = 0, shake: float = 0.0):
        self.model = dataclasses.replace(model, dropout=0.0) if hasattr(model, "dropout") else model
        self.twin, self.preset = TWINS[preset], preset
        params, self.extra = jax.device_get(jax.jit(self.model.init)(jax.random.key(seed)))
        self.params = shaken(params, shake)
        self.tables, self.key = random_examples(self.model, batch, seed), jax.random.key(seed + 1)
        self.batch = batch

    def phases(self) -> Iterator[tuple[str, Phase]]:
        return ((phase.name or phase.player, phase) for phase in self.model.phases)

    def ours(self, phase: Phase) -> Answer:
        player = phase.player
        loss = lambda mine: phase.loss(
            {**self.params, player: mine}, self.extra, self.tables, self.key, jnp.zeros((), jnp.int32)
        )
        (value, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(self.params[player])
        # A twin is linear in the weights it is made of: made of our gradient, it holds it in PyTorch's layout.
        twin = self.twin(self.model, {**self.params, player: jax.device_get(gradient)}, self.extra)
        leaves = [leaf.detach() for leaf in twin.modules[player].parameters() if leaf.requires_grad]
        return np.array([float(value)]), flat(leaves)

    def theirs(self, name: str, phase: Phase, params: Any) -> Answer:
        twin = self.twin(self.model, params, self.extra)
        draws = draws_of(self.preset, self.model, name, self.key, self.batch)
        draws = jax.tree.map(lambda leaf: tensor_of(leaf, CPU), draws)
        value = getattr(twin, f"{name}_loss")(batch_of(self.tables, slice(None), CPU), draws)
        value.backward()
        leaves = [leaf for leaf in twin.modules[phase.player].parameters() if leaf.requires_grad]
        return np.array([value.item()]), flat([torch.zeros_like(x) if x.grad is None else x.grad for x in leaves])


def flat(leaves: list[torch.Tensor]) -> np.ndarray:
    return torch.cat([leaf.ravel() for leaf in leaves]).numpy()


def shaken(params: Any, scale: float, *, relative: bool = False) -> Any:
    """Normal noise added to every weight, as large as ``scale``, or as ``scale`` of the weight."""
    rng = np.random.default_rng(0)
    noise = lambda leaf: (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype)
    return jax.tree.map(lambda leaf: leaf + noise(leaf) * (leaf if relative else 1), params)


def disagreement(preset: str, model: Any, *, shake: float = 0.0) -> dict[str, float]:
    """{"PHASE/loss" and "PHASE/gradient": the largest difference of the two sides, as a share of the largest value}.
    ``shake`` is what the weights are moved by, away from zeros and symmetries of the initialisation."""
    asked = Question(preset, model, shake=shake)
    pairs = {name: (asked.ours(phase), asked.theirs(name, phase, asked.params)) for name, phase in asked.phases()}
    return differences(pairs)


def unsteadiness(preset: str, model: Any) -> dict[str, float]:
    """The same of PyTorch's side and itself with weights that are changed by ``ROUNDING`` of theirs. Where a network
    has millions of kinks, rounding puts some units on their other side, and single weights' gradients move by more
    than any operation's error."""
    asked = Question(preset, model)
    moved = shaken(asked.params, ROUNDING, relative=True)
    return differences(
        {
            name: tuple(asked.theirs(name, phase, params) for params in (moved, asked.params))
            for name, phase in asked.phases()
        }
    )


def differences(pairs: dict[str, Any]) -> dict[str, float]:
    return {
        f"{name}/{what}": difference(a, b)
        for name, (left, right) in pairs.items()
        for what, a, b in zip(("loss", "gradient"), left, right, strict=True)
    }


def difference(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def check(workload: Workload) -> None:
    """UserError where the two sides are not the same model: where they differ by more than ``TOLERANCE``, and by more
    than rounding explains."""
    preset, model = workload.preset, workload.model("cpu")
    far = {name: value for name, value in disagreement(preset, model).items() if not value <= TOLERANCE}
    rounding = unsteadiness(preset, model) if far else {}
    for name, value in far.items():
        if not value <= rounding[name]:
            raise UserError(
                f"{workload.name}: {name} differs from PyTorch's by {value:.1e}, more than {TOLERANCE:.0e} and than "
                f"the {rounding[name]:.1e} that rounding explains"
            )


if __name__ == "__main__":
    import sys

    from benchmarks.workloads import find

    try:
        check(find(sys.argv[1], sys.argv[2]))  # type: ignore[arg-type]
    except UserError as error:
        sys.exit(str(error))
