"""Fast style in PyTorch: the network, and the look that random filters see at several sizes of a picture."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.translators import Norm, remember
from benchmarks.twins.weights import Tree, conv, layers_of, pictures, tensor, transpose, wide
from zoo.style.fast import RANGE
from zoo.style.look import SMALLEST, TINY

EPSILON = 1e-3  # of the norms


class Stylist(nn.Module):
    """Pictures [B, C, H, W] in [-1, 1] -> the same, slightly beyond."""

    def __init__(self, tree: Tree, *, grouped: bool):
        super().__init__()
        first, *inner, last = layers_of(tree, "Conv")
        self.first, self.last = conv(first, padding=4), conv(last, padding=4)
        self.downs = nn.ModuleList(conv(one, stride=2) for one in inner[:2])
        self.blocks = nn.ModuleList(conv(one, padding=1) for one in inner[2:])
        self.ups = nn.ModuleList(transpose(one, padding=0) for one in layers_of(tree, "ConvTranspose"))
        norms = layers_of(tree, "InstanceNorm")
        self.norms = nn.ModuleList(Norm(one, grouped=grouped, epsilon=EPSILON) for one in norms)

    def forward(self, x: Tensor) -> Tensor:
        norm = iter(self.norms)
        x = F.relu(next(norm)(self.first((x + 1) * 127.5)), inplace=True)
        for down in self.downs:
            x = F.relu(next(norm)(down(F.pad(x, (0, 1, 0, 1)))), inplace=True)
        for one, two in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            y = F.relu(next(norm)(one(x)), inplace=True)
            x = x + next(norm)(two(y))
        for up in self.ups:
            x = F.relu(next(norm)(up(x)[:, :, :-1, :-1]), inplace=True)
        return torch.tanh(wide(next(norm)(self.last(x)))) * (RANGE / 127.5)


class Look(nn.Module):
    """Pictures [B, C, H, W] -> (features that tell a look, features that tell what is shown), [B, C, h, w] each."""

    def __init__(self, filters: Tree, octaves: int, coarse: int):
        super().__init__()
        self.octaves, self.coarse, self.names = octaves, coarse, sorted(filters)
        for name in self.names:
            self.register_buffer(name, tensor(filters[name]).permute(3, 2, 0, 1).contiguous())
        taps = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("taps", torch.outer(taps, taps).expand(3, 1, 3, 3).contiguous())

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        sizes = [self.seen(x)]
        while len(sizes) < self.octaves and min(x.shape[2:]) >= 2 * SMALLEST:
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.taps.to(x.dtype), groups=3)
            x = F.avg_pool2d(x, 2)
            sizes.append(self.seen(x))
        coarse = min(self.coarse, len(sizes) - 1)
        return [one for seen in sizes for one in seen.values()], [seen["filters5"] for seen in sizes[coarse:]]

    def seen(self, x: Tensor) -> dict[str, Tensor]:
        found = {}
        for name in self.names:
            kernel = getattr(self, name)
            found[name] = F.relu(F.conv2d(F.pad(x, 4 * [kernel.shape[-1] // 2], mode="reflect"), kernel.to(x.dtype)))
        return {**found, "colours": x}


def grams(features: list[Tensor], usual: list[Tensor]) -> list[Tensor]:
    """Features [B, C, h, w] each -> [B, C, C] each."""
    found = []
    for x, own in zip(features, usual, strict=True):
        apart = x.flatten(2) - own[:, :, None].to(x.dtype)
        found.append(wide(apart @ apart.transpose(1, 2)) / (apart.shape[2] * apart.shape[1]))
    return found


def unlike(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """The mean over layers and examples of the relative squared distance."""
    share = lambda a, b: (wide(a) - wide(b)).square().flatten(1).sum(1) / (wide(b).square().flatten(1).sum(1) + TINY)
    return torch.stack([share(a, b) for a, b in zip(found, wanted, strict=True)]).mean()


class FastStyle:
    """Of single pictures, with random filters."""

    compiles = ("towards",)

    def __init__(self, model: Any, params: Tree, extra: Tree, *, grouped: bool = False):
        if model.features is not None or model.steady is not None:
            raise ValueError("the twin looks with random filters, at single pictures")
        self.model, self.wanted = model, None
        look, stylist = model.look, Stylist(params["stylist"], grouped=grouped)
        stylist.look = Look(params["features"], look.octaves, look.coarse)
        stylist.register_buffer("shown", pictures(extra["shown"]))
        self.modules = {"stylist": stylist}

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {}

    def stylist_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """What is wanted is measured once, of the first batch."""
        if self.wanted is None:
            self.wanted = self.measured(batch["image"])
        remember(self.modules["stylist"].shown, batch["input"])
        return self.towards(batch["input"], *self.wanted)

    def measured(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Means over the batch: of features [1, C] each, and of how often two are seen together [1, C, C] each."""
        with torch.no_grad():
            seen, _ = self.modules["stylist"].look(image)
            usual = [wide(x).mean((0, 2, 3))[None] for x in seen]
            return usual, [one.mean(0, keepdim=True) for one in grams(seen, usual)]

    def towards(self, source: Tensor, usual: list[Tensor], looks: list[Tensor]) -> Tensor:
        model, network = self.model, self.modules["stylist"]
        made = network(source)
        with torch.no_grad():
            _, shown = network.look(source)
        style, shows = network.look(made)
        rough = made.diff(dim=3).square().mean() + made.diff(dim=2).square().mean()
        return (
            model.content * unlike(shows, shown) + model.style * unlike(grams(style, usual), looks)
            + model.smooth * rough
        )  # fmt: skip
