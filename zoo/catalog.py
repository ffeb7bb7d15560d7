"""The contents page: every model of the zoo by name. Importing this file imports no model, nor jax."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.model import Model


@dataclass(frozen=True)
class Entry:
    """A preset of a model."""

    family: str
    module: str
    model: str
    """The class in ``module``."""
    paper: str
    data: str
    """What it trains on when nothing is said."""
    preset: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ from the class's defaults."""


def _gpt2(layers: int, heads: int, width: int) -> Entry:
    shape = {"vocabulary": 50257, "context": 1024, "layers": layers, "heads": heads, "width": width}
    return Entry("transformer", "zoo.transformer.gpt", "GPT", "Radford et al. 2019, table 2", "docs", shape)


def _rnn(cell: str, paper: str) -> Entry:
    return Entry("lstm", "zoo.lstm.rnn", "RNN", paper, "bach", {"cell": cell})


def _roll(cell: str) -> Entry:
    paper = "Boulanger-Lewandowski et al. 2012; Bai et al. 2018"
    return Entry("lstm", "zoo.lstm.rnn", "RollRNN", paper, "bach?codec=roll", {"cell": cell})


_CONV_VAE = {
    "network": "conv",
    "image_size": 32,
    "channels": 3,
    "latent_size": 32,
    "width": 32,
    "likelihood": "gaussian",
    "flow": 8,
}
_TRIO = {
    "context": 1024,
    "voices": "SAB",
    "bars": 16,
    "conductor": 512,
    "latent_size": 256,
    "encoder_width": 512,
    "width": 512,
    "free_bits": 256.0,
    "beta_rate": 0.0,
}
_INFO = {"beta": 0.0, "mmd": 1000.0}  # alpha 1, lambda 1000
_FACES = {"image_size": 256, "latent_size": 100, "width": 32, "widest": 16}
_SMALL_PAIRS = {"image_size": 64, "width": 32, "critic_layers": 2}
_HD = {
    "network": "coarse-to-fine",
    "width": 32,
    "critic_width": 64,
    "scales": 2,
    "loss": "least-squares",
    "l1": 0.0,
    "matching": 10.0,
}
_SPADE = {
    "network": "spade",
    "critic_layers": 4,
    "scales": 2,
    "spectral": True,
    "jitter": False,
    "loss": "hinge",
    "l1": 0.0,
    "matching": 10.0,
}
_STEADY = {"steady": 30.0}
_FOUR_FAMILIES = "art?family=ridges,bloom,spiral,glass"

CATALOG: Mapping[str, Entry] = MappingProxyType(
    {
        "dcgan": Entry("gan", "zoo.gan.dcgan", "DCGAN", "Radford et al. 2016", "art"),
        "wgan-gp": Entry("gan", "zoo.gan.wgan", "WGAN", "Gulrajani et al. 2017", "art?size=64"),
        "wgan-gp-256": Entry("gan", "zoo.gan.wgan", "WGAN", "Gulrajani et al. 2017", "art?size=256", _FACES),
        "cgan": Entry("gan", "zoo.gan.cgan", "CGAN", "Mirza & Osindero 2014; Miyato & Koyama 2018", _FOUR_FAMILIES),
        "biggan": Entry("gan", "zoo.gan.biggan", "BigGAN", "Brock et al. 2019", _FOUR_FAMILIES),
        "progressive": Entry("gan", "zoo.gan.progressive", "Progressive", "Karras et al. 2018", "art?size=64"),
        "stylegan": Entry("gan", "zoo.gan.stylegan", "StyleGAN", "Karras et al. 2019", "art"),
        "stylegan2": Entry("gan", "zoo.gan.stylegan2", "StyleGAN2", "Karras et al. 2020", "art"),
        "stylegan2-ada": Entry(
            "gan", "zoo.gan.stylegan2", "StyleGAN2", "Karras et al. 2020 (ADA)", "art?count=1000", {"ada_target": 0.6}
        ),
        "r3gan": Entry("gan", "zoo.gan.r3gan", "R3GAN", "Huang et al. 2024", "art"),
        "pix2pix": Entry("gan", "zoo.gan.pix2pix", "Pix2Pix", "Isola et al. 2017", "sketch?size=64", _SMALL_PAIRS),
        "pix2pix-256": Entry("gan", "zoo.gan.pix2pix", "Pix2Pix", "Isola et al. 2017", "sketch?size=256"),
        "pix2pixhd": Entry("gan", "zoo.gan.pix2pix", "Pix2Pix", "Wang et al. 2018", "sketch?size=256", _HD),
        "spade": Entry("gan", "zoo.gan.pix2pix", "Pix2Pix", "Park et al. 2019", "regions?size=256", _SPADE),
        "cyclegan": Entry("gan", "zoo.gan.cyclegan", "CycleGAN", "Zhu et al. 2017", "seasons?size=64", _SMALL_PAIRS),
        "cyclegan-256": Entry("gan", "zoo.gan.cyclegan", "CycleGAN", "Zhu et al. 2017", "seasons?size=256"),
        "neural-style": Entry("style", "zoo.style.neural", "NeuralStyle", "Gatys et al. 2016", "pair"),
        "fast-style": Entry("style", "zoo.style.fast", "FastStyle", "Johnson et al. 2016", "seasons?size=256"),
        "video-style": Entry(
            "style", "zoo.style.fast", "FastStyle", "Huang et al. 2017; Gupta et al. 2017", "seasons?size=256", _STEADY
        ),
        "adain": Entry("style", "zoo.style.adain", "AdaIN", "Huang & Belongie 2017", "looks?size=256"),
        "painter": Entry("algorithmic", "zoo.algorithmic.strokes", "Painter", "Li et al. 2020", "picture"),
        "ifs": Entry("algorithmic", "zoo.algorithmic.fractal", "Fractal", "Tu et al. 2023", "picture"),
        "nca": Entry(
            "algorithmic", "zoo.algorithmic.growth", "NCA", "Mordvintsev et al. 2020", "picture?size=40&channels=4"
        ),
        "texture": Entry("style", "zoo.style.texture", "Texture", "Gatys et al. 2015; Elnekave & Weiss 2022", "pair"),
        "audio-style": Entry(
            "style",
            "zoo.style.sound",
            "AudioStyle",
            "Ulyanov & Lebedev 2016; Ustyuzhaninov et al. 2016",
            "pair?of=sounds",
        ),
        "animegan": Entry(
            "gan", "zoo.gan.animegan", "AnimeGAN", "Chen et al. 2020", "seasons?size=64", {"image_size": 64}
        ),
        "gan2d": Entry("gan", "zoo.gan.gan2d", "GAN2D", "Goodfellow et al. 2014; Lin et al. 2018", "ring"),
        "voxgan": Entry("gan", "zoo.gan.voxgan", "VoxGAN", "Wu et al. 2016", "solids"),
        "mocogan": Entry("gan", "zoo.gan.mocogan", "MoCoGAN", "Tulyakov et al. 2018", "bounce"),
        "wavegan": Entry("gan", "zoo.gan.wavegan", "WaveGAN", "Donahue et al. 2019", "plucks"),
        "seqgan": Entry("gan", "zoo.gan.seqgan", "SeqGAN", "Yu et al. 2017", "docs"),
        "musegan": Entry("gan", "zoo.gan.musegan", "MuseGAN", "Dong et al. 2018", "bach?codec=tracks"),
        "vae": Entry("vae", "zoo.vae.vae", "VAE", "Kingma & Welling 2014; Burda et al. 2016", "art"),
        "vae-conv": Entry("vae", "zoo.vae.vae", "VAE", "Kingma & Welling 2014; Chen et al. 2017", "art", _CONV_VAE),
        "music-vae": Entry("vae", "zoo.vae.music", "MusicVAE", "Roberts et al. 2018", "bach"),
        "music-vae-trio": Entry("vae", "zoo.vae.music", "MusicVAE", "Roberts et al. 2018", "bach", _TRIO),
        "groovae": Entry("vae", "zoo.vae.groove", "GrooVAE", "Gillick et al. 2019", "beats"),
        "infovae": Entry("vae", "zoo.vae.vae", "VAE", "Zhao et al. 2017", "art", _CONV_VAE | {"flow": 0, **_INFO}),
        "vae-gae": Entry("vae", "zoo.vae.rae", "RAE", "Ghosh et al. 2020", "art"),
        "sketch-rnn": Entry("vae", "zoo.vae.sketch", "SketchRNN", "Ha & Eck 2018", "doodles"),
        "sketch-rnn-free": Entry(
            "vae", "zoo.vae.sketch", "SketchRNN", "Ha & Eck 2018, section 3.3", "doodles", {"conditional": False}
        ),
        "vqvae": Entry("vae", "zoo.vae.vqvae", "VQVAE", "van den Oord et al. 2017", "art"),
        "vqvae2": Entry("vae", "zoo.vae.vqvae2", "VQVAE2", "Razavi et al. 2019", "art?size=64"),
        "gpt": Entry("transformer", "zoo.transformer.gpt", "GPT", "Radford et al. 2019", "bach"),
        "gpt2": _gpt2(12, 12, 768),
        "gpt2-medium": _gpt2(24, 16, 1024),
        "gpt2-large": _gpt2(36, 20, 1280),
        "gpt2-xl": _gpt2(48, 25, 1600),
        "music-transformer": Entry(
            "transformer", "zoo.transformer.music", "MusicTransformer", "Huang et al. 2018", "bach?codec=performance"
        ),
        "transformer-xl": Entry("transformer", "zoo.transformer.xl", "TransformerXL", "Dai et al. 2019", "docs"),
        "bert": Entry("transformer", "zoo.transformer.bert", "BERT", "Devlin et al. 2019", "docs"),
        "ctrl": Entry("transformer", "zoo.transformer.ctrl", "CTRL", "Keskar et al. 2019", "docs?codes=1"),
        "image-gpt": Entry("transformer", "zoo.transformer.image_gpt", "ImageGPT", "Chen et al. 2020", "art?size=16"),
        "vit": Entry("transformer", "zoo.transformer.vit", "ViT", "Dosovitskiy et al. 2021", _FOUR_FAMILIES),
        "seq2seq": Entry("transformer", "zoo.transformer.seq2seq", "Seq2Seq", "Vaswani et al. 2017", "bach"),
        "fusion": Entry(
            "multimodal",
            "zoo.multimodal.fusion",
            "Fusion",
            "Nagrani et al. 2021; Liu et al. 2018; Tsai et al. 2019",
            "chimes",
        ),
        "tower": Entry("multimodal", "zoo.multimodal.tower", "Tower", "Radford et al. 2021", "chimes"),
        "tower-invariant": Entry(
            "multimodal",
            "zoo.multimodal.tower",
            "Tower",
            "Radford et al. 2021; Wang et al. 2017",
            "chimes",
            {"invariant": 1.0},
        ),
        "text-to-image": Entry(
            "multimodal",
            "zoo.multimodal.text_to_image",
            "TextToImage",
            "Yu et al. 2022; van den Oord et al. 2017; Radford et al. 2021",
            "figures",
        ),
        "midi-style": Entry(
            "music",
            "zoo.music.style",
            "MidiStyle",
            "Brunner et al. 2018; Mor et al. 2018",
            "bach?codec=roll&textures=1",
        ),
        "coconet": Entry("music", "zoo.music.coconet", "Coconet", "Huang et al. 2017", "bach"),
        "lstm": _rnn("lstm", "Hochreiter & Schmidhuber 1997"),
        "gru": _rnn("gru", "Cho et al. 2014"),
        "rnn": _rnn("rnn", "Elman 1990; Mikolov et al. 2010"),
        "lstm-roll": _roll("lstm"),
        "gru-roll": _roll("gru"),
        "rnn-roll": _roll("rnn"),
        "performance-rnn": Entry(
            "lstm", "zoo.lstm.performance", "PerformanceRNN", "Simon & Oore 2017", "bach?codec=performance"
        ),
        "piano-composer": Entry("lstm", "zoo.lstm.composer", "PianoComposer", "Skuldur 2017", "bach?codec=chords"),
        "piano-composer-events": Entry(
            "lstm", "zoo.lstm.primed", "PrimedComposer", "Sutskever et al. 2014", "bach?codec=performance"
        ),
        "rnn-nade": Entry("lstm", "zoo.lstm.nade", "RNNNADE", "Boulanger-Lewandowski et al. 2012", "bach?codec=roll"),
    }
)


def entry(name: str) -> Entry:
    """The catalogue's entry, or a `UserError` that names the nearest ones."""
    if name not in CATALOG:
        import difflib

        near = difflib.get_close_matches(name, CATALOG, n=3, cutoff=0.4) or list(CATALOG)
        raise UserError(f"no model is called {name!r}; did you mean {', '.join(near)}?")
    return CATALOG[name]


def create(name: str, **fields: Any) -> "Model":
    """The preset ``name``, with any of its fields changed: ``create("dcgan", image_size=64)``."""
    found = entry(name)
    try:
        return model_class(name)(**{**found.preset, **fields})
    except TypeError as error:
        raise UserError(f"{name}: {error}") from None


def model_class(name: str) -> Any:
    """The frozen dataclass behind ``name``."""
    found = entry(name)
    return getattr(importlib.import_module(found.module), found.model)


def describe(name: str) -> dict[str, Any]:
    """name, family, paper, parameters (as ``sizes.json`` has them), data."""
    found, size = entry(name), _sizes().get(name)
    return {"name": name, "family": found.family, "paper": found.paper, "parameters": size, "data": found.data}


def count(name: str) -> int:
    """A preset's parameters, counted without making any; for all presets this takes seconds, so that the numbers are
    kept in ``sizes.json``, which ``python -m benchmarks readme`` writes and a test compares."""
    import jax

    params, _ = jax.eval_shape(create(name).init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


SIZES = Path(__file__).with_name("sizes.json")


@cache
def _sizes() -> dict[str, int]:
    return json.loads(SIZES.read_text())
