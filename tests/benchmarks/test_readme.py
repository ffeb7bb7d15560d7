"""Tables and plot of results; that the committed ones are those of the committed results, test_house.py asks."""

import json
from xml.etree import ElementTree

from benchmarks import readme
from benchmarks.plot import label, natural
from benchmarks.results import RESULTS


def test_every_row_has_its_bar():
    lines = [line for line in readme.speed_lines() if not readme.seeds_at_once(line)]
    tree = ElementTree.parse(RESULTS / "speed.svg")
    said = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {label(line) for line in lines} <= set(said)
    bars = list(tree.iter("{http://www.w3.org/2000/svg}rect"))
    faster = sum(line["ratio"]["median"] >= 1 for line in lines)
    assert len(bars) == len(lines) and sum(bar.get("fill") == "#2f9e8f" for bar in bars) == faster


def test_what_was_not_measured_is_a_dash_and_seeds_have_a_line_of_their_own(tmp_path):
    line = {
        "row": "vae", "kind": "train", "dispatch": 1, "device": "1 x NVIDIA H200", "unit": "images/s", "ours": 1234.5,
        "ratio": {"low": 2.0, "median": 2.5, "high": 3.0}, "best": "compile", "flops": 2e9, "bytes": None,
        "mfu": {"sheet": None, "matmul": 0.5}, "bandwidth": None, "compile_cold": 3.0, "compile_warm": None,
        "peers": {"eager": "out of memory", "compile": 500.0}, "compiles": 1, "peak_memory": 5e6,
        "peak_memory_peer": 1e7, "versions": {"jax": "0.10.2", "torch": "2.13.0"}, "date": "2026-01-02",
    }  # fmt: skip
    seeds = {**line, "row": "vae-16-seeds", "unit": "runs/s", "best": "one after another", "dispatch": 50}
    (tmp_path / "h200").mkdir()
    (tmp_path / "h200" / "speed.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (line, seeds)))
    wide, short = readme.details_table(tmp_path), readme.speed_table(tmp_path)
    assert "| compile 500 | 2.00 | – | 50 % | – | – | 3.0, – s | 1 | 5, 10 |" in wide
    assert "| `vae` | 1 | 1,234 images/s | 2.50 [2.00, 3.00] | compile | 0.50 |" in short
    assert "(`vae-16-seeds`, one population): 2.50 [2.00, 3.00] times as fast as one after another" in short
    assert "vae-16-seeds" not in wide + readme.speed_plot(tmp_path)


def test_names_are_in_the_order_of_their_numbers():
    names = ["gpt-decode-128", "gpt-decode-8", "dcgan-64", "gpt-decode-32"]
    assert sorted(names, key=natural) == ["dcgan-64", "gpt-decode-8", "gpt-decode-32", "gpt-decode-128"]
