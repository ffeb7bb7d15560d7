"""The VAEs in PyTorch, dense and convolutional."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.dcgan import number
from benchmarks.twins.weights import chw, conv, dense, tensor, transpose


class Encoder(nn.Module):
    """image [B, C, H, W] -> mean and log variance [B, Z]."""

    def __init__(self, tree: Mapping[str, Any]):
        super().__init__()
        convs = [conv(tree[name], stride=2, padding=1) for name in sorted(tree, key=order) if name.startswith("Conv_")]
        activation = nn.SiLU if convs else nn.ReLU
        hidden = {"kernel": flattened(tree["Dense_0"]["kernel"], convs), "bias": tree["Dense_0"]["bias"]}
        layers = [layer for one in convs for layer in (one, activation())]
        self.body = nn.Sequential(*layers, nn.Flatten(), dense(hidden), activation())
        self.mean, self.log_variance = dense(tree["mean"]), dense(tree["log_variance"])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return self.mean(x), self.log_variance(x)


def order(name: str) -> tuple[str, int]:
    return number(name) if name.rpartition("_")[2].isdecimal() else (name, 0)


def flattened(kernel: Any, convs: list[nn.Conv2d]) -> np.ndarray:
    """A dense kernel behind convolutions, whose rows are [H, W, C] there and [C, H, W] here."""
    if not convs:
        return np.asarray(kernel)  # one channel: the same order
    return chw(kernel, convs[-1].out_channels, axis=0)


def decoder(tree: Mapping[str, Any], model: Any) -> nn.Sequential:
    """z [B, Z] -> logits or means [B, C, H, W]."""
    ups = [transpose(tree[name]) for name in sorted(tree, key=order) if name.startswith("ConvTranspose")]
    if not ups:
        shape = (model.channels, model.image_size, model.image_size)
        return nn.Sequential(dense(tree["Dense_0"]), nn.ReLU(), dense(tree["Dense_1"]), nn.Unflatten(1, shape))
    first = ups[0].in_channels
    last = {name: chw(leaf, first) for name, leaf in tree["Dense_2"].items()}
    layers: list[nn.Module] = []
    for part in (tree["Dense_0"], tree["Dense_1"], last):
        layers += [dense(part), nn.SiLU()]
    layers += [nn.Unflatten(1, (first, 4, 4))]
    for up in ups[:-1]:
        layers += [up, nn.SiLU()]
    return nn.Sequential(*layers, ups[-1])


class Network(nn.Module):
    """Encoder, decoder and, for a Gaussian likelihood, the learnt deviation."""

    def __init__(self, model: Any, tree: Mapping[str, Any]):
        super().__init__()
        self.encoder, self.decoder = Encoder(tree["encoder"]), decoder(tree["decoder"], model)
        if "sigma" in tree:
            self.sigma = nn.Parameter(tensor(tree["sigma"]))


class VAE:
    """Without a flow and with grey pixels: `zoo.vae.vae` as the likelihood papers have it."""

    compiles = ("vae_loss",)
    sigma_pace = 10

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        if model.flow or model.binarize:
            raise ValueError("the twin has no flow and draws no pixels")
        self.latent_size, self.gaussian = model.latent_size, model.likelihood == "gaussian"
        self.modules = {"vae": Network(model, params["vae"])}

    def latents(self, n: int, device: torch.device) -> Tensor:
        return torch.randn(n, self.latent_size, device=device)

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {"latent": self.latents(batch, device)}

    def vae_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        network = self.modules["vae"]
        x = batch["image"] if self.gaussian else (batch["image"] + 1) / 2
        mean, log_variance = network.encoder(x)
        output = network.decoder(mean + torch.exp(log_variance / 2) * draws["latent"])
        if self.gaussian:
            log_sigma = self.sigma_pace * network.sigma
            nll = ((x - output) * torch.exp(-log_sigma)).square() / 2 + log_sigma + 0.5 * np.log(2 * np.pi)
            nll = nll.flatten(1).sum(1)
        else:
            nll = F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return (nll + kl).mean()

    def sample(self, n: int, device: torch.device) -> Tensor:
        output = self.modules["vae"].decoder(self.latents(n, device))
        return output.clamp(-1, 1) if self.gaussian else torch.tanh(output / 2)
