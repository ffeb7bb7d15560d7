"""Which class is meant, by its number or by its name."""

from typing import Any

from sample.options import Options
from zoo.errors import UserError


def label_of(run: Any, options: Options) -> int | None:
    """The number of the class that --label says; None where it says nothing. UserError where the model has none, or not
    this one."""
    if options.label is None:
        return None
    names, count = run.data.get("labels", ()), getattr(run.model, "classes", 0)
    if str(options.label) in names:
        return names.index(str(options.label))
    if isinstance(options.label, int) and 0 <= options.label < count:
        return options.label
    known = f"knows classes 0 to {count - 1}" + (f": {', '.join(names)}" if names else "")
    raise UserError(f"--label {options.label}: {run.config.name} {known}")
