"""VQ-VAE in PyTorch, with a codebook of moving averages that are written in place, and GPT's twin for the prior."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.gpt import Transformer
from benchmarks.twins.weights import Tree, conv, layers_of, tensor, transpose, wide

SMOOTHING = 1e-5  # the count of a code that was never used


class Residuals(nn.Module):
    def __init__(self, tree: Tree):
        super().__init__()
        convs = layers_of(tree, "Conv")
        self.wide = nn.ModuleList(conv(one, padding=1) for one in convs[::2])
        self.narrow = nn.ModuleList(conv(one) for one in convs[1::2])

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.wide, self.narrow, strict=True):
            x = x + second(F.relu(first(F.relu(x)), inplace=True))
        return F.relu(x)


def encoder(tree: Tree) -> nn.Sequential:
    """Pictures [B, C, H, W] -> [B, D, h, w]."""
    *downs, middle, last = layers_of(tree, "Conv")
    layers = [layer for one in downs for layer in (conv(one, stride=2, padding=1), nn.ReLU(inplace=True))]
    return nn.Sequential(*layers, conv(middle, padding=1), Residuals(tree["Residuals_0"]), conv(last))


def decoder(tree: Tree) -> nn.Sequential:
    """[B, D, h, w] -> pictures [B, C, H, W]."""
    *ups, last = layers_of(tree, "ConvTranspose")
    layers = [layer for one in ups for layer in (transpose(one), nn.ReLU(inplace=True))]
    return nn.Sequential(conv(tree["Conv_0"], padding=1), Residuals(tree["Residuals_0"]), *layers, transpose(last))


class Codebook(nn.Module):
    """K codes of D features, how often each is used, and the sum of what is quantised to it."""

    def __init__(self, tree: Tree):
        super().__init__()
        for name in ("codes", "counts", "sums"):
            self.register_buffer(name, tensor(tree[name]))

    def nearest(self, z: Tensor) -> Tensor:
        """z [N, D] -> which code is nearest, [N]."""
        return torch.addmm(self.codes.square().sum(1), z, self.codes.T, alpha=-2).argmin(1)  # type: ignore[operator]

    def revive(self, z: Tensor, drawn: Tensor, share: float) -> None:
        """Codes that are used less than ``share`` of the mean use become those vectors of z [N, D] that were drawn."""
        fresh, mean = z[drawn], len(z) / len(self.counts)  # type: ignore[arg-type]
        dead = self.counts <= share * self.counts.mean()  # type: ignore[operator]
        self.codes.copy_(torch.where(dead[:, None], fresh, self.codes))  # type: ignore[operator]
        self.sums.copy_(torch.where(dead[:, None], mean * fresh, self.sums))  # type: ignore[operator]
        self.counts.masked_fill_(dead, mean)  # type: ignore[operator]

    def follow(self, z: Tensor, chosen: Tensor, decay: float) -> None:
        """Each code becomes the moving mean of what is quantised to it."""
        self.counts.mul_(decay).index_add_(0, chosen, z.new_ones(len(z)), alpha=1 - decay)  # type: ignore[operator]
        self.sums.mul_(decay).index_add_(0, chosen, z, alpha=1 - decay)  # type: ignore[operator]
        total = self.counts.sum()  # type: ignore[operator]
        smooth = (self.counts + SMOOTHING) / (total + len(self.counts) * SMOOTHING) * total  # type: ignore[operator]
        self.codes.copy_(self.sums / smooth[:, None])  # type: ignore[operator]


class Autoencoder(nn.Module):
    def __init__(self, params: Tree, extra: Tree):
        super().__init__()
        self.encoder, self.decoder = encoder(params["encoder"]), decoder(params["decoder"])
        self.codebook = Codebook(extra["codebook"])


def rows(z: Tensor) -> Tensor:
    """z [B, D, h, w] -> [B h w, D] in float32 at least, without a gradient."""
    return wide(z.detach()).movedim(1, -1).flatten(0, 2)


def autoencoder_loss(model: Any, network: Any, image: Tensor, drawn: Tensor) -> Tensor:
    """After which the codebook has taken a step. ``drawn``: which vectors dead codes become."""
    z = network.encoder(image)
    vectors = quantised(model, network.codebook, rows(z), drawn).unflatten(0, (len(z), *z.shape[2:])).movedim(-1, 1)
    again = wide(network.decoder(z + (vectors.to(z.dtype) - z).detach()))
    return F.mse_loss(again, image) / model.variance + model.commitment * F.mse_loss(wide(z), vectors)


def quantised(model: Any, book: Any, z: Tensor, drawn: Tensor) -> Tensor:
    """z [N, D] -> its codes [N, D]."""
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
        book.revive(z, drawn, model.revival)
        chosen = book.nearest(z)
        vectors = book.codes[chosen]
        book.follow(z, chosen, model.decay)
    return vectors


def codes_of(network: Any, image: Tensor) -> Tensor:
    """Pictures [B, C, H, W] -> their codes [B, h w], as the autoencoder has just learnt to give them."""
    with torch.no_grad():
        z = rows(network.encoder(image))
        with torch.autocast(z.device.type, enabled=False):
            return network.codebook.nearest(z).view(len(image), -1)


def drawn_for(model: Any, batch: int, device: torch.device) -> Tensor:
    """Which vectors of a batch dead codes become."""
    return torch.randint(batch * model.sides[0] ** 2, (model.codes,), device=device)


class VQVAE:
    """Both players' losses. The codebook is float32, whatever the compute dtype."""

    compiles = ("autoencoder_loss", "prior_loss")

    def __init__(self, model: Any, params: Tree, extra: Tree):
        self.model, network = model, model.prior.network
        self.start = network.start_token
        self.modules = {
            "autoencoder": Autoencoder(params["autoencoder"], extra),
            "prior": Transformer(params["prior"], network),
        }

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {} if phase == "prior" else {"drawn": drawn_for(self.model, batch, device)}

    def autoencoder_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        return autoencoder_loss(self.model, self.modules["autoencoder"], batch["image"], draws["drawn"])

    def prior_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        codes = codes_of(self.modules["autoencoder"], batch["image"])
        logits = self.modules["prior"](F.pad(codes[:, :-1], (1, 0), value=self.start))
        return F.cross_entropy(wide(logits.flatten(0, 1)), codes.flatten())
