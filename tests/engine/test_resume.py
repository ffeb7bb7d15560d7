"""A run that was cut short, by force or politely, goes on as if nothing had happened."""

import signal

import numpy as np
import pytest
from running import MODELS, ended, kill_when, lines_of, run, signal_when, start, uninterrupted, words

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
    return run([str(moment), *command], code=KILLED_AT)


def same_as_uninterrupted(name, last, out):
    whole, folder = uninterrupted(name)
    assert last.sha == whole.sha
    assert (out / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()


def test_killed_while_compiling_stepping_and_saving(tmp_path):
    command = words("gpt", tmp_path / "run")
    out = tmp_path / "run"
    compiling = start(command)
    assert kill_when(compiling, (out / "config.json").exists, after=0.1)
    ended(compiling)
    assert not list((out / "checkpoints").glob("[0-9]*"))
    saving = start([*command, "--resume"])
    assert kill_when(saving, lambda: any((out / "checkpoints").glob("*tmp*")))
    ended(saving)
    stepping = start([*command, "--resume", "--dispatch", "1"])
    assert kill_when(stepping, lambda: lines_of(out) >= 3)
    assert ended(stepping).code == -signal.SIGKILL
    same_as_uninterrupted("gpt", run([*command, "--resume"]), out)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_killed_five_times_at_any_touch_of_a_file(name, tmp_path):
    command, out = words(name, tmp_path / "run"), tmp_path / "run"
    rng = np.random.default_rng(len(name))
    kills = 0
    for moment in rng.integers(1, 200, 5):
        kills += killed_at(moment, [*command, "--resume"]).code == -signal.SIGKILL
    assert kills >= 3
    same_as_uninterrupted(name, run([*command, "--resume"]), out)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_killed_five_times_at_any_second(name, tmp_path):
    command, out = [*words(name, tmp_path / "run"), "--dispatch", "1"], tmp_path / "run"
    rng = np.random.default_rng(len(name))
    for after in rng.uniform(0, 3, 5):
        process = start([*command, "--resume"])
        kill_when(process, (out / "config.json").exists, after=after)
        ended(process)
    same_as_uninterrupted(name, run([*command, "--resume"]), out)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(number, code, tmp_path):
    out = tmp_path / "run"
    process = start([*words("gpt", out), "--dispatch", "1", "--save-every", "1000", "--log-every", "1"])
    assert signal_when(process, lambda: lines_of(out) >= 2, number)
    stopped = ended(process)
    assert stopped.code == code
    assert f"--resume --out {out}" in stopped.last
