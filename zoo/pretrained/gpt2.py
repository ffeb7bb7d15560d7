"""GPT-2 in Hugging Face's form."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.pretrained.form import TANH_GELU, Form, Leaf, check, norm, sizes, transposed
from zoo.transformer.gpt import GPT

SIZES = {
    "vocabulary": ("vocab_size", 50257),
    "context": ("n_positions", 1024),
    "layers": ("n_layer", 12),
    "heads": ("n_head", 12),
    "width": ("n_embd", 768),
}
KNOWN = {
    "activation_function": TANH_GELU,
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


def model_of(folder: Path, config: Mapping[str, Any], dtype: str) -> GPT:
    check(folder, config, KNOWN)
    found: dict[str, Any] = sizes(folder, config, SIZES)
    start = int(config.get("bos_token_id") or 0)
    return GPT(
        **found, inner=config.get("n_inner"), tied=config.get("tie_word_embeddings", True) is not False,
        epsilon=float(config.get("layer_norm_epsilon", 1e-5)), dropout=float(config.get("resid_pdrop", 0.1)),
        start_token=start if start < found["vocabulary"] else 0, dtype=dtype,
    )  # fmt: skip


def config_of(model: GPT) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        **{theirs: getattr(model, ours) for ours, (theirs, _) in SIZES.items()},
        "n_inner": model.inner,
        "activation_function": TANH_GELU[0],
        "layer_norm_epsilon": model.epsilon,
        "tie_word_embeddings": model.tied,
        "resid_pdrop": model.dropout,
        "embd_pdrop": model.dropout,
        "attn_pdrop": 0.0,
        "bos_token_id": model.start_token,
        "eos_token_id": model.start_token,
    }


def leaves(model: GPT, config: Mapping[str, Any]) -> Iterator[Leaf]:
    """GPT-2's "Conv1D" kernels lie as ours do."""
    del config
    width, inner = model.width, model.inner or 4 * model.width
    yield Leaf(("tokens", "embedding"), {"wte.weight": (model.vocabulary, width)})
    yield Leaf(("positions", "embedding"), {"wpe.weight": (model.context, width)})
    products = {
        "attn.c_attn": ("qkv", (width, 3 * width)),
        "attn.c_proj": ("project", (width, width)),
        "mlp.c_fc": ("expand", (width, inner)),
        "mlp.c_proj": ("contract", (inner, width)),
    }
    for number in range(model.layers):
        theirs, ours = f"h.{number}", f"blocks_{number}"
        yield from norm((ours, "norm_1"), f"{theirs}.ln_1", width)
        yield from norm((ours, "norm_2"), f"{theirs}.ln_2", width)
        for name, (product, shape) in products.items():
            yield Leaf((ours, product, "kernel"), {f"{theirs}.{name}.weight": shape})
            yield Leaf((ours, product, "bias"), {f"{theirs}.{name}.bias": shape[1:]})
    yield from norm(("norm",), "ln_f", width)
    if not model.tied:
        yield transposed(("unembed", "kernel"), "lm_head.weight", (width, model.vocabulary))


def ignores(model: GPT, name: str) -> bool:
    """A tied head, and causal masks, which old files hold as if they were weights; not ``attn.c_attn.bias``."""
    return (model.tied and name == "lm_head.weight") or re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name) is not None


FORM = Form("gpt2", GPT, "transformer.", ("lm_head.",), GPT.player, model_of, config_of, leaves, ignores)
