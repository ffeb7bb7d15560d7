"""What may happen to a run, done to it: each ends in one line, and nothing that was saved is lost."""

import contextlib
import dataclasses
import io
import os
import resource
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from running import copied, data_folder, here, metrics, one_line, run, words

from train.checkpoint import Checkpoints, sealed, unsealed
from train.cli import parse
from train.engine import Engine
from train.fit import fit_to_data
from train.loop import train
from train.placement import place
from train.runs import restore_run
from zoo.errors import UserError
from zoo.model import Phase
from zoo.transformer.gpt import GPT


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(a run of 24 steps with checkpoints at 8, 16 and 24; its last line)."""
    from train.__main__ import main

    out = tmp_path_factory.mktemp("finished") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        assert main(words("gpt", out)) == 0
    return out, stdout.getvalue().strip().splitlines()[-1]


# -- damaged checkpoints ----------------------------------------------------------------------------------------------


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGE = {"flipped": flip, "truncated": truncate, "emptied": lambda data: b""}


def files_of(checkpoint):
    return sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.stat().st_size)


def leaves(run):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((run.raw, run.extra))]


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_taken(how, finished, tmp_path, capsys):
    whole, last = finished
    out = copied(whole, tmp_path / "run")
    for file in files_of(out / "checkpoints" / "24" / "state"):
        if file.parent.name == "d":  # where the arrays are
            file.write_bytes(DAMAGE[how](file.read_bytes()))
    result = here([*words("gpt", out), "--resume"], capsys)
    assert len(result.complaints) == 1 and "checkpoint 24 is damaged" in result.complaints[0]
    assert result.code == 0 and result.last == last
    assert (out / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    assert (out / "damaged-checkpoint-24").is_dir() and (out / "checkpoints" / "24").is_dir()
    assert here([*words("gpt", out), "--resume"], capsys).complaints == []


@pytest.mark.parametrize("how", ["flipped", *(pytest.param(how, marks=pytest.mark.slow) for how in [*DAMAGE][1:])])
def test_no_file_of_a_checkpoint_can_be_damaged_unseen(how, finished, tmp_path):
    """Either it is read as it was, or the one before is, and a line says so."""
    whole, _ = finished
    want, before = leaves(restore_run(whole)), None
    for file in files_of(whole / "checkpoints" / "24"):
        out = copied(whole, tmp_path / file.name)
        damaged = out / file.relative_to(whole)
        damaged.write_bytes(DAMAGE[how](damaged.read_bytes()))
        said: list[str] = []
        found = restore_run(out, report=said.append)
        if found.step == 24:
            assert not said
            jax.tree.map(np.testing.assert_array_equal, leaves(found), want)
        else:
            assert found.step == 16 and len(said) == 1 and "checkpoint 24 is damaged" in said[0]
            before = leaves(found)
        assert (out / "checkpoints" / "24").is_dir()  # who only reads moves nothing
        shutil.rmtree(out)
    assert before is not None


def test_all_damaged_is_one_line(finished, tmp_path, capsys):
    out = copied(finished[0], tmp_path / "run")
    for step in (8, 16, 24):
        file = out / "checkpoints" / str(step) / "meta" / "metadata"
        file.write_bytes(truncate(file.read_bytes()))
    result = here([*words("gpt", out), "--resume"], capsys)
    assert result.code == 2 and len(result.complaints) == 4 and "Traceback" not in result.err
    assert "no checkpoint in" in result.complaints[-1] and "--out" in result.complaints[-1]
    assert all((out / "checkpoints" / str(step)).is_dir() for step in (8, 16, 24))


def test_a_list_of_contents_knows_when_it_is_damaged():
    meta = sealed({"params.w": [[2], "float32", 7]})
    assert unsealed(meta) == {"params.w": [[2], "float32", 7]}
    with pytest.raises(ValueError, match="verify"):
        unsealed({**meta, "leaves": {"params.v": [[2], "float32", 7]}})
    with pytest.raises(UserError, match="format 99"):
        unsealed({**meta, "format": 99})


# -- NaN --------------------------------------------------------------------------------------------------------------


def test_a_nan_batch_stops_the_run_and_the_last_good_checkpoint_is_kept(tmp_path):
    config, source = fit_to_data(*parse(words("gpt", tmp_path / "run", "--save-every", 5, "--log-every", 1)))
    config = dataclasses.replace(config, model=Poisoned(**vars(config.model)))
    with pytest.raises(UserError, match=r"NaN or Inf .* step 6, phase gpt; the checkpoint of step 5 is kept; try a"):
        train(config, source, quiet=True)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    step, state = checkpoints.restore(Engine(config, place("jit"), source.example).abstract())
    assert step == 5 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.opt)))
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3, 4, 5]


class Poisoned(GPT):
    """A model whose sixth batch is not a number."""

    @property
    def phases(self):
        return (Phase("gpt", self.poisoned),)

    def poisoned(self, params, extra, batch, key, step):
        loss, rest = self.loss(params, extra, batch, key, step)
        return jax.numpy.where(step == 5, jax.numpy.nan, 1.0) * loss, rest


def test_pictures_with_a_nan_are_one_line(tmp_path, capsys):
    np.savez(tmp_path / "pictures.npz", image=np.full((64, 16, 16, 3), np.nan, np.float32))
    command = words("vae-conv", tmp_path / "run", "--data", f"npz:{tmp_path / 'pictures.npz'}")
    one_line(here(command, capsys), "NaN")


def test_a_rate_that_explodes_is_one_line(tmp_path, capsys):
    result = here([*words("gpt", tmp_path / "run"), "--optim.learning-rate", 1e30], capsys)
    one_line(result, "NaN or Inf", "step 2, phase gpt", "there is no checkpoint yet")


def test_a_state_with_a_nan_is_not_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(UserError, match="holds a NaN"):
        checkpoints.save(1, {"w": jax.numpy.array([1.0, np.nan])})
    assert checkpoints.steps() == []


# -- the disk ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, options: str):
    """A tmpfs; skips where mounting is not permitted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(finished, tmp_path, capsys):
    with small_disk(tmp_path / "disk", "size=280k") as disk:
        command = words("gpt", disk / "run", "--keep", 9)
        result = here(command, capsys)
        one_line(result, "No space left", "--resume")
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert here([*command, "--resume"], capsys).last == finished[1]


@pytest.mark.slow
@pytest.mark.parametrize("size", [16, 60, 100, 150, 180, 200, 220, 260])
def test_a_disk_of_any_size_is_one_line(size, tmp_path):
    with small_disk(tmp_path / "disk", f"size={size}k") as disk:
        one_line(run(words("gpt", disk / "run", "--keep", 9, steps=80)), "No space left")


def test_a_limit_on_files_is_one_line(tmp_path, capsys):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 * 1024, before[1]))
    try:
        result = here(words("gpt", tmp_path / "run"), capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    one_line(result, "File too large")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    one_line(here(words("gpt", "/proc/artzoo-run"), capsys), "cannot write to /proc/artzoo-run", "--out")
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        one_line(here(words("gpt", disk / "run"), capsys), "Read-only file system", "--out")


# -- the folder -------------------------------------------------------------------------------------------------------


def snapshot(folder):
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_folder_that_holds_something_else_is_left_alone(finished, tmp_path, capsys):
    out, _ = finished
    before = snapshot(out)
    one_line(here(words("gpt", out), capsys), "exists already", "--resume")
    one_line(here([*words("lstm", out), "--resume"], capsys), "gpt", "lstm", "--out")
    one_line(here([*words("gpt", out), "--resume", "--model.width", "32"], capsys), "--model.width", "16")
    one_line(here([*words("gpt", out), "--resume", "--seed", "3"], capsys), "--seed")
    one_line(here([*words("gpt", out), "--resume", "--steps", "5"], capsys), "step 24 already")
    assert snapshot(out) == before or set(snapshot(out)) - set(before) <= {str(out / ".lock")}
    file = tmp_path / "file"
    file.write_text("precious")
    one_line(here(words("gpt", file), capsys), "is a file")
    one_line(here(words("gpt", file / "below"), capsys), "Not a directory")
    one_line(here(words("gpt", tmp_path), capsys), "exists already")
    one_line(here([*words("gpt", tmp_path), "--resume"], capsys), "not a run folder")
    one_line(here(words("gpt", tmp_path / ("x" * 300)), capsys), "File name too long")
    assert file.read_text() == "precious"


def test_a_config_that_is_damaged_is_one_line(finished, tmp_path, capsys):
    out = copied(finished[0], tmp_path / "run")
    (out / "config.json").write_bytes(truncate((out / "config.json").read_bytes()))
    one_line(here([*words("gpt", out), "--resume"], capsys), "config.json")


def test_two_at_once_in_one_folder_are_refused(finished, capsys):
    from train.folder import RunFolder

    with RunFolder(finished[0]).locked():
        one_line(here([*words("gpt", finished[0]), "--resume"], capsys), "another process is training in")


def test_data_that_has_changed_is_not_gone_on_with(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text((data_folder() / "text.txt").read_text())
    command = words("gpt", tmp_path / "run", "--data", f"text:{text}", steps=4)
    assert here(command, capsys).code == 0
    text.write_text(text.read_text()[: -len(text.read_text()) // 4])
    one_line(here([*command, "--resume"], capsys), "is not the data", "--init-from")


def test_who_reads_a_run_writes_nothing(finished):
    """Another process may be saving: nothing is cleaned up, made or moved."""
    out, _ = finished
    under_way = out / "checkpoints" / "32.orbax-checkpoint-tmp"
    under_way.mkdir()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    restore_run(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    os.rmdir(under_way)
