"""What models of the zoo do besides what they were trained for, by the names that the field has for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Way:
    """A use of a trained model, or of a formula."""

    says: str
    of: str
    """Which models do it."""
    command: str
    paper: str = ""


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "clip-style": Way(
            "a picture and words in, the picture as the words say out", "text-to-image",
            "zoo-sample RUN --translate photo.jpg --caption 'a red star'", "Crowson et al. 2022",
        ),
        "sketch-complete": Way(
            "a drawing that is begun in, finished drawings out", "sketch-rnn", "zoo-sample RUN --finish begun.svg",
            "Ha & Eck 2018",
        ),
        "music-to-picture": Way(
            "music in, a film that moves with it out", "every decoder of pictures, and formulas",
            "zoo-sample RUN --music song.mid, or zoo-draw warp --music song.mid",
        ),
        "picture-to-music": Way(
            "a picture is played, and music goes on from it", "every model of notes",
            "zoo-sample RUN --primer photo.jpg",
        ),
    }
)  # fmt: skip
