"""BERT and ViT in Hugging Face's form: their names and formulas in float64 NumPy, and `transformers` where it is."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, softmax
from tiny import random_like

import zoo
from zoo.errors import UserError

safetensors = pytest.importorskip("safetensors.numpy")

SHAPE = {"hidden_size": 15, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 11}
BERT = {**SHAPE, "vocab_size": 37, "max_position_embeddings": 13, "mask_token_id": 4, "type_vocab_size": 3}
VIT = {
    **SHAPE, "image_size": 8, "patch_size": 4, "num_channels": 2, "layer_norm_eps": 1e-3,
    "id2label": {str(label): "a name" for label in range(5)},
}  # fmt: skip


class Theirs:
    """Random weights by Hugging Face's names, made as a formula asks for them."""

    def __init__(self, seed=0):
        self.rng, self.weights = np.random.default_rng(seed), {}

    def get(self, name, *shape):
        if name not in self.weights:
            self.weights[name] = self.rng.normal(scale=0.3, size=shape).astype(np.float32)
        return self.weights[name].astype(np.float64)

    def linear(self, name, x, out):
        return x @ self.get(f"{name}.weight", out, x.shape[-1]).T + self.get(f"{name}.bias", out)

    def norm(self, name, x, epsilon):
        y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return y * self.get(f"{name}.weight", x.shape[-1]) + self.get(f"{name}.bias", x.shape[-1])

    def attention(self, name, x, heads):
        """Of x [T, D], one head after the other."""
        q, k, v = (self.linear(f"{name}.{part}", x, x.shape[-1]) for part in ("query", "key", "value"))
        parts = np.split(np.arange(x.shape[-1]), heads)
        mixed = [softmax(q[:, p] @ k[:, p].T / np.sqrt(len(p)), axis=-1) @ v[:, p] for p in parts]
        return np.concatenate(mixed, axis=-1)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def bert_logits(theirs, tokens):
    """Tokens [T] of one sentence -> [T, V]."""
    width, size = BERT["hidden_size"], BERT["vocab_size"]
    words = theirs.get("bert.embeddings.word_embeddings.weight", size, width)
    places = theirs.get("bert.embeddings.position_embeddings.weight", BERT["max_position_embeddings"], width)
    kinds = theirs.get("bert.embeddings.token_type_embeddings.weight", BERT["type_vocab_size"], width)
    x = theirs.norm("bert.embeddings.LayerNorm", words[tokens] + places[: len(tokens)] + kinds[0], 1e-12)
    for at in range(BERT["num_hidden_layers"]):
        layer = f"bert.encoder.layer.{at}"
        mixed = theirs.attention(f"{layer}.attention.self", x, BERT["num_attention_heads"])
        mixed = theirs.linear(f"{layer}.attention.output.dense", mixed, width)
        x = theirs.norm(f"{layer}.attention.output.LayerNorm", x + mixed, 1e-12)
        hidden = gelu(theirs.linear(f"{layer}.intermediate.dense", x, BERT["intermediate_size"]))
        x = theirs.norm(f"{layer}.output.LayerNorm", x + theirs.linear(f"{layer}.output.dense", hidden, width), 1e-12)
    x = gelu(theirs.linear("cls.predictions.transform.dense", x, width))
    x = theirs.norm("cls.predictions.transform.LayerNorm", x, 1e-12)
    return x @ words.T + theirs.get("cls.predictions.bias", size)


def vit_logits(theirs, image):
    """A picture [C, H, W] -> [classes]."""
    width, side, epsilon = VIT["hidden_size"], VIT["patch_size"], VIT["layer_norm_eps"]
    kernel = theirs.get("vit.embeddings.patch_embeddings.projection.weight", width, VIT["num_channels"], side, side)
    bias = theirs.get("vit.embeddings.patch_embeddings.projection.bias", width)
    corners = [(y, x) for y in range(0, 8, side) for x in range(0, 8, side)]
    cut = lambda y, x: image[:, y : y + side, x : x + side]
    patches = [np.sum(kernel * cut(y, x), axis=(1, 2, 3)) + bias for y, x in corners]
    x = np.stack([theirs.get("vit.embeddings.cls_token", 1, 1, width)[0, 0], *patches])
    x = x + theirs.get("vit.embeddings.position_embeddings", 1, len(x), width)[0]
    for at in range(VIT["num_hidden_layers"]):
        layer = f"vit.encoder.layer.{at}"
        mixed = theirs.norm(f"{layer}.layernorm_before", x, epsilon)
        mixed = theirs.attention(f"{layer}.attention.attention", mixed, VIT["num_attention_heads"])
        x = x + theirs.linear(f"{layer}.attention.output.dense", mixed, width)
        hidden = theirs.norm(f"{layer}.layernorm_after", x, epsilon)
        hidden = gelu(theirs.linear(f"{layer}.intermediate.dense", hidden, VIT["intermediate_size"]))
        x = x + theirs.linear(f"{layer}.output.dense", hidden, width)
    return theirs.linear("classifier", theirs.norm("vit.layernorm", x, epsilon)[0], len(VIT["id2label"]))


def write(folder, kind, config, weights):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind, **config}))
    safetensors.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_bert_s_logits_are_those_of_the_formulas(tmp_path):
    tokens, theirs = np.random.default_rng(1).integers(0, 37, 13), Theirs()
    want = bert_logits(theirs, tokens)
    unread = {
        "cls.predictions.decoder.weight": theirs.weights["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": theirs.weights["cls.predictions.bias"],
        "bert.pooler.dense.bias": np.ones(15, np.float32), "bert.embeddings.position_ids": np.arange(13)[None],
    }  # fmt: skip
    model, params, extra = zoo.load_pretrained(write(tmp_path, "bert", BERT, theirs.weights | unread))
    assert (model.mask, model.rows, extra) == (4, 37, {})
    logits = jax.jit(model.logits)(params, jnp.asarray(tokens)[None], jnp.array([13]))
    np.testing.assert_allclose(logits[0], want, atol=1e-4)
    assert jax.tree.map(jnp.shape, jax.eval_shape(model.init, jax.random.key(0))[0]) == jax.tree.map(jnp.shape, params)
    # What is missing is asked for by [MASK], which nothing becomes.
    shown, hidden = jnp.asarray(tokens)[None].at[0, 2].set(4), (jnp.arange(13) == 2)[None]
    filled = jax.jit(model.denoise)(params, jnp.asarray(tokens)[None], hidden, jnp.array([13]))
    others = np.delete(np.arange(37), 4)
    again = jax.jit(model.logits)(params, shown, jnp.array([13]))
    np.testing.assert_allclose(filled[..., others], again[..., others], atol=1e-6)
    assert filled[..., 4].max() < -1e30


def test_vit_s_logits_are_those_of_the_formulas(tmp_path):
    image, theirs = np.random.default_rng(1).uniform(-1, 1, (2, 8, 8)), Theirs()
    want = vit_logits(theirs, image)
    model, params, _ = zoo.load_pretrained(write(tmp_path, "vit", VIT, theirs.weights))
    got = jax.jit(model.logits)(params, jnp.asarray(image.transpose(1, 2, 0), jnp.float32)[None])
    np.testing.assert_allclose(got[0], want, atol=1e-4)
    assert jax.tree.map(jnp.shape, jax.eval_shape(model.init, jax.random.key(0))[0]) == jax.tree.map(jnp.shape, params)


ODD = {"layers": 1, "heads": 2, "width": 6, "inner": 5, "epsilon": 1e-4, "dropout": 0.2}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("bert", {"vocabulary": 9, "context": 5, "mask_token": 2, **ODD}),
        ("vit", {"image_size": 4, "patch": 2, "channels": 1, "classes": 3, "activation": "relu", **ODD}),
    ],
)
def test_saved_and_loaded_again(name, fields, tmp_path):
    model = zoo.create(name, **fields)
    params = random_like(jax.device_get(jax.jit(model.init)(jax.random.key(0))[0]))
    zoo.save_pretrained(model, params, tmp_path)
    loaded, again, extra = zoo.load_pretrained(tmp_path)
    assert loaded == model and extra == {}
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_a_bert_whose_mask_is_one_more_token_is_saved_with_it(tmp_path):
    model = zoo.create("bert", vocabulary=9, context=5, **ODD)
    params = random_like(jax.device_get(jax.jit(model.init)(jax.random.key(0))[0]))
    zoo.save_pretrained(model, params, tmp_path)
    loaded, again, _ = zoo.load_pretrained(tmp_path)
    assert (loaded.vocabulary, loaded.mask, loaded.rows) == (10, 9, 10)
    tokens, lengths = jnp.array([[0, 9, 3, 8, 1]]), jnp.array([5])
    ours, theirs = jax.jit(model.logits)(params, tokens, lengths), jax.jit(loaded.logits)(again, tokens, lengths)
    np.testing.assert_allclose(theirs[..., :9], ours, atol=1e-6)


def test_which_token_is_the_mask_is_looked_up(tmp_path):
    weights = Theirs()
    bert_logits(weights, np.arange(3))
    config = {name: value for name, value in BERT.items() if name != "mask_token_id"}
    folder = write(tmp_path, "bert", config, weights.weights)
    with pytest.raises(UserError, match=r"which token is \[MASK\]"):
        zoo.load_pretrained(folder)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[MASK]\n")
    assert zoo.load_pretrained(folder)[0].mask == 2
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"id": 7, "content": "[MASK]"}]}))
    assert zoo.load_pretrained(folder)[0].mask == 7
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"id": 37, "content": "[MASK]"}]}))
    with pytest.raises(UserError, match="37 is none of 37 tokens"):
        zoo.load_pretrained(folder)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("bert", {**BERT, "hidden_act": "relu"}, "hidden_act is relu; what can be read is gelu"),
        ("bert", {**BERT, "is_decoder": True}, "is_decoder is True"),
        ("bert", {**BERT, "hidden_size": 16}, "does not divide"),
        ("vit", {**VIT, "qkv_bias": False}, "qkv_bias is False"),
        ("vit", {**VIT, "patch_size": "wide"}, "invalid literal"),
        ("vit", VIT, "the weights have no embeddings.cls_token"),
    ],
)
def test_what_cannot_be_read_is_one_line(kind, config, message, tmp_path):
    with pytest.raises(UserError, match=message):
        zoo.load_pretrained(write(tmp_path, kind, config, {"classifier.bias": np.zeros(5, np.float32)}))


# ---- Theirs ---------------------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_logits_are_those_of_transformers(kind, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config, classes, name = {
        "bert": (BERT, (transformers.BertConfig, transformers.BertForMaskedLM), "input_ids"),
        "vit": (VIT, (transformers.ViTConfig, transformers.ViTForImageClassification), "pixel_values"),
    }[kind]
    config = {**config, "id2label": {int(n): said for n, said in config.get("id2label", {"0": "", "1": ""}).items()}}
    theirs = classes[1](classes[0](**config)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path / "theirs")
    rng = np.random.default_rng(1)
    given = rng.integers(0, 37, (2, 13)) if kind == "bert" else rng.uniform(-1, 1, (2, 2, 8, 8)).astype(np.float32)
    with torch.no_grad():
        want = theirs(**{name: torch.tensor(given)}).logits.numpy()
    model, params, _ = zoo.load_pretrained(tmp_path / "theirs")
    if kind == "bert":
        ours = model.logits(params, jnp.asarray(given), jnp.array([13, 13]))
    else:
        ours = model.logits(params, jnp.asarray(given.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(ours, want, atol=1e-4)

    zoo.save_pretrained(model, params, tmp_path / "ours")
    back = classes[1].from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        np.testing.assert_allclose(back(**{name: torch.tensor(given)}).logits.numpy(), want, atol=1e-5)
