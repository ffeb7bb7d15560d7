"""The rules of the house: who imports whom, what a bare machine can import, and that what is printed is true."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["zoo", "train", "sample", "benchmarks"]
FILES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & set(ORDER[ORDER.index(package) + 1 :])
    assert "torch" not in tops or package == "benchmarks"
    linen = any(name.startswith("flax.linen") for name in imported(path))
    assert not linen or package == "zoo"


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


BARE = {"jax", "jaxlib", "flax", "optax", "numpy"}
HEAVY = ("orbax", "tensorflow_datasets", "grain", "tyro", "pretty_midi", "PIL", "av", "music21", "tensorboardX", "rich")


@pytest.mark.parametrize(
    "module", ["zoo.gan.dcgan", "zoo.vae.vae", "zoo.codecs", "train.step", "train.placement", "benchmarks.__main__"]
)
def test_an_accelerator_machine_can_import(module):
    """With jax, flax, optax and numpy only: the heavy libraries are made impossible to import."""
    blocked = "import sys\nfor name in " + repr(HEAVY) + ": sys.modules[name] = None\n"
    # flax itself looks for orbax and rich, and does without them where they are missing.
    python(f"import flax.linen\n{blocked}import {module}")


def test_the_catalogue_and_the_command_line_need_no_jax():
    out = python("import zoo, zoo.catalog, train.cli, sys; print('jax' in sys.modules)")
    assert out.strip() == "False"


def test_the_library_example_works_without_train():
    code = (
        "import jax, zoo, sys\n"
        "model = zoo.create('dcgan', image_size=16, width=4)\n"
        "params, extra = model.init(jax.random.key(0))\n"
        "images = model.sample(params, extra, jax.random.key(1), 16)\n"
        "print(images.shape, 'train' in sys.modules)"
    )
    assert python(code).strip() == "(16, 16, 16, 3) False"


def test_python_m_zoo_prints_the_models():
    from zoo.__main__ import main

    rows = json.loads(run_main(main, ["--json"]))
    models = [row for row in rows if row["kind"] == "model"]
    assert {row["name"] for row in models} >= {"dcgan", "vae", "vae-conv", "gpt", "gpt2-xl", "lstm", "lstm-roll"}
    fields = {"kind", "name", "family", "paper", "parameters", "data", "command"}
    assert all(set(row) == fields and row["parameters"] > 100 for row in models)
    others = {row["kind"]: row["name"] for row in rows if row["name"] in ("mandelbrot", "clip-style")}
    assert others == {"formula": "mandelbrot", "way": "clip-style"} and all(row["command"] for row in rows)
    table = run_main(main, [])
    assert all(row["name"] in table for row in rows) and "1,557,611,200" in table


def run_main(main, argv) -> str:
    import contextlib
    import io

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(argv) == 0
    return output.getvalue()


def test_the_readme_s_tables_and_plot_are_those_of_the_catalogue_and_the_results(tmp_path):
    from benchmarks.readme import write_all

    written = ("README.md", "benchmarks/README.md", "docs/gallery.md", "benchmarks/results/speed.svg")
    for folder in ("benchmarks/results", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    for name in written:
        shutil.copy(ROOT / name, tmp_path / name)
    write_all(tmp_path)
    for name in written:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), f"{name}: run `python -m benchmarks readme`"


def test_the_readme_s_python_runs(monkeypatch):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    scope: dict = {}
    exec(block.group(1), scope)
    assert scope["images"].shape == (16, 32, 32, 3) and "critic/loss" not in scope["metrics"]
    assert scope["grads"].keys() == scope["params"]["critic"].keys()


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_requirements_are_those_of_the_lock():
    command = "uv export --quiet --locked --offline --no-hashes --no-header --no-emit-project --extra music"
    done = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"run `make lock`: {done.stderr}"
    plain = lambda text: [line for line in text.splitlines() if not line.startswith("#")]
    assert plain(done.stdout) == plain((ROOT / "requirements.txt").read_text()), "run `make lock`"


def test_nothing_speaks_of_where_it_was_made():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in tracked:
        if name in (".ci/run", "tests/test_house.py"):
            continue
        data = (ROOT / name).read_bytes()
        assert b"../" + b"shared" not in data and b"/work" + b"/main" not in data, name
