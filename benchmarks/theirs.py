"""PyTorch's side of a row: the twin in one of the modes that a strong user would try."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.ours import plain
from benchmarks.twins.cyclegan import CycleGAN
from benchmarks.twins.dcgan import DCGAN
from benchmarks.twins.fast_style import FastStyle
from benchmarks.twins.gpt import GPT
from benchmarks.twins.lstm import LSTM
from benchmarks.twins.pix2pix import Pix2Pix
from benchmarks.twins.stylegan2 import StyleGAN2
from benchmarks.twins.text_to_image import TextToImage
from benchmarks.twins.vae import VAE
from benchmarks.twins.vqvae import VQVAE
from benchmarks.twins.wgan import WGAN
from benchmarks.workloads import Suite, Workload, fresh
from train.config import default_config
from train.optim import Optim, for_player

TWINS = {
    "dcgan": DCGAN, "wgan-gp": WGAN, "stylegan2": StyleGAN2, "pix2pix": Pix2Pix, "pix2pix-256": Pix2Pix,
    "cyclegan": CycleGAN, "cyclegan-256": CycleGAN, "vae": VAE, "vae-conv": VAE, "vqvae": VQVAE, "gpt": GPT,
    "gpt2": GPT, "music-transformer": GPT, "lstm": LSTM, "text-to-image": TextToImage,
    "fast-style": FastStyle,
}  # fmt: skip

# preset -> keywords of its twin: other forms of the same mathematics, each tried where it is added to a mode by "+".
FORMS: Mapping[str, tuple[str, ...]] = {
    "stylegan2": ("grouped", "sliced"),
    **dict.fromkeys(("pix2pix", "pix2pix-256", "fast-style"), ("grouped",)),
    **dict.fromkeys(("cyclegan", "cyclegan-256"), ("grouped", "apart")),
}

# mode -> what torch.compile is told; None is eager.
COMPILE: Mapping[str, Mapping[str, Any] | None] = {
    "eager": None,
    "compile": {},
    "reduce-overhead": {"mode": "reduce-overhead"},
    "max-autotune": {"mode": "max-autotune"},
    "max-autotune-no-cudagraphs": {"mode": "max-autotune-no-cudagraphs"},
}
GRAPHLESS = {"reduce-overhead": "compile", "max-autotune": "max-autotune-no-cudagraphs"}


def layouts(workload: Workload) -> list[str]:
    """Eager, in each layout that is worth a try: channels_last for convolutions only."""
    params, _ = jax.eval_shape(workload.model("cpu").init, jax.random.key(0))
    convolutions = any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))
    return ["eager", "eager+channels_last"] if convolutions else ["eager"]


def compilers(suite: Suite) -> list[str]:
    """The compiled modes that are tried unasked. CUDA graphs need a GPU; the autotuning ones take minutes a model."""
    return ["compile"] if suite == "cpu" else ["compile", "reduce-overhead"]


def forms(workload: Workload) -> tuple[str, ...]:
    """What else is worth a try, in any mode."""
    return FORMS.get(workload.preset, ())


def twin_of(workload: Workload, suite: Suite, forms: list[str], weights: tuple[Any, Any] | None = None) -> Any:
    """The twin in these forms, with these (params, extra) or with fresh ones of our model."""
    model = workload.model(suite)
    params, extra = jax.device_get(weights or fresh(model))
    return TWINS[workload.preset](model, params, extra, **dict.fromkeys(forms, True))


def read_mode(mode: str) -> tuple[str, dict[str, Any], list[str]]:
    """A mode: what torch.compile is told, how the memory lies, and forms of the twin, with "+" between them."""
    kind, *how = mode.split("+")
    memory = {"memory_format": torch.channels_last} if "channels_last" in how else {}
    return kind, memory, [form for form in how if form != "channels_last"]


def batch_of(tables: Mapping[str, Any], rows: Any, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch on the device, in PyTorch's layout."""
    return {name: tensor_of(table[rows], device) for name, table in tables.items()}


def tensor_of(array: Any, device: torch.device) -> torch.Tensor:
    """Pictures [B, H, W, C] as [B, C, H, W], indices as long ones."""
    value = torch.tensor(np.asarray(array), device=device)
    if value.ndim == 4:
        return value.permute(0, 3, 1, 2).contiguous()
    return value if value.is_floating_point() else value.long()


class Pictures(Dataset):
    """uint8 [N, H, W, C] of a file that is mapped into memory, one at a time."""

    def __init__(self, pictures: np.ndarray):
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.pictures[index]))


class Training:
    """``turn()`` is a cycle of steps, each of which has the loss, gradients and fused optimizer of the phases that are
    due."""

    def __init__(
        self, workload: Workload, suite: Suite, mode: str, weights: tuple[Any, Any] | None = None, *,
        folder: Path | None = None,
    ):  # fmt: skip
        kind, memory, forms = read_mode(mode)
        self.device = torch.device("cuda" if suite == "gpu" else "cpu")
        self.twin, self.steps, self.at = twin_of(workload, suite, forms, weights), workload.cycle, 0
        self.phases = {phase.name or phase.player: phase for phase in workload.model(suite).phases}
        self.batch_size, self.amp, self.units = workload.batch, amp(suite), workload.units * workload.cycle
        for module in self.twin.modules.values():
            module.to(self.device, **memory).train()
        self.to_layout = lambda value: value.to(**memory) if memory and value.ndim == 4 else value.contiguous()
        self.batches = self.from_file(workload, folder) if workload.pipeline else self.resident(workload, suite)
        config = default_config(workload.preset)
        optim = {player: for_player(config.optim, config.players.get(player)) for player in self.twin.modules}
        self.clip = {player: its.clip for player, its in optim.items()}
        self.parameters = {
            player: [leaf for leaf in module.parameters() if leaf.requires_grad]
            for player, module in self.twin.modules.items()
        }
        self.optimizers = {player: optimizer(plain(its), self.parameters[player]) for player, its in optim.items()}
        compile_parts(self.twin, kind)

    def turn(self) -> None:
        for _ in range(self.steps):
            self.step(next(self.batches))

    def resident(self, workload: Workload, suite: Suite) -> Iterator[dict[str, torch.Tensor]]:
        """Four batches that stay on the device, without end."""
        tables = workload.tables(workload.model(suite))
        rows = [slice(at, at + workload.batch) for at in range(0, 4 * workload.batch, workload.batch)]
        batches = [batch_of(tables, part, self.device) for part in rows]
        return itertools.cycle([{name: self.to_layout(value) for name, value in one.items()} for one in batches])

    def from_file(self, workload: Workload, folder: Path | None) -> Iterator[dict[str, torch.Tensor]]:
        """Batches of the row's pictures in random order, read ahead by processes of a DataLoader, sent as bytes."""
        gpu = self.device.type == "cuda"
        loader = DataLoader(
            Pictures(workload.pictures(folder)), workload.batch, shuffle=True, drop_last=True, collate_fn=torch.stack,
            num_workers=min(4, max(1, len(os.sched_getaffinity(0)) // 2)), pin_memory=gpu, persistent_workers=True,
            prefetch_factor=4,
        )  # fmt: skip
        while True:
            for pixels in loader:
                image = pixels.to(self.device, non_blocking=gpu).permute(0, 3, 1, 2).float().div(127.5).sub(1)
                yield {"image": self.to_layout(image)}

    def step(
        self, batch: Mapping[str, torch.Tensor], draw: Callable[[str], Any] | None = None
    ) -> dict[str, torch.Tensor]:
        """{phase that was due: its loss before its own update}. ``draw``: what phases draw, if not the twin's own."""
        found = {}
        for name, phase in self.phases.items():
            if self.at % phase.every == 0:
                draws = draw(name) if draw else self.twin.draws(name, self.batch_size, self.device)
                found[name] = self.out = self.update(phase.player, getattr(self.twin, f"{name}_loss"), batch, draws)
        self.at += 1
        return found

    def update(self, player: str, loss_of: Callable[..., torch.Tensor], batch: Any, draws: Any) -> torch.Tensor:
        """The loss, after which its player has taken a step. Compiled backward passes compute the gradients of whatever
        wants one, hence nobody else does."""
        for other, leaves in self.parameters.items():
            for leaf in leaves:
                leaf.requires_grad_(other == player)
        with self.amp():
            loss = loss_of(batch, draws)
        self.optimizers[player].zero_grad(set_to_none=True)
        loss.backward(inputs=self.parameters[player])
        if (clip := self.clip[player]) is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters[player], clip, foreach=True)
        self.optimizers[player].step()
        return loss.detach()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.out.sum().item()


class Sampling:
    """``turn()`` draws one batch, in inference mode."""

    def __init__(self, workload: Workload, suite: Suite, mode: str, *, folder: Path | None = None):
        kind, memory, forms = read_mode(mode)
        self.device = torch.device("cuda" if suite == "gpu" else "cpu")
        self.twin, self.steps = twin_of(workload, suite, forms), workload.length
        self.units, self.amp = workload.units, amp(suite)
        for module in self.twin.modules.values():
            module.to(self.device, **memory).eval()
            if suite == "gpu" and workload.decodes:  # or every token would have all weights cast
                module.to(torch.bfloat16)
        if hasattr(self.twin, "decode"):
            (module,) = self.twin.modules.values()
            draw = None if kind == "eager" else compiled(module.draw, kind)
            self.draw = lambda: self.twin.decode(workload.batch, workload.length, self.device, draw)
        else:
            one = compiled(self.twin.sample, kind)
            self.draw = lambda: one(workload.batch, self.device)

    def turn(self) -> None:
        with torch.inference_mode(), self.amp():
            self.out = self.draw()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.out.float().sum().item()


def compiled(function: Callable, kind: str) -> Callable:
    options = COMPILE[kind]
    return function if options is None else torch.compile(function, **options)


def compile_parts(twin: Any, kind: str) -> None:
    """Those of the twin's methods that torch.compile can have; without CUDA graphs, which write over what they gave,
    those whose results last."""
    lasting = getattr(twin, "lasting", ())
    for name in (*twin.compiles, *lasting):
        setattr(twin, name, compiled(getattr(twin, name), GRAPHLESS.get(kind, kind) if name in lasting else kind))


def amp(suite: Suite) -> Callable[[], Any]:
    """bfloat16 where products are, float32 elsewhere; on a CPU all is float32."""
    if suite == "cpu":
        return contextlib.nullcontext
    return lambda: torch.autocast("cuda", torch.bfloat16)


def optimizer(optim: Optim, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    """The recipe's rule in PyTorch's fused form."""
    common: Any = {"lr": optim.learning_rate, "betas": (optim.b1, optim.b2), "eps": optim.eps, "fused": True}
    if optim.rule == "adam":
        return torch.optim.Adam(parameters, **common)
    if optim.rule == "adamw":
        matrices = {"params": [leaf for leaf in parameters if leaf.ndim > 1], "weight_decay": optim.weight_decay}
        others = {"params": [leaf for leaf in parameters if leaf.ndim <= 1], "weight_decay": 0.0}
        return torch.optim.AdamW([matrices, others], **common)
    raise ValueError(f"no twin of the rule {optim.rule}")


def prepare(workload: Workload, suite: Suite, mode: str, *, folder: Path | None = None) -> Any:
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high" if suite == "gpu" else "highest")
    return {"train": Training, "sample": Sampling}[workload.kind](workload, suite, mode, folder=folder)
