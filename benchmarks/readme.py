"""The README's tables, made from the catalogue and from the committed results: no number is typed by hand."""

import json
import shlex
from pathlib import Path
from typing import Any

from benchmarks.plan import pods_summary, pods_table, scaling_table
from benchmarks.plot import grouped, natural, plot
from benchmarks.results import RESULTS, read_lines, show
from zoo.catalog import CATALOG, SIZES, count, describe

ROOT = Path(__file__).parents[1]
COLUMNS, WIDE, LINES = 4, 200, 8  # of the gallery: pictures in a row, pixels of each, lines of a text
BEGIN, END = "<!-- {name}: written by python -m benchmarks readme -->", "<!-- end of {name} -->"


def models_table() -> str:
    """One line a model."""
    lines = ["| model | family | parameters | learns from | paper |", "|---|---|---:|---|---|"]
    for name in CATALOG:
        row = describe(name)
        lines.append(f"| `{name}` | {row['family']} | {row['parameters']:,} | `{row['data']}` | {row['paper']} |")
    return "\n".join(lines)


def gallery_table(folder: Path = ROOT / "docs" / "gallery") -> str:
    """What each preset drew, wrote or played after a small training, so many to a row, with the steps that it took."""
    from zoo.codecs.images import read_png

    cells, texts = [], []
    for name in CATALOG:
        picture, text = folder / f"{name}.png", folder / f"{name}.txt"
        if picture.exists():
            told = read_png(picture)[1]
            place = f"docs/gallery/{name}.png"
            alt = f"what {name} makes after {told['step']} steps"
            cells.append(f'<td><img src="{place}" width="{WIDE}" alt="{alt}"><br><code>{name}</code></td>')
        elif text.exists():
            lines = text.read_text().strip().splitlines()[:LINES]
            texts += ["", f"`{name}` writes:", "", "```text", *lines, "```"]
    rows = [cells[at : at + COLUMNS] for at in range(0, len(cells), COLUMNS)]
    return "\n".join(["<table>", *(f"<tr>{''.join(row)}</tr>" for row in rows), "</table>", *texts])


GALLERY = """# Gallery

What presets draw, play and write after small trainings on two cores, the first that came. Below each are its commands;
`python -m sample.gallery NAME` has both in one.
"""


def gallery_page(folder: Path = ROOT / "docs" / "gallery") -> str:
    """The same, one below the other, each with the commands that made it."""
    from sample.gallery import PIECES

    parts = [GALLERY]
    for name, piece in ((name, PIECES[name]) for name in CATALOG if name in PIECES):
        file = folder / f"{name}{piece.suffix}"
        if not file.exists():
            continue
        text = f"```text\n{file.read_text().strip()}\n```" if piece.suffix == ".txt" else ""
        commands = (f"zoo-train {name} {piece.train} --out runs/{name}", f"zoo-sample runs/{name} {piece.sample}")
        quoted = [shlex.join(shlex.split(command)) for command in commands]
        parts += [f"## `{name}`", describe(name)["paper"], text or f"![{name}](gallery/{file.name})"]
        parts += ["\n".join(["```sh", *quoted, "```"])]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def quality_table(folder: Path = RESULTS / "quality") -> str:
    """One line a measured arm and metric; below, where each published number stands and what differs."""
    lines = [
        "| row | | ours | published | seeds | time, all seeds | where |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    notes = []
    for file in sorted(folder.glob("*.json")):
        row: dict[str, Any] = json.loads(file.read_text())
        where = f"{row['seconds']:.0f} s | {row['device']}, jax {row['versions']['jax']}"
        for arm, found in row["arms"].items():
            for one in found.values():
                ours = f"{one['mean']:.3f}" + (f" ± {one['stderr']:.3f}" if one["stderr"] is not None else "")
                name = f"`{row['row']}`" + (f" {arm}" if arm else "")
                published = "–" if one["published"] is None else one["published"]
                lines.append(f"| {name} | {one['what']} | {ours} | {published} | {len(one['seeds'])} | {where} |")
                where = " | "  # of the whole row, once
        notes.append(
            f"- `{row['row']}`: {row['source']}" + "".join(f". {row[k]}" for k in ("short", "verdict") if row[k])
        )
    return "\n".join(lines + [""] + notes)


def speed_table(folder: Path = RESULTS) -> str:
    """The plot; then one line a timed row, device by device; then what many seeds at once are worth."""
    parts = ["![how many times as fast as PyTorch, row by row](benchmarks/results/speed.svg)"]
    for device, lines in by_device(folder).items():
        parts += ["", f"On {device}: {measured_with(lines)}", ""]
        parts += ["| row | steps a dispatch | ours | times PyTorch's best | which was | memory, times PyTorch's |"]
        parts += ["|---|---:|---:|---:|---|---:|"]
        parts += ["| " + " | ".join(short(line)) + " |" for line in lines if not seeds_at_once(line)]
        parts += [
            f"\nMany seeds at once (`{line['row']}`, one population): {multiple(line)} times as fast as one after "
            "another, whole commands with start-up and compilation."
            for line in filter(seeds_at_once, lines)
        ]
    return "\n".join(parts)


def short(line: dict[str, Any]) -> list[str]:
    share = line["peak_memory"] / line["peak_memory_peer"]
    ours = f"{show(line['ours'])} {line['unit']}"
    return [f"`{line['row']}`", str(line["dispatch"]), ours, multiple(line), line["best"], f"{share:.2f}"]


def speed_plot(folder: Path = RESULTS) -> str:
    """The plot of the rows that have PyTorch on the other side."""
    return plot([line for line in speed_lines(folder) if not seeds_at_once(line)])


def details_table(folder: Path = RESULTS) -> str:
    """The same rows, with everything else that their lines hold."""
    columns = (
        "row", "steps a dispatch", "times PyTorch's best", "PyTorch, by mode", "GFLOP a step",
        "of the data sheet's FLOP/s", "of a matrix product's", "MB read a token", "of a copy's bytes/s",
        "compile, cold and warm", "compiled", "peak MB, ours and PyTorch's",
    )  # fmt: skip
    parts: list[str] = []
    for device, lines in by_device(folder).items():
        parts += ["", f"On {device}: {measured_with(lines)}", ""]
        parts += ["| " + " | ".join(columns) + " |", "|---|---:|---:|---|" + "---:|" * (len(columns) - 4)]
        parts += ["| " + " | ".join(details(line)) + " |" for line in lines if not seeds_at_once(line)]
    return "\n".join(parts[1:])


def details(line: dict[str, Any]) -> list[str]:
    """The cells of a row of `details_table`; what was not measured is a dash."""
    mfu, bandwidth = line.get("mfu") or {}, line.get("bandwidth") or {}
    peers = ", ".join(f"{mode} {show(value)}" for mode, value in line["peers"].items() if not isinstance(value, str))
    return [
        f"`{line['row']}`", str(line["dispatch"]), multiple(line), peers, cell(line["flops"], ",.2f", 1e-9),
        cell(mfu.get("sheet"), ".0f", 100, " %"), cell(mfu.get("matmul"), ".0f", 100, " %"),
        cell(line.get("bytes"), ",.1f", 1e-6), cell(bandwidth.get("copy"), ".0f", 100, " %"),
        f"{cell(line['compile_cold'], '.1f')}, {cell(line['compile_warm'], '.1f')} s", cell(line["compiles"], "d"),
        f"{cell(line['peak_memory'], ',.0f', 1e-6)}, {cell(line['peak_memory_peer'], ',.0f', 1e-6)}",
    ]  # fmt: skip


def forms_table(folder: Path = RESULTS) -> str:
    """What each fast form gains, device by device; those that lose stand out."""
    parts: list[str] = []
    for file in sorted(folder.glob("*/forms.jsonl")):
        lines = sorted(read_lines(file), key=lambda line: natural(line["row"]))
        parts += ["", f"On {lines[0]['device']}: {measured_with(lines, 'jax', 'jaxlib')}", ""]
        parts += ["| row | what is timed | fast form | plain form | ms, fast and plain | times as fast |"]
        parts += ["|---|---|---|---|---:|---:|"]
        parts += ["| " + " | ".join(form_cells(line)) + " |" for line in lines]
    return "\n".join(parts[1:]) or "Not measured yet."


def form_cells(line: dict[str, Any]) -> list[str]:
    """The cells of a row of `forms_table`."""
    gain = multiple(line)
    return [
        f"`{line['row']}`", f"{line['what']}, {shape_of(line['shape'])}", line["form"], line["plain"],
        f"{line['ms']['fast']:.3g}, {line['ms']['plain']:.3g}", f"**{gain}**" if line["ratio"]["high"] < 1 else gain,
    ]  # fmt: skip


def shape_of(size: Any) -> str:
    """The arrays' shapes, or a model's fields."""
    if isinstance(size, dict):
        return ", ".join(f"{name} {value}" for name, value in size.items())
    return ", ".join("×".join(map(str, shape)) for shape in size)


def cell(value: float | None, form: str, scale: float = 1, unit: str = "") -> str:
    return "–" if value is None else f"{value * scale:{form}}{unit}"


def by_device(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """{device: lines}, training first, processors last: as `benchmarks.plot` has them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (device, _), lines in grouped(speed_lines(folder)).items():
        found.setdefault(device, []).extend(lines)
    return found


def speed_lines(folder: Path = RESULTS) -> list[dict[str, Any]]:
    return [line for file in sorted(folder.glob("*/speed.jsonl")) for line in read_lines(file)]


def multiple(line: dict[str, Any]) -> str:
    return "{median:.2f} [{low:.2f}, {high:.2f}]".format(**line["ratio"])


def seeds_at_once(line: dict[str, Any]) -> bool:
    """Both sides of such a row are ours."""
    return line["unit"] == "runs/s"


def measured_with(lines: list[dict[str, Any]], *packages: str) -> str:
    """Versions (of jax and torch where nothing is said) and dates."""
    packages = packages or ("jax", "torch")
    version = lambda line, package: f"{package} {line['versions'].get(package, 'none')}"
    dates = sorted({line["date"] for line in lines})
    said = "; ".join(sorted({", ".join(version(line, package) for package in packages) for line in lines}))
    return f"{said}; {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "") + alone(lines)


def alone(lines: list[dict[str, Any]]) -> str:
    """Said where nobody looked for PyTorch's best among several modes."""
    modes = {mode for line in lines if line.get("unit") != "runs/s" for mode in line.get("peers", ())}
    return f"; of PyTorch's modes only {modes.pop()} was timed" if len(modes) == 1 else ""


def fill(text: str, name: str, body: str) -> str:
    """``text`` with what stands between the markers of ``name`` replaced."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the README has no place for {name!r}")
    return f"{before}{begin}\n{body}\n{end}{after}"


def write_sizes() -> None:
    """How large models are, which the tables and ``python -m zoo`` tell."""
    SIZES.write_text(json.dumps({name: count(name) for name in CATALOG}, indent=2) + "\n")


def write_all(root: Path = ROOT) -> None:
    """Both READMEs, the gallery's page and the plot."""
    fill_in(
        root / "README.md", gallery=gallery_table(), models=models_table(), quality=quality_table(),
        speed=speed_table(), pods="\n".join(pods_summary()),
    )  # fmt: skip
    fill_in(
        root / "benchmarks" / "README.md", rows=details_table(), forms=forms_table(), pods=pods_table(),
        scaling=scaling_table(),
    )  # fmt: skip
    (root / "docs" / "gallery.md").write_text(gallery_page())
    (root / "benchmarks" / "results" / "speed.svg").write_text(speed_plot())


def fill_in(path: Path, **bodies: str) -> None:
    text = path.read_text()
    for name, body in bodies.items():
        text = fill(text, name, body)
    path.write_text(text)
