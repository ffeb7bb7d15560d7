"""Weights from elsewhere: folders in Hugging Face's form, config.json and safetensors, to our models and back.

What is read: GPT-2, BERT and ViT. Nothing is downloaded and nothing in such a folder is run. Needs the library
safetensors (``artzoo[pretrained]``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.model import Extra, Params
from zoo.pretrained import bert, gpt2, vit
from zoo.pretrained.files import CONFIG, read_config, read_tensors, write_folder
from zoo.pretrained.form import Form

FORMS: Mapping[str, Form] = {form.kind: form for form in (gpt2.FORM, bert.FORM, vit.FORM)}


def load_pretrained(path: str | Path, *, dtype: str = "float32") -> tuple[Any, Params, Extra]:
    """(model, params, extra) of a folder with ``config.json`` and ``model.safetensors`` (or its shards and
    ``model.safetensors.index.json``), of any sizes, with or without the prefix that names the network:

    - GPT-2, its head tied or not;
    - BERT with its head for masked tokens. Sentences of a pair are not told apart: all are the first;
    - ViT with its classifier.

    Parameters are float32 whatever the file holds; ``dtype`` is the compute dtype. UserError for another architecture,
    and for weights that are missing, left over, or of another shape.
    """
    folder = Path(path).expanduser()
    config = read_config(folder)
    form = FORMS.get(str(config.get("model_type")))
    if form is None:
        raise UserError(
            f"{folder}: its model_type is {config.get('model_type')!r}; what can be read is {', '.join(FORMS)}"
        )
    try:
        model = form.model_of(folder, config, dtype)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder / CONFIG}: {error}") from None
    tensors = {name.removeprefix(form.prefix): tensor for name, tensor in read_tensors(folder).items()}
    tree: dict[str, Any] = {}
    for leaf in form.leaves(model, config):
        parts = [_taken(folder, tensors, name, shape) for name, shape in leaf.theirs.items()]
        *branch, last = leaf.place
        node = tree
        for step in branch:
            node = node.setdefault(step, {})
        node[last] = jnp.array(leaf.ours(*parts), jnp.float32)  # a copy: the file may be written again
    left = [name for name in tensors if not form.ignores(model, name)]
    if left:
        raise UserError(f"{folder}: {CONFIG} says nothing of the weights {', '.join(sorted(left)[:3])}")
    return model, {form.player: tree}, {}


def _taken(folder: Path, tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in tensors:
        raise UserError(f"{folder}: the weights have no {name}")
    tensor = tensors.pop(name)
    if tensor.shape != shape:
        raise UserError(f"{folder}: {name} is {list(tensor.shape)}, but {CONFIG} asks for {list(shape)}")
    return tensor


def save_pretrained(model: Any, params: Params, path: str | Path) -> None:
    """Writes the folder that `load_pretrained` reads, and the ``from_pretrained`` of ``transformers`` too:
    ``GPT2LMHeadModel``, ``BertForMaskedLM``, ``ViTForImageClassification``."""
    form = next((form for form in FORMS.values() if type(model) is form.model), None)
    if form is None:
        known = ", ".join(form.model.__name__ for form in FORMS.values())
        raise UserError(f"a {type(model).__name__} has no form at Hugging Face; {known} have")
    config, tensors = form.config_of(model), {}
    for leaf in form.leaves(model, config):
        node: Any = params[form.player]
        for step in leaf.place:
            node = node[step]
        for name, tensor in zip(leaf.theirs, leaf.back(np.asarray(node)), strict=True):
            tensors[name if name.startswith(form.heads) else form.prefix + name] = tensor
    write_folder(Path(path).expanduser(), {"model_type": form.kind, **config, "dtype": "float32"}, tensors)
