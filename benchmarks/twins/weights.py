"""From our parameter trees to PyTorch layers: kernels are [in, out] and [K, K, in, out] here, the reverse there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Tree = Mapping[str, Any]


def tensor(leaf: Any) -> Tensor:
    return torch.tensor(np.asarray(leaf))


def pictures(leaf: Any) -> Tensor:
    """[N, H, W, C] as [N, C, H, W]."""
    return tensor(leaf).permute(0, 3, 1, 2).contiguous()


def layers_of(tree: Tree, kind: str) -> list[Tree]:
    """The layers KIND_0, KIND_1, ... of a network."""
    return [tree[f"{kind}_{n}"] for n in range(sum(name.startswith(f"{kind}_") for name in tree))]


def wide(x: Tensor) -> Tensor:
    """x in float32 at least, as losses and pictures are formed whatever the compute dtype."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def bias(layer: Any, tree: Tree) -> None:
    if "bias" in tree:
        layer.bias.data.copy_(tensor(tree["bias"]))


def dense(tree: Tree) -> nn.Linear:
    layer = nn.Linear(*tree["kernel"].shape, bias="bias" in tree)
    layer.weight.data.copy_(tensor(tree["kernel"]).T)
    bias(layer, tree)
    return layer


def chw(leaf: Any, channels: int, *, axis: int = -1) -> np.ndarray:
    """A leaf one of whose axes is a picture of 4 x 4 pixels, [H, W, C] in our layout: as [C, H, W]."""
    leaf = np.asarray(leaf)
    at = axis % leaf.ndim
    split = leaf.reshape(*leaf.shape[:at], 4, 4, channels, *leaf.shape[at + 1 :])
    return np.moveaxis(split, at + 2, at).reshape(leaf.shape)


def conv(tree: Tree, *, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    side, _, inner, outer = tree["kernel"].shape
    layer = nn.Conv2d(inner, outer, side, stride, padding, bias="bias" in tree)
    layer.weight.data.copy_(tensor(tree["kernel"]).permute(3, 2, 0, 1))
    bias(layer, tree)
    return layer


def transpose(tree: Tree, *, stride: int = 2, padding: int = 1, more: int = 0) -> nn.ConvTranspose2d:
    """``more``: rows and columns at the end of what a kernel of odd size doubles."""
    side, _, inner, outer = tree["kernel"].shape
    layer = nn.ConvTranspose2d(inner, outer, side, stride, padding, more, bias="bias" in tree)
    layer.weight.data.copy_(tensor(tree["kernel"]).permute(2, 3, 0, 1))
    bias(layer, tree)
    return layer


def norm(tree: Tree, stats: Tree, *, momentum: float = 0.1) -> nn.BatchNorm2d:
    """``momentum`` is one minus flax's."""
    layer = nn.BatchNorm2d(tree["scale"].shape[0], momentum=momentum)
    layer.weight.data.copy_(tensor(tree["scale"]))
    layer.bias.data.copy_(tensor(tree["bias"]))
    layer.running_mean.copy_(tensor(stats["mean"]))  # type: ignore[union-attr]
    layer.running_var.copy_(tensor(stats["var"]))  # type: ignore[union-attr]
    return layer


def layer_norm(tree: Tree, *, epsilon: float) -> nn.LayerNorm:
    layer = nn.LayerNorm(tree["scale"].shape[0], eps=epsilon)
    layer.weight.data.copy_(tensor(tree["scale"]))
    layer.bias.data.copy_(tensor(tree["bias"]))
    return layer


def embedding(leaf: Any) -> nn.Embedding:
    return nn.Embedding.from_pretrained(tensor(leaf), freeze=False)
