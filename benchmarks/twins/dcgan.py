"""DCGAN in PyTorch: the layers of `zoo.gan.dcgan` in PyTorch's layout."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import bias, conv, norm, transpose


def generator(tree: Mapping[str, Any], stats: Mapping[str, Any]) -> nn.Sequential:
    """latent [B, Z] -> image [B, C, H, W]."""
    ups = [transpose(tree[name]) for name in sorted(tree, key=number) if name.startswith("ConvTranspose")]
    first = nn.Linear(*np.shape(tree["Dense_0"]["kernel"]), bias=False)
    side, channels = 4, ups[0].in_channels
    kernel = np.asarray(tree["Dense_0"]["kernel"]).reshape(-1, side, side, channels)  # ours comes out as [H, W, C]
    first.weight.data.copy_(torch.from_numpy(kernel.transpose(3, 1, 2, 0).reshape(-1, kernel.shape[0]).copy()))
    layers: list[nn.Module] = [first, nn.Unflatten(1, (channels, side, side))]
    for index, up in enumerate(ups):
        name = f"BatchNorm_{index}"
        layers += [norm(tree[name], stats[name]), nn.ReLU(inplace=True), up]
    return nn.Sequential(*layers, nn.Tanh())


def critic(tree: Mapping[str, Any], stats: Mapping[str, Any]) -> nn.Sequential:
    """image [B, C, H, W] -> logits [B]."""
    convs = [conv(tree[name], stride=2, padding=1) for name in sorted(tree, key=number) if name.startswith("Conv_")]
    layers: list[nn.Module] = [convs[0], nn.LeakyReLU(0.2, inplace=True)]
    for index, down in enumerate(convs[1:]):
        name = f"BatchNorm_{index}"
        layers += [down, norm(tree[name], stats[name]), nn.LeakyReLU(0.2, inplace=True)]
    last = nn.Conv2d(convs[-1].out_channels, 1, 4)
    kernel = np.asarray(tree["Dense_0"]["kernel"]).reshape(4, 4, -1, 1)
    last.weight.data.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
    bias(last, tree["Dense_0"])
    return nn.Sequential(*layers, last, nn.Flatten(0))


def number(name: str) -> tuple[str, int]:
    head, _, tail = name.rpartition("_")
    return head, int(tail)


class DCGAN:
    """The phases of a training step, and sampling. ``noise`` is what our loss draws from its key."""

    players = ("critic", "generator")
    images = True

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        self.latent_size = model.latent_size
        self.modules = {
            "critic": critic(params["critic"], extra["critic"]),
            "generator": generator(params["generator"], extra["generator"]),
        }

    def noise(self, batch: int, device: torch.device) -> Tensor:
        """A phase's latents [B, Z]."""
        return torch.randn(batch, self.latent_size, device=device)

    def critic_loss(self, batch: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        with torch.no_grad():
            fake = self.modules["generator"](noise)
        on_real, on_fake = self.modules["critic"](batch["image"]), self.modules["critic"](fake)
        return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()

    def generator_loss(self, batch: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        del batch
        return F.softplus(-self.modules["critic"](self.modules["generator"](noise))).mean()

    def sample(self, n: int, device: torch.device) -> Tensor:
        return self.modules["generator"](self.noise(n, device))
