"""What each preset is trained with when nothing is said: a literal table, one recipe a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from train.optim import Optim, PlayerOptim, lazily


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Defaults of a run."""

    steps: int
    batch_size: int
    optim: Optim
    players: Mapping[str, PlayerOptim] = field(default_factory=dict)
    ema: Mapping[str, float] = field(default_factory=dict)
    """player -> decay of the moving average that samples are drawn with."""


_GAN = Optim(rule="adam", learning_rate=2e-4, b1=0.5, b2=0.999)
# The rate stays for the first half of the run and then falls to 0 (Zhu et al. 2017, section 4).
_PAIRS = Optim(rule="adam", learning_rate=2e-4, b1=0.5, b2=0.999, schedule="linear", hold=0.5, final=0.0)
_WGAN_GP = Optim(rule="adam", learning_rate=1e-4, b1=0.0, b2=0.9)
_STYLE = Optim(rule="adam", learning_rate=2.5e-3, b1=0.0, b2=0.99)
_PICTURE = Optim(rule="adam", learning_rate=0.03, schedule="cosine", final=0.05)
_SMALL_GPT = Optim(learning_rate=1e-3, b2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=100)
# nanoGPT's settings for GPT-2 124M; larger models take smaller steps (Brown et al. 2020, table 2.1).
_GPT2 = Optim(learning_rate=6e-4, b2=0.95, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=2000)
# Norms behind the residuals want smaller steps and a longer warm-up (Devlin et al. 2019, appendix A.2).
_BERT = Optim(learning_rate=5e-4, b2=0.999, weight_decay=0.01, clip=1.0, schedule="cosine", warmup=500)
_XL = Optim(learning_rate=5e-4, b2=0.99, clip=0.25, schedule="cosine", warmup=200)
_RNN = Optim(learning_rate=2e-3, clip=1.0, schedule="cosine", warmup=100)
_MUSIC_VAE = Optim(rule="adam", learning_rate=1e-3, clip=1.0, schedule="cosine", final=0.01)
_COCONET = Optim(learning_rate=2e-3, clip=1.0, schedule="cosine", warmup=100)
_PERFORMANCE = Optim(rule="adam", learning_rate=1e-3, clip=3.0)
# The paper's; its rate falls by 0.9999 a step, to a hundredth.
_SKETCH = Optim(rule="adam", learning_rate=1e-3, clip=1.0, schedule="cosine", final=0.01)
_ROLL = Optim(learning_rate=2e-3, clip=1.0, schedule="cosine")

_STYLEGAN2 = Recipe(
    steps=200_000,
    batch_size=32,
    optim=_STYLE,
    players={"critic": lazily(_STYLE, 16), "generator": lazily(_STYLE, 4)},
    ema={"generator": 0.998},  # half forgotten in 10 000 pictures
)
_CODES = Recipe(
    steps=20_000,
    batch_size=64,
    optim=Optim(rule="adam", learning_rate=3e-4),
    players={"prior": PlayerOptim(learning_rate=1e-3, b2=0.99)},
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "dcgan": Recipe(steps=20_000, batch_size=64, optim=_GAN, ema={"generator": 0.999}),
        # Steps are the critic's, of which the generator takes every fifth.
        "wgan-gp": Recipe(steps=200_000, batch_size=64, optim=_WGAN_GP, ema={"generator": 0.9995}),
        "wgan-gp-256": Recipe(steps=500_000, batch_size=32, optim=_WGAN_GP, ema={"generator": 0.9995}),
        "cgan": Recipe(
            steps=250_000,
            batch_size=64,
            optim=Optim(rule="adam", learning_rate=2e-4, b1=0.0, b2=0.9),
            ema={"generator": 0.9995},
        ),
        # Steps are the critic's, of which the generator takes every second.
        "biggan": Recipe(
            steps=200_000,
            batch_size=64,
            optim=Optim(rule="adam", learning_rate=2e-4, b1=0.0, b2=0.999),
            ema={"generator": 0.9999},
        ),
        # 600 000 pictures each at five sizes and on the four ways between them.
        "progressive": Recipe(
            steps=170_000,
            batch_size=32,
            optim=Optim(rule="adam", learning_rate=1e-3, b1=0.0, b2=0.99),
            ema={"generator": 0.999},
        ),
        "stylegan": Recipe(
            steps=200_000,
            batch_size=32,
            optim=Optim(rule="adam", learning_rate=1e-3, b1=0.0, b2=0.99),
            ema={"generator": 0.998},
        ),
        "stylegan2": _STYLEGAN2,
        "stylegan2-ada": _STYLEGAN2,
        # The paper's for 32 pixels, with the last values of what it schedules beside the rate.
        "r3gan": Recipe(
            steps=100_000,
            batch_size=512,
            ema={"generator": 0.999},
            optim=Optim(rule="adam", learning_rate=2e-4, b1=0.0, b2=0.99, schedule="cosine", final=0.25),
        ),
        "pix2pix": Recipe(steps=40_000, batch_size=4, optim=_PAIRS),
        "pix2pix-256": Recipe(steps=80_000, batch_size=1, optim=_PAIRS),
        "pix2pixhd": Recipe(steps=80_000, batch_size=1, optim=_PAIRS),
        # The critic learns four times as fast (Heusel et al. 2017); 8 GPUs held 32 pictures.
        "spade": Recipe(
            steps=80_000,
            batch_size=4,
            optim=Optim(rule="adam", learning_rate=1e-4, b1=0.0, b2=0.9, schedule="linear", hold=0.5, final=0.0),
            players={"critic": PlayerOptim(learning_rate=4e-4)},
        ),
        "cyclegan": Recipe(steps=50_000, batch_size=4, optim=_PAIRS),
        "cyclegan-256": Recipe(steps=200_000, batch_size=1, optim=_PAIRS),
        # Theirs begin at ten times the generator's later rate; here the rate falls in a straight line.
        "animegan": Recipe(
            steps=20_000,
            batch_size=8,
            optim=Optim(rule="adam", learning_rate=2e-4, b1=0.5, b2=0.999, schedule="linear", final=0.1),
        ),
        "neural-style": Recipe(steps=300, batch_size=1, optim=_PICTURE),
        "fast-style": Recipe(steps=40_000, batch_size=4, optim=Optim(rule="adam", learning_rate=1e-3)),
        "video-style": Recipe(steps=40_000, batch_size=4, optim=Optim(rule="adam", learning_rate=1e-3)),
        # The paper's is 160,000 steps, at a rate that falls as 1 / (1 + 5e-5 step).
        "adain": Recipe(
            steps=80_000, batch_size=8, optim=Optim(rule="adam", learning_rate=1e-4, schedule="linear", final=0.2)
        ),
        "texture": Recipe(steps=1_500, batch_size=1, optim=_PICTURE, ema={"picture": 0.97}),
        "audio-style": Recipe(steps=300, batch_size=1, optim=Optim(rule="lbfgs")),
        "painter": Recipe(
            steps=500,
            batch_size=1,
            optim=Optim(rule="adam", learning_rate=0.01, schedule="cosine", final=0.1),
        ),
        "ifs": Recipe(
            steps=800,
            batch_size=1,
            optim=Optim(rule="adam", learning_rate=0.02, schedule="cosine", final=0.05),
        ),
        # The paper's, whose gradients are divided by their norms, and whose rate falls at once.
        "nca": Recipe(
            steps=8_000,
            batch_size=1,
            optim=Optim(rule="adam", learning_rate=2e-3, clip=0.1, schedule="cosine", final=0.05),
        ),
        # PacGAN's for rings and grids: 400 epochs of 100 000 points.
        "gan2d": Recipe(steps=400_000, batch_size=100, optim=Optim(rule="adam", learning_rate=1e-4, b1=0.8)),
        "voxgan": Recipe(
            steps=50_000,
            batch_size=32,
            optim=Optim(rule="adam", learning_rate=2e-4, b1=0.5, b2=0.99),
            ema={"generator": 0.999},
        ),
        "mocogan": Recipe(steps=100_000, batch_size=32, optim=_GAN, ema={"generator": 0.999}),
        # Steps are the critic's, of which the generator takes every fifth.
        "wavegan": Recipe(
            steps=500_000,
            batch_size=64,
            optim=Optim(rule="adam", learning_rate=1e-4, b1=0.5, b2=0.9),
            ema={"generator": 0.9995},
        ),
        "seqgan": Recipe(steps=4_000, batch_size=64, optim=Optim(rule="adam", learning_rate=1e-3, clip=5.0)),
        # Steps are the critic's; the rate falls over the last tenth.
        "musegan": Recipe(
            steps=50_000,
            batch_size=64,
            optim=Optim(rule="adam", learning_rate=1e-3, b1=0.5, b2=0.9, schedule="linear", hold=0.9, final=0.0),
            ema={"generator": 0.999},
        ),
        "vae": Recipe(steps=50_000, batch_size=100, optim=Optim(rule="adam", learning_rate=1e-3, schedule="cosine")),
        "vae-conv": Recipe(
            steps=10_000, batch_size=64, optim=Optim(rule="adam", learning_rate=2e-3, schedule="cosine")
        ),
        "music-vae": Recipe(steps=20_000, batch_size=128, optim=_MUSIC_VAE),
        "groovae": Recipe(steps=20_000, batch_size=128, optim=_MUSIC_VAE),
        "music-vae-trio": Recipe(steps=50_000, batch_size=32, optim=_MUSIC_VAE),
        "infovae": Recipe(steps=10_000, batch_size=64, optim=Optim(rule="adam", learning_rate=2e-3, schedule="cosine")),
        "vae-gae": Recipe(steps=10_000, batch_size=64, optim=Optim(rule="adam", learning_rate=2e-3, schedule="cosine")),
        **dict.fromkeys(("sketch-rnn", "sketch-rnn-free"), Recipe(steps=20_000, batch_size=100, optim=_SKETCH)),
        "vqvae": _CODES,
        "vqvae2": _CODES,
        "gpt": Recipe(steps=5_000, batch_size=32, optim=_SMALL_GPT),
        "gpt2": Recipe(steps=600_000, batch_size=480, optim=_GPT2),
        "gpt2-medium": Recipe(steps=600_000, batch_size=480, optim=Optim(**{**vars(_GPT2), "learning_rate": 3e-4})),
        "gpt2-large": Recipe(steps=600_000, batch_size=480, optim=Optim(**{**vars(_GPT2), "learning_rate": 2.5e-4})),
        "gpt2-xl": Recipe(steps=600_000, batch_size=480, optim=Optim(**{**vars(_GPT2), "learning_rate": 2e-4})),
        "music-transformer": Recipe(steps=5_000, batch_size=16, optim=_SMALL_GPT),
        "transformer-xl": Recipe(steps=10_000, batch_size=16, optim=_XL),
        "bert": Recipe(steps=10_000, batch_size=32, optim=_BERT),
        "ctrl": Recipe(steps=10_000, batch_size=32, optim=_SMALL_GPT),
        "image-gpt": Recipe(steps=20_000, batch_size=32, optim=_SMALL_GPT),
        "vit": Recipe(steps=10_000, batch_size=64, optim=_SMALL_GPT),
        **dict.fromkeys(("fusion", "tower"), Recipe(steps=3_000, batch_size=64, optim=_SMALL_GPT)),
        "tower-invariant": Recipe(
            steps=3_000, batch_size=64, optim=_SMALL_GPT, players={"critic": PlayerOptim(weight_decay=0.0, b1=0.5)}
        ),
        "text-to-image": Recipe(
            steps=20_000, batch_size=64, optim=_SMALL_GPT, players={"autoencoder": PlayerOptim(weight_decay=0.0)}
        ),
        "seq2seq": Recipe(steps=10_000, batch_size=32, optim=_SMALL_GPT),
        "midi-style": Recipe(steps=10_000, batch_size=32, optim=_RNN),
        "coconet": Recipe(steps=10_000, batch_size=16, optim=_COCONET),
        **dict.fromkeys(("lstm", "gru", "rnn"), Recipe(steps=5_000, batch_size=32, optim=_RNN)),
        "performance-rnn": Recipe(steps=20_000, batch_size=64, optim=_PERFORMANCE),
        **dict.fromkeys(("piano-composer", "piano-composer-events"), Recipe(steps=10_000, batch_size=32, optim=_RNN)),
        **dict.fromkeys(
            ("lstm-roll", "gru-roll", "rnn-roll", "rnn-nade"), Recipe(steps=5_000, batch_size=16, optim=_ROLL)
        ),
    }
)
