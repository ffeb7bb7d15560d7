"""WGAN-GP's residual networks in PyTorch, and a penalty by differentiating twice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import chw, conv, dense, norm, wide

Tree = Mapping[str, Any]


class UpBlock(nn.Module):
    """[B, C, H, W] -> [B, features, 2 H, 2 W]."""

    def __init__(self, tree: Tree, stats: Tree):
        super().__init__()
        names = ("Norm_0", "Norm_1")
        self.norms = nn.ModuleList(norm(tree[name]["BatchNorm_0"], stats[name]["BatchNorm_0"]) for name in names)
        self.first, self.second = (conv(tree[name], padding=1) for name in ("Conv_0", "Conv_1"))
        self.skip = conv(tree["skip"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(enlarged(F.relu(self.norms[0](x))))
        return self.second(F.relu(self.norms[1](y))) + enlarged(self.skip(x))


class DownBlock(nn.Module):
    """[B, C, H, W] -> [B, features, H / 2, W / 2]. ``first``: x is a picture, which no ReLU may cut."""

    def __init__(self, tree: Tree, first: bool):
        super().__init__()
        self.starts = first
        self.first, self.second = (conv(tree[name], padding=1) for name in ("Conv_0", "Conv_1"))
        self.skip = conv(tree["skip"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x if self.starts else F.relu(x))))
        return F.avg_pool2d(y, 2) + self.skip(F.avg_pool2d(x, 2))


class Generator(nn.Module):
    """Latents [B, Z] -> pictures [B, C, H, W] in [-1, 1]."""

    def __init__(self, tree: Tree, stats: Tree):
        super().__init__()
        blocks = sum(name.startswith("UpBlock") for name in tree)
        self.blocks = nn.ModuleList(UpBlock(tree[f"UpBlock_{n}"], stats[f"UpBlock_{n}"]) for n in range(blocks))
        self.channels = np.shape(tree["UpBlock_0"]["skip"]["kernel"])[2]
        self.start = dense({name: chw(leaf, self.channels) for name, leaf in tree["Dense_0"].items()})
        self.norm, self.last = norm(tree["BatchNorm_0"], stats["BatchNorm_0"]), conv(tree["Conv_0"], padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.start(latent).view(-1, self.channels, 4, 4)
        for block in self.blocks:
            x = block(x)
        return torch.tanh(wide(self.last(F.relu(self.norm(x)))))


class Critic(nn.Module):
    """Pictures [B, C, H, W] -> logits [B]."""

    def __init__(self, tree: Tree):
        super().__init__()
        blocks = sum(name.startswith("DownBlock") for name in tree)
        self.blocks = nn.ModuleList(DownBlock(tree[f"DownBlock_{n}"], first=n == 0) for n in range(blocks))
        self.last = dense(tree["Dense_0"])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return wide(self.last(wide(F.relu(x)).sum((2, 3)))[:, 0])


def enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class WGAN:
    """With the residual generator, an unnormalised critic, and the penalty as a part of every critic's step."""

    compiles = ("imagine", "distance", "generator_loss")

    def __init__(self, model: Any, params: Tree, extra: Tree):
        asked = model.network, model.critic_norm, model.loss, model.penalty_every, model.r1, model.r2
        if asked != ("residual", "none", "wasserstein", 1, None, None):
            raise ValueError(f"the twin is plain WGAN-GP, not {asked}")
        self.latent_size, self.weight = model.latent_size, model.gradient_penalty
        self.modules = {
            "generator": Generator(params["generator"], extra["generator"]),
            "critic": Critic(params["critic"]),
        }

    def latents(self, n: int, device: torch.device) -> Tensor:
        return torch.randn(n, self.latent_size, device=device)

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        """Latents, and where between data and samples the critic's slope is looked at, [B, 1, 1, 1]."""
        found = {"latent": self.latents(batch, device)}
        return found | {"share": torch.rand(batch, 1, 1, 1, device=device)} if phase == "critic" else found

    def critic_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        real, fake = batch["image"], self.imagine(draws["latent"]).clone()  # CUDA graphs write over what they gave
        return self.distance(real, fake) + self.weight * self.penalty(real, fake, draws["share"])

    def imagine(self, latent: Tensor) -> Tensor:
        with torch.no_grad():
            return self.modules["generator"](latent)

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        """Nothing mixes the pictures of a batch: both go through the critic at once."""
        on_real, on_fake = self.modules["critic"](torch.cat([real, fake])).chunk(2)
        return on_fake.mean() - on_real.mean()

    def penalty(self, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
        between = (share * real + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(self.modules["critic"](between).sum(), between, create_graph=True)
        squared = wide(slope).square().flatten(1).sum(1)
        return (squared.clamp(min=1e-12).sqrt() - 1).square().mean()

    def generator_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        del batch
        return -self.modules["critic"](self.modules["generator"](draws["latent"])).mean()

    def sample(self, n: int, device: torch.device) -> Tensor:
        return self.modules["generator"](self.latents(n, device))
