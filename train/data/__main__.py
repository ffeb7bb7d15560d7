"""python -m train.data show SPEC | prepare SPEC --out DIR"""

import argparse
import sys
from pathlib import Path

from zoo.errors import UserError

EPILOG = """specs: art, sprites, sketch, seasons, looks, regions, solids, plucks, beats, bounce, chimes, ring, grid,
bach, docs, doodles, images:DIR, picture:FILE, pair:CONTENT,STYLE, pairs:A,B, idx:DIR, npz:FILE, midi:DIR, rolls:FILE,
styles:A,B, text:FILE, texts:DIR, strokes:FILE, voxels:DIR, audio:DIR, spoken:DIR?pictures=DIR, video:DIR, tfds:NAME;
options as a query, such as 'images:photos?size=64&channels=1' or 'bach?steps=2'"""
SHOWN = 10


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m train.data",
        description="What a data spec holds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shown = commands.add_parser("show", help="examples, splits, fields, codec, and what could not be read")
    prepared = commands.add_parser("prepare", help="write it as a TensorFlow Datasets set")
    for command in (shown, prepared):
        command.add_argument("spec", metavar="SPEC", help="what to read, as after --data")
    prepared.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of sets to write to")
    prepared.add_argument("--name", help="name of the set (default: that of the folder or file)")
    options = parser.parse_args(arguments)
    from zoo.codecs.errors import CodecError

    try:
        if options.command == "show":
            show(options.spec)
        else:
            _prepare(options.spec, options.out, options.name)
    except (UserError, CodecError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def show(spec: str) -> None:
    """Prints what ``spec`` holds."""
    from train.data.fidelity import fidelity
    from train.data.source import ENDLESS, open_source
    from train.data.spec import parse
    from train.data.splits import SPLITS
    from zoo.codecs import to_config

    sources = {"train": open_source(spec)}
    for split in SPLITS[1:]:
        try:
            sources[split] = open_source(spec, split)
        except UserError as error:
            print(f"{split}: {error}", file=sys.stderr)
    train = sources["train"]
    sizes = {s: "endless" if x.size == ENDLESS else f"{x.size:,}" for s, x in sources.items()}
    codec = {key: _short(value) for key, value in to_config(train.codec).items()}
    print(spec)
    print("  examples  " + ", ".join(f"{split} {size}" for split, size in sizes.items()))
    print("  example   " + ", ".join(f"{k} {x.dtype}{list(x.shape[1:])}" for k, x in train.batch_spec(1).items()))
    if "piece" in train.arrays:
        lengths = train.arrays["piece"][:, 1]
        print(f"  pieces    {len(lengths):,} in train, {lengths.sum():,} positions, at most {lengths.max():,} in one")
    print("  fields    " + ", ".join(f"{key} {value}" for key, value in train.fields.items()))
    print("  codec     " + ", ".join(f"{key} {value}" for key, value in codec.items()))
    if found := fidelity(parse(spec), train.codec):
        print(f"  keeps     of {found[1]} files {found[0]}")
    if train.labels:
        print("  classes   " + _short(", ".join(train.labels)))
    print(f"  kept in   {_memory(sum(x.nbytes for x in train.arrays.values()), on_disk=train.fetch is not None)}")
    skipped = list(dict.fromkeys(line for source in sources.values() for line in source.skipped))
    print(f"  skipped   {len(skipped)}")
    for line in skipped[:SHOWN]:
        print(f"    {line}")
    if len(skipped) > SHOWN:
        print(f"    and {len(skipped) - SHOWN} more")


def _prepare(spec: str, out: Path, name: str | None) -> None:
    from train.data.prepare import prepare

    folder, written = prepare(spec, out, name=name)
    print(f"{'written' if written else 'already there'}: {folder}; use it as tfds:{folder}")


def _memory(size: int, *, on_disk: bool) -> str:
    if on_disk:
        return "files, read at every step"
    return f"memory, {size / 2**20:.1f} MiB" if size else "nothing: drawn when wanted"


def _short(value: object) -> str:
    text = str(value).encode("unicode_escape").decode()
    return text if len(text) <= 80 else f"{text[:77]}..."


if __name__ == "__main__":
    sys.exit(main())
