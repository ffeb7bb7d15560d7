"""Words to pictures: a transformer writes a picture's codes as the caption tells it, and a tower chooses the best.

Yu et al. 2022, "Scaling autoregressive models for content-rich text-to-image generation" (Parti, arXiv:2206.10789): an
encoder reads the caption, a decoder writes the codes that an image tokenizer knows (sections 2.1 and 2.2), guided
without a classifier, for which some captions are withheld in training (section 2.3), and of several pictures those
are kept that a contrastive model likes best (section 2.4). The tokenizer is the zoo's VQ-VAE, the contrastive model a
pair of towers (Radford et al. 2021), and all three learn at once, each from the same batch.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.decoding import Sampler, Sampling, generate
from zoo.errors import UserError
from zoo.guidance import Guided
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.multimodal.media import Embedding
from zoo.multimodal.restyle import climbed
from zoo.multimodal.tower import START, Side, contrastive, similarities, temperature
from zoo.nn.embed import Embed
from zoo.nn.quantize import empty_codebook, nearest, straight_through
from zoo.tokens import DROPOUT
from zoo.transformer.decoder import check_heads
from zoo.transformer.seq2seq import UNCONDITIONAL, Seq2Seq
from zoo.transformer.vit import picture_patches
from zoo.vae import coded
from zoo.vae.prior import InTurn
from zoo.vae.vqvae import VQVAE

AUTOENCODER, WRITER, TOWERS = "autoencoder", "writer", "towers"
Answer = tuple[Array, tuple[Extra, Metrics]]


@dataclass(frozen=True, kw_only=True)
class TextToImage:
    """Three players: a VQ-VAE, an encoder-decoder from words to its codes, and two towers that know which words and
    which pictures belong together."""

    image_size: int = 32
    channels: int = 3
    words: int = 24
    """Different words; word 0 is none, and stands behind a caption."""
    caption: int = 8
    """Words of a caption, at most."""
    levels: int = 2
    """How often a picture is halved for its codes."""
    codes: int = 256
    """K, in the codebook."""
    code_size: int = 32
    picture_width: int = 64
    """Channels of the autoencoder."""
    residual_width: int = 32
    residual_layers: int = 2
    layers: int = 4
    """Of the writer's encoder, and of its decoder."""
    heads: int = 4
    width: int = 128
    """D, of the writer."""
    dropout: float = 0.1
    withheld: float = 0.1
    """The share of captions that are not shown to the writer in training."""
    patch: int = 4
    """Pixels of a side of what the picture's tower has for a token."""
    tower_layers: int = 2
    tower_width: int = 64
    embedding: int = 64
    """E, of the towers' space."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    shared_extra: ClassVar[bool] = True  # the same codebook for all devices

    def __post_init__(self):
        check_heads(self.tower_width, self.heads)
        if self.image_size % self.patch:
            raise UserError(f"--model.patch {self.patch} does not divide pictures of {self.image_size} pixels a side")
        if self.words < 2 or self.caption < 1:
            raise UserError("captions need at least one word")
        _ = self.pictures, self.writer  # which check their fields

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase(AUTOENCODER, self.pictures.loss), Phase(WRITER, self.writer_loss), Phase(TOWERS, self.towers_loss)
        )  # fmt: skip

    # ---- The parts ---------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> VQVAE:
        """Pictures <-> codes; its own prior is not used."""
        return VQVAE(
            image_size=self.image_size, channels=self.channels, levels=self.levels, codes=self.codes,
            code_size=self.code_size, width=self.picture_width, residual_width=self.residual_width,
            residual_layers=self.residual_layers, dtype=self.dtype,
        )  # fmt: skip

    @property
    def side(self) -> int:
        """Codes along a side of a picture."""
        return self.pictures.sides[0]

    @property
    def writer(self) -> Seq2Seq:
        """Captions -> codes. Codes come first in its vocabulary, words behind them, then what a picture begins with."""
        room = -(-max(self.side**2, self.caption) // 2) * 2
        return Seq2Seq(
            part="half", vocabulary=self.codes + self.words + 1, context=2 * room, layers=self.layers,
            heads=self.heads, width=self.width, dropout=self.dropout, withheld=self.withheld,
            start_token=self.codes + self.words, dtype=self.dtype,
        )  # fmt: skip

    @property
    def towers(self) -> "Towers":
        return Towers(
            words=self.words, patch=self.patch, layers=self.tower_layers, heads=self.heads, width=self.tower_width,
            embedding=self.embedding, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        of_pictures, of_writer, of_towers = jax.random.split(key, 3)
        caption, image = (jnp.zeros(spec.shape, spec.dtype) for spec in self.shapes(1))
        params = {
            AUTOENCODER: self.pictures.autoencoder(of_pictures),
            WRITER: self.writer.init(of_writer)[0]["seq2seq"],
            TOWERS: self.towers.init(of_towers, caption, image)["params"],
        }
        return params, {"codebook": empty_codebook(self.codes, self.code_size)}

    def shapes(self, n: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        """Of captions, and of pictures."""
        picture = (n, self.image_size, self.image_size, self.channels)
        return jax.ShapeDtypeStruct((n, self.caption), jnp.int32), jax.ShapeDtypeStruct(picture, jnp.float32)

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return dict(zip(("caption", "image"), self.shapes(batch_size), strict=True))

    # ---- Learning ----------------------------------------------------------------------------------------------------

    def writer_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """Mean nats of a code, given the caption and the codes before it."""
        del step
        shown = jax.random.uniform(jax.random.fold_in(key, UNCONDITIONAL), batch["caption"].shape[:1]) >= self.withheld
        codes = self.pictures.encode(params, extra, batch["image"])
        total, count = self.code_nats(params, codes, batch["caption"], jax.random.fold_in(key, DROPOUT), shown)
        return total / count, (extra, {})

    def code_nats(
        self, params: Params, codes: Array, caption: Array, key: Array | None = None, shown: Array | None = None
    ) -> tuple[Array, Array]:
        """(nats of all codes [B, side, side], how many); ``shown`` bool [B]: whose caption is not withheld (all)."""
        target = codes.reshape(len(codes), -1)
        real = jnp.ones(target.shape, bool)
        return self.writer.target_nats(self.of_writer(params), self.told(caption), target, real, key, shown)

    def towers_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """The contrastive loss in nats, in which what has the same caption counts as neither right nor wrong."""
        del step
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        said, seen = self.embed(params, batch["caption"], batch["image"], train=True, rngs=rngs)
        scale = temperature(params[TOWERS]["temperature"])
        return contrastive(said, seen, scale, alike(batch["caption"])), (extra, {"temperature": scale})

    def embed(self, params: Params, caption: Array, images: Array, **controls: Any) -> tuple[Array, Array]:
        """Captions int32 [B, L] and pictures [K, H, W, C] -> unit vectors [B, E] and [K, E]."""
        return self.towers.apply({"params": params[TOWERS]}, caption, images, **controls)  # type: ignore[return-value]

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nmse`` of the autoencoder, and ``used``, the share of codes that is as good as in use; ``prior``, nats of
        all codes of a picture, given its caption; among the pairs of a batch, whose size the number depends on,
        ``found``: how often the picture nearest to a caption has that caption."""
        del key
        image, pictures = wide(batch["image"]), self.pictures
        codes = pictures.encode(params, extra, image)
        error = coded.error(pictures, params, extra, image, codes)
        nats, _ = self.code_nats(params, codes, batch["caption"])
        said, seen = self.embed(params, batch["caption"], batch["image"])
        nearest = jnp.argmax(similarities(said, seen), axis=1)
        right = jnp.all(batch["caption"][nearest] == batch["caption"], axis=1)
        count = jnp.asarray(len(right), nats.dtype)
        return {
            "nmse": error, "used": (pictures.used(extra) * count, count), "prior": (nats, count),
            "found": (jnp.sum(right, dtype=nats.dtype), count),
        }  # fmt: skip

    # ---- Drawing -----------------------------------------------------------------------------------------------------

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        caption: Array | None = None,
        guidance: float = 3.0,
        candidates: int = 1,
        sampler: Sampler = Sampling(),
    ) -> Array:
        """``n`` pictures [n, H, W, C] of captions int32 [n, L], or of none; each the best, in the towers' eyes, of
        ``candidates``. ``guidance``: 1 is what the writer has learnt, more heeds the caption more."""
        writer, own = self.writer, self.of_writer(params)
        in_turn = InTurn(jnp.zeros(self.side**2, jnp.int32), jnp.full(self.side**2, self.codes))
        decodes: Any = writer if caption is None else Guided(writer, guidance)  # type: ignore[arg-type]
        cond = None if caption is None else self.told(caption)
        drawn = generate(
            decodes, own, {}, key, prompt=writer.start(n), lengths=jnp.ones(n, jnp.int32), length=self.side**2,
            sampler=sampler, rules=(in_turn,), num_return=candidates, cond=cond,
        )  # fmt: skip
        images = self.pictures.render(params, extra, drawn.reshape(-1, self.side, self.side))
        if caption is None or candidates == 1:
            return images[::candidates]
        images = images.reshape(n, candidates, *images.shape[1:])
        best = jnp.argmax(self.fitting(params, caption, images), axis=1)
        return jnp.take_along_axis(images, best[:, None, None, None, None], axis=1)[:, 0]

    def fitting(self, params: Params, caption: Array, images: Array) -> Array:
        """How well pictures [n, K, H, W, C] fit captions [n, L]: cosines [n, K]."""
        said, seen = self.embed(params, caption, images.reshape(-1, *images.shape[2:]))
        return jnp.sum(said[:, None] * seen.reshape(*images.shape[:2], -1), axis=-1)

    # ---- Pictures as words say (`zoo.multimodal.restyle`) ------------------------------------------------------------

    @property
    def granule(self) -> int:
        """Heights and widths of what is translated must be multiples of this."""
        return 2**self.levels

    def translate(
        self, params: Params, extra: Extra, source: Array, key: Array, *, caption: Array, strength: float | Array = 1.0
    ) -> Array:
        """Pictures [n, H, W, C], no smaller than those of the training, as captions int32 [n, L] say."""
        z = wide(self.pictures.features(params, source))
        return climbed(self, params, extra, source, z, caption, key, jnp.asarray(strength))

    def restyled(self, params: Params, extra: Extra, z: Array) -> Array:
        """What was encoded [n, h, w, D] -> pictures, with a gradient through the codes."""
        codes = extra["codebook"]["codes"]
        made = self.pictures.painted(params, straight_through(z, codes[nearest(z, codes)]))
        return jnp.clip(made, -1, 1)

    # ---- What the writer reads ---------------------------------------------------------------------------------------

    def of_writer(self, params: Params) -> Params:
        return {"seq2seq": params[WRITER]}

    def told(self, caption: Array) -> dict[str, Array]:
        """Captions [n, L] as the writer's condition."""
        return {"source": caption + self.codes, "length": jnp.maximum(jnp.sum(caption > 0, axis=1), 1)}


def alike(caption: Array) -> Array:
    """[B, L] -> bool [B, B], whose captions are the same."""
    return jnp.all(caption[:, None] == caption[None], axis=-1)


class Towers(nn.Module):
    """Two towers: of words, and of pictures."""

    words: int
    patch: int
    layers: int
    heads: int
    width: int
    embedding: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, caption: Array, images: Array, *, train: bool = False) -> tuple[Array, Array]:
        """Captions int32 [B, L] and pictures [K, H, W, C] -> unit vectors [B, E] and [K, E]."""
        self.param("temperature", nn.initializers.constant(START), ())  # of the loss
        dtype, small = jnp.dtype(self.dtype), nn.initializers.normal(0.02)
        side = lambda name: Side(
            self.layers, self.heads, self.width, self.embedding, self.dropout, self.dtype, name=name
        )  # fmt: skip
        places = self.param("positions", small, (1, caption.shape[1], self.width)).astype(dtype)
        said = Embed(self.words, self.width, embedding_init=small, dtype=dtype, name="words")(caption) + places
        patches = picture_patches(images, self.patch)
        seen = Embedding(self.width, self.dtype, name="picture_embedding")(patches)
        return side("caption")(said, caption > 0, train=train), side("picture")(seen, train=train)
