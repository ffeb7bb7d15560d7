"""Networks that see, and the files that their weights are in."""

import io
import json
import pickle
import struct
import sys
import types
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import squeezenet_arrays

from zoo.errors import UserError
from zoo.features import VGG, SqueezeNet, load_features
from zoo.features.layers import max_pool
from zoo.features.vgg import DEPTHS
from zoo.pretrained.torch_file import read_torch

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def vgg_arrays(depth=11, width=3):
    """Random weights by torchvision's names, few channels."""
    arrays, index, channels = {}, 0, 3
    for count in DEPTHS[depth]:
        for _ in range(count):
            arrays[f"features.{index}.weight"] = RNG.normal(0, 0.3, (width, channels, 3, 3)).astype(np.float32)
            arrays[f"features.{index}.bias"] = RNG.normal(0, 0.3, width).astype(np.float32)
            index, channels = index + 2, width
        index += 1
    return arrays | {"classifier.0.weight": np.zeros((2, 2), np.float32)}


def conv(x, kernel, bias, stride=1, pad=0):
    """[C, H, W] by [O, C, h, w], tap by tap; then a ReLU."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((n - k) // stride + 1 for n, k in zip(x.shape[1:], kernel.shape[2:], strict=True))
    y = np.zeros((len(kernel), rows, columns)) + bias[:, None, None]
    for u in range(kernel.shape[2]):
        for v in range(kernel.shape[3]):
            part = x[:, u : u + stride * rows : stride, v : v + stride * columns : stride]
            y += np.einsum("oc,chw->ohw", kernel[:, :, u, v], part[:, :rows, :columns])
    return np.maximum(y, 0)


def pool(x, window, *, ceil):
    """Maxima of windows two pixels apart; what lies outside is smaller than anything."""
    round_ = np.ceil if ceil else np.floor
    rows, columns = (int(round_((n - window) / 2)) + 1 for n in x.shape[1:])
    cut = lambda i, j: x[:, 2 * i : 2 * i + window, 2 * j : 2 * j + window].max(axis=(1, 2))
    return np.stack([np.stack([cut(i, j) for j in range(columns)], axis=-1) for i in range(rows)], axis=1)


def test_vgg_is_the_published_network(tmp_path):
    arrays, image = vgg_arrays(), RNG.uniform(-1, 1, (32, 32, 3)).astype(np.float32)
    np.savez(tmp_path / "vgg.npz", **arrays)
    network, params = load_features(tmp_path / "vgg.npz")
    assert network == VGG(11) and network.names[:4] == ("relu1_1", "relu2_1", "relu3_1", "relu3_2")
    found = jax.jit(network)(params, image[None])
    x = ((image + 1) / 2 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    x, index = x.transpose(2, 0, 1), 0
    for group, count in enumerate(DEPTHS[11], start=1):
        for layer in range(1, count + 1):
            x = conv(x, arrays[f"features.{index}.weight"], arrays[f"features.{index}.bias"], pad=1)
            np.testing.assert_allclose(found[f"relu{group}_{layer}"][0], x.transpose(1, 2, 0), atol=1e-3, rtol=1e-4)
            index += 2
        x, index = pool(x, 2, ceil=False), index + 1


def test_squeezenet_is_the_published_network(tmp_path):
    arrays, image = squeezenet_arrays(RNG), RNG.uniform(-1, 1, (45, 38, 3)).astype(np.float32)
    np.savez(tmp_path / "squeezenet.npz", **arrays)
    network, params = load_features(tmp_path / "squeezenet.npz")
    found = jax.jit(network)(params, image[None])
    weights = lambda name: (arrays[f"{name}.w"], arrays[f"{name}.b"])
    x = (image.transpose(2, 0, 1)[::-1] + 1) * 127.5 - np.array([104, 117, 123])[:, None, None]
    x = conv(x, *weights("conv1"), stride=2)
    for number in range(2, 10):
        x = pool(x, 3, ceil=True) if number in (2, 5, 9) else x
        small = conv(x, *weights(f"fire{number}.squeeze1x1"))
        parts = [conv(small, *weights(f"fire{number}.expand{k}x{k}"), pad=k // 2) for k in (1, 3)]
        x = np.concatenate(parts)
        scale = np.abs(x).max()
        assert x.std() > 0
        np.testing.assert_allclose(found[f"fire{number}"][0] / scale, x.transpose(1, 2, 0) / scale, atol=1e-5)
    want = conv(x, *weights("conv10"), pad=1).mean(axis=(1, 2))
    np.testing.assert_allclose(jax.jit(network.logits)(params, image[None])[0], want, rtol=1e-4)


def test_nothing_behind_the_last_layer_that_is_asked_for_is_computed():
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), squeezenet_arrays(RNG))
    params = jax.eval_shape(
        lambda arrays: SqueezeNet.read(None, {k: np.zeros(v.shape) for k, v in arrays.items()})[1], shapes
    )
    image = jax.ShapeDtypeStruct((1, 45, 38, 3), jnp.float32)
    count = lambda names: str(jax.make_jaxpr(lambda p, x: SqueezeNet()(p, x, names))(params, image)).count(
        "reduce_window"
    )
    assert [count(("conv1",)), count(("fire4",)), count(("fire5", "conv1"))] == [0, 1, 2]
    with pytest.raises(UserError, match="no layer is called 'fire1'; there are conv1, fire2"):
        count(("fire1",))


def test_pools_that_end_outside():
    x = jnp.arange(1.0, 8.0)[None, :, None, None] * jnp.array([1.0, -1.0])[None, None, None]
    for window, ceil, want in ((2, False, 3), (2, True, 4), (3, True, 3), (3, False, 3)):
        y = max_pool(jnp.broadcast_to(x, (1, 7, 7, 2)), window, ceil=ceil)
        assert y.shape[1:3] == (want, want) and np.isfinite(y).all()


def test_real_squeezenet_knows_what_it_sees(zoo_data):
    from PIL import Image

    folder = zoo_data / "squeezenet_imagenet"
    network, params = load_features(folder / "squeezenet_v1.0_caffe_oihw.npz")
    classify = jax.jit(network.logits)
    for name, label in (("chelsea.png", 285), ("coffee.png", 967), ("rocket.jpg", 733)):
        picture = Image.open(zoo_data / "style_content" / "content" / name).convert("RGB")
        side, (width, height) = min(picture.size), picture.size
        corner = ((width - side) // 2, (height - side) // 2)
        picture = picture.crop((*corner, corner[0] + side, corner[1] + side)).resize((227, 227))
        logits = classify(params, np.asarray(picture, np.float32)[None] / 127.5 - 1)
        assert int(jnp.argmax(logits[0])) == label
        assert label in json.loads((folder / "reference_top5.json").read_text())[name]["top5"]


# ---- PyTorch's files, without PyTorch -------------------------------------------------------------------------------


class Storage:
    """What a pickle names by a persistent id."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides, False, {}


@pytest.fixture
def save(monkeypatch):
    """save(path, tree, storages, old=...) writes a tree as PyTorch does."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2(*parts): ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                return ("storage", torch.FloatStorage, thing.key, "cpu", len(thing.array))
            return None

        def reducer_override(self, thing):
            return (_rebuild_tensor_v2, thing.parts) if isinstance(thing, Tensor) else NotImplemented

    def dumped(thing):
        stream = io.BytesIO()
        Pickler(stream, 2).dump(thing)
        return stream.getvalue()

    def write(path, tree, storages, *, old=False):
        if old:
            head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tree, [one.key for one in storages]]
            tail = [struct.pack("<q", len(one.array)) + one.array.tobytes() for one in storages]
            path.write_bytes(b"".join([*map(dumped, head), *tail]))
            return
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", dumped(tree))
            for one in storages:
                archive.writestr(f"archive/data/{one.key}", one.array.tobytes())

    return write


@pytest.mark.parametrize("old", [False, True])
def test_pytorch_s_files_are_read_without_it(save, old, tmp_path):
    storage, file = Storage("0", np.arange(12, dtype=np.float32)), tmp_path / "state.pth"
    tree = {"whole": Tensor(storage, 0, (3, 4), (4, 1)), "turned": Tensor(storage, 2, (2, 3), (1, 4))}
    save(file, {"state_dict": tree, "epoch": 3}, [storage], old=old)
    arrays = read_torch(file)
    np.testing.assert_array_equal(arrays["whole"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(arrays["turned"], np.arange(12).reshape(3, 4)[:, 2:].T)


@pytest.mark.parametrize("old", [False, True])
def test_a_file_that_wants_more_than_tensors_is_refused(save, old, tmp_path):
    storage, file = Storage("0", np.zeros(4, np.float32)), tmp_path / "state.pth"
    said = []
    for tree, message in (
        ({"a": eval}, r"asks for .*\.eval, which is no tensor"),
        ({"a": Tensor(storage, 0, (3, 2), (2, 1))}, "larger than its storage"),
        ({"a": Tensor(storage, -1, (2,), (1,))}, "larger than its storage"),
        ({"a": Tensor(storage, 0, (9,), (-1,))}, "larger than its storage"),
        ({"a": 3}, "holds no tensors by name"),
    ):
        save(file, tree, [storage] if isinstance(tree["a"], Tensor) else [], old=old)
        with pytest.raises(UserError, match=message) as error:
            read_torch(file)
        said.append(str(error.value))
    assert all("\n" not in line for line in said)
    good = file.read_bytes()
    for bad in (b"", b"\x80", good[:40], good[: len(good) // 2]):
        file.write_bytes(bad)
        with pytest.raises(UserError, match=r"is no state dict|no tensors"):
            read_torch(file)
    with pytest.raises(UserError, match="cannot read"):
        read_torch(tmp_path / "nowhere.pth")


def test_files_of_other_networks_are_one_line(tmp_path):
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    with pytest.raises(UserError, match="are those of no SqueezeNet and no VGG"):
        load_features(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="is no npz file"):
        load_features(tmp_path / "text.npz")
    arrays = vgg_arrays()
    for missing, message in (
        ("features.3.weight", "7 layers of features; VGG-11, 13"),
        ("features.3.bias", "is missing"),
    ):
        np.savez(tmp_path / "vgg.npz", **{name: array for name, array in arrays.items() if name != missing})
        with pytest.raises(UserError, match=message):
            load_features(tmp_path / "vgg.npz")


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("old", [False, True])
def test_what_pytorch_saves(old, tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(24.0).reshape(2, 3, 4)
    state = {
        "a": whole, "b": whole.transpose(0, 2), "c": torch.arange(5), "d": whole[1].half(), "e": whole[0].bfloat16(),
        "f": torch.nn.Parameter(whole[:, 1]), "g": torch.tensor(2.5),
    }  # fmt: skip
    torch.save(state, tmp_path / "state.pth", _use_new_zipfile_serialization=not old)
    arrays = read_torch(tmp_path / "state.pth")
    assert set(arrays) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name].astype(np.float64), tensor.detach().double().numpy())
