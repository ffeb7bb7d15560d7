"""Volumes: arrays and back, pictures of them, and files that are read again bit for bit."""

import json
import struct

import numpy as np
import pytest

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.media import write_arrays
from zoo.codecs.vox import coloured, default_palette, read_vox, write_vox
from zoo.codecs.voxels import GROUND, PLAIN, VoxelCodec, turntable, views


def volume(*sides: int, channels: int = 4, colours: int = 20, seed: int = 0) -> np.ndarray:
    """Half of the cells occupied, of up to so many colours."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(1, 256, (colours, 3), np.uint8)
    cells = rng.integers(0, 2 * colours, sides)
    return coloured(np.where(cells < colours, cells + 1, 0), palette)[..., 4 - channels :]


@pytest.mark.parametrize("channels", [1, 4])
def test_encode_and_decode_are_inverse(channels):
    codec, voxels = VoxelCodec(channels), volume(2, 3, 4, 5, channels=channels)
    array = codec.encode(voxels)
    assert array.dtype == np.float32 and array.min() == -1 and array.max() == 1
    np.testing.assert_array_equal(codec.decode(array), voxels)
    assert from_config(to_config(codec)) == codec and codec.media == "voxels"
    soft = np.full((1, 1, 2, channels), 0.5, np.float32)
    soft[..., 0, -1] = -0.1  # not occupied: what colour it has is nobody's
    assert codec.decode(soft)[0, 0, 0].tolist() == [0] * channels and codec.decode(soft)[0, 0, 1, -1] == 255


def test_the_codec_refuses_what_it_cannot_hold():
    for make, words in (
        (lambda: VoxelCodec(3), "channels"),
        (lambda: VoxelCodec(4).encode(volume(2, 2, 2, channels=1)), "shape"),
        (lambda: VoxelCodec(1).encode(np.zeros((2, 2, 2, 1))), "uint8"),
        (lambda: VoxelCodec(1).decode(np.full((2, 2, 2, 1), np.nan)), "NaN"),
        (lambda: views(volume(2, 2, 2)), "N, D, H, W"),
    ):
        with pytest.raises(CodecError, match=words):
            make()


# ---- Pictures -------------------------------------------------------------------------------------------------------


def test_a_view_from_the_front_and_from_above():
    """Cells of their own colours: what is to the right is seen to the right, what is in front hides what is behind."""
    voxels = np.zeros((1, 2, 2, 2, 4), np.uint8)
    red, green, blue = [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]
    voxels[0, 0, 0, 0], voxels[0, 0, 0, 1], voxels[0, 1, 1, 0] = red, green, blue  # blue is behind and above red
    front = views(voxels, azimuth=0, elevation=0, side=32)[0]
    left, right, above = front[20, 10], front[20, 22], front[9, 10]
    assert left.argmax() == 0 and right.argmax() == 1 and above.argmax() == 2
    np.testing.assert_array_equal(front[9, 22], GROUND)
    down = views(voxels, azimuth=0, elevation=90, side=32)[0]
    assert down[22, 10].argmax() == 0 and down[22, 22].argmax() == 1 and down[9, 10].argmax() == 2
    back = views(voxels, azimuth=180, elevation=0, side=32)[0]
    np.testing.assert_array_equal(back[20, 10].argmax(), 1)  # green is to the left now


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (30, 25), (137, 40), (300, 70)])
def test_a_cube_covers_its_shadow(azimuth, elevation):
    """The area of a cube's projection is the sum of its three faces' seen under their angles."""
    a, e = np.radians(azimuth), np.radians(elevation)
    seen = abs(np.cos(e) * np.sin(a)) + abs(np.cos(e) * np.cos(a)) + abs(np.sin(e))
    half = max(2**0.5, np.cos(e) + 2**0.5 * np.sin(e))  # of the picture, in half sides of the cube
    picture = views(np.full((1, 4, 4, 4, 1), 255, np.uint8), azimuth=azimuth, elevation=elevation, side=64)[0]
    assert (picture != GROUND).any(-1).mean() == pytest.approx(seen / half**2, abs=0.04)


def test_colours_are_shaded_and_holes_are_darker():
    voxels = np.full((1, 3, 5, 5, 1), 255, np.uint8)
    flat = views(voxels, azimuth=0, elevation=90, side=40)[0]
    assert (flat[20, 20] == flat[20, 15]).all() and (flat[20, 20] <= PLAIN).all()
    voxels[0, 2, 2, 2] = 0
    assert views(voxels, azimuth=0, elevation=90, side=40)[0][20, 20].sum() < flat[20, 20].sum()


def test_a_turntable_turns():
    voxels = volume(3, 4, 5)[None]
    film = turntable([voxels] * 4, 4, side=16)
    assert film.shape == (4, 1, 16, 16, 3)
    np.testing.assert_array_equal(film[1], views(voxels, azimuth=120, side=16))
    assert len({frame.tobytes() for frame in film}) == 4
    np.testing.assert_array_equal(views(np.zeros((1, 2, 2, 2, 1), np.uint8), side=4)[0], np.tile(GROUND, (4, 4, 1)))


# ---- Files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [1, 255])
def test_a_vox_comes_back_bit_for_bit(tmp_path, colours):
    voxels = volume(7, 11, 13, colours=colours)
    write_vox(voxels, tmp_path / "a.vox")
    (again,) = read_vox(tmp_path / "a.vox")
    np.testing.assert_array_equal(again, voxels)
    assert [file.name for file in tmp_path.iterdir()] == ["a.vox"]


def test_a_vox_without_colours_and_one_of_too_many(tmp_path):
    plain = volume(4, 5, 6, channels=1)
    write_vox(plain, tmp_path / "plain.vox")
    np.testing.assert_array_equal(read_vox(tmp_path / "plain.vox")[0], plain.repeat(4, axis=-1))
    many = volume(16, 16, 16, colours=2000)
    write_vox(many, tmp_path / "many.vox")
    (again,) = read_vox(tmp_path / "many.vox")
    np.testing.assert_array_equal(again[..., 3], many[..., 3])
    assert len(np.unique(again.reshape(-1, 4), axis=0)) <= 256
    full = many[..., 3] > 0
    assert np.abs(again[full].astype(int) - many[full]).mean() < 20


def test_the_palette_of_files_without_one(tmp_path):
    palette = default_palette()
    assert (
        palette.shape == (255, 4) and palette[0].tolist() == [255] * 4 and palette[1].tolist() == [255, 255, 204, 255]
    )
    assert palette[214].tolist() == [0, 0, 51, 255] and palette[215].tolist() == [0xEE, 0, 0, 255]
    assert palette[254].tolist() == [0x11, 0x11, 0x11, 255] and len(np.unique(palette, axis=0)) == 255
    write_vox(volume(3, 3, 3), tmp_path / "a.vox")
    data = (tmp_path / "a.vox").read_bytes()[:-1036]  # without its last chunk
    (tmp_path / "b.vox").write_bytes(data[:16] + struct.pack("<i", len(data) - 20) + data[20:])
    again = read_vox(tmp_path / "b.vox")[0]
    assert {tuple(colour) for colour in again[again[..., 3] > 0]} <= {tuple(colour) for colour in palette}


def test_arrays_come_back_with_how_they_were_made(tmp_path):
    voxels = np.stack([volume(3, 4, 5, seed=seed) for seed in range(3)])
    with np.load(write_arrays(tmp_path / "a.npz", meta={"seed": 3}, voxel=voxels)) as arrays:
        np.testing.assert_array_equal(arrays["voxel"], voxels)
        assert json.loads(str(arrays["zoo"])) == {"seed": 3}
    with pytest.raises(CodecError):
        write_arrays(tmp_path / "b.npz", meta={"seed": {3}}, voxel=voxels)


def test_broken_files_are_codec_errors(tmp_path):
    path = tmp_path / "a.vox"
    write_vox(volume(4, 4, 4), path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for turn in range(60):
        broken = bytearray(data[: rng.integers(4, len(data))] if turn % 2 else data)
        for at in rng.integers(4, len(broken), 3):
            broken[at] = rng.integers(256)
        path.write_bytes(broken)
        try:
            read_vox(path)
        except CodecError as error:
            assert str(error).startswith(str(path))
    for content in (b"", b"RIFF", b"VOX \x96\0\0\0"):
        path.write_bytes(content)
        with pytest.raises(CodecError):
            read_vox(path)
    with pytest.raises(CodecError, match="256 cells"):
        write_vox(np.zeros((1, 1, 257, 4), np.uint8), path)


@pytest.mark.data
def test_models_that_people_made(zoo_data):
    for file in sorted((zoo_data / "voxel_minis" / "raw_vox").glob("*.vox")):
        (voxels,) = read_vox(file)
        assert voxels[..., 3].any() and voxels.shape[-1] == 4, file
