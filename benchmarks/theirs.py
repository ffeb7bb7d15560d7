"""PyTorch's side of a row: the twin in one of the modes that a strong user would try."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import torch

from benchmarks.ours import plain
from benchmarks.twins.dcgan import DCGAN
from benchmarks.twins.gpt import GPT
from benchmarks.twins.lstm import LSTM
from benchmarks.twins.vae import VAE
from benchmarks.workloads import Suite, Workload
from train.config import default_config
from train.optim import Optim, for_player

TWINS = {"dcgan": DCGAN, "vae": VAE, "vae-conv": VAE, "gpt": GPT, "gpt2": GPT, "lstm": LSTM}

# mode -> what torch.compile is told; None is eager.
COMPILE: Mapping[str, Mapping[str, Any] | None] = {
    "eager": None,
    "compile": {},
    "reduce-overhead": {"mode": "reduce-overhead"},
    "max-autotune": {"mode": "max-autotune"},
    "max-autotune-no-cudagraphs": {"mode": "max-autotune-no-cudagraphs"},
}


def modes(workload: Workload, suite: Suite) -> list[str]:
    """The modes that are worth a try: CUDA graphs on a GPU only, channels_last for pictures only."""
    kinds = ["eager", "compile"] if suite == "cpu" else list(COMPILE)
    convolutions = workload.preset in ("dcgan", "vae-conv")
    layouts = ["", "+channels_last"] if convolutions else [""]
    return [kind + layout for kind in kinds for layout in layouts]


def twin_of(workload: Workload, suite: Suite, weights: tuple[Any, Any] | None = None) -> Any:
    """The twin with these (params, extra), or with fresh ones of our model."""
    model = workload.model(suite)
    params, extra = jax.device_get(weights or jax.jit(model.init)(jax.random.key(0)))
    return TWINS[workload.preset](model, params, extra)


def batch_of(tables: Mapping[str, Any], rows: Any, device: torch.device) -> dict[str, torch.Tensor]:
    """A batch on the device, in PyTorch's layout."""
    found = {}
    for name, table in tables.items():
        value = torch.tensor(table[rows], device=device)
        found[name] = value.permute(0, 3, 1, 2).contiguous() if name == "image" else value.long()
    return found


class Training:
    """``turn()`` is one step: every player's loss, gradients and fused optimizer."""

    def __init__(self, workload: Workload, suite: Suite, mode: str, weights: tuple[Any, Any] | None = None):
        kind, _, layout = mode.partition("+")
        self.device = torch.device("cuda" if suite == "gpu" else "cpu")
        self.twin, self.units, self.at = twin_of(workload, suite, weights), workload.units, 0
        self.batch_size, self.amp = workload.batch, amp(suite)
        memory = {"memory_format": torch.channels_last} if layout else {}
        for module in self.twin.modules.values():
            module.to(self.device, **memory).train()
        tables = workload.tables(workload.model(suite))
        rows = [slice(at, at + workload.batch) for at in range(0, 4 * workload.batch, workload.batch)]
        self.batches = [batch_of(tables, part, self.device) for part in rows]
        if layout:
            self.batches = [{k: v.to(**memory) if v.ndim == 4 else v for k, v in b.items()} for b in self.batches]
        config = default_config(workload.preset)
        self.optimizers = {
            player: optimizer(plain(for_player(config.optim, config.players.get(player))), self.twin.modules[player])
            for player in self.twin.players
        }
        self.clip = {player: for_player(config.optim, config.players.get(player)).clip for player in self.twin.players}
        self.losses = {player: compiled(getattr(self.twin, f"{player}_loss"), kind) for player in self.twin.players}

    def turn(self) -> None:
        self.step(self.batches[self.at % len(self.batches)])
        self.at += 1

    def step(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The losses, each before its own update."""
        found = {}
        for player in self.twin.players:
            noise, parameters = self.twin.noise(self.batch_size, self.device), self.parameters(player)
            with self.amp():
                loss = self.losses[player](batch, noise)
            self.optimizers[player].zero_grad(set_to_none=True)
            loss.backward(inputs=parameters)
            if self.clip[player] is not None:
                torch.nn.utils.clip_grad_norm_(parameters, self.clip[player], foreach=True)
            self.optimizers[player].step()
            found[player] = loss.detach()
        self.out = loss
        return found

    def parameters(self, player: str) -> list[torch.Tensor]:
        return [leaf for leaf in self.twin.modules[player].parameters() if leaf.requires_grad]

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.out.detach().float().sum().item()


class Sampling:
    """``turn()`` draws one batch, in inference mode."""

    def __init__(self, workload: Workload, suite: Suite, mode: str):
        kind, _, layout = mode.partition("+")
        self.device = torch.device("cuda" if suite == "gpu" else "cpu")
        self.twin, self.units, self.amp = twin_of(workload, suite), workload.units, amp(suite)
        memory = {"memory_format": torch.channels_last} if layout else {}
        for module in self.twin.modules.values():
            module.to(self.device, **memory).eval()
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


def amp(suite: Suite) -> Callable[[], Any]:
    """bfloat16 where products are, float32 elsewhere; on a CPU all is float32."""
    if suite == "cpu":
        return contextlib.nullcontext
    return lambda: torch.autocast("cuda", torch.bfloat16)


def optimizer(optim: Optim, module: torch.nn.Module) -> torch.optim.Optimizer:
    """The recipe's rule in PyTorch's fused form."""
    parameters = [leaf for leaf in module.parameters() if leaf.requires_grad]
    common: Any = {"lr": optim.learning_rate, "betas": (optim.b1, optim.b2), "eps": optim.eps, "fused": True}
    if optim.rule == "adam":
        return torch.optim.Adam(parameters, **common)
    if optim.rule == "adamw":
        matrices = {"params": [leaf for leaf in parameters if leaf.ndim > 1], "weight_decay": optim.weight_decay}
        others = {"params": [leaf for leaf in parameters if leaf.ndim <= 1], "weight_decay": 0.0}
        return torch.optim.AdamW([matrices, others], **common)
    raise ValueError(f"no twin of the rule {optim.rule}")


def prepare(workload: Workload, suite: Suite, mode: str) -> Any:
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high" if suite == "gpu" else "highest")
    return {"train": Training, "sample": Sampling}[workload.kind](workload, suite, mode)
