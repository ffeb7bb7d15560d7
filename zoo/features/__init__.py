"""Networks that see: pictures to features, with weights that a user has in a file. Nothing is downloaded."""

from pathlib import Path
from typing import Any, Protocol

from zoo.errors import UserError
from zoo.features.squeezenet import SqueezeNet
from zoo.features.vgg import VGG
from zoo.model import Array
from zoo.pretrained.arrays import read_arrays


class FeatureNetwork(Protocol):
    """A frozen dataclass: hashable, static under ``jit``."""

    @property
    def names(self) -> tuple[str, ...]:
        """The layers that it can show, from the first to the last."""
        ...

    def __call__(self, params: Any, images: Array, names: tuple[str, ...] | None = None) -> dict[str, Array]:
        """Images [B, H, W, 3] in [-1, 1] -> {layer: its activations [B, h, w, C], after the ReLU}; of all layers, or of
        those that are named, and nothing behind the last of them is computed."""
        ...


def load_features(path: str | Path) -> tuple[FeatureNetwork, Any]:
    """(network, params) of a file:

    - SqueezeNet 1.0 by Caffe's names: ``conv1.w`` [out, in, h, w], ``conv1.b``, ``fire2.squeeze1x1.w`` ...;
    - VGG-11, 13, 16 or 19 (without batch norm) by torchvision's: ``features.0.weight`` ...

    as ``.npz``, ``.safetensors``, or as PyTorch saves them. UserError for anything else.
    """
    file = Path(path).expanduser()
    arrays = read_arrays(file)
    for network in (SqueezeNet, VGG):
        if network.FIRST in arrays:
            return network.read(file, arrays)
    raise UserError(f"{file}: its arrays, {', '.join(list(arrays)[:3])}, are those of no SqueezeNet and no VGG")


__all__ = ["VGG", "FeatureNetwork", "SqueezeNet", "load_features"]
