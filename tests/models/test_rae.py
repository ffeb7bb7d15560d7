"""What is the generative autoencoder's own: its loss from its parts, and the density over its latents."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.errors import UserError
from zoo.vae.rae import FLOOR, NOISE, RAE

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return RAE(
        **{"image_size": 6, "channels": 2, "network": "dense", "latent_size": 3, "width": 8, "flow": 2, **fields}
    )


def started(model, size=5):
    params, extra = jax.jit(model.init)(KEY)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), params)
    spread = jnp.asarray(rng.normal(size=(3, 3)), jnp.float32)
    extra = {**extra, "latents": {"mean": spread[0], "covariance": spread @ spread.T + jnp.eye(3)}}
    image = jnp.asarray(rng.uniform(-1, 1, model.batch_spec(size)["image"].shape), jnp.float32)
    return params, extra, {"image": image}


@pytest.mark.parametrize("smoothness", ["gradient", "decay", "none"])
def test_the_loss_from_its_parts(smoothness):
    """The gradient's square with the whole Jacobian, along the direction that was drawn."""
    model = tiny(smoothness=smoothness, latent_weight=0.3, weight=0.7)
    params, extra, batch = started(model)
    tree = params["autoencoder"]
    z = model.encoder.apply({"params": tree["encoder"]}, batch["image"])
    decode = lambda z: model.decoder.apply({"params": tree["decoder"]}, z[None])[0]
    again = jax.vmap(decode)(z)
    rough = 0.0
    if smoothness == "gradient":
        u = jax.random.normal(jax.random.fold_in(KEY, NOISE), z.shape)
        rough = jnp.mean(jnp.sum(jnp.einsum("bhwcz,bz->bhwc", jax.vmap(jax.jacobian(decode))(z), u) ** 2, (1, 2, 3)))
    elif smoothness == "decay":
        rough = sum(jnp.sum(layer["kernel"] ** 2) for layer in tree["decoder"].values())
    error, size = jnp.sum((again - batch["image"]) ** 2) / 5, jnp.sum(z**2) / 10
    loss, (_, metrics) = jax.jit(model.loss)(params, extra, batch, KEY, STEP)
    assert float(loss) == pytest.approx(float(error + 0.3 * size + 0.7 * rough), rel=1e-4)
    assert float(metrics["roughness"]) == pytest.approx(float(rough), rel=1e-4)
    assert float(metrics["reconstruction"]) == pytest.approx(float(error), rel=1e-4)
    sums = jax.jit(model.evaluate)(params, extra, batch, KEY)
    assert float(sums["reconstruction"][0]) / 5 == pytest.approx(float(error), rel=1e-4)


def test_no_layer_of_a_spectral_decoder_stretches():
    model = tiny(smoothness="spectral")
    params, extra, batch = started(model)
    step = jax.jit(model.loss)
    for _ in range(60):
        _, (extra, _) = step(params, extra, batch, KEY, STEP)
    kernels = [np.asarray(layer["kernel"]) for layer in params["autoencoder"]["decoder"].values()]
    used, _ = model._decoder(params, extra, train=False)
    for kernel, layer in zip(kernels, used.values(), strict=True):
        np.testing.assert_allclose(layer["kernel"], kernel / np.linalg.norm(kernel, 2), rtol=1e-3)
    assert np.isfinite(jax.jit(model.sample, static_argnums=3)(params, extra, KEY, 2)).all()


def test_without_a_flow_the_density_is_the_normal_one():
    model = tiny(flow=0)
    params, extra, batch = started(model)
    z = model._encode(params, batch["image"])
    covariance = np.float64(extra["latents"]["covariance"])
    covariance += FLOOR * np.trace(covariance) / 3 * np.eye(3)
    apart = np.float64(z) - np.float64(extra["latents"]["mean"])
    distance = np.einsum("bi,ij,bj->b", apart, np.linalg.inv(covariance), apart)
    want = distance / 2 + np.linalg.slogdet(2 * math.pi * covariance)[1] / 2
    np.testing.assert_allclose(model._nats(params, extra, z), want, rtol=1e-4)
    assert [phase.player for phase in model.phases] == ["autoencoder"] and "density" not in params


def test_the_density_knows_its_volume():
    """-log p(z) = |u|^2 / 2 + Z log(2 pi) / 2 - log |du/dz|, for the latent u of z."""
    model = tiny()
    params, extra, batch = started(model)
    z = model._encode(params, batch["image"])
    to_latent = lambda z: model._flow(params, model._whitened(extra, z[None])[0])[0][0]
    u, jacobian = jax.jit(jax.vmap(lambda z: (to_latent(z), jax.jacobian(to_latent)(z))))(z)
    want = jnp.sum(u**2, -1) / 2 + 1.5 * math.log(2 * math.pi) - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(model._nats(params, extra, z), want, rtol=1e-4)
    loss, (after, _) = jax.jit(model.density_loss)(params, extra, batch, KEY, STEP)
    assert float(loss) == pytest.approx(float(jnp.mean(want)), rel=1e-4)
    jax.tree.map(np.testing.assert_array_equal, after, extra)


def test_mean_and_covariance_follow_the_latents():
    model = tiny(memory=0.9)
    params, extra, batch = started(model, 50)
    z = np.asarray(model._encode(params, batch["image"]))
    _, (after, _) = jax.jit(model.loss)(params, extra, batch, KEY, STEP)
    mean = 0.9 * np.asarray(extra["latents"]["mean"]) + 0.1 * z.mean(0)
    covariance = 0.9 * extra["latents"]["covariance"] + 0.1 * (z - mean).T @ (z - mean) / 50
    np.testing.assert_allclose(after["latents"]["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["latents"]["covariance"], covariance, rtol=1e-4, atol=1e-6)
    follow = jax.jit(
        lambda latents: jax.lax.fori_loop(0, 300, lambda _, x: model._followed(x, jnp.asarray(z)), latents)
    )
    white, _ = model._whitened({"latents": follow(extra["latents"])}, jnp.asarray(z))
    np.testing.assert_allclose(np.mean(white, 0), np.zeros(3), atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(3), atol=2e-2)


def test_what_is_encoded_is_rendered_as_it_was_decoded():
    model = tiny()
    params, extra, batch = started(model)
    latent = jax.jit(model.encode)(params, extra, batch["image"])
    again = model.decoder.apply({"params": params["autoencoder"]["decoder"]}, model._encode(params, batch["image"]))
    np.testing.assert_allclose(jax.jit(model.render)(params, extra, latent), jnp.clip(again, -1, 1), atol=1e-4)
    drawn = model.encode(params, extra, batch["image"], KEY)
    np.testing.assert_allclose(latent, drawn, atol=1e-5)  # nothing is


def test_the_density_learns_what_no_normal_distribution_is():
    """Latents in two heaps: log 2 and more is to be gained over a normal distribution's nats."""
    model = tiny(flow=4)
    params, extra = jax.jit(model.init)(KEY)
    image = jnp.where(jnp.arange(32)[:, None, None, None] % 2 == 0, 0.8, -0.8) * jnp.ones((32, 6, 6, 2))
    image = image + 0.1 * jax.random.normal(KEY, image.shape)
    follow = lambda _, extra: model.loss(params, extra, {"image": image}, KEY, STEP)[1][0]
    extra = jax.jit(lambda extra: jax.lax.fori_loop(0, 500, follow, extra))(extra)
    optimizer = optax.adam(1e-2)

    def step(carry, _):
        density, state = carry
        loss = lambda density: model.density_loss({**params, "density": density}, extra, {"image": image}, KEY, STEP)[0]
        value, grads = jax.value_and_grad(loss)(density)
        updates, state = optimizer.update(grads, state)
        return (optax.apply_updates(density, updates), state), value

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=200)[1])
    losses = run((params["density"], optimizer.init(params["density"])))
    normal = jnp.mean(tiny(flow=0)._nats(params, extra, model._encode(params, image)))
    assert float(losses[0]) == pytest.approx(float(normal), abs=1e-3) and losses[-1] < losses[0] - math.log(2)


@pytest.mark.parametrize("fields", [{"network": "unet"}, {"smoothness": "silk"}, {"network": "conv", "image_size": 28}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value)
