"""StyleGAN2 in PyTorch: modulation by scaling or by groups, filters as depthwise convolutions or as slices, and
penalties by differentiating twice."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import chw, tensor, wide

Tree = Mapping[str, Any]
TAPS = 0.125, 0.375, 0.375, 0.125
SLOPE, GAIN = 0.2, math.sqrt(2)  # of an activation; what it multiplies with goes into the weights in front of it
AVERAGE, PATH = 0.005, 0.01  # shares of a new batch in the mean style and the mean path length


class EqualLinear(nn.Module):
    """Weights are scaled where they are used; ``rate`` is the layer's pace."""

    def __init__(self, tree: Tree, *, rate: float = 1.0, gain: float = 1.0):
        super().__init__()
        self.weight, self.bias = nn.Parameter(tensor(tree["kernel"]).T.contiguous()), nn.Parameter(tensor(tree["bias"]))
        self.scale, self.pace = gain * rate / math.sqrt(self.weight.shape[1]), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.pace)


class EqualConv(nn.Module):
    def __init__(self, tree: Tree, *, stride: int = 1, padding: int = 0, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(tensor(tree["kernel"]).permute(3, 2, 0, 1).contiguous())
        self.bias = nn.Parameter(tensor(tree["bias"])) if "bias" in tree else None
        self.stride, self.padding, self.gain = stride, padding, gain
        self.scale = gain / math.sqrt(self.weight[0].numel())

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.gain
        return F.conv2d(x, self.weight * self.scale, bias, self.stride, self.padding)


def activate(x: Tensor) -> Tensor:
    """In place: what is given is a layer's fresh result."""
    return F.leaky_relu(x, SLOPE, inplace=True)


def square(gain: float) -> Tensor:
    """The filter in two dimensions, [1, 1, 4, 4]."""
    return gain * torch.outer(torch.tensor(TAPS), torch.tensor(TAPS))[None, None]


class Filter(nn.Module):
    """[B, C, H, W] -> every ``stride``-th pixel of the low-passed picture, with zeros around it."""

    def __init__(self, *, padding: int, stride: int = 1, gain: float = 1.0, sliced: bool = False):
        super().__init__()
        self.padding, self.stride, self.sliced = padding, stride, sliced
        self.taps = [tap * math.sqrt(gain) for tap in TAPS]
        self.register_buffer("kernel", square(gain))

    def forward(self, x: Tensor) -> Tensor:
        if not self.sliced:
            kernel = self.kernel.expand(x.shape[1], 1, 4, 4)  # type: ignore[operator]
            return F.conv2d(x, kernel, stride=self.stride, padding=self.padding, groups=x.shape[1])
        return self.along(self.along(x, 2), 3)

    def along(self, x: Tensor, axis: int) -> Tensor:
        x = F.pad(x, (0, 0, self.padding, self.padding) if axis == 2 else (self.padding, self.padding))
        reach = x.shape[axis] - len(self.taps) + 1
        here = (slice(None),) * axis
        first, *others = (tap * x[(*here, slice(t, t + reach, self.stride))] for t, tap in enumerate(self.taps))
        return sum(others, first)


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, activation."""

    def __init__(self, tree: Tree, *, up: bool, grouped: bool, sliced: bool):
        super().__init__()
        layout = (2, 3, 0, 1) if up else (3, 2, 0, 1)  # a transposed convolution has its inputs first
        self.weight = nn.Parameter(tensor(tree["kernel"]).permute(layout).contiguous())
        self.strength, self.bias = nn.Parameter(tensor(tree["strength"])), nn.Parameter(tensor(tree["bias"]))
        self.style = EqualLinear(tree["style"])
        self.up, self.grouped, self.inputs = up, grouped, 0 if up else 1
        self.filter = Filter(padding=1, gain=4.0, sliced=sliced)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """x [B, I, H, W], w [B, W], noise [B or 1, 1, H', W'] -> [B, O, H', W']."""
        style = self.style(w)
        noise = (noise * (self.strength * GAIN)).to(x.dtype)
        if self.grouped:
            y = self.by_groups(x, style) + noise
        else:
            y = self.convolved(x * style[:, :, None, None], self.weight)
            squares = self.weight.square().sum((2, 3))
            norm = style.square() @ (squares if self.up else squares.T)
            y = torch.addcmul(noise.to(y.dtype), y, demodulation(norm)[:, :, None, None].to(y.dtype))
        return activate(y.add_((self.bias * GAIN).to(y.dtype)[:, None, None]))

    def convolved(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        if not self.up:
            return F.conv2d(x, weight, padding=1, groups=groups)
        return self.filter(F.conv_transpose2d(x, weight, stride=2, groups=groups))

    def by_groups(self, x: Tensor, style: Tensor) -> Tensor:
        """A kernel of its own for every picture."""
        batch = len(x)
        scales = style[:, :, None, None, None] if self.up else style[:, None, :, None, None]
        weight = self.weight[None] * scales
        norm = weight.square().sum((1 + self.inputs, 3, 4), keepdim=True)
        weight = (weight * demodulation(norm)).flatten(0, 1)
        y = self.convolved(x.reshape(1, -1, *x.shape[2:]), weight, batch)
        return y.reshape(batch, -1, *y.shape[2:])


def demodulation(squares: Tensor) -> Tensor:
    return torch.rsqrt(squares + 1e-8) * GAIN


class ToPicture(nn.Module):
    """A modulated 1 x 1 convolution is a matrix product for every picture."""

    def __init__(self, tree: Tree):
        super().__init__()
        self.weight = nn.Parameter(tensor(tree["kernel"])[0, 0].T.contiguous())
        self.bias, self.style = nn.Parameter(tensor(tree["bias"])), EqualLinear(tree["style"])
        self.scale = 1 / math.sqrt(self.weight.shape[1])

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self.weight * (self.style(w) * self.scale)[:, None]
        y = torch.matmul(weight, x.flatten(2)).unflatten(2, x.shape[2:])
        return wide(y) + self.bias[:, None, None]


class Generator(nn.Module):
    def __init__(self, params: Tree, extra: Tree, model: Any, grouped: bool, sliced: bool):
        super().__init__()
        mapping, tree = params["mapping"], params["synthesis"]
        self.mapping = nn.ModuleList(
            EqualLinear(mapping[f"EqualDense_{n}"], rate=0.01, gain=GAIN) for n in range(model.mapping)
        )
        self.start = nn.Parameter(tensor(tree["start"]).permute(2, 0, 1).contiguous())
        self.layers = nn.ModuleList(
            StyledConv(tree[f"StyledConv_{n}"], up=n % 2 == 1, grouped=grouped, sliced=sliced)
            for n in range(2 * len(model.widths) - 1)
        )
        self.pictures = nn.ModuleList(ToPicture(tree[f"ToPicture_{n}"]) for n in range(len(model.widths)))
        self.register_buffer("kernel", square(4.0))
        self.register_buffer("mean_style", tensor(extra["style"]))
        self.register_buffer("mean_length", tensor(extra["path_length"]))

    def noise_shape(self, layer: int) -> tuple[int, int, int]:
        side = 4 * 2 ** ((layer + 1) // 2)
        return 1, side, side

    def noise(self, n: int, device: torch.device) -> list[Tensor]:
        return [torch.randn(n, *self.noise_shape(layer), device=device) for layer in range(len(self.layers))]

    def styles(self, z: Tensor) -> Tensor:
        """[B, Z] -> [B, W]."""
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            x = activate(layer(x))
        return wide(x)

    def forward(self, styles: Tensor, noise: list[Tensor]) -> Tensor:
        """styles [B, L, W] -> pictures [B, C, H, W]: the sum of what each size adds to the smaller one, enlarged."""
        x = self.layers[0](self.start.expand(len(styles), *self.start.shape), styles[:, 0], noise[0])
        picture = self.pictures[0](x, styles[:, 1])
        for level, add in enumerate(self.pictures[1:], start=1):
            for at in (2 * level - 1, 2 * level):
                x = self.layers[at](x, styles[:, at], noise[at])
            picture = self.enlarged(picture) + add(x, styles[:, 2 * level + 1])
        return picture

    def enlarged(self, picture: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, 2 H, 2 W]."""
        kernel = self.kernel.expand(picture.shape[1], 1, 4, 4)  # type: ignore[operator]
        return F.conv_transpose2d(picture, kernel, stride=2, padding=1, groups=picture.shape[1])


class DownBlock(nn.Module):
    """[B, C, H, W] -> [B, features, H / 2, W / 2]: both ways end with a factor of sqrt(1 / 2)."""

    def __init__(self, first: Tree, second: Tree, skip: Tree, *, sliced: bool):
        super().__init__()
        self.first, self.second = EqualConv(first, padding=1, gain=GAIN), EqualConv(second, stride=2)
        self.skip = EqualConv(skip, gain=math.sqrt(0.5))
        self.smooth, self.halve = Filter(padding=2, sliced=sliced), Filter(padding=1, stride=2, sliced=sliced)

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.second(self.smooth(activate(self.first(x)))))
        return y + self.skip(self.halve(x))


class Critic(nn.Module):
    """Pictures [B, C, H, W] -> logits [B]."""

    def __init__(self, tree: Tree, model: Any, sliced: bool):
        super().__init__()
        convs = [tree[f"EqualConv_{n}"] for n in range(3 * len(model.widths) - 1)]
        self.group, self.read = model.group, EqualConv(convs[0], gain=GAIN)
        self.blocks = nn.ModuleList(DownBlock(*convs[at : at + 3], sliced=sliced) for at in range(1, len(convs) - 1, 3))
        self.conv = EqualConv(convs[-1], padding=1, gain=GAIN)
        dense = tree["EqualDense_0"]
        kernel = chw(dense["kernel"], self.conv.weight.shape[0], axis=0)
        self.dense, self.last = EqualLinear({**dense, "kernel": kernel}, gain=GAIN), EqualLinear(tree["EqualDense_1"])

    def forward(self, x: Tensor) -> Tensor:
        x = activate(self.read(x))
        for block in self.blocks:
            x = block(x)
        x = x if self.group is None else self.with_spread(x)
        x = activate(self.dense(activate(self.conv(x)).flatten(1)))
        return wide(self.last(x)[:, 0])

    def with_spread(self, x: Tensor) -> Tensor:
        """The standard deviation over every group of pictures, as a channel more."""
        count = next(size for size in range(min(self.group, len(x)), 0, -1) if len(x) % size == 0)
        spread = wide(x).reshape(count, -1, *x.shape[1:]).var(0, correction=0).add(1e-8).sqrt().mean((1, 2, 3))
        plane = spread.repeat(count)[:, None, None, None].to(x.dtype)
        return torch.cat([x, plane.expand(-1, 1, *x.shape[2:])], 1)


class StyleGAN2:
    """Logistic losses, R1 and path length, both lazy. ``grouped`` and ``sliced`` are forms that some machines want."""

    compiles = ("critic_loss", "generator_loss")

    def __init__(self, model: Any, params: Tree, extra: Tree, *, grouped: bool = False, sliced: bool = False):
        asked = model.loss, model.ada_target, model.r2, model.gradient_penalty
        if asked != ("nonsaturating", None, None, None):
            raise ValueError(f"the twin is plain StyleGAN2, not {asked}")
        self.model = model
        self.modules = {
            "generator": Generator(params["generator"], extra, model, grouped, sliced),
            "critic": Critic(params["critic"], model, sliced),
        }

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Any]:
        """Two latents, from which layer on the second one's style is taken, noise; and for the path length, which looks
        at a part of the batch, a random picture."""
        model = self.model
        if phase == "penalty":
            return {}
        if phase == "path_length":
            batch = max(batch // model.path_shrink, 1)
        generator = self.modules["generator"]
        count = len(generator.layers) + 1
        second = torch.rand(batch, device=device) < model.mixing
        found = {
            "latent": torch.randn(batch, model.latent_size, device=device),
            "second": torch.randn(batch, model.latent_size, device=device),
            "cut": torch.where(second, torch.randint(1, count, (batch,), device=device), count),
            "noise": generator.noise(batch, device),
        }
        shape = batch, model.channels, model.image_size, model.image_size
        return found | {"picture": torch.randn(shape, device=device)} if phase == "path_length" else found

    def mixed(self, draws: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Styles [B, L, W], and those of the first latents, [B, W]."""
        generator = self.modules["generator"]
        first, second = generator.styles(torch.cat([draws["latent"], draws["second"]])).chunk(2)
        layers = torch.arange(len(generator.layers) + 1, device=first.device)
        fine = layers >= draws["cut"][:, None]
        return torch.where(fine[:, :, None], second[:, None], first[:, None]), first

    def critic_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> Tensor:
        critic = self.modules["critic"]
        with torch.no_grad():
            fake = self.modules["generator"](self.mixed(draws)[0], draws["noise"])
        return F.softplus(-critic(batch["image"])).mean() + F.softplus(critic(fake)).mean()

    def penalty_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> Tensor:
        """R1."""
        real = batch["image"].detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.modules["critic"](real).sum(), real, create_graph=True)
        squared = wide(slope).square().flatten(1).sum(1)
        return self.model.penalty_every * self.model.r1 * squared.mean() / 2

    def generator_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> Tensor:
        generator = self.modules["generator"]
        styles, first = self.mixed(draws)
        with torch.no_grad():
            generator.mean_style.lerp_(first.mean(0), AVERAGE)
        return F.softplus(-self.modules["critic"](generator(styles, draws["noise"]))).mean()

    def path_length_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> Tensor:
        generator = self.modules["generator"]
        styles, _ = self.mixed(draws)
        along = (generator(styles, draws["noise"]) * draws["picture"]).sum() / self.model.image_size
        (slope,) = torch.autograd.grad(along, styles, create_graph=True)
        lengths = wide(slope).square().sum(2).mean(1).clamp(min=1e-12).sqrt()
        with torch.no_grad():
            generator.mean_length.lerp_(lengths.mean(), PATH)
        penalty = (lengths - generator.mean_length).square().mean()
        return self.model.path_every * self.model.path_length * penalty

    def sample(self, n: int, device: torch.device) -> Tensor:
        """All pictures with the same noise."""
        generator = self.modules["generator"]
        styles = generator.styles(torch.randn(n, self.model.latent_size, device=device))
        styles = styles[:, None].expand(-1, len(generator.layers) + 1, -1)
        return generator(styles, generator.noise(1, device)).clamp(-1, 1)
