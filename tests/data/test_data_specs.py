"""What a user may write after --data, and how examples are held out."""

from pathlib import Path

import numpy as np
import pytest

from train.data.folders import by_folder
from train.data.source import OPENERS, open_source
from train.data.spec import FORMS, parse
from train.data.splits import held_out, select
from zoo.errors import UserError


def test_parts_of_a_spec() -> None:
    spec = parse("images:~/my photos/a?size=64&channels=1")
    assert (spec.kind, spec.path, dict(spec.options)) == ("images", "~/my photos/a", {"size": "64", "channels": "1"})
    assert spec.integer("size") == 64 and spec.integer("count", 7) == 7
    assert parse("bach?steps=2").options == {"steps": "2"}
    assert parse("text:what?.txt").path == "what?.txt"
    assert parse("text:C:\\poems.txt").path == "C:\\poems.txt"


def test_every_kind_can_be_opened() -> None:
    assert OPENERS.keys() == FORMS.keys()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("artt", "did you mean art?"),
        ("imags:x", "did you mean images:DIR?"),
        ("nonsense", "it is one of art, sprites, bach"),
        ("images:", "write images:DIR"),
        ("art:32", "takes no path"),
        ("art?sise=3", "no option 'sise'; art takes size, count"),
        ("art?size=big", "size=big"),
        ("art?size=0", "at least 1"),
        ("images:/no/such/place", "no such folder"),
        ("text:/no/such/file", "no such file"),
        ("midi:{here}?codec=x", "performance, remi, voices, leadsheet, roll"),
        ("{here}", "images:{here} or midi:{here}"),
        ("{here}/a.txt", "text:{here}/a.txt"),
        ("images:{here}/a.txt", "is a file, not a folder"),
        ("text:{here}", "is a folder, not a file"),
    ],
)
def test_one_line_says_what_would_mend_it(spec: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError) as caught:
        open_source(spec.format(here=tmp_path))
    assert words.format(here=tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_impossible_wishes() -> None:
    for wish in ({"split": "training"}, {"image_size": 0}, {"length": 1}):
        with pytest.raises(UserError):
            open_source("art", **wish)


def test_a_tenth_is_held_out_by_name_in_any_order() -> None:
    names = [f"{i}.png" for i in range(200)]
    chosen = {name for name, out in zip(names, held_out(names), strict=True) if out}
    backwards = {name for name, out in zip(names[::-1], held_out(names[::-1]), strict=True) if out}
    assert len(chosen) == 20 and chosen == backwards
    assert chosen != set(names[:20]) and chosen != set(names[-20:])
    assert held_out(["a", "b"]).sum() == 1 and held_out(["a"]).sum() == 0


def test_splits_of_the_data_itself_come_first() -> None:
    ten = [str(i) for i in range(10)]
    assert select({"train": ten, "test": ["x"]}, "valid", spec="s")[0] == "test"
    assert select({"train": ten, "valid": ["x"]}, "test", spec="s")[0] == "valid"
    assert len(select({"train": ten, "valid": ["x"]}, "train", spec="s")[1]) == 10
    train, valid, test = (select({"train": ten}, split, spec="s")[1] for split in ("train", "valid", "test"))
    assert len(train) == 9 and len(valid) == 1 and np.array_equal(valid, test)
    assert sorted([*train, *valid]) == list(range(10))
    with pytest.raises(UserError, match="too few"):
        select({"train": ["x"]}, "valid", spec="s")
    with pytest.raises(UserError, match="no training split"):
        select({"test": ten}, "train", spec="s")


def test_folders_called_after_splits_are_splits() -> None:
    assert by_folder(["train/a", "val/b", "test/c", "train/d"]) == {"train": [0, 3], "valid": [1], "test": [2]}
    assert by_folder(["train/a", "cats/b"]) == {"train": [0, 1]}
    assert by_folder(["a", "b"]) == {"train": [0, 1]}
