"""Weights from elsewhere: folders in Hugging Face's form, config.json and safetensors, to our models and back.

What is read: GPT-2. Nothing is downloaded and nothing in such a folder is run. Needs the library safetensors
(``artzoo[pretrained]``).
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.model import Extra, Params
from zoo.transformer.gpt import GPT

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
PREFIX = "transformer."


def load_pretrained(path: str | Path, *, dtype: str = "float32") -> tuple[GPT, Params, Extra]:
    """(model, params, extra) of a folder with ``config.json`` and ``model.safetensors`` (or its shards and
    ``model.safetensors.index.json``): GPT-2 with any sizes, tied or not, names with the prefix "transformer." or
    without. Parameters are float32 whatever the file holds; ``dtype`` is the compute dtype.

    UserError for another architecture, and for weights that are missing, left over, or of another shape.
    """
    folder = Path(path).expanduser()
    config = _read_json(folder / CONFIG)
    model = _gpt(folder, config, dtype)
    tensors = {_plain(name): tensor for name, tensor in _tensors(folder).items()}
    tree: dict[str, Any] = {}
    for name, place, shape, transposed in _layout(model):
        if name not in tensors:
            raise UserError(f"{folder}: the weights have no {name}")
        tensor = tensors.pop(name)
        tensor = tensor.T if transposed else tensor
        if tensor.shape != shape:
            raise UserError(f"{folder}: {name} is {list(tensor.shape)}, but {CONFIG} asks for {list(shape)}")
        *branch, leaf = place
        node = tree
        for step in branch:
            node = node.setdefault(step, {})
        node[leaf] = jnp.array(tensor, jnp.float32)  # a copy: the file may be written again
    left = [name for name in tensors if not _is_buffer(name) and not (model.tied and name == "lm_head.weight")]
    if left:
        raise UserError(f"{folder}: {CONFIG} says nothing of the weights {', '.join(sorted(left)[:3])}")
    return model, {model.player: tree}, {}


def save_pretrained(model: GPT, params: Params, path: str | Path) -> None:
    """Writes the folder that `load_pretrained` reads, and ``transformers.GPT2LMHeadModel.from_pretrained`` too."""
    if not isinstance(model, GPT):
        raise UserError(f"a {type(model).__name__} has no form at Hugging Face; GPT has")
    tensors = {}
    for name, place, _, transposed in _layout(model):
        leaf: Any = params[model.player]
        for step in place:
            leaf = leaf[step]
        array = np.asarray(leaf)
        tensors[name if name.startswith("lm_head") else PREFIX + name] = array.T if transposed else array
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps(_config(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from None
    _write(folder / WEIGHTS, tensors)


def _gpt(folder: Path, config: Mapping[str, Any], dtype: str) -> GPT:
    """The model that a config describes."""
    if config.get("model_type") != "gpt2":
        raise UserError(f"{folder}: its model_type is {config.get('model_type')!r}; gpt2 can be read")
    wants = {
        "activation_function": (config.get("activation_function", "gelu_new"), TANH_GELU),
        "scale_attn_weights": (config.get("scale_attn_weights", True), (True,)),
        "scale_attn_by_inverse_layer_idx": (config.get("scale_attn_by_inverse_layer_idx", False), (False,)),
        "add_cross_attention": (config.get("add_cross_attention", False), (False,)),
    }
    for name, (value, known) in wants.items():
        if value not in known:
            raise UserError(f"{folder}: {name} is {value}; what can be read is {', '.join(map(str, known))}")
    try:
        sizes = {
            ours: int(config.get(theirs, default))
            for ours, theirs, default in (
                ("vocabulary", "vocab_size", 50257), ("context", "n_positions", 1024), ("layers", "n_layer", 12),
                ("heads", "n_head", 12), ("width", "n_embd", 768),
            )
        }  # fmt: skip
        inner, epsilon = config.get("n_inner"), float(config.get("layer_norm_epsilon", 1e-5))
        dropout, start = float(config.get("resid_pdrop", 0.1)), int(config.get("bos_token_id") or 0)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder / CONFIG}: {error}") from None
    if min(sizes.values()) < 1:
        raise UserError(f"{folder / CONFIG}: sizes must be at least 1")
    tied = config.get("tie_word_embeddings", True) is not False
    start = start if start < sizes["vocabulary"] else 0
    return GPT(**sizes, inner=inner, tied=tied, epsilon=epsilon, dropout=dropout, start_token=start, dtype=dtype)


def _config(model: GPT) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": model.vocabulary,
        "n_positions": model.context,
        "n_layer": model.layers,
        "n_head": model.heads,
        "n_embd": model.width,
        "n_inner": model.inner,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": model.epsilon,
        "tie_word_embeddings": model.tied,
        "resid_pdrop": model.dropout,
        "embd_pdrop": model.dropout,
        "attn_pdrop": 0.0,
        "bos_token_id": model.start_token,
        "eos_token_id": model.start_token,
        "dtype": "float32",
    }


def _layout(model: GPT) -> Iterator[tuple[str, tuple[str, ...], tuple[int, ...], bool]]:
    """(their name, our place, our shape, whether theirs is transposed). GPT-2's "Conv1D" kernels lie as ours do."""
    width, inner = model.width, model.inner or 4 * model.width
    yield "wte.weight", ("tokens", "embedding"), (model.vocabulary, width), False
    yield "wpe.weight", ("positions", "embedding"), (model.context, width), False
    norms = {"ln_1": "norm_1", "ln_2": "norm_2"}
    products = {
        "attn.c_attn": ("qkv", (width, 3 * width)),
        "attn.c_proj": ("project", (width, width)),
        "mlp.c_fc": ("expand", (width, inner)),
        "mlp.c_proj": ("contract", (inner, width)),
    }
    for number in range(model.layers):
        theirs, ours = f"h.{number}", f"blocks_{number}"
        for name, norm in norms.items():
            yield f"{theirs}.{name}.weight", (ours, norm, "scale"), (width,), False
            yield f"{theirs}.{name}.bias", (ours, norm, "bias"), (width,), False
        for name, (product, shape) in products.items():
            yield f"{theirs}.{name}.weight", (ours, product, "kernel"), shape, False
            yield f"{theirs}.{name}.bias", (ours, product, "bias"), shape[1:], False
    yield "ln_f.weight", ("norm", "scale"), (width,), False
    yield "ln_f.bias", ("norm", "bias"), (width,), False
    if not model.tied:
        yield "lm_head.weight", ("unembed", "kernel"), (width, model.vocabulary), True


def _tensors(folder: Path) -> dict[str, np.ndarray]:
    """All weights of a folder, of one file or of several."""
    index = folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        return _read(folder / WEIGHTS)
    shards = _read_json(index).get("weight_map", {})
    tensors = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard:
            raise UserError(f"{index}: {shard!r} is no file of this folder")
        tensors |= _read(folder / shard)
    return tensors


def _read(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file."""
    library = _library()
    try:
        return library.numpy.load_file(path)
    except OSError:
        raise UserError(f"cannot read {path}: No such file or directory") from None
    except library.SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error}") from None


def _write(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    library = _library()
    # The library writes the memory of an array as if it were contiguous, whether it is or not.
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        library.numpy.save_file(contiguous, path, metadata={"format": "pt"})
    except (OSError, library.SafetensorError) as error:
        raise UserError(f"cannot write {path}: {error}") from None


def _library() -> Any:
    """The safetensors library, or a `UserError` that says how to get it."""
    try:
        import safetensors.numpy
    except ImportError:
        raise UserError("weights in Hugging Face's form need safetensors: pip install artzoo[pretrained]") from None
    return safetensors


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the folder that config.json is in") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} should hold an object")
    return found


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX)


def _is_buffer(name: str) -> bool:
    """Causal masks, which old files hold as if they were weights; not ``attn.c_attn.bias``."""
    return re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name) is not None
