"""Several processes train as one, and none of them waits for ever for one that has died."""

import signal
import socket

import pytest
from running import ended, here, kill_when, lines_of, metrics, run, signal_when, start, words

DEVICES = 2  # a process
OPTIONS = "--log-every", 1, "--optim.schedule", "constant"  # whatever the number of steps


def together(command, **how):
    """The two processes of a run on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = ["--coordinator", f"127.0.0.1:{port}", "--processes", 2]
    return [start([*command, *shared, "--process", number], devices=DEVICES, **how) for number in range(2)]


def finish(processes, timeout=200):
    first, second = [ended(process, timeout) for process in processes]
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "done" not in second.out and not (tuple(first.complaints) + tuple(second.complaints))
    return first


def assert_same_losses(out, alone):
    for mine, its in zip(metrics(out), metrics(alone), strict=True):
        assert mine == pytest.approx(its, abs=1e-5)


def killed_and_resumed(tmp_path, mode, victim, timeout):
    """One of two processes is killed, the other ends; then both go on together. Returns how far."""
    options = ("--parallel", mode, *OPTIONS)
    out = tmp_path / mode
    endless = together(words("gpt", out, *options, "--dispatch", 1, steps=10**6))
    assert kill_when(endless[victim], lambda: lines_of(out) >= 12), [ended(one) for one in endless]
    survivor = ended(endless[1 - victim], timeout)
    assert survivor.code != 0 and "done" not in survivor.out
    ended(endless[victim])
    saved = max(int(step.name) for step in (out / "checkpoints").glob("[0-9]*") if step.name.isdecimal())
    assert saved >= 8
    steps = saved + 4
    last = finish(together([*words("gpt", out, *options, steps=steps), "--resume"]))
    assert last.last.startswith(f"done: step {steps}")
    assert [line["step"] for line in metrics(out)] == list(range(1, steps + 1))
    assert (out / "samples" / f"step_{steps:07}.txt").exists()
    return steps


def test_two_processes_are_one_and_when_one_is_killed_the_other_ends_and_both_go_on(tmp_path, capsys):
    """From the first step to the last: the losses are those of a run in one process on twice as many devices. The
    coordinator is killed, whose loss is noticed at once."""
    steps = killed_and_resumed(tmp_path, "jit", 0, timeout=30)
    assert here(words("gpt", tmp_path / "alone", *OPTIONS, steps=steps), capsys).code == 0
    assert_same_losses(tmp_path / "jit", tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "fsdp", "pmap"])
def test_two_processes_are_one_however_they_share(mode, tmp_path):
    out, alone = tmp_path / "two", tmp_path / "one"
    finish(together(words("gpt", out, "--parallel", mode, "--log-every", 1, "--model.width", 64)))
    run(words("gpt", alone, "--parallel", mode, "--log-every", 1, "--model.width", 64), devices=2 * DEVICES)
    assert_same_losses(out, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "victim"), [("jit", 1), ("fsdp", 0), ("pmap", 1)])
def test_one_is_killed_the_other_ends_and_both_go_on(mode, victim, tmp_path):
    """The coordinator's loss is noticed at once, another's when its heartbeat has been missing for 100 seconds."""
    killed_and_resumed(tmp_path, mode, victim, timeout=30 if victim == 0 else 200)


@pytest.mark.slow
def test_a_signal_to_one_stops_both_at_the_same_step(tmp_path):
    out = tmp_path / "run"
    both = together(words("gpt", out, "--log-every", 1, "--dispatch", 1, steps=10**6))
    assert signal_when(both[1], lambda: lines_of(out) >= 5, signal.SIGTERM)
    first, second = [ended(process) for process in both]
    assert (first.code, second.code) == (0, 0) and "saved step" in first.last


@pytest.mark.slow
def test_what_stops_one_stops_both(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("")
    first, second = [ended(process, 60) for process in together(words("gpt", tmp_path / "run"))]
    assert first.code == 2 and "exists already" in first.complaints[0]
    assert second.code != 0
