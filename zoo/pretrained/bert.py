"""BERT with its head for masked tokens, in Hugging Face's form."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.pretrained.files import CONFIG, read_json
from zoo.pretrained.form import Form, Leaf, check, linear, linears, norm, sizes
from zoo.transformer.bert import BERT

SIZES = {
    "vocabulary": ("vocab_size", 30522),
    "context": ("max_position_embeddings", 512),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "width": ("hidden_size", 768),
    "inner": ("intermediate_size", 3072),
}
KNOWN = {
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "tie_word_embeddings": (True,),
}
PUBLISHED_MASK = 103
"""[MASK] of Google's English models."""


def model_of(folder: Path, config: Mapping[str, Any], dtype: str) -> BERT:
    check(folder, config, KNOWN)
    found = sizes(folder, config, SIZES)
    return BERT(
        **found, mask_token=mask_token(folder, config, found["vocabulary"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)), dropout=float(config.get("hidden_dropout_prob", 0.1)),
        dtype=dtype,
    )  # fmt: skip


def mask_token(folder: Path, config: Mapping[str, Any], vocabulary: int) -> int:
    """What the config or the tokenizer beside it says; or else that of Google's English models."""
    if config.get("mask_token_id") is not None:
        return int(config["mask_token_id"])
    if (file := folder / "tokenizer.json").is_file():
        tokens = {token.get("content"): token.get("id") for token in read_json(file).get("added_tokens") or ()}
        if "[MASK]" in tokens:
            return int(tokens["[MASK]"])
    if (file := folder / "vocab.txt").is_file():
        words = file.read_text(encoding="utf-8").splitlines()
        if "[MASK]" in words:
            return words.index("[MASK]")
    if vocabulary <= PUBLISHED_MASK:
        raise UserError(f"{folder}: which token is [MASK]? Put its vocab.txt there, or mask_token_id into {CONFIG}")
    return PUBLISHED_MASK


def config_of(model: BERT) -> dict[str, Any]:
    fields = {theirs: getattr(model, ours) for ours, (theirs, _) in SIZES.items()}
    return {
        "architectures": ["BertForMaskedLM"],
        **fields,
        "vocab_size": model.rows,
        "intermediate_size": model.inner or 4 * model.width,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": model.epsilon,
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": 0.0,
        "mask_token_id": model.mask,
        "pad_token_id": 0,
    }


def leaves(model: BERT, config: Mapping[str, Any]) -> Iterator[Leaf]:
    width, inner, rows = model.width, model.inner or 4 * model.width, model.rows
    types = int(config.get("type_vocab_size", 2))
    yield Leaf(("tokens", "embedding"), {"embeddings.word_embeddings.weight": (rows, width)})
    yield Leaf(  # every token is of the first sentence: its type is a part of its position
        ("positions", "embedding"),
        {"embeddings.position_embeddings.weight": (model.context, width),
         "embeddings.token_type_embeddings.weight": (types, width)},
        lambda places, kinds: places + kinds[:1],
        lambda places: (places, np.zeros((types, width), places.dtype)),
    )  # fmt: skip
    yield from norm(("norm_0",), "embeddings.LayerNorm", width)
    for number in range(model.layers):
        theirs, ours = f"encoder.layer.{number}", f"blocks_{number}"
        heads = [f"{theirs}.attention.self.{name}" for name in ("query", "key", "value")]
        yield from linears((ours, "qkv"), heads, width)
        yield from linear((ours, "project"), f"{theirs}.attention.output.dense", (width, width))
        yield from norm((ours, "norm_1"), f"{theirs}.attention.output.LayerNorm", width)
        yield from linear((ours, "expand"), f"{theirs}.intermediate.dense", (width, inner))
        yield from linear((ours, "contract"), f"{theirs}.output.dense", (inner, width))
        yield from norm((ours, "norm_2"), f"{theirs}.output.LayerNorm", width)
    yield from linear(("transform",), "cls.predictions.transform.dense", (width, width))
    yield from norm(("norm",), "cls.predictions.transform.LayerNorm", width)
    more = rows - model.vocabulary  # where [MASK] is no token that is ever predicted
    yield Leaf(
        ("bias",), {"cls.predictions.bias": (rows,)},
        lambda bias: bias[: model.vocabulary], lambda bias: (np.pad(bias, (0, more)),),
    )  # fmt: skip


def ignores(model: BERT, name: str) -> bool:
    """The tied head once more, the task of sentence pairs, and numbers of positions."""
    del model
    heads = ("cls.predictions.decoder.", "cls.seq_relationship.", "pooler.")
    return name.startswith(heads) or name == "embeddings.position_ids"


FORM = Form("bert", BERT, "bert.", ("cls.",), BERT.player, model_of, config_of, leaves, ignores)
