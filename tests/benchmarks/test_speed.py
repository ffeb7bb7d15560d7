"""The method behind the ratios, without the minutes that it takes."""

import contextlib
import itertools
import json
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny

from benchmarks import agreed, peers, speed, worker
from benchmarks.__main__ import main
from benchmarks.ceilings import shares, sheet_of
from benchmarks.flops import decode_bytes, sample_flops, step_flops
from benchmarks.machine import Busy
from benchmarks.ours import Training, sampler
from benchmarks.peers import Method, Session, agree, agree_ahead, modes_of, trials
from benchmarks.process import ROOT
from benchmarks.ratios import geometric_mean, ratio
from benchmarks.results import read_lines, save, slug
from benchmarks.speed import accounts, rows, undisturbed, wait_until_quiet
from benchmarks.workloads import WORKLOADS, Workload, random_examples
from zoo import create
from zoo.errors import UserError


def test_the_interval_holds_the_ratio_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for turn in range(40):
        noise = lambda: np.exp(rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.02, (4, 5)))
        found = ratio(150 * noise(), 100 * noise(), seed=turn, resamples=400)
        assert found["low"] <= found["median"] <= found["high"]
        held += found["low"] <= 1.5 <= found["high"]
    assert held >= 28  # few pairs give intervals that are a little short


def test_a_slow_spell_of_the_machine_cancels():
    spell = np.random.default_rng(0).uniform(0.3, 1, (3, 4))
    assert list(ratio(300 * spell, 100 * spell).values()) == pytest.approx([3, 3, 3])
    assert geometric_mean([2, 8]) == pytest.approx(4)


def test_every_row_has_a_name_of_its_own_and_the_shapes_that_it_says():
    for suite in ("cpu", "gpu"):
        mine = [one for one in WORKLOADS if suite in one.suites]
        assert len({one.name for one in mine}) == len(mine)
        for one in mine:
            spec = one.model(suite).batch_spec(one.batch)
            if one.unit == "tokens" and one.kind == "train":
                assert spec["tokens"].shape == (one.batch, one.length + 1)
            if one.unit == "tokens" and one.kind == "sample" and one.preset != "lstm":
                assert one.length < one.model(suite).context


def test_lazy_models_have_rows_whose_turns_are_whole_cycles():
    cycles = {one.name: one.cycle for one in WORKLOADS if one.kind == "train"}
    assert cycles["dcgan-64"] == cycles["gpt-char"] == 1
    assert cycles["wgan-gp-64"] == 5 and cycles["stylegan2-256"] == 16


def test_which_rows():
    method = Method()
    assert {row.name for row, _ in rows("cpu", None, method, quick=True)} == {"vae", "lstm-small"}
    assert [dispatch for row, dispatch in rows("cpu", ["vae"], method, quick=False)] == [1, 50]
    with pytest.raises(UserError, match=r"--rows stylegan9: the rows of the suite cpu are dcgan-32"):
        rows("cpu", ["stylegan9"], method, quick=False)


def test_a_newer_line_takes_the_older_one_s_place(tmp_path):
    line = {"row": "vae", "kind": "train", "dispatch": 1, "device": "cpu, 2 cores", "ratio": {}, "ours": 1}
    for changed in ({}, {"dispatch": 50}, {"ours": 2}):
        save({**line, **changed}, tmp_path)
    found = [json.loads(text) for text in (tmp_path / "cpu-2-cores" / "speed.jsonl").read_text().splitlines()]
    assert [(one["dispatch"], one["ours"]) for one in found] == [(50, 1), (1, 2)]
    assert slug("cpu, 2 cores, AMD EPYC") == "cpu-2-cores-amd-epyc"


FIELDS = {
    "row", "kind", "dispatch", "device", "ratio", "ours", "peers", "unit", "flops", "mfu", "bytes", "compile_cold",
    "compile_warm", "compiles", "peak_memory", "versions", "date", "formula",
}  # fmt: skip
FACTS = {
    "device": "1 x NVIDIA H200", "versions": {}, "flags": {}, "cores": [0], "compile_cold": 1.0, "compile_warm": 0.1,
    "compiles": 1, "peak_memory": 5, "peak_memory_peer": 6,
}  # fmt: skip


class FakeWorkers:
    """Processes that are none: ours makes 100, 101 and 102 units a second in turn, PyTorch's eager mode 40, others 80.
    ``fails``: sides that do not get warm beside others. ``log``: the sides that were started together, and those that
    were stopped before the last window."""

    def __init__(self, *fails):
        self.fails, self.log = fails, []

    @contextlib.contextmanager
    def __call__(self, *asked):
        self.log.append([one["side"] for one, _ in asked])
        fails = lambda side: side in self.fails and len(asked) > 2
        yield [FakeWorker(one["side"], self.log, cache, fails(one["side"])) for one, cache in asked]


class FakeWorker:
    def __init__(self, side, log, cache, fails):
        self.side, self.log, self.cache, self.fails = side, log, cache, fails
        self.speeds = itertools.cycle({"jax": [100.0, 101.0, 102.0], "eager": [40.0]}.get(side, [80.0]))

    def tell(self, line):
        assert line == "warm"

    def read(self):
        if self.fails:
            raise UserError("out of memory")
        took = 9.0 if self.cache and not list(self.cache.iterdir()) else 1.0
        if self.cache:
            (self.cache / "program").touch()
        return {"first": took, "turn": 0.5, "speed": 1.0, **FACTS}

    def told(self, line):
        self.tell(line)
        return self.read()

    def window(self, seconds):
        return next(self.speeds)

    def end(self):
        return {"peak_memory": 5 if self.side == "jax" else 6, "compiles": 1}

    def stop(self):
        self.log.append(f"stop {self.side}")


@pytest.fixture
def session(monkeypatch, tmp_path):
    """One of rows that are never run: the two sides agree, and make 100 and 80 units a second."""
    monkeypatch.setattr(peers, "alone", lambda *words, **environment: "")
    monkeypatch.setattr(peers, "trial", lambda session, workload, modes: {mode: float(len(mode)) for mode in modes})
    monkeypatch.setattr(agreed, "FOLDER", tmp_path / "agreed")
    monkeypatch.setattr(speed, "workers", FakeWorkers())
    monkeypatch.setattr(speed, "cpu_pressure", lambda: 1.0)
    return Session(
        "gpu", Method(), ["eager", "compile"], tmp_path, ceilings={"bfloat16": {"flops": 8e14, "bytes": 4e12}}
    )


def row(name, suite="gpu"):
    return next(one for one in WORKLOADS if one.name == name and suite in one.suites)


def test_a_line_has_every_field(session):
    for name in ("vae", "vae-sample", "lstm-2x512-decode-8"):
        line = speed.measure(session, row(name), 1)
        assert line.keys() >= FIELDS and json.dumps(line)
        assert line["best"] == "compile" and line["peers"] == {"eager": 5.0, "compile": 80.0}
        assert line["ratio"]["median"] == pytest.approx(101 / 80) and line["ours"] == 101
        assert line["mfu"]["sheet"] * 989e12 == pytest.approx(line["mfu"]["matmul"] * 8e14) and line["flops"] > 0
        assert (line["bytes"] is None) == (name != "lstm-2x512-decode-8")


def test_beside_a_gpu_everything_compiles_at_once(session, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(peers.Session, "at_once", 4)
    session.peers = None
    started = speed.workers.log
    line = speed.measure(session, row("vae"), 1)
    assert started[0] == ["jax", "eager", "compile", "reduce-overhead"]
    assert sorted(started[1:3]) == ["stop eager", "stop reduce-overhead"]
    assert started[3:] == [["jax", "compile"]] * 2
    assert line["peers"] == {"eager": 40.0, "compile": 80.0, "reduce-overhead": 80.0} and line["best"] == "compile"
    assert np.shape(line["windows"]["ours"]) == (3, 3)
    assert line["compile_cold"] == 8.5 and line["compile_warm"] == 0.5
    started.clear()
    speed.measure(session, row("vae"), 50)  # what is known of the modes stays known
    assert started == [["jax", "compile"]] * 3
    modes = peers.every_mode(session, row("stylegan2-64"))
    assert modes[:2] == ["eager", "eager+channels_last"] and "compile+channels_last+sliced" in modes
    session.suite = "cpu"
    assert not peers.every_mode(session, row("vae"))


def test_sides_that_do_not_fit_beside_each_other_go_one_after_another(session, monkeypatch):
    monkeypatch.setattr(peers.Session, "at_once", 4)
    monkeypatch.setattr(speed, "workers", FakeWorkers("jax"))
    line = speed.measure(session, row("vae"), 1)
    assert speed.workers.log == [["jax", "eager", "compile"], *[["jax", "compile"]] * 3]
    assert line["compile_cold"] == 8.5 and line["peers"] == {"eager": 5.0, "compile": 80.0}


def test_what_was_compared_is_compared_again_only_where_it_changed(session, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(peers, "alone", lambda module, name, suite, **environment: asked.append(name))
    for _ in range(2):
        agree(session, row("vae"))
        session.agreed.clear()
    assert asked == ["vae"]
    (tmp_path / "zoo").mkdir()
    sources = []
    for text in ("x = 1", "x = 2", "x = 1"):
        (tmp_path / "zoo" / "model.py").write_text(text)
        agreed.sources.cache_clear()
        sources.append(agreed.sources(tmp_path))
    agreed.sources.cache_clear()
    assert sources[0] == sources[2] != sources[1]


def test_a_decoding_row_s_share_of_the_bandwidth(session):
    one = row("lstm-2x512-decode-8")
    found = accounts(session, one, 10.0, "1 x NVIDIA H200")
    reached = found["bytes"] * 10 * one.length
    assert found["bandwidth"] == {"sheet": pytest.approx(reached / 4.8e12), "copy": pytest.approx(reached / 4e12)}
    assert set(found["formula"]) == {"flops", "bytes"}


def test_a_processor_has_no_data_sheet():
    assert sheet_of("cpu, 2 cores, AMD EPYC", "float32") == {"flops": None, "bytes": None}
    assert sheet_of("1 x NVIDIA H200", "float32") == {"flops": None, "bytes": 4.8e12}
    assert shares(2.0, None, 8.0, "matmul") == {"sheet": None, "matmul": 0.25}


def test_modes_are_tried_no_more_often_than_they_must(session, monkeypatch):
    pytest.importorskip("torch")
    asked, session.peers = [], None
    quick = {"eager": 1.0, "eager+channels_last": 2.0, "compile+channels_last": 3.0, "compile": 0.5}

    def trial(session, workload, modes):
        asked.extend(modes)
        return {mode: quick.get(mode, "out of memory") for mode in modes}

    monkeypatch.setattr(peers, "trial", trial)
    assert modes_of(session, row("dcgan-32"))["reduce-overhead+channels_last"] == "out of memory"
    assert asked == ["eager", "eager+channels_last", "compile+channels_last", "reduce-overhead+channels_last"]
    for batch in (1, 128, 8):
        asked.clear()
        speed.measure(session, row(f"lstm-2x512-decode-{batch}"), 1)
        assert asked == ([] if batch == 8 else ["eager", "compile", "reduce-overhead"])


def test_forms_of_a_twin_are_tried_one_after_another(session, monkeypatch):
    pytest.importorskip("torch")
    asked, session.peers, session.suite = [], None, "cpu"
    quick = {"eager": 2.0, "eager+grouped": 1.0, "eager+sliced": 3.0, "compile+sliced": 9.0}

    def trial(session, workload, modes):
        asked.extend(modes)
        return {mode: quick.get(mode, 0.5) for mode in modes}

    monkeypatch.setattr(peers, "trial", trial)
    found = modes_of(session, row("stylegan2-64", "cpu"))
    eager = ["eager", "eager+channels_last", "eager+grouped", "eager+sliced"]
    assert asked == [*eager, "compile+sliced"]
    assert peers.quickest("row", found) == "compile+sliced"


def test_a_mode_that_fails_beside_others_is_tried_again_alone(session, monkeypatch):
    asked = []

    def trial(session, workload, modes):
        asked.append(modes)
        return {mode: "out of memory" if mode == "c" or (len(modes) > 1 and mode == "b") else 1.0 for mode in modes}

    monkeypatch.setattr(peers, "trial", trial)
    monkeypatch.setattr(peers.Session, "at_once", 2)
    assert trials(session, row("vae"), ["a", "b", "c"]) == {"a": 1.0, "b": 1.0, "c": "out of memory"}
    assert asked == [["a", "b"], ["b"], ["c"]]


def test_a_long_turn_is_a_trial_of_its_own():
    class Fake:
        windows = iter([3.0, 4.0, 9.0])

        def window(self, seconds):
            return next(self.windows)

    quickness = lambda turn, alone: peers.quickness(Fake(), {"turn": turn, "speed": 7.0}, 1.0, alone=alone)
    assert quickness(1.5, True) == 7 and quickness(0.5, True) == 4
    Fake.windows = iter([3.0, 4.0])
    assert quickness(1.5, False) == 4  # others warmed up beside it
    assert peers.quickness(Fake(), "out of memory", 1.0, alone=True) == "out of memory"


@pytest.mark.parametrize(("steps", "turns"), [(1, 10), (5, 2), (16, 2), (100, 2)])
def test_a_side_warms_up_for_ten_steps_at_least(monkeypatch, steps, turns):
    done = []
    side = types.SimpleNamespace(steps=steps, turn=lambda: done.append(steps), wait=lambda: None)
    asked = {"row": "vae", "suite": "cpu", "side": "jax", "dispatch": 1, "warm": 10}
    found, took = worker.warm(lambda *words, **more: side, asked)
    assert found is side and len(done) == turns and sum(done) >= 10 and set(took) == {"first", "turn"}


def test_models_that_differ_are_told_with_their_rows(session, monkeypatch):
    compared = []

    def alone(module, name, suite, **environment):
        compared.append(name)
        if name == "vae":
            raise UserError("vae differs")

    monkeypatch.setattr(peers, "alone", alone)
    monkeypatch.setattr(peers.Session, "at_once", 2)
    agree_ahead(session, [row("vae"), row("lstm-small"), row("lstm-small")])
    assert sorted(compared) == ["lstm-small", "vae"]
    agree(session, row("lstm-2x512-decode-1"))  # one of its kind will do
    for name in ("vae", "vae-sample"):
        with pytest.raises(UserError, match="vae differs"):
            agree(session, row(name))
    assert len(compared) == 2


def test_rows_are_saved_one_by_one_whatever_happens(session, monkeypatch, tmp_path, capsys):
    def measured(session, workload, dispatch):
        if workload.name == "music-transformer":
            raise UserError("the two sides differ")
        clock[0] += 100
        return {**FACTS, "row": workload.name, "kind": workload.kind, "dispatch": dispatch, "date": "", "ours": 1.0,
                "ratio": {"low": 1, "median": 1, "high": 1}, "best": "eager", "unit": "images/s"}  # fmt: skip

    clock = [0.0]
    monkeypatch.setattr(speed, "measure", measured)
    monkeypatch.setattr(speed.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(speed, "facts_apart", lambda: FACTS)
    names = ["vae", "music-transformer", "lstm-small", "gpt-small"]
    with pytest.raises(UserError, match="1 of 7 rows failed"):
        speed.run("gpu", names, None, Method(), tmp_path / "out", minutes=6)
    out = capsys.readouterr().out
    assert "music-transformer: the two sides differ" in out
    assert "not begun, for want of time: lstm-small, gpt-small, gpt-small" in out
    save({**FACTS, "row": "gpt-small", "kind": "train", "dispatch": 1, "ratio": {}, "device": "cpu"}, tmp_path / "out")
    there = tmp_path / "out" / "1-x-nvidia-h200"
    have = [(line["row"], line["dispatch"]) for line in read_lines(there)]
    assert have == [("vae", 1), ("vae", 50), ("lstm-small", 1)]
    names.remove("music-transformer")
    speed.run("gpu", names, None, Method(), tmp_path / "out", missing=True)
    have = [(line["row"], line["dispatch"]) for line in read_lines(there)]
    assert have[3:] == [("lstm-small", 50), ("gpt-small", 1), ("gpt-small", 50)]


def test_a_row_that_reads_a_file_reads_all_of_it(tmp_path):
    pytest.importorskip("grain")
    one = Workload(
        name="tiny-pipeline", preset="dcgan", kind="train", batch=8, pipeline=True,
        fields={"image_size": 16, "width": 4, "latent_size": 8},
    )  # fmt: skip
    side, pictures = Training(one, "cpu", 2, folder=tmp_path), one.pictures(tmp_path)
    assert side.engine.example is None and side.tables == {}
    batch = side.engine.inputs(side.loaders, 0, 2)["image"]
    assert batch.shape == (2, 8, 16, 16, 3)
    flat = pictures.reshape(len(pictures), -1) / 127.5 - 1
    assert all(np.abs(flat - np.ravel(picture)).max(1).min() < 1e-5 for picture in np.asarray(batch[0]))
    side.at = 2
    side.turn()
    side.wait()
    assert side.units == 16 and side.compiles() == 1
    with pytest.raises(ValueError, match="in which folder"):
        Training(one, "cpu", 1)


def test_rows_that_cannot_be_measured_here_are_told(monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.workloads.find_spec", lambda name: None)
    assert rows("cpu", ["dcgan-32-pipeline", "vae-sample"], Method(), quick=False)[0][0].name == "vae-sample"
    assert capsys.readouterr().out == "dcgan-32-pipeline: not measured, since it needs grain\n"


def test_rows_for_a_gpu_are_not_timed_on_a_processor(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert main(["speed", "--suite", "gpu", "--rows", "vae", "--out", str(tmp_path)]) == 2
    assert "JAX sees no GPU here, only cpu" in capsys.readouterr().err


def test_the_command_leaves_it_to_jax_on_what_it_computes():
    """A variable that one command sets while it is imported decides for the workers of all others."""
    imports = "import os; was = dict(os.environ); import benchmarks.__main__, benchmarks.speed, benchmarks.aot"
    command = [sys.executable, "-c", f"{imports}; assert was == dict(os.environ), set(os.environ) - set(was)"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_nothing_is_timed_on_a_busy_machine(monkeypatch):
    monkeypatch.setattr("benchmarks.speed.cpu_pressure", lambda: 42.0)
    wait_until_quiet("gpu")
    with pytest.raises(Busy, match="42 %"):
        wait_until_quiet("cpu", patience=0)
    calms_down = iter([42.0, 3.0])
    monkeypatch.setattr("benchmarks.speed.cpu_pressure", lambda: next(calms_down))
    wait_until_quiet("cpu")


def test_who_asks_on_a_busy_machine_may_try_later(monkeypatch, tmp_path, capsys):
    """Exit code 75 where nothing else was wrong, 2 where something was."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    errors = {"vae": Busy("the machine is busy"), "dcgan-64": UserError("no mode of PyTorch ran")}

    def fail(session, workload, dispatch):
        raise errors[workload.name]

    monkeypatch.setattr(speed, "measure", fail)
    monkeypatch.setattr(speed, "agree_ahead", lambda session, workloads: None)
    run = lambda rows: main(["speed", "--rows", rows, "--out", str(tmp_path)])
    assert run("vae") == 75 and "2 of 2 rows failed" in capsys.readouterr().err
    assert run("vae,dcgan-64") == 2 and "vae: the machine is busy" in capsys.readouterr().out


def test_a_window_in_which_something_else_ran_is_measured_once_more(monkeypatch, session):
    class Side:
        turns = 0

        def window(self, seconds):
            self.turns += 1
            return float(self.turns)

    @contextlib.contextmanager
    def pressure_of():
        yield lambda: next(pressures)

    monkeypatch.setattr(speed, "pressure_of", pressure_of)
    pressures, session.suite = iter([1.0, 99.0, 2.0, 80.0, 3.0]), "cpu"
    assert list(undisturbed(session, Side(), Side())) == [(1.0, 1.0), (3.0, 3.0), (5.0, 5.0)]
    pressures = iter([99.0] * 6)
    assert len(list(undisturbed(session, Side(), Side()))) == session.method.windows


def test_flops_of_a_dense_network_are_six_for_each_weight_and_token():
    model = tiny("gpt", width=64, context=16)
    tree = jax.eval_shape(model.init, jax.random.key(0))[0]["gpt"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim == 2)
    weights -= tree["positions"]["embedding"].size  # looked up; the tied head multiplies by the tokens'
    attention = 12 * model.layers * model.width * 16  # PaLM's count (Chowdhery et al. 2022, appendix B)
    tokens = 3 * 16
    assert step_flops(model, 3) == pytest.approx((6 * weights + attention) * tokens, rel=0.01)


def test_flops_of_a_lazy_phase_are_its_share_of_a_step():
    """Of each weight and example a phase has four, since nothing asks for the input's gradient."""
    from zoo.model import Phase

    class Layer:
        phases = tuple(Phase("layer", lambda params, extra, batch, *_: loss(params, batch), every) for every in (1, 3))

        def init(self, key):
            return {"layer": jnp.ones((6, 10))}, {}

        def batch_spec(self, size):
            return {"point": jax.ShapeDtypeStruct((size, 6), jnp.float32)}

    loss = lambda params, batch: ((batch["point"] @ params["layer"]).sum(), ({}, {}))
    assert step_flops(Layer(), 5) == pytest.approx(4 * 6 * 10 * 5 * (1 + 1 / 3))


def test_flops_of_lazy_penalties_fall_with_their_pace():
    of = lambda **fields: step_flops(tiny("dcgan", critic_norm="none", **fields), 4)
    bare = of()
    often, seldom = (of(r1=1.0, penalty_every=every) - bare for every in (2, 16))
    assert often == pytest.approx(8 * seldom) and seldom > 0
    critic, fifth = (of(critic_steps=every) for every in (10**9, 5))
    assert fifth == pytest.approx(critic + (bare - critic) / 5) and critic < bare


def test_flops_do_not_count_what_forms_add():
    """A layer of 4 x 4 kernels and stride 2: 16 products a pixel of the small side, three times for a step."""
    from zoo.model import Phase
    from zoo.nn.conv import conv2d, conv2d_transpose

    class Layer:
        def __init__(self, operator, shape):
            self.operator, self.shape = operator, shape
            self.phases = (Phase("layer", self.loss),)

        def init(self, key):
            return {"layer": jnp.ones((4, 4, 6, 10))}, {}

        def batch_spec(self, size):
            return {"image": jax.ShapeDtypeStruct((size, *self.shape), jnp.float32)}

        def loss(self, params, extra, batch, key, step):
            pads = ((1, 1), (1, 1))
            y = self.operator(batch["image"] * params["layer"].mean(), params["layer"], stride=2, padding=pads)
            return y.sum(), ({}, {})

    expected = 3 * 2 * 16 * 6 * 10 * (8 * 8) * 5
    assert step_flops(Layer(conv2d, (16, 16, 6)), 5) == pytest.approx(expected, rel=0.01)
    assert step_flops(Layer(conv2d_transpose, (8, 8, 6)), 5) == pytest.approx(expected, rel=0.01)


def test_flops_of_translating_are_those_of_its_convolutions():
    """pix2pix at 64 pixels, layer by layer: 2 x 16 taps x channels in and out of each pixel of a layer's small side."""
    model, batch = create("pix2pix"), 4
    of = lambda side, inner, outer: 2 * batch * 16 * side**2 * inner * outer
    downs = [of(32, 3, 32), of(16, 32, 64), of(8, 64, 128), of(4, 128, 256), of(2, 256, 256), of(1, 256, 256)]
    ups = [of(1, 256, 256), of(2, 512, 256), of(4, 512, 128), of(8, 256, 64), of(16, 128, 32), of(32, 64, 3)]
    generator, judged = sum(downs) + sum(ups), [of(32, 6, 32), of(16, 32, 64), of(15, 64, 128), of(14, 128, 1)]
    # Three passes for a gradient, but none to a picture of the data, nor the generator's to the critic's kernels.
    critic_step = generator + 2 * (3 * sum(judged) - judged[0])
    generator_step = 3 * generator - downs[0] + 2 * sum(judged)
    assert step_flops(model, batch) == pytest.approx(critic_step + generator_step, rel=0.002)


def test_flops_do_not_count_what_no_result_reads():
    """Only a relativistic generator reads the critic's outputs on data."""
    plain, relativistic = (step_flops(tiny("dcgan", loss=loss), 4) for loss in ("nonsaturating", "relativistic"))
    assert plain < 0.98 * relativistic


def test_bytes_of_a_decoding_step_are_the_weights_and_half_the_cache():
    model, batch, length = tiny("gpt", context=32), 3, 15
    tree = jax.eval_shape(model.init, jax.random.key(0))[0]["gpt"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim == 2)
    weights -= tree["positions"]["embedding"].size
    cache = 2 * model.layers * batch * 9 * model.width + batch  # the start token and 8 of the 16 places behind it
    assert decode_bytes(model, batch, length) == 4 * (weights + cache)
    half = 2 * weights + 2 * (cache - batch) + 4 * batch
    assert decode_bytes(tiny("gpt", context=32, dtype="bfloat16"), batch, length) == half
    music = tiny("music-transformer", context=32)  # which has no positions, and reads its distances
    tree = jax.eval_shape(music.init, jax.random.key(0))[0]["music_transformer"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim > 1)
    assert decode_bytes(music, batch, length) == 4 * (weights + cache)
    lstm = tiny("lstm")
    assert decode_bytes(lstm, 2, 5) == decode_bytes(lstm, 2, 50)  # its state does not grow


def test_flops_of_decoding_are_two_for_each_weight_and_token():
    model = tiny("gpt", width=64, context=32)
    row = Workload(name="row", preset="gpt", kind="sample", batch=3, length=31, unit="tokens")
    weights = sum(
        leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0))[0]) if leaf.ndim == 2
    )
    weights -= 32 * 64
    attention = 4 * model.layers * 64 * 32
    tokens = 3 * (31 + 1)  # and the prompt's
    assert sample_flops(model, sampler(row, model)) == pytest.approx(tokens * (2 * weights + attention), rel=0.02)


def test_random_examples_are_whole_windows():
    model = tiny("lstm")
    found = random_examples(model, 5, 0)
    assert found["tokens"].shape == (5, 17) and set(found["length"]) == {17} and found["tokens"].max() < 11


def test_without_pytorch_speed_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["speed"]) == 2
    assert capsys.readouterr().err == "benchmarks: PyTorch is what it is timed against: pip install torch\n"


def test_compare_fails_where_a_row_became_slower(tmp_path, capsys):
    def results(name, *ratios):
        lines = [
            {
                "row": f"row{n}",
                "kind": "train",
                "dispatch": 1,
                "ratio": dict(zip(("low", "median", "high"), r, strict=True)),
            }
            for n, r in enumerate(ratios)
        ]
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(tmp_path / name)

    old = results("old", (0.9, 1.0, 1.1), (0.9, 1.0, 1.1), (0.9, 1.0, 1.1))
    assert main(["compare", old, results("noise", (0.8, 0.9, 1.0), (1.0, 1.05, 1.1), (0.9, 1.0, 1.1))]) == 0
    assert main(["compare", old, results("new", (0.9, 1.0, 1.1), (1.2, 1.3, 1.4), (0.6, 0.7, 0.8))]) == 1
    words = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert words[-3:] == [["slower", "row2"], ["faster", "row1"], ["same", "row0"]]
    assert main(["compare", old, str(tmp_path / "missing")]) == 2
    assert "is no file of results" in capsys.readouterr().err
