"""Recurrent nets on piano rolls, by the protocol of Boulanger-Lewandowski et al. (2012).

A frame's log-likelihood over its 88 keys, in nats; every frame of the test pieces counted (the first is predicted from
a silent one), whole pieces, and pooled; the official split; the model is chosen on validation; no transposition, since
the data are transposed already.
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

OPTIM = Optim(learning_rate=3e-3, weight_decay=0.05, clip=1.0, schedule="cosine", warmup=50, final=0.01)
BATCH = 16
CHECKS = 28  # of a training, on validation
PIECES = 20  # at a time, in evaluation: some last for thousands of frames


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training of a row."""

    file: str
    """Of the data folder."""
    preset: str
    steps: int
    fields: Mapping[str, Any]
    """Of the model."""
    published: float
    source: str

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
        config = replace(
            config, model=replace(config.model, **self.fields), optim=OPTIM, ema={player: 0.99},
            options=replace(config.options, data=spec, steps=self.steps, batch_size=BATCH, seed=seed),
        )  # fmt: skip
        config, source = fit_to_data(config, set())
        valid, test = (open_source(spec, split) for split in ("valid", "test"))
        params, best = fit_best(config, source, valid, checks=CHECKS, batch_size=PIECES)
        found = evaluate(config.model, params, {}, test, batch_size=PIECES)
        return {"nll": found["nll"], "after_first_frame": found["nll_after_first"], **best}


BAI = "{} row of Bai et al. 2018, table 1 (its code leaves out each piece's first frame)"
CHUNG = "{} row of Chung et al. 2014, table 2"
NADE = "Boulanger-Lewandowski et al. 2012, table 1, which a Hessian-free optimiser reached"
SMALL = {"width": 384, "layers": 1}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "jsb-lstm": Recipe(
            file="JSB_Chorales.mat", preset="lstm-roll", steps=1_400, fields={**SMALL, "dropout": 0.7}, published=8.45,
            source=BAI.format("LSTM"),
        ),
        "jsb-gru": Recipe(
            file="JSB_Chorales.mat", preset="gru-roll", steps=1_400, fields={**SMALL, "dropout": 0.7}, published=8.43,
            source=BAI.format("GRU"),
        ),
        "jsb-nade": Recipe(
            file="JSB_Chorales.mat", preset="rnn-nade", steps=1_400, fields={**SMALL, "dropout": 0.6}, published=5.19,
            source=NADE,
        ),
        "nottingham-lstm": Recipe(
            file="Nottingham.mat", preset="lstm-roll", steps=2_800, fields={**SMALL, "dropout": 0.4}, published=3.29,
            source=BAI.format("LSTM"),
        ),
        "nottingham-gru": Recipe(
            file="Nottingham.mat", preset="gru-roll", steps=2_800, fields={**SMALL, "dropout": 0.4}, published=3.46,
            source=BAI.format("GRU"),
        ),
        "musedata-lstm": Recipe(
            file="MuseData.mat", preset="lstm-roll", steps=2_800, fields={**SMALL, "dropout": 0.4}, published=6.23,
            source=CHUNG.format("LSTM"),
        ),
        "piano-midi-lstm": Recipe(
            file="Piano_midi.mat", preset="lstm-roll", steps=1_400, fields={**SMALL, "dropout": 0.6}, published=9.03,
            source=CHUNG.format("LSTM"),
        ),
    }
)  # fmt: skip
ROWS = MappingProxyType({name: recipe.row for name, recipe in RECIPES.items()})
