"""CycleGAN in PyTorch: two translators, two critics of patches, two pools of samples."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.translators import Norm, PatchCritic, Pool, moved, moves, remember, swaps
from benchmarks.twins.weights import Tree, conv, layers_of, pictures, transpose, wide

WAYS = {"forth": ("input", "image"), "back": ("image", "input")}  # what a translator starts from and arrives at
AGAIN = {"forth": "back", "back": "forth"}

Pictures = Mapping[str, Tensor]
Made = dict[str, tuple[Tensor, Tensor]]
"""way -> its translations of where it starts from, and of what is there already."""


class Translator(nn.Module):
    """Pictures [B, C, H, W] -> pictures in [-1, 1], by residual blocks at a quarter of their size."""

    def __init__(self, tree: Tree, *, grouped: bool):
        super().__init__()
        first, *downs, last = layers_of(tree, "Conv")
        self.first, self.last = conv(first), conv(last)
        self.downs = nn.ModuleList(conv(one, stride=2, padding=1) for one in downs[:2])
        self.blocks = nn.ModuleList(conv(one) for one in downs[2:])
        self.ups = nn.ModuleList(transpose(one, more=1) for one in layers_of(tree, "ConvTranspose"))
        self.norm = Norm({}, grouped=grouped)  # which has no weights

    def forward(self, x: Tensor) -> Tensor:
        x = self.active(self.first(mirrored(x, 3)))
        for down in self.downs:
            x = self.active(down(x))
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            y = self.active(first(mirrored(x, 1)))
            x = x + self.norm(second(mirrored(y, 1)))
        for up in self.ups:
            x = self.active(up(x))
        return torch.tanh(wide(self.last(mirrored(x, 3))))

    def active(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(x), inplace=True)


def mirrored(x: Tensor, edge: int) -> Tensor:
    return F.pad(x, (edge,) * 4, mode="reflect")


class Critic(nn.Module):
    """A critic of patches and a pool for each set of pictures, and the newest ones that were to be translated."""

    def __init__(self, params: Tree, extra: Tree, *, grouped: bool):
        super().__init__()
        self.of = nn.ModuleDict({target: PatchCritic(tree, grouped=grouped) for target, tree in params.items()})
        self.pools = nn.ModuleDict({name: Pool(extra[name], pictures(extra[name]["pool"])) for name in params})
        self.register_buffer("shown", pictures(extra["shown"]))


class CycleGAN:
    """Least squares, and the mean absolute differences of there and back again and of what is there already.

    Translations are made once a step: their graph is kept while the critics, which the translators know nothing of,
    learn. ``apart``, each phase makes its own: more work, but for less memory, and fit for CUDA graphs.
    """

    def __init__(self, model: Any, params: Tree, extra: Tree, *, grouped: bool = False, apart: bool = False):
        asked = model.loss, model.jitter, model.identity is None
        if asked != ("least-squares", True, False):
            raise ValueError(f"the twin is plain CycleGAN, not {asked}")
        self.model, self.apart, self.moves = model, apart, {}
        self.kept: tuple[dict[str, Tensor], Made] | None = None
        self.compiles = ("imagined", "judged", "played") if apart else ("judged", "deceit")
        self.lasting = () if apart else ("begun",)
        self.modules = {
            "generator": nn.ModuleDict(
                {way: Translator(tree, grouped=grouped) for way, tree in params["generator"].items()}
            ),
            "critic": Critic(params["critic"], extra, grouped=grouped),
        }

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Any]:
        """Both phases of a step move its pictures alike, those of each set by draws of their own; and which samples are
        swapped in each set's pool."""
        if phase == "generator":
            return {"moves": self.moves}
        self.moves = {name: moves(batch, self.model.image_size, device) for name in WAYS["forth"]}
        return {"moves": self.moves, **{name: swaps(batch, self.model.pool) for name in WAYS["forth"]}}

    # ---- Phases ------------------------------------------------------------------------------------------------------

    def critic_loss(self, batch: Pictures, draws: Mapping[str, Any]) -> Tensor:
        if self.apart:
            real, fakes = self.imagined(batch, draws["moves"])
            # CUDA graphs write over what they gave.
            real, fakes = ({name: one.clone() for name, one in made.items()} for made in (real, fakes))
        else:
            self.modules["generator"].requires_grad_(True)
            self.kept = real, made = self.begun(batch, draws["moves"])
            fakes = {WAYS[way][1]: fake.detach() for way, (fake, _) in made.items()}
        critic = self.modules["critic"]
        shown = {target: critic.pools[target].swapped(fake, draws[target]) for target, fake in fakes.items()}
        remember(critic.shown, real["input"])
        return self.judged(real, shown)

    def generator_loss(self, batch: Pictures, draws: Mapping[str, Any]) -> Tensor:
        if self.apart:
            return self.played(batch, draws["moves"])
        real, made = self.kept or self.begun(batch, draws["moves"])
        self.kept = None
        return self.deceit(real, made)

    # ---- Their parts -------------------------------------------------------------------------------------------------

    def moved(self, batch: Pictures, draws: Mapping[str, Any]) -> dict[str, Tensor]:
        return {name: moved(batch[name], draws[name]) for name in WAYS["forth"]}

    def imagined(self, batch: Pictures, draws: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The moved batch, and for each set translations into it that nobody learns from."""
        real, translate = self.moved(batch, draws), self.modules["generator"]
        with torch.no_grad():
            return real, {target: translate[way](real[source]) for way, (source, target) in WAYS.items()}

    def begun(self, batch: Pictures, draws: Mapping[str, Any]) -> tuple[dict[str, Tensor], Made]:
        """The moved batch, and both ways' translations of both sets, in one pass."""
        real, made = self.moved(batch, draws), {}
        for way, (source, target) in WAYS.items():
            fake, same = self.modules["generator"][way](torch.cat([real[source], real[target]])).chunk(2)
            made[way] = fake, same
        return real, made

    def judged(self, real: Pictures, shown: Pictures) -> Tensor:
        """Both critics' loss, of data and of what a pool shows."""
        losses = []
        for target, critic in self.modules["critic"].of.items():
            on_real, on_fake = critic(torch.cat([real[target], shown[target]])).chunk(2)
            losses.append(((on_real - 1).square().mean() + on_fake.square().mean()) / 2)
        return sum(losses[1:], losses[0])

    def deceit(self, real: Pictures, made: Made) -> Tensor:
        """Both translators' loss."""
        critic, translate, losses = self.modules["critic"], self.modules["generator"], []
        for way, (source, target) in WAYS.items():
            fake, same = made[way]
            again = translate[AGAIN[way]](fake)
            losses += [
                (critic.of[target](fake) - 1).square().mean() / 2,
                self.model.cycle * F.l1_loss(again, real[source]),
                self.model.identity * F.l1_loss(same, real[target]),
            ]
        return sum(losses[1:], losses[0])

    def played(self, batch: Pictures, draws: Mapping[str, Any]) -> Tensor:
        return self.deceit(*self.begun(batch, draws))
