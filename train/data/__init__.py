"""Where examples come from.

`source.open_source(spec, split)` gives a `Source`: examples by index. `loader.Loader` gives `batch(step)`, a pure
function of (seed, step, process), so that the data cursor is the step. `python -m train.data` shows what a spec holds
and writes it as a TensorFlow Datasets set.
"""
