"""What the twins of pix2pix and CycleGAN share: the norm of single pictures, the critic of patches, how pictures are
moved, and which of them are remembered."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import Tree, conv, layers_of, tensor, wide

EPSILON = 1e-5  # of the norms
SLOPE = 0.2
ENLARGED = 286 / 256  # of what a picture is cropped from again


class Norm(nn.Module):
    """Of every channel of every picture. PyTorch's own copies channels_last memory; ``grouped``, as groups of one
    channel, it does not."""

    def __init__(self, tree: Tree, *, grouped: bool, epsilon: float = EPSILON):
        super().__init__()
        self.grouped, self.epsilon = grouped, epsilon
        self.weight = nn.Parameter(tensor(tree["scale"])) if "scale" in tree else None
        self.bias = nn.Parameter(tensor(tree["bias"])) if "bias" in tree else None

    def forward(self, x: Tensor) -> Tensor:
        if self.grouped:
            return F.group_norm(x, x.shape[1], self.weight, self.bias, self.epsilon).to(x.dtype)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.epsilon)


class PatchCritic(nn.Module):
    """Pictures [B, C, H, W] -> logits [B, P] of their patches."""

    def __init__(self, tree: Tree, *, grouped: bool):
        super().__init__()
        first, *others, last = layers_of(tree, "Conv")
        self.first, self.last = conv(first, stride=2, padding=1), conv(last, padding=1)
        strides = [2] * (len(others) - 1) + [1]
        self.convs = nn.ModuleList(conv(one, stride=by, padding=1) for one, by in zip(others, strides, strict=True))
        norms = layers_of(tree, "InstanceNorm") or [{}] * len(others)  # without gains and biases they have no weights
        self.norms = nn.ModuleList(Norm(one, grouped=grouped) for one in norms)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), SLOPE, inplace=True)
        for layer, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), SLOPE, inplace=True)
        return wide(self.last(x)).flatten(1)


def moves(n: int, side: int, device: torch.device) -> dict[str, Tensor]:
    """For each of n pictures, where it is cropped from its enlargement (row and column), and whether it is mirrored."""
    return {
        "corner": torch.randint(round(side * ENLARGED) - side + 1, (n, 2), device=device),
        "flip": torch.randint(2, (n,), device=device),
    }


def moved(x: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """x [B, C, H, H] enlarged, cropped to its size again, and mirrored."""
    side = x.shape[-1]
    larger, corner = round(side * ENLARGED), draws["corner"]
    pixels = torch.arange(side, device=x.device, dtype=x.dtype)
    rows, columns = ((pixels + start + 0.5) * (2 / larger) - 1 for start in corner[:, :, None].unbind(1))
    columns = torch.where(draws["flip"][:, None] > 0, columns.flip(1), columns)
    shape = len(x), side, side
    grid = torch.stack([columns[:, None].expand(shape), rows[:, :, None].expand(shape)], dim=-1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def remember(kept: Tensor, fresh: Tensor) -> None:
    """Puts the fresh examples before those that are kept, of which the last are forgotten."""
    kept.copy_(torch.cat([fresh, kept])[: len(kept)])


def swaps(n: int, size: int) -> dict[str, Tensor]:
    """For each of n samples, whether it takes the place of one of ``size``, and of which. On the host."""
    return {"coin": torch.randint(2, (n,)), "place": torch.randint(size, (n,))}


class Pool(nn.Module):
    """A history of samples: of half of them an older one is shown, and they take its place."""

    def __init__(self, kept: Mapping[str, Any], samples: Tensor):
        super().__init__()
        self.count = int(kept["count"])
        self.register_buffer("samples", samples)

    def swapped(self, fakes: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """What is shown, [B, C, H, W]. Draws that are on the host make nobody wait for the device."""
        shown, samples = fakes.clone(), self.samples
        for at, (coin, place) in enumerate(zip(draws["coin"].tolist(), draws["place"].tolist(), strict=True)):
            if self.count < len(samples):  # type: ignore[arg-type]
                samples[self.count] = fakes[at]  # type: ignore[operator]
                self.count += 1
            elif coin:
                shown[at] = samples[place]  # type: ignore[index]
                samples[place] = fakes[at]  # type: ignore[operator]
        return shown
