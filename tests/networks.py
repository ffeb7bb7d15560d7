"""Networks that see, as files hold them."""

import numpy as np


def squeezenet_arrays(rng, width=2):
    """Random weights by Caffe's names, few channels."""
    arrays, channels = {"conv1.w": rng.normal(0, 0.1, (4, 3, 7, 7)), "conv1.b": rng.normal(size=4)}, 4
    for number in range(2, 10):
        for name, side, into in (("squeeze1x1", 1, channels), ("expand1x1", 1, width), ("expand3x3", 3, width)):
            arrays[f"fire{number}.{name}.w"] = rng.normal(0, 0.5, (width, into, side, side))
            arrays[f"fire{number}.{name}.b"] = rng.uniform(0.1, 1, width)  # some of it must be seen
        channels = 2 * width
    arrays |= {"conv10.w": rng.normal(size=(5, channels, 1, 1)), "conv10.b": rng.normal(size=5)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}
