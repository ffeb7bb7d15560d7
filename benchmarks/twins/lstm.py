"""LSTM language models in PyTorch: ``nn.LSTM``, which is cuDNN's on a GPU and oneDNN's on a CPU."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import dense, embedding, tensor, wide


class Network(nn.Module):
    def __init__(self, tree: Mapping[str, Any], model: Any):
        super().__init__()
        self.tokens = embedding(tree["tokens"]["embedding"])
        self.stack = nn.LSTM(model.width, model.width, num_layers=model.layers, batch_first=True)
        for index in range(model.layers):
            layer = tree["stack"][f"layer_{index}"]
            getattr(self.stack, f"weight_ih_l{index}").data.copy_(tensor(layer["kernel"]).T)
            getattr(self.stack, f"weight_hh_l{index}").data.copy_(tensor(layer["recurrent"]).T)
            getattr(self.stack, f"bias_ih_l{index}").data.copy_(tensor(layer["bias"]))
            second = getattr(self.stack, f"bias_hh_l{index}")  # it adds nothing to the first: kept at zero
            second.data.zero_()
            second.requires_grad_(False)
        self.head = dense(tree["head"])

    def forward(self, tokens: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """tokens [B, T] -> logits [B, T, V], and the states after them."""
        hidden, states = self.stack(self.tokens(tokens), states)
        return self.head(hidden), states

    def draw(self, token: Tensor, states: Any) -> tuple[Tensor, Any]:
        """token [B] -> the next one, from the softmax, and the states."""
        logits, states = self(token[:, None], states)
        return torch.multinomial(logits[:, 0].float().softmax(-1), 1)[:, 0], states


class LSTM:
    compiles = ("lstm_loss",)

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        self.model = model
        self.modules = {"lstm": Network(params["lstm"], model)}

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {}

    def lstm_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """Whole windows: every position counts."""
        logits, _ = self.modules["lstm"](batch["tokens"][:, :-1])
        return F.cross_entropy(wide(logits.flatten(0, 1)), batch["tokens"][:, 1:].flatten())

    def decode(self, n: int, length: int, device: torch.device, draw: Any = None) -> Tensor:
        """``length`` tokens a row after the start token; ``draw`` is `Network.draw` compiled."""
        draw = draw or self.modules["lstm"].draw
        token, states, out = torch.full((n,), self.model.start_token, device=device), None, []
        for _ in range(length):
            token, states = draw(token, states)
            out.append(token)
        return torch.stack(out, 1)
