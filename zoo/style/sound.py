"""Style of sounds: Ulyanov & Lebedev 2016, "Audio texture synthesis and style transfer", with the random filters of
Ustyuzhaninov, Brendel, Gatys & Bethge 2016 (arXiv:1606.00021). What is learnt is the spectrogram."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.features.filters import gram
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast
from zoo.nn.conv3d import conv1d
from zoo.nn.fourier import OVERLAP, frames_of, griffin_lim, stft
from zoo.style.look import unknown, unlike

WINDOW, RATE = 2048, 22050  # the reference's samples a window, at so many a second
FAINT = 1e-3  # spread of the noise without which what is silent would remain so, for it has no slope
SOUND = 1  # folded into a key, of filters and noise


@dataclass(frozen=True, kw_only=True)
class AudioStyle:
    """One sound with the content of another and the style of a third.

    The player is a spectrogram, log(1 + |STFT|) [1, T, F], or what is added to the content's. Batches are one example:
    ``wave`` [B, N, 1], the content; ``style`` [B, N', 1], the sound whose style is wanted. Of several examples the mean
    is wanted.
    """

    length: int = 64000
    """Samples of the content, and of what is made."""
    style_length: int = 64000
    rate: int = 16000
    """Samples a second."""
    window: int | None = None
    """Samples that a spectrum sees; None is a power of two, at most the 93 ms of the paper's 2048 at 22050 a second."""
    filters: int = 4096
    """Random filters, which have learnt nothing and are not learnt."""
    taps: int = 11
    """Spectra that a filter sees, a quarter of a window apart."""
    content: float = 0.01
    """Weight of what is heard when."""
    style: float = 1.0
    """Weight of which features are heard together, whenever."""
    begin: Literal["content", "noise"] = "content"
    """What it begins with: of noise, and with no weight for the content, the style's texture is made."""
    rounds: int = 100
    """Rounds in which phases are found."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if min(self.filters, self.taps, self.rate) < 1 or self.rounds < 0:
            raise UserError("filters, taps and rate should be at least 1, and rounds at least 0")
        if self.samples < OVERLAP or self.samples % OVERLAP:
            raise UserError(f"window is {self.samples} samples; audio-style's is a multiple of {OVERLAP}")
        if self.begin not in ("content", "noise"):
            raise UserError(f"begin is {self.begin!r}; audio-style begins with content or noise")
        least = (self.taps - 1) * (self.samples // OVERLAP)
        if min(self.length, self.style_length) < max(least, self.samples):
            raise UserError(
                f"sounds of {self.length} and {self.style_length} samples: {max(least, self.samples)} or more are "
                f"needed for filters that see {self.taps} spectra of {self.samples} samples"
            )

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("spectrogram", self.loss),)

    @property
    def shared_extra(self) -> bool:
        """What is wanted is measured once, for all devices."""
        return True

    @property
    def works(self) -> int:
        """A run is one sound."""
        return 1

    @property
    def samples(self) -> int:
        """Of a window."""
        return self.window or 2 ** ((WINDOW * self.rate // RATE).bit_length() - 1)

    @property
    def bands(self) -> int:
        """F, frequencies from 0 to half the rate."""
        return self.samples // 2 + 1

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the filters [taps, F, filters], of variance 4 / ((F + filters) taps), and what is wanted, known
        from the first step on."""
        del batch
        shape = 1, frames_of(self.length, self.samples), self.bands
        noise = FAINT * jax.random.normal(jax.random.fold_in(key, SOUND), shape)
        kernel = self.taps, self.bands, self.filters
        filters = 2 * ((self.bands + self.filters) * self.taps) ** -0.5 * jax.random.normal(key, kernel)
        return {"spectrogram": noise}, {"filters": filters, "wanted": unknown(self.wanted, filters, self.batch_spec(1))}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        of = lambda length: jax.ShapeDtypeStruct((batch_size, length, 1), jnp.float32)
        return {"wave": of(self.length), "style": of(self.style_length)}

    def wanted(self, filters: Array, batch: Batch) -> Extra:
        """{content [1, T, F], its features shows [1, T, C], the style's gram [1, C, C]}, means over the
        examples."""
        content, style = (self.spectrogram(batch[name][..., 0]) for name in ("wave", "style"))
        found = {"content": content, "shows": self.features(filters, content)}
        found |= {"gram": gram(self.features(filters, style)[:, None])}
        return jax.tree.map(lambda x: jnp.mean(wide(x), axis=0, keepdims=True), found)

    def spectrogram(self, wave: Array) -> Array:
        """Sounds [B, N] -> log(1 + |STFT|) [B, T, F]."""
        return jnp.log1p(jnp.abs(stft(wave, window=self.samples)))

    def features(self, filters: Array, spectrogram: Array) -> Array:
        """[B, T, F] -> [B, T, C], frequencies being channels: one layer, over time alone, with silence around it."""
        x = cast(spectrogram, self.dtype)
        return jax.nn.relu(conv1d(x, filters.astype(x.dtype)))

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
        """Squared distances of features, and of the means over time of their products, each relative
        (`zoo.style.look.unlike`)."""
        del key
        filters = jax.lax.stop_gradient(extra["filters"])
        wanted = jax.lax.cond(step == 0, lambda: self.wanted(filters, batch), lambda: extra["wanted"])
        terms = self._terms(params, filters, wanted)
        loss = self.content * terms["content"] + self.style * terms["style"]
        return loss, ({**extra, "wanted": wanted}, terms)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """The loss's terms, of each example's content and style."""
        del key
        filters = extra["filters"]
        wanted = lambda row: self.wanted(filters, jax.tree.map(lambda x: x[None], row))
        found = jax.vmap(lambda row: self._terms(params, filters, wanted(row)))(dict(batch))
        return {name: (jnp.sum(each), jnp.asarray(len(each), jnp.float32)) for name, each in found.items()}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, N, 1]: the sound, n times; ``key`` draws the phases that the search for phases begins with. It is as loud
        as it is, or as 1 allows."""
        magnitude = jnp.expm1(self._made(params, extra["wanted"]))
        turns = jax.random.uniform(key, magnitude.shape, maxval=2 * jnp.pi)
        wave = griffin_lim(magnitude, jnp.exp(1j * turns), samples=self.length, rounds=self.rounds)
        return jnp.repeat((wave / jnp.maximum(jnp.max(jnp.abs(wave)), 1))[..., None], n, axis=0)

    def _terms(self, params: Params, filters: Array, wanted: Extra) -> dict[str, Array]:
        heard = self.features(filters, self._made(params, wanted))
        content = unlike([heard], [wanted["shows"]])
        return {"content": content[0], "style": unlike([gram(heard[:, None])], [wanted["gram"]])[0]}

    def _made(self, params: Params, wanted: Extra) -> Array:
        """The spectrogram [1, T, F]; what would fall below 0 is reflected there, where a maximum would hold it."""
        begun = wanted["content"] if self.begin == "content" else 0
        return jnp.abs(params["spectrogram"] + begun)
