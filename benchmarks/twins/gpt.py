"""GPT-2 and the Music Transformer in PyTorch: fused attention, a KV cache that is written in place."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.weights import dense, embedding, layer_norm, tensor, wide

EPSILON = 1e-6  # as zoo.nn.norm has it


class Block(nn.Module):
    """Where the tree has vectors of distances [H, L, D/H], the last row that of the distance 0, attention knows how far
    query and key are apart."""

    def __init__(self, tree: Mapping[str, Any], model: Any):
        super().__init__()
        self.heads, self.drop = model.heads, nn.Dropout(model.dropout)
        self.norm_1, self.norm_2 = (layer_norm(tree[name], epsilon=EPSILON) for name in ("norm_1", "norm_2"))
        self.qkv, self.project = dense(tree["qkv"]), dense(tree["project"])
        self.expand, self.contract = dense(tree["expand"]), dense(tree["contract"])
        self.distance = nn.Parameter(tensor(tree["distance"])) if "distance" in tree else None
        if self.distance is not None:
            future = torch.ones(model.context, model.context, dtype=torch.bool).triu(1)
            self.register_buffer("future", future, persistent=False)

    def heads_of(self, x: Tensor) -> list[Tensor]:
        """x [B, T, D] -> q, k, v [B, H, T, D/H]."""
        batch, time, width = x.shape
        parts = self.qkv(self.norm_1(x)).split(width, dim=2)
        return [part.view(batch, time, self.heads, width // self.heads).transpose(1, 2) for part in parts]

    def after(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.drop(self.project(mixed.transpose(1, 2).reshape(x.shape)))
        return x + self.drop(self.contract(F.gelu(self.expand(self.norm_2(x)), approximate="tanh")))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Every position sees those before it, or those that ``seen`` [B, 1, 1, T] says."""
        q, k, v = self.heads_of(x)
        if seen is not None:
            return self.after(x, F.scaled_dot_product_attention(q, k, v, attn_mask=seen))
        if self.distance is None:
            return self.after(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.after(x, F.scaled_dot_product_attention(q, k, v, attn_mask=self.skewed(q)))

    def skewed(self, q: Tensor) -> Tensor:
        """q [B, H, T, D/H] -> what the distance to every key adds to the scores, [B, H, T, T]: the products with all
        distances, a column in front, read T numbers a row, without the first row."""
        batch, heads, time, _ = q.shape
        far = self.by_distance(q, self.distance[:, -time:])  # type: ignore[index]
        lined_up = F.pad(far, (1, 0)).view(batch, heads, time + 1, time)[:, :, 1:]
        return lined_up.masked_fill(self.future[:time, :time], float("-inf"))  # type: ignore[index]

    def by_distance(self, q: Tensor, rows: Tensor) -> Tensor:
        """q [B, H, T, D/H], rows [H, R, D/H] -> scaled products [B, H, T, R]."""
        return (q * q.shape[-1] ** -0.5) @ rows.transpose(1, 2)

    def decode(self, x: Tensor, cache: Tensor, at: int | Tensor) -> Tensor:
        """x [B, 1, D]; cache [2, B, H, S, D/H] is written at position ``at``. As a number it cuts the cache off there;
        as a tensor [1] it masks the rest, so that every position is the same program."""
        q, k, v = self.heads_of(x)
        if isinstance(at, int):
            cache[0, :, :, at : at + 1], cache[1, :, :, at : at + 1] = k, v
            seen, near = cache[:, :, :, : at + 1], None
            if self.distance is not None:
                near = self.by_distance(q, self.distance[:, -at - 1 :])
            return self.after(x, F.scaled_dot_product_attention(q, seen[0], seen[1], attn_mask=near))
        cache[0].index_copy_(2, at, k)
        cache[1].index_copy_(2, at, v)
        keys = torch.arange(cache.shape[3], device=x.device)
        seen = (keys <= at)[None, None, None]
        if self.distance is not None:
            last = self.distance.shape[1] - 1
            near = self.by_distance(q, self.distance.index_select(1, (last - at + keys).clamp(max=last)))
            seen = near.masked_fill(~seen, float("-inf"))
        return self.after(x, F.scaled_dot_product_attention(q, cache[0], cache[1], attn_mask=seen))


class Transformer(nn.Module):
    def __init__(self, tree: Mapping[str, Any], model: Any):
        super().__init__()
        self.tokens, self.drop = embedding(tree["tokens"]["embedding"]), nn.Dropout(model.dropout)
        self.positions = embedding(tree["positions"]["embedding"]) if "positions" in tree else None
        self.blocks = nn.ModuleList(Block(tree[f"blocks_{index}"], model) for index in range(model.layers))
        self.norm = layer_norm(tree["norm"], epsilon=EPSILON)

    def head(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x), self.tokens.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B, T] -> logits [B, T, V]."""
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        x = self.drop(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def decode(self, token: Tensor, caches: Tensor, at: int | Tensor) -> Tensor:
        """token [B] -> logits [B, V]."""
        x = self.tokens(token)[:, None]
        if self.positions is not None:
            x = x + self.positions.weight[at].view(1, 1, -1)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block.decode(x, cache, at)  # type: ignore[operator]
        return self.head(x)[:, 0]

    def draw(self, token: Tensor, caches: Tensor, at: int | Tensor) -> Tensor:
        """token [B] -> the next one, from the softmax: what is compiled where something is."""
        return torch.multinomial(self.decode(token, caches, at).float().softmax(-1), 1)[:, 0]


class GPT:
    """Either model: they have one player, named after them."""

    compiles = ("gpt_loss", "music_transformer_loss")

    def __init__(self, model: Any, params: Mapping[str, Any], extra: Mapping[str, Any]):
        self.model = model
        self.modules = {model.player: Transformer(params[model.player], model)}

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        return {}

    def gpt_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """Whole windows: every position counts."""
        logits = self.modules[self.model.player](batch["tokens"][:, :-1])
        return F.cross_entropy(wide(logits.flatten(0, 1)), batch["tokens"][:, 1:].flatten())

    music_transformer_loss = gpt_loss

    def decode(self, n: int, length: int, device: torch.device, draw: Any = None) -> Tensor:
        """``length`` tokens a row after the start token; ``draw`` is `Transformer.draw` compiled."""
        network, model = self.modules[self.model.player], self.model
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
