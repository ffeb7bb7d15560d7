"""GPT-2 (Radford et al. 2019): a decoder-only transformer over bytes, characters, music tokens or BPE."""

from dataclasses import dataclass
from typing import ClassVar

from zoo import decoding, tokens
from zoo.model import Phase
from zoo.transformer import decoder
from zoo.transformer.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class GPT:
    """A pre-norm transformer with learned positions and tanh-GELU.

    Initialised as published: N(0, 0.02), positions N(0, 0.01), and what each block adds to the residual stream is
    scaled by 1 / sqrt(2 layers) (section 2.3).
    """

    vocabulary: int = 256
    """V, different tokens."""
    context: int = 256
    """T, positions that one token may see, itself included."""
    layers: int = 4
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    tied: bool = True
    """The head is the embeddings again; otherwise a matrix of its own."""
    epsilon: float = 1e-6
    """Of the norms; weights from elsewhere may want 1e-5."""
    dropout: float = 0.0
    remat: bool = False
    """In training, compute what is inside a block twice instead of keeping it: memory for a third more work."""
    start_token: int = 0
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "gpt"
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
            inner=self.inner, tied=self.tied, epsilon=self.epsilon, dropout=self.dropout,
            remat=self.remat, dtype=self.dtype,
        )  # fmt: skip
