"""Who met a NaN. A single run that did ends there; a member of a population is frozen, and the others go on."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.model import Model

ADVICE = "try a lower --optim.learning-rate or --optim.clip 1"


class Health:
    """The members of a run that live, and those that do not."""

    def __init__(self, model: Model, members: int | None, failed: Any):
        """failed: int32 [] or [N], of the state that the run begins with: -1, or the phase at which a member froze."""
        self._phases = [phase.name or phase.player for phase in model.phases]
        self._members = members
        self.frozen = {int(member) for member in np.flatnonzero(np.atleast_1d(np.asarray(failed)) >= 0)}

    @property
    def first_alive(self) -> int:
        return min(set(range(self._members or 1)) - self.frozen)

    def check(self, begin: int, failed: np.ndarray) -> Iterator[str]:
        """Lines about members that froze in the dispatch that began at step ``begin``.

        failed: int32 [K] or [N, K], the phase that met a NaN or Inf, or -1. Raises UserError where nobody is left.
        """
        failed = np.atleast_2d(failed)
        for member in np.flatnonzero(failed.max(1) >= 0):
            if member in self.frozen:
                continue
            self.frozen.add(int(member))
            at = int(np.argmax(failed[member] >= 0))
            where = f"step {begin + at + 1}, phase {self._phases[failed[member, at]]}"
            if self._members is None:
                raise UserError(f"NaN or Inf in a loss or gradient at {where}")
            yield f"member {member} met a NaN or Inf at {where}: it is frozen, the others go on"
        if len(self.frozen) == self._members:
            raise UserError("every member of the population met a NaN or Inf")
