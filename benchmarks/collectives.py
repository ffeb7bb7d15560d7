"""What the devices of a compiled step send one another, read from the program's text."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8}
INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?(\S+) = (.*?) (" + "|".join(KINDS) + r")(-start)?\(")
CALLED = re.compile(r"(\w+)=\{?(%?[\w.-]+(?:, %[\w.-]+)*)")
CALLS = {"calls", "to_apply", "body", "called_computations", "branch_computations"}
# XLA for TPUs overlaps a product with the gathering of its operand, or with the scattering of its result, by passing
# pieces around a ring; the loop that does so is named after what it stands for.
RING = re.compile(r"windowed_dot_general_body_(ag|rs)")


@dataclass(frozen=True)
class Collective:
    """One instruction, or one ring of them."""

    kind: str
    sizes: tuple[int, ...]
    """Bytes of each array that a device has afterwards; instructions that XLA merged have many."""
    times: int
    """How often a step runs it: its loops' turns."""

    @property
    def bytes(self) -> int:
        return self.times * sum(self.sizes)

    def sent(self, devices: int) -> float:
        """Bytes that each device sends in a step, by rings, which send the fewest (Patarasuk & Yuan 2009)."""
        others = {
            "all-reduce": 2 * (devices - 1) / devices, "all-gather": (devices - 1) / devices,
            "reduce-scatter": devices - 1, "all-to-all": (devices - 1) / devices, "collective-permute": 1,
        }  # fmt: skip
        return others[self.kind] * self.bytes


def collectives(text: str) -> list[Collective]:
    """Those of a compiled program, as ``compiled.as_text()`` prints it; what runs in parts counts once."""
    parts = computations(text)
    turns = runs(parts)
    devices = int(found[1]) if (found := re.search(r"num_partitions=(\d+)", text)) else 1
    all_of: dict[str, Collective] = {}
    for name, lines in parts.items():
        ring = RING.search(name)
        inside = {key: Collective(kind, sizes, turns[name]) for key, kind, sizes in instructions(lines)}
        if ring and inside:
            piece = max(sum(one.sizes) for one in inside.values())
            whole = ("reduce-scatter", piece) if ring[1] == "rs" else ("all-gather", piece * devices)
            inside = {name: Collective(whole[0], (whole[1],), 1)}
        all_of = inside | all_of
    return list(all_of.values())


def computations(text: str) -> dict[str, list[str]]:
    """name -> lines of every computation; the entry's name is ""."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = parts.setdefault("", [])
    for line in text.splitlines():
        if line.endswith("{") and (head := re.match(r"(ENTRY )?%?([\w.-]+) .*->", line)):
            lines = parts.setdefault("" if head[1] else head[2], [])
        elif line != "}":
            lines.append(line)
    return parts


def runs(parts: dict[str, list[str]]) -> dict[str, int]:
    """name -> how often one run of the entry runs that computation, loops of unknown length taken as one turn."""
    calls = {name: list(called(lines, parts)) for name, lines in parts.items()}
    turns = dict.fromkeys(parts, 0)

    def visit(name: str, times: int) -> None:
        turns[name] += times
        for callee, more in calls[name]:
            visit(callee, times * more)

    visit("", 1)
    return turns


def called(lines: list[str], parts: dict[str, list[str]]) -> Iterator[tuple[str, int]]:
    """(computation, how often) for each that these lines call."""
    for line in lines:
        words = [(key, names.replace("%", "").split(", ")) for key, names in CALLED.findall(line)]
        length = next((loop_length(line, parts.get(names[0], [])) for key, names in words if key == "condition"), 1)
        yield from (
            (name, length if key == "body" else 1)
            for key, names in words if key in CALLS for name in names if name in parts
        )  # fmt: skip


def loop_length(line: str, condition: list[str]) -> int:
    """Turns of a ``while``: as XLA says, or as its condition compares a counter with a constant; or 1."""
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', line):
        return int(known[1])
    limits = [int(limit) for text in condition for limit in re.findall(r"= [su]32\[\]\S* constant\((\d+)\)", text)]
    return limits[0] if len(limits) == 1 else 1


def instructions(lines: list[str]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(channel or name, kind, sizes of the results) of the collectives in these lines."""
    for line in lines:
        if not (match := INSTRUCTION.match(line)):
            continue
        name, shapes, kind, starts = match.groups()
        sizes = result_sizes(shapes)
        if starts and kind == "collective-permute":
            sizes = sizes[1:2]  # operand, result, two counters
        elif starts and kind != "all-reduce":
            sizes = sizes[len(sizes) // 2 :]  # operands, results
        channel = re.search(r"channel_id=(\d+)", line)  # an asynchronous one is printed once for each of its parts
        yield channel[0] if channel else name, kind, tuple(sizes)


def result_sizes(shapes: str) -> list[int]:
    """Bytes of "f32[3,4]{1,0}", or of each part of a tuple of such."""
    found = re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shapes)
    return [BYTES.get(kind, 4) * math.prod(map(int, filter(None, sides.split(",")))) for kind, sides in found]
