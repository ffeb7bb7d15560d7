"""Music Transformer (Huang et al. 2018, arXiv:1809.04281): a decoder that knows how far apart two events are."""

from dataclasses import dataclass
from typing import ClassVar

from zoo import decoding, tokens
from zoo.model import Phase
from zoo.transformer import decoder
from zoo.transformer.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class MusicTransformer:
    """Pre-norm blocks with relative attention and no other positions: every layer learns a vector for each head and
    distance (section 3.4), which meets the queries by skewing, so that memory grows with T D and not with T^2 D.

    Its tokens are performance events, 388 and two specials (section 4.2), or those of any other codec.
    """

    vocabulary: int = 390
    """V, different tokens."""
    context: int = 512
    """T, positions that one token may see, itself included; also how many distances are learnt."""
    layers: int = 6
    heads: int = 4
    width: int = 192
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    dropout: float = 0.1
    remat: bool = False
    """In training, compute what is inside a block twice instead of keeping it: memory for a third more work."""
    start_token: int = 388
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "music_transformer"
    capacity = property(decoder.capacity)
    sample_length = property(decoder.sample_length)
    init, logits, prefill, decode = decoder.init, decoder.logits, decoder.prefill, decoder.decode
    batch_spec, loss, evaluate, outputs = tokens.batch_spec, tokens.loss, tokens.evaluate, tokens.outputs
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    def __post_init__(self):
        decoder.check_heads(self.width, self.heads)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.player, self.loss),)

    @property
    def network(self) -> Decoder:
        return Decoder(
            vocabulary=self.vocabulary, context=self.context, layers=self.layers, heads=self.heads, width=self.width,
            inner=self.inner, placing="relative", dropout=self.dropout, remat=self.remat, dtype=self.dtype,
        )  # fmt: skip
