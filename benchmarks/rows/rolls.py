"""Recurrent nets on piano rolls, by the protocol of Boulanger-Lewandowski et al. (2012).

A frame's log-likelihood over its 88 keys, in nats; every frame of the test pieces counted (the first is predicted from
a silent one), whole pieces, and pooled; the official split; the model is chosen on validation; no transposition, since
the data are transposed already. Training reads windows where pieces last for thousands of frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.fit import fit_best
from benchmarks.quality import Row, Run, of_one
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim

OPTIM = Optim(weight_decay=0.05, clip=1.0, schedule="cosine", warmup=50, final=0.01)
BATCH = 16
EVERY = 50  # steps of whole pieces, or 500 of windows, the model is looked at on validation
PIECES = 20  # at a time, in evaluation: some last for thousands of frames


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training of a row."""

    file: str
    """Of the data folder."""
    preset: str
    fields: Mapping[str, Any]
    """Of the model."""
    published: float
    source: str
    steps: int = 1_400
    rate: float = 3e-3
    window: int | None = None
    """Frames of what it trains on; None is whole pieces."""

    @property
    def row(self) -> Row:
        return Row(
            metrics={"nll": "test NLL, nats/frame"}, published={"": {"nll": self.published}}, source=self.source,
            measure=of_one(self.measure),
        )  # fmt: skip

    def measure(self, data: Path, seed: int, budget: str) -> Run:
        """Trains once; keeps the parameters that were best on validation."""
        del budget  # the whole training takes minutes
        spec = f"rolls:{data / 'polyphonic_piano_rolls' / self.file}"
        config = default_config(self.preset)
        player = config.model.phases[0].player
        cut = f"{spec}?window={self.window}" if self.window else spec
        config = replace(
            config, model=replace(config.model, **self.fields), ema={player: 0.99},
            optim=replace(OPTIM, learning_rate=self.rate),
            options=replace(config.options, data=cut, steps=self.steps, batch_size=BATCH, seed=seed),
        )  # fmt: skip
        config, source = fit_to_data(config, set())
        valid, test = (open_source(spec, split) for split in ("valid", "test"))
        checks = self.steps // (10 * EVERY if self.window else EVERY)
        params, best = fit_best(config, source, valid, checks=checks, batch_size=PIECES)
        found = evaluate(config.model, params, {}, test, batch_size=PIECES)
        return {"nll": found["nll"], "after_first_frame": found["nll_after_first"], **best}


BAI = "{} row of Bai et al. 2018, table 1 (its code leaves out each piece's first frame)"
CHUNG = "{} row of Chung et al. 2014, table 2"
NADE = "Boulanger-Lewandowski et al. 2012, table 1, which a Hessian-free optimiser reached"


def recipe(
    file: str, preset: str, dropout: float, published: float, source: str, *, width: int = 384, **fields: Any
) -> Recipe:
    """Of a net as small as the published ones."""
    model = {"width": width, "layers": 1, "dropout": dropout}
    return Recipe(file=f"{file}.mat", preset=preset, fields=model, published=published, source=source, **fields)


# Many short windows: 5,000 steps of 64 frames reach 3.19 nats of Nottingham, 1,200 of 256 frames 4.19.
LONG: Any = {"window": 64, "steps": 2_500, "rate": 1e-2, "width": 256}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "jsb-lstm": recipe("JSB_Chorales", "lstm-roll", 0.7, 8.45, BAI.format("LSTM")),
        "jsb-gru": recipe("JSB_Chorales", "gru-roll", 0.6, 8.43, BAI.format("GRU"), steps=2_000),
        "jsb-nade": recipe("JSB_Chorales", "rnn-nade", 0.6, 5.19, NADE),
        "nottingham-lstm": recipe("Nottingham", "lstm-roll", 0.2, 3.29, BAI.format("LSTM"), **LONG | {"steps": 5_000}),
        "nottingham-gru": recipe("Nottingham", "gru-roll", 0.2, 3.46, BAI.format("GRU"), **LONG | {"steps": 5_000}),
        "musedata-lstm": recipe("MuseData", "lstm-roll", 0.2, 6.23, CHUNG.format("LSTM"), **LONG | {"steps": 6_000}),
        "piano-midi-lstm": recipe("Piano_midi", "lstm-roll", 0.4, 9.03, CHUNG.format("LSTM"), **LONG),
    }
)
ROWS = MappingProxyType({name: recipe.row for name, recipe in RECIPES.items()})
