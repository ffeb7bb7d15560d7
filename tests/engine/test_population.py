"""Seeds and settings that train side by side are what each would be alone."""

import math

import jax
import numpy as np
import pytest
from running import here, metrics, one_line, stopped_here, words

from train import engine, placement
from train.__main__ import share_cores
from train.runs import restore_run


def test_three_members_are_three_runs(tmp_path, capsys):
    options = ("--log-every", 1, "--seed", 5)
    many = here(words("gpt", tmp_path / "many", *options, "--population", 3, steps=8), capsys)
    lines = metrics(tmp_path / "many")
    for member in range(3):
        out = tmp_path / f"alone{member}"
        assert here(words("gpt", out, *options[:2], "--seed", 5 + member, steps=8), capsys).code == 0
        alone = metrics(out)
        assert lines[0]["gpt/loss"][member] == pytest.approx(alone[0]["gpt/loss"], abs=1e-4)
        assert lines[-1]["gpt/loss"][member] == pytest.approx(alone[-1]["gpt/loss"], rel=1e-2)
        mine = restore_run(tmp_path / "many", member=member).raw["gpt"]["tokens"]["embedding"]
        its = restore_run(out).raw["gpt"]["tokens"]["embedding"]
        np.testing.assert_allclose(mine, its, atol=2e-3)
    last = lines[-1]["gpt/loss"]
    assert f"mean {np.mean(last):.4f}, standard deviation {np.std(last, ddof=1):.4f} over 3 members" in many.out
    assert [f"member {number}  seed {5 + number}" in many.out for number in range(3)] == [True] * 3
    assert many.last.startswith("done: step 8")


@pytest.mark.parametrize("large", [0, 10**9])
def test_a_device_has_members_of_its_own(tmp_path, capsys, monkeypatch, large):
    """Eight members on eight devices, in turn or side by side on each: those that three on all devices are, too."""
    monkeypatch.setattr(engine, "LARGE", large)
    options = ("--log-every", 1, "--seed", 5, "--batch-size", 6)  # that eight devices could not divide
    command = words("gpt", tmp_path / "many", *options, "--population", 8, steps=4)
    many = here(command, capsys)
    assert many.code == 0, many.err
    lines = metrics(tmp_path / "many")
    assert len(set(lines[-1]["gpt/loss"])) == 8
    one = restore_run(tmp_path / "many", member=6)
    monkeypatch.setattr(placement.jax, "devices", lambda *asked, found=jax.devices()[:1]: found)
    alone = words("gpt", tmp_path / "alone", *options, "--seed", 11, steps=4)
    assert here(alone, capsys).code == 0
    losses = [line["gpt/loss"] for line in metrics(tmp_path / "alone")]
    np.testing.assert_allclose([line["gpt/loss"][6] for line in lines], losses, rtol=1e-3)
    mine, its = one.raw["gpt"]["tokens"]["embedding"], restore_run(tmp_path / "alone").raw["gpt"]["tokens"]["embedding"]
    np.testing.assert_allclose(mine, its, atol=2e-3)


def test_cores_are_shared_where_members_divide(monkeypatch):
    asked = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: asked.append((name, value)))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(4))
    monkeypatch.setenv("XLA_FLAGS", "")
    for members in (8, 3, 2, 5):
        share_cores(members)
    assert asked == [("jax_num_cpu_devices", count) for count in (4, 3, 2)]
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    share_cores(8)
    assert len(asked) == 3


def test_a_member_that_fails_is_frozen_and_reported_and_stays_so(tmp_path, capsys):
    command = words("gpt", tmp_path / "run", "--optim.learning-rate", "1e-1,1e30", "--log-every", 1, steps=16)
    first = here(command, capsys)
    assert first.code == 0, first.err
    told = [line for line in first.complaints if "frozen" in line]
    assert len(told) == 1 and "member 1 met a NaN or Inf at step 2, phase gpt" in told[0]
    losses = [line["gpt/loss"] for line in metrics(tmp_path / "run")]
    assert all(math.isfinite(pair[0]) for pair in losses) and {pair[1] for pair in losses[1:]} == {None}
    assert losses[-1][0] != losses[0][0]
    assert "member 1  seed 0  optim.learning_rate 1e+30  frozen" in first.out and "over 1 members" in first.out
    again = here([*command, "--resume"], capsys)
    assert (again.out, again.complaints) == (first.out, [])
    longer = here([*command, "--resume", "--steps", 20], capsys)
    assert longer.code == 0 and not longer.complaints and "frozen" in longer.out


def test_all_that_fail_are_one_line(tmp_path, capsys):
    command = words("gpt", tmp_path / "run", "--optim.learning-rate", "1e30,1e31")
    result = here(command, capsys)
    assert result.code == 2 and "every member of the population met a NaN" in result.complaints[-1]
    assert "Traceback" not in result.err


def test_a_population_resumes_exactly(tmp_path, capsys):
    options = ("--population", 2, "--dispatch", 1, "--log-every", 1)
    whole = here(words("gpt", tmp_path / "whole", *options, steps=12), capsys)
    command = words("gpt", tmp_path / "parts", *options, steps=12)
    stopped = stopped_here(command, capsys, tmp_path / "parts", lines=3)
    assert "SIGTERM: saved step" in stopped.last
    assert here([*command, "--resume"], capsys).sha == whole.sha
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_no_such_member(tmp_path, capsys):
    from zoo.errors import UserError

    assert here(words("gpt", tmp_path / "run", "--population", 2, steps=4), capsys).code == 0
    with pytest.raises(UserError, match="members 0 to 1"):
        restore_run(tmp_path / "run", member=2)


def test_lists_of_different_lengths_are_one_line(tmp_path, capsys):
    command = words("gpt", tmp_path / "run", "--optim.learning-rate", "1e-3,1e-4", "--optim.b1", "0.9,0.8,0.7")
    one_line(here(command, capsys), "different lengths")
