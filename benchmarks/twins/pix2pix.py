"""pix2pix in PyTorch: a U-Net against a critic of patches."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.translators import SLOPE, Norm, PatchCritic, moved, moves, remember
from benchmarks.twins.weights import Tree, conv, layers_of, pictures, transpose, wide


class UNet(nn.Module):
    """Pictures [B, C, H, W] -> pictures in [-1, 1]. Its dropout is its noise, in use too."""

    def __init__(self, tree: Tree, rate: float, *, grouped: bool):
        super().__init__()
        self.downs = nn.ModuleList(conv(one, stride=2, padding=1) for one in layers_of(tree, "Conv"))
        self.ups = nn.ModuleList(transpose(one) for one in layers_of(tree, "ConvTranspose"))
        self.norms = nn.ModuleList(Norm(one, grouped=grouped) for one in layers_of(tree, "InstanceNorm"))
        self.rate, self.noisy = rate, max(min(len(self.downs) - 5, 3), 1)

    def forward(self, x: Tensor) -> Tensor:
        norms, seen, last = iter(self.norms), [], len(self.downs) - 1
        for level, down in enumerate(self.downs):
            x = down(F.leaky_relu(x, SLOPE) if level else x)
            x = next(norms)(x) if 0 < level < last else x
            seen.append(x)
        x = seen.pop()
        for depth, up in enumerate(self.ups[:-1]):
            x = next(norms)(up(F.relu(x, inplace=True)))
            if depth < self.noisy:
                x = F.dropout(x, self.rate)
            x = torch.cat([x, seen.pop()], 1)
        return torch.tanh(wide(self.ups[-1](F.relu(x, inplace=True))))


class Pix2Pix:
    """Logistic losses and the mean absolute difference, of pairs that are moved."""

    compiles = ("critic_loss", "generator_loss")

    def __init__(self, model: Any, params: Tree, extra: Tree, *, grouped: bool = False):
        asked = model.loss, model.conditional, model.jitter, model.critic_steps
        if asked != ("nonsaturating", True, True, 1) or (model.r1, model.r2, model.gradient_penalty) != (None,) * 3:
            raise ValueError(f"the twin is plain pix2pix, not {asked}, and has no penalty")
        self.model, self.moves = model, {}
        critic = PatchCritic(params["critic"], grouped=grouped)
        critic.register_buffer("shown", pictures(extra["shown"]))
        self.modules = {"generator": UNet(params["generator"], model.dropout, grouped=grouped), "critic": critic}

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        """Both phases of a step move its pairs alike."""
        if phase == "critic":
            self.moves = moves(batch, self.model.image_size, device)
        return self.moves

    def pairs(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        source, image = batch["input"], batch["image"]
        both = moved(torch.cat([source, image], 1), draws)
        return both[:, : source.shape[1]], both[:, source.shape[1] :]

    def critic_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """Nothing mixes the pictures of a batch: data and samples go through the critic at once."""
        source, image = self.pairs(batch, draws)
        with torch.no_grad():
            fake = self.modules["generator"](source)
            remember(self.modules["critic"].shown, source)
        pairs = torch.cat([torch.cat([source, image], 1), torch.cat([source, fake], 1)])
        on_real, on_fake = self.modules["critic"](pairs).chunk(2)
        return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()

    def generator_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        source, image = self.pairs(batch, draws)
        fake = self.modules["generator"](source)
        deceit = F.softplus(-self.modules["critic"](torch.cat([source, fake], 1))).mean()
        return self.model.gan * deceit + self.model.l1 * F.l1_loss(fake, image)

    def sample(self, n: int, device: torch.device) -> Tensor:
        """Translations of the newest pictures."""
        shown = self.modules["critic"].shown
        return self.modules["generator"](shown[torch.arange(n, device=device) % len(shown)])
