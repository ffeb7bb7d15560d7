"""Networks that make pictures of pictures, the critic of their patches, and what trainings of them share."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.gan.residual import halved
from zoo.losses import wide
from zoo.model import Array
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv, ConvTranspose

NORMAL = nn.initializers.normal(0.02)
ENLARGED = 286 / 256  # of what a picture is cropped from again, at random (Isola et al. 2017, section 6.2)
FINE_BLOCKS = 3  # of pix2pixHD's local enhancer (Wang et al. 2018, appendix A)
SMALL = 128  # pixels a side up to which six residual blocks do (Zhu et al. 2017, section 7.1)
FRESH = 4  # of a batch, that are kept to be seen


class UNet(nn.Module):
    """x [B, H, W, C] and a key -> [B, H, W, channels] in [-1, 1]: halved ``levels`` times and back, with
    what each size has seen beside what comes up to it (Isola et al. 2017, arXiv:1611.07004, section 6.1.1).

    Single pictures are normalised, in training and in use. The only noise is the dropout of the smallest layers on the
    way up, in use too (section 3.2): of three at 256 pixels, as published, and of those of up to a 32nd of the
    picture's size, or of one at least, at fewer.
    """

    channels: int
    width: int
    levels: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array, key: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        down = partial(Conv, kernel_size=4, stride=2, kernel_init=NORMAL, dtype=dtype)
        up = partial(ConvTranspose, kernel_size=4, stride=2, kernel_init=NORMAL, dtype=dtype)
        norm = partial(nn.InstanceNorm, epsilon=1e-5, scale_init=lambda *args: 1 + NORMAL(*args), dtype=dtype)
        levels, widths = self.levels, [self.width * min(2**level, 8) for level in range(self.levels)]
        seen = []
        for level, features in enumerate(widths):
            bare = level in (0, levels - 1)  # at 1 x 1 a norm would leave nothing
            x = down(features, use_bias=bare)(x if level == 0 else nn.leaky_relu(x, 0.2))
            x = x if bare else norm()(x)
            seen.append(x)
        for level in range(levels - 2, -1, -1):
            x = norm()(up(widths[level], use_bias=False)(nn.relu(x)))
            depth = levels - 2 - level
            if depth < max(min(levels - 5, 3), 1):
                x = _dropped(x, self.dropout, jax.random.fold_in(key, depth))
            x = jnp.concatenate([x, seen[level]], axis=-1)
        return jnp.tanh(wide(up(self.channels)(nn.relu(x))))


def _dropped(x: Array, rate: float, key: Array) -> Array:
    """``rate`` of the elements of x are 0, and the others so much larger."""
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


class ResNetTranslator(nn.Module):
    """x [B, H, W, C] -> [B, H, W, channels] in [-1, 1]: c7s1-64, d128, d256, R256 ..., u128, u64, c7s1-C, with
    mirrored borders and single pictures normalised (Zhu et al. 2017, arXiv:1703.10593, section 7.2).

    ``halvings``: 4 in the global generator of pix2pixHD. ``within``: features [B, H / 2^halvings, ...] that are added
    to those in front of the residual blocks. ``bare``: what is in front of the last layer is what it gives.
    """

    channels: int
    width: int
    blocks: int
    dtype: str
    halvings: int = 2
    bare: bool = False

    @nn.compact
    def __call__(self, x: Array, within: Array | None = None) -> Array:
        dtype = compute_dtype(self.dtype)
        norm = partial(nn.InstanceNorm, epsilon=1e-5, use_bias=False, use_scale=False, dtype=dtype)
        conv = partial(Conv, padding="VALID", use_bias=False, kernel_init=NORMAL, dtype=dtype)
        x = nn.relu(norm()(conv(self.width, kernel_size=7)(mirrored(x, 3))))
        smaller = partial(Conv, stride=2, padding=1, use_bias=False, kernel_init=NORMAL, dtype=dtype)
        for level in range(self.halvings):
            x = nn.relu(norm()(smaller(self.width * 2 ** (level + 1))(x)))
        x = x if within is None else x + within
        for _ in range(self.blocks):
            y = nn.relu(norm()(conv(x.shape[-1])(mirrored(x, 1))))
            x = x + norm()(conv(x.shape[-1])(mirrored(y, 1)))
        larger = partial(ConvTranspose, stride=2, padding=((1, 0), (1, 0)), use_bias=False, kernel_init=NORMAL)
        for level in reversed(range(self.halvings)):
            x = nn.relu(norm()(larger(self.width * 2**level, dtype=dtype)(x)))
        if self.bare:
            return x
        last = Conv(self.channels, kernel_size=7, padding="VALID", kernel_init=NORMAL, dtype=dtype)
        return jnp.tanh(wide(last(mirrored(x, 3))))


class CoarseToFine(nn.Module):
    """x [B, H, W, C] -> [B, H, W, channels] in [-1, 1]: a translator of the picture at half its size, whose features
    enter another of the picture itself (Wang et al. 2018, arXiv:1711.11585, section 3.2). ``width``: of the finer one
    at the picture's size, half of the coarser one's."""

    channels: int
    width: int
    blocks: int
    halvings: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, key: Array, *, train: bool) -> Array:
        del key, train
        coarse = ResNetTranslator(
            self.channels, 2 * self.width, self.blocks, self.dtype, self.halvings, bare=True, name="coarse"
        )
        fine = ResNetTranslator(self.channels, self.width, FINE_BLOCKS, self.dtype, halvings=1, name="fine")
        return fine(x, coarse(halved(x)))


def mirrored(x: Array, edge: int) -> Array:
    """[B, H, W, C] with ``edge`` more pixels on every side, in which the picture is reflected."""
    return jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="reflect")


class PatchCritic(nn.Module):
    """x [B, H, W, C] -> logits [B, P]: of every patch of the picture whether it is real (Isola et al. 2017, section
    6.1.2). ``layers`` that halve: with 3 a patch is of 70 x 70 pixels, with 2 of 34, with 1 of 16."""

    width: int
    layers: int
    affine: bool
    """Norms have a gain and a bias of their own."""
    dtype: str

    def __call__(self, x: Array, *, train: bool) -> Array:
        return self.seen(x, train=train)[-1]

    @nn.compact
    def seen(self, x: Array, *, train: bool) -> list[Array]:
        """What each layer gives [B, H', W', C'], and the logits at the end."""
        del train
        dtype = compute_dtype(self.dtype)
        conv = partial(Conv, kernel_size=4, padding=1, kernel_init=NORMAL, dtype=dtype)
        norm = partial(nn.InstanceNorm, epsilon=1e-5, use_bias=self.affine, use_scale=self.affine, dtype=dtype)
        norm = partial(norm, scale_init=lambda *args: 1 + NORMAL(*args))
        seen = [nn.leaky_relu(conv(self.width, stride=2)(x), 0.2)]
        for level in range(1, self.layers + 1):
            stride = 2 if level < self.layers else 1
            x = conv(self.width * min(2**level, 8), stride=stride, use_bias=False)(seen[-1])
            seen.append(nn.leaky_relu(norm()(x), 0.2))
        return [*seen, wide(conv(1)(seen[-1])).reshape(len(x), -1)]


class PyramidCritic(nn.Module):
    """x [B, H, W, C] -> logits, a list: of a `PatchCritic` of the picture, of one of half its size, ... (Wang et al.
    2018, arXiv:1711.11585, section 3.2)."""

    scales: int
    width: int
    layers: int
    dtype: str

    def setup(self):
        self.critics = [PatchCritic(self.width, self.layers, False, self.dtype) for _ in range(self.scales)]

    def __call__(self, x: Array, *, train: bool) -> list[Array]:
        return [layers[-1] for layers in self.seen(x, train=train)]

    def seen(self, x: Array, *, train: bool) -> list[list[Array]]:
        """What each critic's layers give, its logits at the end."""
        found = []
        for scale, critic in enumerate(self.critics):
            x = halved(x) if scale else x
            found.append(critic.seen(x, train=train))
        return found


def patches(size: int, layers: int) -> int:
    """Patches along a side that a `PatchCritic` looks at."""
    return size // 2**layers - 2


# ---- Training -------------------------------------------------------------------------------------------------------


def jittered(pictures: tuple[Array, ...], key: Array) -> tuple[Array, ...]:
    """Pictures [B, H, W, C] that belong together, enlarged, cropped to their size again and mirrored at random: each
    example by a draw of its own, all of an example by the same (Isola et al. 2017, section 6.2)."""
    count, side = pictures[0].shape[:2]
    larger = round(side * ENLARGED)
    corner, flip = jax.random.split(key)
    corners = jax.random.randint(corner, (count, 2), 0, larger - side + 1)
    flips = jax.random.bernoulli(flip, 0.5, (count,))

    def one(picture: Array, corner: Array, flipped: Array) -> Array:
        # Centres of the crop's pixels, in pixels of the picture before it was enlarged.
        places = (jnp.arange(side)[None] + corner[:, None] + 0.5) * (side / larger) - 0.5
        crop = between(between(picture, places[0]).swapaxes(0, 1), places[1])
        return jnp.where(flipped, crop[::-1], crop).swapaxes(0, 1)

    return tuple(jax.vmap(one)(x, corners, flips) for x in pictures)


def between(x: Array, places: Array) -> Array:
    """x [N, ...] at places [M] in 0 .. N - 1, linearly interpolated, and beyond its ends as at them: [M, ...]."""
    places = jnp.clip(places, 0, len(x) - 1)
    low = jnp.floor(places).astype(jnp.int32)
    share = (places - low).reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
    return x[low] * (1 - share) + x[jnp.minimum(low + 1, len(x) - 1)] * share


def newest(kept: Array, fresh: Array) -> Array:
    """The first few of the ``fresh`` examples and, behind them, those ``kept``, as many as these; in their dtype.

    Few, since every device keeps them and has to be sent them; and by a sum over the batch, since devices that each
    have a part of it would otherwise join the parts of all that is kept.
    """
    of = lambda number: (jnp.arange(len(fresh)) == number).reshape(-1, *[1] * (fresh.ndim - 1))
    first = [jnp.sum(jnp.where(of(number), fresh, 0), axis=0) for number in range(min(FRESH, len(fresh)))]
    return jnp.concatenate([jnp.stack(first).astype(kept.dtype), kept])[: len(kept)]


def swapped(pool: Array, count: Array, fakes: Array, key: Array) -> tuple[Array, Array, Array]:
    """Samples [B, ...] as a critic sees them, from a history of samples: the pool [N, ...] and how many are in it [].

    While the pool fills, samples are kept and shown. Then each one is shown itself, or, half of the time, is kept in
    the place of an older one that is shown instead (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; Zhu et al.
    2017, section 4). Returns (what is shown [B, ...], the pool, the count).
    """
    size, rows = len(pool), len(fakes)

    # One after another, but of their numbers only: pictures would be sent around between devices at every turn.
    def one(carry: Any, xs: Any) -> Any:
        held, count = carry
        new, key = xs
        coin, place = jax.random.split(key)
        full = count >= size
        at = jnp.where(full, jax.random.randint(place, (), 0, size), jnp.minimum(count, size - 1))
        old = held[at]
        keep = ~full | jax.random.bernoulli(coin)
        shown = jnp.where(full & keep, old, new)
        return (held.at[at].set(jnp.where(keep, new, old)), jnp.minimum(count + 1, size)), shown

    of_pool, of_fakes = jnp.arange(size), size + jnp.arange(rows)
    (held, count), shown = jax.lax.scan(one, (of_pool, count), (of_fakes, jax.random.split(key, rows)))
    every = jnp.concatenate([pool, fakes.astype(pool.dtype)])
    own = (shown == of_fakes).reshape(-1, *[1] * (fakes.ndim - 1))
    return jnp.where(own, fakes, every[shown].astype(fakes.dtype)), every[held], count


def at_once(network: Callable[[Array], Array], *batches: Array) -> list[Array]:
    """What a network that looks at each example by itself makes of batches of one shape [B, ...], in one pass. Examples
    are laid beside one another, so that each stays on its device."""
    rows = len(batches[0])
    together = jnp.stack(batches, axis=1)
    made = network(together.reshape(-1, *together.shape[2:]))
    made = made.reshape(rows, len(batches), *made.shape[1:])
    return [made[:, i] for i in range(len(batches))]


def unlike(real: list[list[Array]], fake: list[list[Array]]) -> Array:
    """How differently critics see what should be alike: the mean absolute difference of a layer's features, summed over
    layers, the mean over critics (Wang et al. 2018, equation 4). The logits at the end of each do not count, and there
    is no gradient into ``real``."""
    apart = lambda a, b: jnp.mean(jnp.abs(jax.lax.stop_gradient(wide(a)) - wide(b)))
    nothing = jnp.zeros(())
    sums = [sum(map(apart, a[:-1], b[:-1]), nothing) for a, b in zip(real, fake, strict=True)]
    return sum(sums, nothing) / len(sums)


def mean_distance(a: Array, b: Array) -> Array:
    """The mean absolute difference of each example, [B]."""
    return jnp.mean(jnp.abs(wide(a) - wide(b)), axis=(1, 2, 3))
