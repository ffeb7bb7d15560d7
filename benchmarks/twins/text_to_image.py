"""Words to pictures in PyTorch: an encoder-decoder that writes a VQ-VAE's codes, and two towers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.twins.gpt import EPSILON, Block
from benchmarks.twins.vqvae import Autoencoder, autoencoder_loss, codes_of, drawn_for
from benchmarks.twins.weights import Tree, dense, embedding, layer_norm, layers_of, tensor, wide
from zoo.multimodal.tower import MOST


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [B, H, N, D/H]."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


class Cross(nn.Module):
    """x + attention from norm(x) to what the encoder has read."""

    def __init__(self, tree: Tree, model: Any):
        super().__init__()
        self.heads, self.drop = model.heads, nn.Dropout(model.dropout)
        self.norm, self.query = layer_norm(tree["norm"], epsilon=EPSILON), dense(tree["query"])
        self.key_value, self.project = dense(tree["key_value"]), dense(tree["project"])

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        k, v = (split_heads(part, self.heads) for part in self.key_value(memory).chunk(2, dim=2))
        q = split_heads(self.query(self.norm(x)), self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return x + self.drop(self.project(mixed.transpose(1, 2).flatten(2)))


class Writer(nn.Module):
    """An encoder of captions and a decoder of codes, which share their embeddings."""

    def __init__(self, tree: Tree, model: Any):
        super().__init__()
        of = lambda name: embedding(tree[name]["embedding"])
        self.tokens, self.positions, self.due, self.sides = map(of, ("tokens", "positions", "due", "sides"))
        self.encoder = nn.ModuleList(Block(part, model) for part in layers_of(tree, "encoder"))
        self.cross = nn.ModuleList(Cross(part, model) for part in layers_of(tree, "cross"))
        self.decoder = nn.ModuleList(Block(part, model) for part in layers_of(tree, "decoder"))
        self.norm_source, self.norm = (layer_norm(tree[name], epsilon=EPSILON) for name in ("norm_source", "norm"))
        self.drop = nn.Dropout(model.dropout)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """source [B, S] of ``lengths`` [B], target [B, N] -> logits [B, N, V]."""
        seen = (torch.arange(source.shape[1], device=source.device) < lengths[:, None])[:, None, None]
        memory = self.drop(self.tokens(source) + self.positions.weight[: source.shape[1]] + self.sides.weight[0])
        for block in self.encoder:
            memory = block(memory, seen)
        memory = self.norm_source(memory)
        places = self.positions.weight[: target.shape[1]] + self.due.weight[0] + self.sides.weight[1]
        x = self.drop(self.tokens(target) + places)
        for cross, block in zip(self.cross, self.decoder, strict=True):
            x = block(cross(x, memory, seen))
        return F.linear(self.norm(x), self.tokens.weight)


class TowerBlock(nn.Module):
    def __init__(self, tree: Tree, model: Any):
        super().__init__()
        self.heads, self.drop = model.heads, nn.Dropout(model.dropout)
        self.norm_1, self.norm_2 = (layer_norm(tree[name], epsilon=EPSILON) for name in ("norm_1", "norm_2"))
        self.queries, self.keys_values = dense(tree["queries"]), dense(tree["keys_values"])
        self.project, self.expand, self.contract = (dense(tree[name]) for name in ("project", "expand", "contract"))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        own = self.norm_1(x)
        k, v = (split_heads(part, self.heads) for part in self.keys_values(own).chunk(2, dim=2))
        mixed = F.scaled_dot_product_attention(split_heads(self.queries(own), self.heads), k, v, attn_mask=seen)
        x = x + self.drop(self.project(mixed.transpose(1, 2).flatten(2)))
        return x + self.drop(self.contract(F.gelu(self.expand(self.norm_2(x)), approximate="tanh")))


class Side(nn.Module):
    """Tokens [B, N, D] -> unit vectors [B, E]."""

    def __init__(self, tree: Tree, model: Any):
        super().__init__()
        self.blocks = nn.ModuleList(TowerBlock(part, model) for part in layers_of(tree, "block"))
        self.norm, self.projection = layer_norm(tree["norm"], epsilon=EPSILON), dense(tree["projection"])

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, None if seen is None else seen[:, None, None])
        x = self.norm(x)
        if seen is None:
            x = x.mean(1)
        else:
            x = (seen[..., None] * x).sum(1) / seen.sum(1, keepdim=True).clamp(min=1)
        x = self.projection(x)
        return x * torch.rsqrt(wide(x).square().sum(1, keepdim=True) + 1e-12).to(x.dtype)


class Towers(nn.Module):
    def __init__(self, tree: Tree, model: Any):
        super().__init__()
        self.patch, self.temperature = model.patch, nn.Parameter(tensor(tree["temperature"]))
        self.words, self.positions = embedding(tree["words"]["embedding"]), nn.Parameter(tensor(tree["positions"]))
        patches = tree["picture_embedding"]
        self.patches, self.places = dense(patches["patches"]), nn.Parameter(tensor(patches["positions"]))
        self.caption, self.picture = Side(tree["caption"], model), Side(tree["picture"], model)

    def forward(self, caption: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Captions [B, L] and pictures [B, C, H, W] -> unit vectors [B, E] each."""
        side = self.patch
        squares = image.movedim(1, -1).unflatten(2, (-1, side)).unflatten(1, (-1, side)).transpose(2, 3)
        seen = self.picture(self.patches(squares.flatten(3).flatten(1, 2)) + self.places)
        return self.caption(self.words(caption) + self.positions, caption > 0), seen


class TextToImage:
    """All three players' losses."""

    compiles = ("autoencoder_loss", "writer_loss", "towers_loss")

    def __init__(self, model: Any, params: Tree, extra: Tree):
        self.model, self.writes = model, model.writer
        self.modules = {
            "autoencoder": Autoencoder(params["autoencoder"], extra),
            "writer": Writer(params["writer"], self.writes),
            "towers": Towers(params["towers"], model),
        }

    def draws(self, phase: str, batch: int, device: torch.device) -> dict[str, Tensor]:
        if phase == "autoencoder":
            return {"drawn": drawn_for(self.model.pictures, batch, device)}
        return {"shown": torch.rand(batch, device=device) >= self.model.withheld} if phase == "writer" else {}

    def autoencoder_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        return autoencoder_loss(self.model.pictures, self.modules["autoencoder"], batch["image"], draws["drawn"])

    def writer_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """Captions that are not shown are the start token alone."""
        model, caption, shown = self.writes, batch["caption"], draws["shown"].bool()
        codes = codes_of(self.modules["autoencoder"], batch["image"])
        source, nothing = caption + self.model.codes, F.pad(caption[:, :0], (1, 0), value=model.start_token)
        source = torch.cat([torch.where(shown[:, None], source[:, :1], nothing), source[:, 1:]], 1)
        lengths = torch.where(shown, (caption > 0).sum(1).clamp(min=1), 1)
        logits = self.modules["writer"](source, lengths, F.pad(codes[:, :-1], (1, 0), value=model.start_token))
        return F.cross_entropy(wide(logits.flatten(0, 1)), codes.flatten())

    def towers_loss(self, batch: Mapping[str, Tensor], draws: Mapping[str, Tensor]) -> Tensor:
        """What has the same caption counts as neither right nor wrong."""
        network, caption = self.modules["towers"], batch["caption"]
        said, seen = network(caption, batch["image"])
        own = torch.arange(len(caption), device=caption.device)
        twins = (caption[:, None] == caption[None]).all(2) & (own[:, None] != own[None])
        logits = network.temperature.clamp(max=MOST).exp() * wide(said @ seen.T)
        logits = logits.masked_fill(twins, torch.finfo(logits.dtype).min)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
