"""GPT-2 in Hugging Face's form: their names and formulas in float64 NumPy, and `transformers` itself where it is."""

import json
import shutil
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from scipy.special import softmax
from tiny import initialised, jitted, random_like

import zoo
from zoo.errors import UserError

safetensors = pytest.importorskip("safetensors.numpy")

SHAPES = [
    {"vocab_size": 37, "n_positions": 19, "n_layer": 2, "n_head": 5, "n_embd": 35},
    {"vocab_size": 50, "n_positions": 33, "n_layer": 1, "n_head": 3, "n_embd": 12, "tie_word_embeddings": False,
     "n_inner": 17, "layer_norm_epsilon": 1e-3},
]  # fmt: skip


def checkpoint(config, seed=0):
    """Random weights by Hugging Face's names and shapes."""
    width, inner = config["n_embd"], config.get("n_inner") or 4 * config["n_embd"]
    shapes = {"wte.weight": (config["vocab_size"], width), "wpe.weight": (config["n_positions"], width)}
    for at in range(config["n_layer"]):
        for name, shape in {
            "ln_1": (width,), "attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width), "ln_2": (width,),
            "mlp.c_fc": (width, inner), "mlp.c_proj": (inner, width),
        }.items():  # fmt: skip
            shapes |= {f"h.{at}.{name}.weight": shape, f"h.{at}.{name}.bias": shape[-1:]}
    shapes |= {"ln_f.weight": (width,), "ln_f.bias": (width,)}
    if not config.get("tie_word_embeddings", True):
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    rng = np.random.default_rng(seed)
    return {name: rng.normal(scale=0.3, size=shape).astype(np.float32) for name, shape in shapes.items()}


def logits_of(config, weights, tokens):
    """GPT-2 on tokens [T] by their names, one head after the other; "Conv1D" is x W + b."""
    weights = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    dense = lambda name, x: x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]
    gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + config.get("layer_norm_epsilon", 1e-5))
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["wte.weight"][tokens] + weights["wpe.weight"][: len(tokens)]
    for at in range(config["n_layer"]):
        q, k, v = np.split(dense(f"h.{at}.attn.c_attn", norm(f"h.{at}.ln_1", x)), 3, axis=-1)
        heads = []
        for part in np.split(np.arange(config["n_embd"]), config["n_head"]):
            scores = q[:, part] @ k[:, part].T / np.sqrt(len(part))
            scores[np.triu_indices(len(tokens), 1)] = -np.inf
            heads.append(softmax(scores, axis=-1) @ v[:, part])
        x = x + dense(f"h.{at}.attn.c_proj", np.concatenate(heads, axis=-1))
        x = x + dense(f"h.{at}.mlp.c_proj", gelu(dense(f"h.{at}.mlp.c_fc", norm(f"h.{at}.ln_2", x))))
    return norm("ln_f", x) @ weights.get("lm_head.weight", weights["wte.weight"]).T


def write(folder, config, weights):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **config}))
    safetensors.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("config", SHAPES)
def test_logits_are_those_of_the_formulas(config, tmp_path):
    weights = checkpoint(config)
    model, params, extra = zoo.load_pretrained(write(tmp_path / "plain", config, weights))
    tokens = np.random.default_rng(1).integers(0, config["vocab_size"], config["n_positions"])
    ours = jitted(model, "outputs")(params, extra, tokens[None])[0]
    np.testing.assert_allclose(ours, logits_of(config, weights, tokens), atol=1e-4)
    fresh = jax.eval_shape(model.init, jax.random.key(0))[0]
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, params)

    # The same weights as other files hold them: a prefix, old buffers, a head that is the embeddings again.
    size, other = config["n_positions"], {f"transformer.{name}": array for name, array in weights.items()}
    if "transformer.lm_head.weight" in other:
        other["lm_head.weight"] = other.pop("transformer.lm_head.weight")
    else:
        other["lm_head.weight"] = weights["wte.weight"]
    other |= {"transformer.h.0.attn.bias": np.tril(np.ones((1, 1, size, size), bool))}
    other |= {"transformer.h.0.attn.masked_bias": np.array(-1e4, np.float32)}
    again = zoo.load_pretrained(write(tmp_path / "prefixed", config, other))
    assert again[0] == model
    jax.tree.map(np.testing.assert_array_equal, again[1], params)


def test_saved_and_loaded_again(tmp_path):
    for fields in ({}, {"tied": False, "inner": 9, "epsilon": 1e-3, "start_token": 3, "dropout": 0.2}):
        model = zoo.create("gpt", vocabulary=13, context=7, layers=2, heads=2, width=6, **fields)
        params = random_like(initialised(model)[0])
        folder = tmp_path / str(len(fields))
        zoo.save_pretrained(model, params, folder)
        zoo.save_pretrained(model, params, folder)  # over itself
        loaded, again, extra = zoo.load_pretrained(folder)
        assert loaded == model and extra == {}
        zoo.save_pretrained(model, jax.tree.map(jnp.zeros_like, params), folder)
        jax.tree.map(np.testing.assert_array_equal, again, params)  # what was loaded does not hang on the file
    with pytest.raises(UserError, match="a RNN has no form"):
        zoo.save_pretrained(zoo.create("lstm"), {}, tmp_path)


def test_shards_and_narrow_weights(tmp_path):
    config, weights = SHAPES[0], checkpoint(SHAPES[0])
    folder = write(tmp_path, config, {})
    (folder / "model.safetensors").unlink()
    names, shards = sorted(weights), {}
    for at in range(2):
        shard = f"model-{at + 1:05}-of-00002.safetensors"
        part = {name: weights[name].astype(ml_dtypes.bfloat16) for name in names[at::2]}
        safetensors.save_file(part, folder / shard)
        shards |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    _, params, _ = zoo.load_pretrained(folder)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    want = weights["wpe.weight"].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(params["gpt"]["positions"]["embedding"], want)
    shards["wpe.weight"] = "../elsewhere.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(UserError, match="no file of this folder"):
        zoo.load_pretrained(folder)


def test_what_cannot_be_read_is_one_line(tmp_path):
    config, weights = SHAPES[0], checkpoint(SHAPES[0])
    load = lambda **changes: zoo.load_pretrained(
        write(tmp_path, config | changes.pop("config", {}), weights | changes.pop("weights", {}))
    )
    with pytest.raises(UserError, match=r"config.json: No such file.*give the folder"):
        zoo.load_pretrained(tmp_path / "nowhere")
    for change, message in [
        ({"model_type": "llama"}, "model_type is 'llama'; what can be read is gpt2, bert, vit"),
        ({"activation_function": "relu"}, "activation_function is relu"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"n_layer": 3}, r"no h\.2\.ln_1\.weight"),
        ({"n_layer": 1}, r"says nothing of the weights h\.1\.attn\.c_attn\.bias, h\.1"),
        ({"n_embd": 40}, r"wte\.weight is \[37, 35\], but config.json asks for \[37, 40\]"),
        ({"n_head": 4}, "does not divide"),
        ({"n_layer": "many"}, "invalid literal"),
        ({"n_layer": 0}, "at least 1"),
    ]:
        with pytest.raises(UserError, match=message):
            load(config=change)
    with pytest.raises(UserError, match=r"says nothing of the weights h\.0\.attn\.q_norm"):
        load(weights={"h.0.attn.q_norm": np.ones(3, np.float32)})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        zoo.load_pretrained(tmp_path)


# ---- Files ----------------------------------------------------------------------------------------------------------


def test_broken_files_and_a_missing_library_are_one_line(tmp_path, monkeypatch):
    folder = write(tmp_path, SHAPES[1], checkpoint(SHAPES[1]))
    (folder / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        zoo.save_pretrained(*zoo.load_pretrained(folder)[:2], folder / "file" / "inside")
    path = folder / "model.safetensors"
    good = path.read_bytes()
    for bad in (b"", good[:7], good[:100], good[:-1], good + b"\0", b"\xff" * 8 + good[8:]):
        path.write_bytes(bad)
        with pytest.raises(UserError, match="is no safetensors file"):
            zoo.load_pretrained(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*model\.safetensors"):
        zoo.load_pretrained(folder)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(UserError, match=r"pip install artzoo\[pretrained\]"):
        zoo.load_pretrained(folder)


# ---- Theirs ---------------------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", SHAPES)
def test_logits_are_those_of_transformers(config, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, bos_token_id=1, eos_token_id=2)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path / "theirs")
    tokens = np.random.default_rng(1).integers(0, config["vocab_size"], (2, config["n_positions"]))
    with torch.no_grad():
        want = theirs(torch.tensor(tokens)).logits.numpy()
    model, params, extra = zoo.load_pretrained(tmp_path / "theirs")
    np.testing.assert_allclose(jitted(model, "outputs")(params, extra, tokens), want, atol=1e-4)

    zoo.save_pretrained(model, params, tmp_path / "ours")
    back = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        np.testing.assert_allclose(back(torch.tensor(tokens)).logits.numpy(), want, atol=1e-5)
    shutil.rmtree(tmp_path / "theirs")
