"""How many steps go into one dispatch: enough that the host does not matter, few enough that people see it move."""

import time
from collections.abc import Callable
from typing import Any

import jax

from train.config import Options

DISPATCH_SECONDS = 1.0  # as many steps go into one dispatch as take about this long
FAST_STEP = 0.2  # seconds; a slower step is dispatched alone, since nothing is gained


class Pace:
    """Sizes the dispatches of one run. Only two sizes are ever compiled: one step, and a fixed number of them."""

    def __init__(self, options: Options, *, agree: Callable[[float], float]):
        """agree: makes one number of what the processes of a run measured, each for itself."""
        self._agree, self._timed = agree, 0
        self._steps, self._log_every = options.steps or 0, options.log_every
        self._cadences = (options.save_every, options.sample_every or options.save_every)
        self.size = self._bounded(options.dispatch) if options.dispatch else None
        """Steps of a full dispatch; None until they have been timed."""

    def count(self, step: int) -> int:
        """Steps of the dispatch that begins at ``step``: a full one, or one where that would pass something due."""
        size = self.size or 1
        return size if step % size == 0 and step + size <= self.horizon(step) else 1

    def horizon(self, step: int) -> int:
        """The next step at which something other than logging is due."""
        return min([self._steps, *[(step // every + 1) * every for every in self._cadences]])

    def measure(self, result: Any, began: float) -> None:
        """Times the third dispatch of one step, once: the first compiles, the second fills caches."""
        if self.size is not None:
            return
        self._timed += 1
        if self._timed >= 2:
            jax.block_until_ready(result)
        if self._timed == 3:
            self.size = self.full(self._agree(time.monotonic() - began))

    def full(self, seconds: float) -> int:
        """The divisor of the logging interval that takes about `DISPATCH_SECONDS` at ``seconds`` a step."""
        if seconds > FAST_STEP:
            return 1
        most, every = self._bounded(int(DISPATCH_SECONDS / max(seconds, 1e-9))), self._log_every
        return max(divisor for divisor in range(1, min(every, most) + 1) if every % divisor == 0)

    def _bounded(self, size: int) -> int:
        """A dispatch that is longer than a cadence would never come to be."""
        return max(1, min(size, self._steps, *self._cadences))
