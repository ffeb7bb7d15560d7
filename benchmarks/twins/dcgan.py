"""DCGAN in PyTorch: the layers of `zoo.gan.dcgan` in PyTorch's layout."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import bias, chw, conv, dense, norm, transpose


def generator(tree: Mapping[str, Any], stats: Mapping[str, Any]) -> nn.Sequential:
    """latent [B, Z] -> image [B, C, H, W]."""
    ups = [transpose(tree[name]) for name in sorted(tree, key=number) if name.startswith("ConvTranspose")]
    channels = ups[0].in_channels
    first = dense({"kernel": chw(tree["Dense_0"]["kernel"], channels)})
    layers: list[nn.Module] = [first, nn.Unflatten(1, (channels, 4, 4))]
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
    """The losses of a training step, and sampling."""

    compiles = ("critic_loss", "generator_loss")

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        self.latent_size = model.latent_size
        self.modules = {
            "critic": critic(params["critic"], extra["critic"]),
            "generator": generator(params["generator"], extra["generator"]),
        }

    def latents(self, n: int, device: torch.device) -> Tensor:
        return torch.randn(n, self.latent_size, device=device)

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {"latent": self.latents(batch, device)}

    def critic_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            fake = self.modules["generator"](draws["latent"])
        on_real, on_fake = self.modules["critic"](batch["image"]), self.modules["critic"](fake)
        return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()

    def generator_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        del batch
        return F.softplus(-self.modules["critic"](self.modules["generator"](draws["latent"]))).mean()

    def sample(self, n: int, device: torch.device) -> Tensor:
        return self.modules["generator"](self.latents(n, device))
