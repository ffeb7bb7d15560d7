"""voxels: files of volumes, in cubes of one size; solids, that are drawn."""

from pathlib import Path

import numpy as np
import pytest

from train.data.source import open_source
from train.data.voxels import cube, natural_side
from zoo.codecs.media import write_arrays
from zoo.codecs.vox import write_vox
from zoo.errors import UserError


def block(depth: int, height: int, width: int, colour=(200, 100, 50)) -> np.ndarray:
    return np.broadcast_to(np.array([*colour, 255], np.uint8), (depth, height, width, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(10):
        write_vox(block(2 + n % 3, 3, 4, colour=(20 * n, 0, 0)), tmp_path / f"{n}.vox")
    write_vox(np.zeros((2, 2, 2, 4), np.uint8), tmp_path / "empty.vox")
    (tmp_path / "broken.vox").write_bytes(b"VOX \x96\0\0\0MAIN")
    return tmp_path


def test_a_folder_of_files(folder):
    train, valid = open_source(f"voxels:{folder}"), open_source(f"voxels:{folder}", "valid")
    assert (train.size, valid.size) == (9, 1) and train.fields == {"image_size": 8, "channels": 4}
    assert [line.split(":")[0] for line in train.skipped] == ["broken.vox", "empty.vox#0"]
    batch = train.read(np.arange(9, dtype=np.int32))["voxel"]
    assert batch.shape == (9, 8, 8, 8, 4) and batch.dtype == np.float32 and np.abs(batch).max() <= 1
    voxels = train.codec.decode(batch)
    heights = [len(np.unique(np.nonzero(one[..., 3])[0])) for one in voxels]
    assert set(heights) == {4, 6, 8}  # all are twice as large
    assert (voxels[..., 3] > 0).sum(axis=(1, 2, 3)).tolist() == [6 * 8 * height for height in heights]
    assert {int(one[..., 0].max()) for one in voxels} <= set(range(0, 200, 20))


def test_volumes_stand_on_the_ground_and_in_the_middle():
    made = cube(block(2, 4, 2), 8)
    assert made.shape == (8, 8, 8, 4)
    where = [np.unique(axis).tolist() for axis in np.nonzero(made[..., 3])]
    assert where == [[0, 1], [2, 3, 4, 5], [3, 4]]
    assert (cube(block(2, 4, 2), 8, times=2)[..., 3] > 0).sum() == 8 * 16
    half = cube(block(5, 16, 16), 8)
    assert (half[:3, :, :, 3] == 255).all() and not half[3:].any() and half[0, 0, 0].tolist() == [200, 100, 50, 255]
    mixed = block(2, 2, 2).copy()
    mixed[0], mixed[1, 1] = 0, 0  # two of the eight cells are left
    mixed[1, 0, 0, :3], mixed[1, 0, 1, :3] = 10, 20
    assert cube(mixed, 1)[0, 0, 0].tolist() == [15, 15, 15, 255]
    assert [natural_side(sides) for sides in ([3], [9, 9, 200], [100, 100], [32], [33, 33])] == [8, 16, 32, 32, 32]


def test_arrays_in_the_forms_that_people_save(tmp_path):
    rng = np.random.default_rng(0)
    full = rng.integers(0, 2, (12, 8, 8, 8)).astype(bool)
    index = np.where(full, rng.integers(1, 4, full.shape), 0)
    palette = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]], np.uint8)
    every = lambda spec: np.concatenate([
        source.codec.decode(source.read(np.arange(source.size, dtype=np.int32))["voxel"])
        for source in (open_source(spec), open_source(spec, "valid"))
    ])  # fmt: skip
    as_set = lambda voxels: {one.tobytes() for one in voxels}
    want = as_set(255 * full[..., None].astype(np.uint8))
    for number, array in enumerate((full, full.astype(np.float32), 2 * full[..., None].astype(np.float32) - 1)):
        np.savez(tmp_path / f"{number}.npz", data=array)
        assert as_set(every(f"voxels:{tmp_path}/{number}.npz?channels=1")) == want
    np.savez(tmp_path / "colours.npz", color_index=index.transpose(0, 3, 2, 1).astype(np.uint8), palette_rgba=palette)
    coloured = every(f"voxels:{tmp_path}/colours.npz?axes=xyz")
    table = np.concatenate([np.zeros((1, 4), np.uint8), palette])
    assert as_set(coloured) == as_set(table[index])
    write_arrays(tmp_path / "own.npz", meta={}, voxel=table[index])
    assert as_set(every(f"voxels:{tmp_path}/own.npz")) == as_set(table[index])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("voxels:{here}/none", "no such folder"),
        ("voxels:{here}", "no voxels that can be read"),
        ("voxels:{here}/flat.npz", "no set of volumes"),
        ("voxels:{here}/flat.npz?key=other", "no array of voxels; it holds voxel: add ?key=NAME"),
        ("voxels:{here}/few.npz", "more than its palette has"),
        ("voxels:{here}/few.npz?channels=3", "channels=3 should be one of 1, 4"),
        ("voxels:{here}/few.npz?axes=abc", "axes=abc should be one of zyx"),
        ("solids?family=boat", "no family 'boat'; there are chair, tower, creature"),
    ],
)
def test_faults_are_one_line(tmp_path, spec, words):
    (tmp_path / "sub").mkdir()
    np.savez(tmp_path / "sub" / "flat.npz", voxel=np.zeros((4, 4)))
    np.savez(tmp_path / "sub" / "few.npz", voxel=np.full((2, 4, 4, 4), 9), palette=np.zeros((3, 3), np.uint8))
    here = tmp_path if spec.endswith("here}") else tmp_path / "sub"
    with pytest.raises(UserError) as error:
        open_source(spec.format(here=here))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_solids_are_endless_symmetric_and_of_any_size():
    source = open_source("solids?size=16")
    batch = source.read(np.arange(24, dtype=np.int32))
    voxel, label = batch["voxel"], batch["label"]
    assert voxel.shape == (24, 16, 16, 16, 4) and source.labels == ("chair", "tower", "creature")
    assert set(label.tolist()) == {0, 1, 2} and set(np.unique(voxel[..., 3]).tolist()) == {-1.0, 1.0}
    full = voxel[..., 3] > 0
    np.testing.assert_array_equal(full, full[:, :, :, ::-1])  # the right half mirrors the left one
    share = full.mean(axis=(1, 2, 3))
    assert share.min() > 0.01 and share.max() < 0.6 and full[:, :2].any(axis=(1, 2, 3)).all()
    assert len({one.tobytes() for one in voxel}) == 24
    large = open_source("solids?size=32").read(np.arange(24, dtype=np.int32))["voxel"][..., 3] > 0
    np.testing.assert_allclose(large.mean(axis=(1, 2, 3)), share, atol=0.06)
    plain = open_source("solids?size=16&channels=1", "valid")
    assert plain.size == 1024 and plain.batch_spec(2)["voxel"].shape == (2, 16, 16, 16, 1)


@pytest.mark.data
def test_the_minis(zoo_data):
    source = open_source(f"voxels:{zoo_data}/voxel_minis/voxel_minis_32.npz?axes=xyz")
    assert source.size == 275 and source.fields == {"image_size": 32, "channels": 4} and not source.skipped
    files = open_source(f"voxels:{zoo_data}/voxel_minis/raw_vox?size=16&channels=1")
    assert files.size == 9 and files.batch_spec(1)["voxel"].shape == (1, 16, 16, 16, 1)
