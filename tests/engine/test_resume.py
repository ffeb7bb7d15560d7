"""A run that was cut short, by force or politely, goes on as if nothing had happened."""

import signal

import jax
import numpy as np
import pytest
from running import (
    MODELS,
    copied,
    ended,
    here,
    kill_when,
    lines_of,
    metrics,
    one_line,
    run,
    signal_when,
    start,
    stopped_here,
    uninterrupted,
    words,
)

from train.feed import ReadAhead
from train.runs import restore_run

# A process that kills itself at the N-th thing that it does to a file of its run (opening, making, renaming, removing):
# the moments in between are where atomicity is at stake.
KILLED_AT = """
import os, sys
count, out = int(sys.argv.pop(1)), sys.argv[sys.argv.index("--out") + 1]
events = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
done = 0

def watch(event, args):
    global done
    if event in events and str(args[0]).startswith(out):
        done += 1
        if done == count:
            os.kill(os.getpid(), 9)

sys.addaudithook(watch)
from train.__main__ import main

code = main(sys.argv[1:])
print(f"{done} moments", file=sys.stderr)
sys.exit(code)
"""


def killed_at(moment, command):
    return run([str(moment), *command], code=KILLED_AT, optimised=True)


def same_as_uninterrupted(name, last, out, steps=24):
    whole, folder = uninterrupted(name, steps)
    assert last.sha == whole.sha
    assert (out / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()


def test_killed_while_compiling_stepping_and_saving(tmp_path):
    command = words("gpt", tmp_path / "run")
    out = tmp_path / "run"
    compiling = start(command, optimised=True)
    assert kill_when(compiling, (out / "config.json").exists, after=0.1)
    ended(compiling)
    assert not list((out / "checkpoints").glob("[0-9]*"))
    saving = start([*command, "--resume"], optimised=True)
    assert kill_when(saving, lambda: any((out / "checkpoints").glob("*tmp*")))
    ended(saving)
    stepping = start([*command, "--resume", "--dispatch", "1"], optimised=True)
    assert kill_when(stepping, lambda: lines_of(out) >= 3)
    assert ended(stepping).code == -signal.SIGKILL
    same_as_uninterrupted("gpt", run([*command, "--resume"], optimised=True), out)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_killed_five_times_at_any_touch_of_a_file(name, tmp_path):
    command, out = words(name, tmp_path / "run", steps=80), tmp_path / "run"
    for moment in np.random.default_rng(len(name)).integers(1, 60, 5):
        assert killed_at(moment, [*command, "--resume"]).code == -signal.SIGKILL
    same_as_uninterrupted(name, run([*command, "--resume"], optimised=True), out, 80)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_killed_five_times_at_any_moment(name, tmp_path):
    command, out = [*words(name, tmp_path / "run", steps=80), "--dispatch", "1"], tmp_path / "run"
    kills = 0
    for after in np.random.default_rng(len(name)).uniform(0, 1, 5):
        process = start([*command, "--resume"], optimised=True)
        kills += kill_when(process, (out / "config.json").exists, after=after)
        ended(process)
    assert kills
    same_as_uninterrupted(name, run([*command, "--resume"], optimised=True), out, 80)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(number, code, tmp_path, capsys):
    out, options = tmp_path / "run", ("--save-every", 1000, "--log-every", 1)
    process = start([*words("gpt", out, *options, "--dispatch", 1, steps=400)])
    assert signal_when(process, lambda: lines_of(out) >= 2, number)
    stopped = ended(process)
    assert stopped.code == code and stopped.complaints == [
        f"{signal.Signals(number).name}: saving after this dispatch; once more ends at once"
    ]
    assert f"go on with zoo-train gpt --resume --out {out}" in stopped.last
    saved = int(stopped.last.split("saved step ")[1].split(";")[0])
    assert [int(step.name) for step in (out / "checkpoints").iterdir()] == [saved]
    assert [line["step"] for line in metrics(out)] == list(range(1, saved + 1))


@pytest.mark.parametrize("name", ["gpt", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_stopped_and_resumed_is_uninterrupted(name, tmp_path, capsys):
    options = ("--log-every", 1, "--dispatch", 1, "--save-every", 1000, "--ema", 0.9)
    whole = here(words(name, tmp_path / "whole", *options), capsys)
    command = words(name, tmp_path / "parts", *options)
    stopped_here(command, capsys, tmp_path / "parts", lines=3)
    stopped_here([*command, "--resume"], capsys, tmp_path / "parts", lines=8, number=signal.SIGINT)
    assert here([*command, "--resume"], capsys).sha == whole.sha
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_resuming_nothing_begins_and_resuming_the_end_repeats_the_last_line(tmp_path, capsys):
    out = tmp_path / "run"
    (tmp_path / "run").mkdir()
    first = here([*words("gpt", out, steps=8), "--resume"], capsys)
    missing = here([*words("gpt", tmp_path / "other", steps=8), "--resume"], capsys)
    assert first.sha == missing.sha
    before = (out / "metrics.jsonl").read_bytes()
    again = here(["gpt", "--resume", "--out", str(out)], capsys)  # what is not said is as config.json has it
    assert again.last == first.last and (out / "metrics.jsonl").read_bytes() == before


def test_another_place_takes_the_same_next_step(tmp_path, capsys):
    """Eight devices, one, eight; split, replicated and as replicas: losses to 1e-5."""
    alone, start_at = tmp_path / "alone", tmp_path / "start"
    rule = ("--optim.rule", "sgd", "--log-every", 1)
    assert here(words("gpt", start_at, *rule, "--parallel", "fsdp", "--model.width", 64, steps=8), capsys).code == 0
    for mode, devices in [("fsdp", 8), ("jit", 8), ("pmap", 8), ("jit", 1), ("fsdp", 2)]:
        out = copied(start_at, tmp_path / f"{mode}{devices}")
        command = [*words("gpt", out, *rule, "--parallel", mode, "--model.width", 64, steps=9), "--resume"]
        result = here(command, capsys) if devices == 8 else run(command, devices=devices)
        assert result.code == 0, result.err
        alone = alone if alone.exists() else out
        assert metrics(out)[-1]["gpt/loss"] == pytest.approx(metrics(alone)[-1]["gpt/loss"], abs=1e-5)
        its, mine = (jax.tree.leaves(restore_run(folder).raw) for folder in (alone, out))
        for a, b in zip(its, mine, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    back = [*words("gpt", tmp_path / "jit1", *rule, "--model.width", 64, steps=10), "--resume"]
    assert here(back, capsys).code == 0
    assert here([*words("gpt", alone, *rule, "--model.width", 64, steps=10), "--resume"], capsys).code == 0
    assert metrics(tmp_path / "jit1")[-1]["gpt/loss"] == pytest.approx(metrics(alone)[-1]["gpt/loss"], abs=1e-5)


def test_starting_from_another_run(tmp_path, capsys):
    options = ("--log-every", 1, "--optim.learning-rate", 0.02)
    assert here(words("gpt", tmp_path / "first", *options, steps=80), capsys).code == 0
    origin = ("--init-from", tmp_path / "first")
    assert here(words("gpt", tmp_path / "second", *options, *origin, steps=8), capsys).code == 0
    before, after = (metrics(tmp_path / name) for name in ("first", "second"))
    assert abs(after[0]["gpt/loss"] - before[-1]["gpt/loss"]) < 0.1 < before[0]["gpt/loss"] - after[0]["gpt/loss"]
    wider = here([*words("gpt", tmp_path / "wide", *origin), "--model.width", 32], capsys)
    one_line(wider, "--init-from", "another shape of model", "[")
    one_line(here(words("gpt", tmp_path / "x", "--init-from", tmp_path / "missing"), capsys), "does not exist")
    one_line(here(words("gpt", tmp_path / "y", *origin, "--population", 2), capsys), "--init-from")
    assert metrics(tmp_path / "first") == before


@pytest.fixture
def on_disk(tmp_path):
    """Pictures that are read at every step."""
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(32):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "pictures" / f"{number}.png")
    return f"images:{tmp_path / 'pictures'}"


def test_data_on_disk_is_the_same_run_as_in_memory_and_resumes(on_disk, tmp_path, capsys):
    options = ("--log-every", 1, "--dispatch", 1, "--save-every", 1000)
    resident = here(words("vae", tmp_path / "memory", *options, "--data", on_disk), capsys)
    command = words("vae", tmp_path / "disk", *options, "--data", f"{on_disk}?from=disk")
    stopped_here(command, capsys, tmp_path / "disk", lines=3)
    second = here([*command, "--resume"], capsys)
    whole = here(words("vae", tmp_path / "whole", *options, "--data", f"{on_disk}?from=disk"), capsys)
    assert second.sha == whole.sha
    for mine, its in zip(metrics(tmp_path / "disk"), metrics(tmp_path / "memory"), strict=True):
        assert mine == pytest.approx(its, rel=1e-3)
    assert resident.code == 0


def test_batches_are_read_ahead_in_order():
    asked = []

    class Slow:
        def stream(self, start):
            for step in range(start, start + 3):
                asked.append(step)
                yield {"step": step}

    feed = ReadAhead(Slow(), 5)
    assert [feed.batch(5), feed.batch(6)] == [{"step": 5}, {"step": 6}]
    with pytest.raises(ValueError, match="7 comes next"):
        feed.batch(9)
