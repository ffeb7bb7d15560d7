"""GPT-2 in PyTorch: fused attention, a KV cache that is written in place."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import dense, embedding, layer_norm

EPSILON = 1e-6  # as zoo.nn.norm has it


class Block(nn.Module):
    def __init__(self, tree: Mapping[str, Any], heads: int):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = (layer_norm(tree[name], epsilon=EPSILON) for name in ("norm_1", "norm_2"))
        self.qkv, self.project = dense(tree["qkv"]), dense(tree["project"])
        self.expand, self.contract = dense(tree["expand"]), dense(tree["contract"])

    def heads_of(self, x: Tensor) -> list[Tensor]:
        """x [B, T, D] -> q, k, v [B, H, T, D/H]."""
        batch, time, width = x.shape
        parts = self.qkv(self.norm_1(x)).split(width, dim=2)
        return [part.view(batch, time, self.heads, width // self.heads).transpose(1, 2) for part in parts]

    def after(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.project(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.contract(F.gelu(self.expand(self.norm_2(x)), approximate="tanh"))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads_of(x)
        return self.after(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def decode(self, x: Tensor, cache: Tensor, at: int | Tensor) -> Tensor:
        """x [B, 1, D]; cache [2, B, H, S, D/H] is written at position ``at``. As a number it cuts the cache off there;
        as a tensor [1] it masks the rest, so that every position is the same program."""
        q, k, v = self.heads_of(x)
        if isinstance(at, int):
            cache[0, :, :, at : at + 1], cache[1, :, :, at : at + 1] = k, v
            seen = cache[:, :, :, : at + 1]
            return self.after(x, F.scaled_dot_product_attention(q, seen[0], seen[1]))
        cache[0].index_copy_(2, at, k)
        cache[1].index_copy_(2, at, v)
        seen = (torch.arange(cache.shape[3], device=x.device) <= at)[None, None, None]
        return self.after(x, F.scaled_dot_product_attention(q, cache[0], cache[1], attn_mask=seen))


class Transformer(nn.Module):
    def __init__(self, tree: Mapping[str, Any], model: Any):
        super().__init__()
        self.tokens, self.positions = (embedding(tree[name]["embedding"]) for name in ("tokens", "positions"))
        self.blocks = nn.ModuleList(Block(tree[f"blocks_{index}"], model.heads) for index in range(model.layers))
        self.norm = layer_norm(tree["norm"], epsilon=EPSILON)

    def head(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x), self.tokens.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B, T] -> logits [B, T, V]."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def decode(self, token: Tensor, caches: Tensor, at: int | Tensor) -> Tensor:
        """token [B] -> logits [B, V]."""
        x = self.tokens(token)[:, None] + self.positions.weight[at].view(1, 1, -1)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block.decode(x, cache, at)
        return self.head(x)[:, 0]

    def draw(self, token: Tensor, caches: Tensor, at: int | Tensor) -> Tensor:
        """token [B] -> the next one, from the softmax: what is compiled where something is."""
        return torch.multinomial(self.decode(token, caches, at).float().softmax(-1), 1)[:, 0]


class GPT:
    players = ("gpt",)
    images = False

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        self.model = model
        self.modules = {"gpt": Transformer(params["gpt"], model)}

    def noise(self, batch: int, device: torch.device) -> None:
        return None

    def gpt_loss(self, batch: Mapping[str, Tensor], noise: None) -> Tensor:
        """Whole windows: every position counts."""
        logits = self.modules["gpt"](batch["tokens"][:, :-1])
        return F.cross_entropy(logits.flatten(0, 1).float(), batch["tokens"][:, 1:].flatten())

    def decode(self, n: int, length: int, device: torch.device, draw: Any = None) -> Tensor:
        """``length`` tokens a row after the start token; ``draw`` is `Transformer.draw` compiled."""
        network, model = self.modules["gpt"], self.model
        half = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if half else torch.float32
        shape = (model.layers, 2, n, model.heads, length + 1, model.width // model.heads)
        caches = torch.zeros(shape, device=device, dtype=dtype)
        positions = torch.arange(length, device=device)
        token, out = torch.full((n,), model.start_token, device=device), []
        for at in range(length):
            if draw is None:
                token = network.draw(token, caches, at)
            else:
                token = draw(token, caches, positions[at : at + 1]).clone()  # a CUDA graph writes over what it gave
            out.append(token)
        return torch.stack(out, 1)
