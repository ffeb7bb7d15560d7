"""Vector quantisation with a codebook that follows its data by moving averages, and whose unused codes are revived.

A codebook is a dict: ``codes`` [K, D], ``counts`` [K], how often each is used in a batch, and ``sums`` [K, D], of what
is quantised to it; the latter two are moving averages. It is no parameter: it lives in a model's ``extra``.
"""

import jax
import jax.numpy as jnp

Array = jax.Array
Codebook = dict[str, Array]

SMOOTHING = 1e-5  # a code that was never used has this count, not 0 (Laplace's rule)


def empty_codebook(size: int, features: int) -> Codebook:
    """K codes of D features, none of them alive: the first data to be quantised become them."""
    return {"codes": jnp.zeros((size, features)), "counts": jnp.zeros(size), "sums": jnp.zeros((size, features))}


def nearest(z: Array, codes: Array) -> Array:
    """Which of the codes [K, D] is nearest to each z [..., D]: int32 [...]."""
    wide = jnp.promote_types(z.dtype, jnp.float32)
    along = jnp.matmul(z, codes.T.astype(z.dtype), preferred_element_type=wide)
    lengths = jnp.sum(jnp.square(codes.astype(wide)), axis=-1)
    return jnp.argmin(lengths.reshape((1,) * (z.ndim - 1) + (-1,)) - 2 * along, axis=-1).astype(jnp.int32)


def straight_through(z: Array, quantised: Array) -> Array:
    """``quantised``, through which gradients pass as if it were z (van den Oord et al. 2017, section 3.2)."""
    return z + jax.lax.stop_gradient(quantised.astype(z.dtype) - z)


def revived(codebook: Codebook, z: Array, key: Array, *, share: float | Array) -> Codebook:
    """Codes that are used less than ``share`` of the mean use become vectors of z [..., D] drawn at random, as if they
    had been used like the others: Dhariwal et al. 2020 (arXiv:2005.00341), section 3.1. An empty codebook is filled."""
    codes, counts, sums = codebook["codes"], codebook["counts"], codebook["sums"]
    flat = jax.lax.stop_gradient(z).reshape(-1, z.shape[-1]).astype(codes.dtype)
    drawn = flat[jax.random.randint(key, counts.shape, 0, len(flat))]
    mean = len(flat) / len(counts)
    dead = counts <= share * jnp.mean(counts)
    return {
        "codes": jnp.where(dead[:, None], drawn, codes),
        "counts": jnp.where(dead, mean, counts).astype(counts.dtype),
        "sums": jnp.where(dead[:, None], mean * drawn, sums).astype(sums.dtype),
    }


def followed(codebook: Codebook, z: Array, chosen: Array, *, decay: float | Array) -> Codebook:
    """The codebook after z [..., D] were quantised to the codes ``chosen`` [...]: each code is the mean of what is
    quantised to it, by moving averages (van den Oord et al. 2017, arXiv:1711.00937, appendix A.1)."""
    size, features = codebook["codes"].shape
    flat = jax.lax.stop_gradient(z).reshape(-1, features)
    wide = jnp.promote_types(flat.dtype, jnp.float32)
    # One-hot rows in the dtype of z: exact, and the sums are those of a matrix product, the same on every device.
    hot = jax.nn.one_hot(chosen.reshape(-1), size, dtype=flat.dtype)
    sums = jnp.matmul(hot.T, flat, preferred_element_type=wide)
    average = lambda old, new: (decay * old + (1 - decay) * new).astype(old.dtype)
    counts = average(codebook["counts"], jnp.sum(hot.astype(wide), axis=0))
    sums = average(codebook["sums"], sums)
    total = jnp.sum(counts)
    smooth = (counts + SMOOTHING) / (total + size * SMOOTHING) * total
    return {"codes": (sums / smooth[:, None]).astype(sums.dtype), "counts": counts, "sums": sums}


def quantised(
    codebook: Codebook, z: Array, key: Array, *, decay: float | Array, revival: float | Array
) -> tuple[Array, Array, Codebook]:
    """A step of training: which codes z [..., D] are, int32 [...], the codes themselves [..., D], and the codebook
    after it. What is dead is revived first, so that the first batch fills an empty codebook."""
    codebook = revived(codebook, z, key, share=revival)
    chosen = nearest(jax.lax.stop_gradient(z), codebook["codes"])
    return chosen, codebook["codes"][chosen], followed(codebook, z, chosen, decay=decay)


def perplexity(counts: Array) -> Array:
    """How many codes are as good as in use: exp of the entropy of the shares, for counts [K]."""
    counts = counts.astype(jnp.promote_types(counts.dtype, jnp.float32))
    shares = counts / jnp.maximum(jnp.sum(counts), 1e-12)
    return jnp.exp(-jnp.sum(jnp.where(shares > 0, shares * jnp.log(jnp.maximum(shares, 1e-30)), 0)))
