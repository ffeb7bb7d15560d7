"""``zoo-train``: what it prints, what it writes, and how it refuses."""

import json
import os
import re
import signal
import struct
import sys
import time

import numpy as np
import pytest
from running import TINY, data_of, here, metrics, one_line, run, start, words

from train import pages
from train.bounds import check_numbers
from train.config import default_config
from train.events import crc32c, masked_crc
from train.recipes import RECIPES


def test_help_answers_at_once_and_without_jax():
    code = "import sys; from train.__main__ import main; sys.exit(main(['--help']) + 3 * ('jax' in sys.modules))"
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        result = run([], code=code)
        best = min(best, time.perf_counter() - began)
        if best < 1:
            break
    assert result.code == 0 and "--save-every" in result.out and "dcgan" in result.out and not result.err
    assert best < 1, best


def test_a_run_leaves_what_it_promises(tmp_path, capsys):
    out = tmp_path / "run"
    result = here(words("dcgan", out, "--log-every", 3), capsys)
    assert result.code == 0 and result.complaints == []
    assert re.fullmatch(r"done: step 24, params sha256 [0-9a-f]{64}", result.last)
    lines = metrics(out)
    assert [line["step"] for line in lines] == list(range(3, 25, 3))
    for line in lines:
        assert {"critic/loss", "generator/loss"} <= set(line) and all(np.isfinite(value) for value in line.values())
    config = json.loads((out / "config.json").read_text())
    assert config["run"]["name"] == "dcgan" and config["data"]["codec"] == {"codec": "image", "channels": 3}
    assert sorted(int(step.name) for step in (out / "checkpoints").iterdir()) == [8, 16, 24]
    assert (out / "samples" / "step_0000024.png").stat().st_size > 0
    events = [event for file in (out / "events").iterdir() for event in read_events(file)]
    want = [line["critic/loss"] for line in lines]
    got = [value for step, tag, value in events if tag == "critic/loss"]
    assert got == pytest.approx(want, rel=1e-5)


def read_events(file):
    """(step, tag, value) of a TensorBoard file, whose checksums must hold."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        record = data[at + 12 : at + 12 + length]
        assert data[at + 8 : at + 12] == masked_crc(data[at : at + 8])
        assert data[at + 12 + length : at + 16 + length] == masked_crc(record)
        at += 16 + length
        step = 0
        for field, value in message(record):
            if field == 2:
                step = value
            if field == 5:
                for _, one in message(value):
                    parts = dict(message(one))
                    yield step, parts[1].decode(), struct.unpack("<f", parts[2])[0]


def message(data):
    """(field, value) of a message in protocol buffers' wire format."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or varint()
            yield tag >> 3, data[at : at + size]
            at += size


def test_checksums_are_castagnoli_s():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


def test_more_options_of_a_real_run(tmp_path, capsys):
    options = ("--accumulate", 1, "--ema", 0, "--precision", "bf16")
    result = here(words("gpt", tmp_path / "plain", *options, steps=4), capsys)
    assert result.code == 0 and not result.complaints
    run_of = json.loads((tmp_path / "plain" / "config.json").read_text())["run"]
    assert run_of["model"]["dtype"] == "bfloat16" and run_of["ema"] == {}
    parts = here(words("gpt", tmp_path / "parts", "--batch-size", 16, "--accumulate", 2, steps=4), capsys)
    whole = here(words("gpt", tmp_path / "whole", "--batch-size", 16, steps=4), capsys)
    assert parts.code == whole.code == 0 and parts.sha != whole.sha
    ours, theirs = metrics(tmp_path / "parts")[0], metrics(tmp_path / "whole")[0]
    assert ours["gpt/loss"] == pytest.approx(theirs["gpt/loss"], abs=1e-3)
    from train.runs import restore_run

    assert restore_run(tmp_path / "parts").step == 4  # whatever the micro-batches were


WRONG = {
    "no model": (["dcgam"], "dcgan"),
    "no name": (["--steps", "3"], "name comes first"),
    "unknown option": (["--stepz", "3"], "--stepz"),
    "unknown field": (["--model.widht", "3"], "--model.widht"),
    "fewer steps than none": (["--steps", "-1"], "--steps -1"),
    "fewer steps": (["--steps", "-3"], "--steps"),
    "steps are no number": (["--steps", "many"], "--steps"),
    "no batch": (["--batch-size", "-1"], "--batch-size"),
    "a batch that does not divide": (["--batch-size", "12"], "--batch-size 12 does not divide by 8 devices"),
    "a batch that is too large": (["--batch-size", "65536"], "smaller batch"),
    "parts that do not divide": (["--accumulate", "3"], "micro-batches"),
    "heads": (["--model.heads", "3"], "heads"),
    "no layers": (["--model.layers", "0"], "layers"),
    "no width": (["--model.width", "0"], "width"),
    "negative context": (["--model.context", "-4"], ""),
    "vocabulary": (["--model.vocabulary", "5"], "--model.vocabulary 5 does not fit"),
    "dtype": (["--model.dtype", "float7"], "float7"),
    "precision": (["--precision", "fp7"], "--precision"),
    "bad spec": (["--data", "txet:file"], "txet"),
    "missing file": (["--data", "text:/no/such/file"], "no such file"),
    "missing folder": (["--data", "images:/no/such/folder"], "no such folder"),
    "pictures for a text model": (["--data", "art"], "tokens"),
    "no such placement": (["--parallel", "magic"], "--parallel"),
    "population and pmap": (["--population", "2", "--parallel", "pmap"], "population"),
    "nobody": (["--population", "0"], "--population"),
    "a list of words": (["--optim.learning-rate", "1e-3,,2"], "--optim.learning-rate"),
    "a list of whole numbers": (["--model.layers", "1,2"], "--model.layers"),
    "processes without a coordinator": (["--processes", "2"], "--coordinator"),
    "a coordinator without processes": (["--coordinator", "127.0.0.1:1"], "--processes"),
    "a coordinator without a port": (["--coordinator", "host", "--processes", "2", "--process", "0"], "--coordinator"),
    "too high a process": (["--coordinator", "127.0.0.1:1", "--processes", "2", "--process", "2"], "--process"),
    "a seed past 32 bits": (["--seed", "99999999999"], "--seed"),
    "ema above one": (["--ema", "1.5"], "--ema"),
    "ema below zero": (["--ema", "-0.5"], "--ema"),
    "a rate that is none": (["--optim.learning-rate", "nan"], "learning-rate"),
    "a negative rate": (["--optim.learning-rate", "-1"], "learning-rate"),
    "no clip": (["--optim.clip", "0"], "clip"),
    "a momentum past one": (["--optim.b1", "1.5"], "b1"),
    "a negative warm-up": (["--optim.warmup", "-5"], "warmup"),
    "no keeping": (["--keep", "0"], "--keep"),
    "too much dropout": (["--model.dropout", "2"], "dropout"),
    "nothing to start from": (["--init-from", "/no/such/run"], "/no/such/run"),
    "two values": (["--steps", "3", "4"], "4"),
}


@pytest.mark.parametrize("case", WRONG)
def test_nonsense_is_one_line(case, tmp_path, capsys):
    more, said = WRONG[case]
    out = tmp_path / "run"
    command = more if case in ("no model", "no name") else words("gpt", out, *more, steps=4)
    one_line(here(command, capsys), said)
    assert not (out / "checkpoints").exists()


INTERRUPTED = """
import os, signal, sys, time
import train.fit
from train.__main__ import main

def interrupted(*arguments):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it runs in the background
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)  # another thread may have to pass the signal on

train.fit.fit_to_data = interrupted
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_before_the_first_step_is_one_line(tmp_path):
    one_line(run(words("gpt", tmp_path / "run"), code=INTERRUPTED), "interrupted", code=128 + signal.SIGINT)


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    """As in ``zoo-train ... 2>&1 | head -1``."""
    process = start(words("gpt", tmp_path / "run", "--log-every", 1, steps=4))
    process.stderr.close()
    process.stdout.close()
    process.wait(120)
    assert metrics(tmp_path / "run")[-1]["step"] == 4
    assert (tmp_path / "run" / "checkpoints" / "4").is_dir()


def test_default_folder_has_name_and_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    done = here(["gpt", "--data", data_of("gpt"), *TINY["gpt"].split(), "--steps", "1"], capsys)
    assert done.code == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"gpt-\d{8}-\d{6}", folder.name)


@pytest.mark.parametrize("name", RECIPES)
def test_what_presets_say_is_no_nonsense(name):
    check_numbers(default_config(name))


def test_a_command_asks_for_large_pages_once(tmp_path, monkeypatch):
    switch = tmp_path / "enabled"
    monkeypatch.setattr(pages, "SWITCH", switch)
    assert pages.asking({}) is None  # no such switch
    switch.write_text("[always] madvise never")
    assert pages.asking({}) is None
    switch.write_text("always [madvise] never")
    asked = pages.asking({"HOME": "/", "GLIBC_TUNABLES": "glibc.malloc.check=1"})
    assert asked == {"HOME": "/", "GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.malloc.hugetlb=1"}
    assert pages.asking(asked) is None
    calls = []
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "train", "gpt", "--steps", "3"])
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    pages.restart_with_large_pages()
    ((program, words, environment),) = calls
    assert program == words[0] == sys.executable and words[1:] == ["-m", "train", "gpt", "--steps", "3"]
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
