"""ViT with its classifier, in Hugging Face's form. Its pictures are in [-1, 1], as ours are."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.pretrained.form import TANH_GELU, Form, Leaf, check, linear, linears, norm, sizes
from zoo.transformer.vit import PLAYER, ViT

SIZES = {
    "image_size": ("image_size", 224),
    "channels": ("num_channels", 3),
    "patch": ("patch_size", 16),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "width": ("hidden_size", 768),
    "inner": ("intermediate_size", 3072),
}
ACTIVATIONS: Mapping[str, Any] = {"gelu": "exact-gelu", "relu": "relu", **dict.fromkeys(TANH_GELU, "gelu")}
KNOWN = {"hidden_act": tuple(ACTIVATIONS), "qkv_bias": (True,)}


def model_of(folder: Path, config: Mapping[str, Any], dtype: str) -> ViT:
    check(folder, config, KNOWN)
    return ViT(
        **sizes(folder, config, SIZES), classes=len(config.get("id2label") or range(2)),
        activation=ACTIVATIONS[config.get("hidden_act", "gelu")], epsilon=float(config.get("layer_norm_eps", 1e-12)),
        dropout=float(config.get("hidden_dropout_prob", 0.0)), dtype=dtype,
    )  # fmt: skip


def config_of(model: ViT) -> dict[str, Any]:
    names = {str(number): f"LABEL_{number}" for number in range(model.classes)}
    return {
        "architectures": ["ViTForImageClassification"],
        **{theirs: getattr(model, ours) for ours, (theirs, _) in SIZES.items()},
        "intermediate_size": model.inner or 4 * model.width,
        "hidden_act": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == model.activation),
        "layer_norm_eps": model.epsilon,
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": 0.0,
        "qkv_bias": True,
        "id2label": names,
        "label2id": {name: int(number) for number, name in names.items()},
    }


def leaves(model: ViT, config: Mapping[str, Any]) -> Iterator[Leaf]:
    del config
    width, inner, side = model.width, model.inner or 4 * model.width, model.patch
    count = (model.image_size // side) ** 2 + 1
    yield Leaf(("whole",), {"embeddings.cls_token": (1, 1, width)})
    yield Leaf(("positions",), {"embeddings.position_embeddings": (1, count, width)})
    patches = "embeddings.patch_embeddings.projection"
    yield Leaf(
        ("patches", "kernel"), {f"{patches}.weight": (width, model.channels, side, side)},
        lambda kernel: kernel.transpose(2, 3, 1, 0).reshape(-1, width),
        lambda kernel: (kernel.reshape(side, side, model.channels, width).transpose(3, 2, 0, 1),),
    )  # fmt: skip
    yield Leaf(("patches", "bias"), {f"{patches}.bias": (width,)})
    for number in range(model.layers):
        theirs, ours = f"encoder.layer.{number}", f"blocks_{number}"
        heads = [f"{theirs}.attention.attention.{name}" for name in ("query", "key", "value")]
        yield from norm((ours, "norm_1"), f"{theirs}.layernorm_before", width)
        yield from linears((ours, "qkv"), heads, width)
        yield from linear((ours, "project"), f"{theirs}.attention.output.dense", (width, width))
        yield from norm((ours, "norm_2"), f"{theirs}.layernorm_after", width)
        yield from linear((ours, "expand"), f"{theirs}.intermediate.dense", (width, inner))
        yield from linear((ours, "contract"), f"{theirs}.output.dense", (inner, width))
    yield from norm(("norm",), "layernorm", width)
    yield from linear(("head",), "classifier", (width, model.classes))


def ignores(model: ViT, name: str) -> bool:
    """A layer that classifiers do not use."""
    del model
    return name.startswith("pooler.")


FORM = Form("vit", ViT, "vit.", ("classifier.",), PLAYER, model_of, config_of, leaves, ignores)
