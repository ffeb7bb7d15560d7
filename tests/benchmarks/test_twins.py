"""Every twin is the model: weights, losses and gradients."""

import pytest
from tiny import BATCH, TINY, compiled_step, fresh_state, random_batch, tiny

from benchmarks.workloads import WORKLOADS, Workload
from zoo.errors import UserError

pytestmark = pytest.mark.reference
torch = pytest.importorskip("torch")

SHAKE = 0.05  # of every weight, so that zeros and symmetries of the initialisation hide nothing
SMALL = {
    "dcgan": {}, "wgan-gp": {}, "stylegan2": {}, "pix2pix": {}, "cyclegan": {}, "vae": {}, "vae-conv": {"flow": 0},
    "vqvae": {}, "gpt": {}, "gpt2": {}, "music-transformer": {}, "lstm": {},
    "text-to-image": {}, "fast-style": {},
}  # fmt: skip


@pytest.mark.parametrize("preset", SMALL)
def test_loss_and_gradients_are_those_of_the_twin(preset):
    from benchmarks.agree import TOLERANCE, disagreement

    model = tiny("gpt" if preset == "gpt2" else preset, **SMALL[preset])
    found = disagreement(preset, model, shake=SHAKE)
    assert len(found) == 2 * len(model.phases)
    assert max(found.values()) <= TOLERANCE, found


def test_sides_that_differ_in_float32_have_to_be_one_function_in_float64(monkeypatch):
    from benchmarks import agree
    from benchmarks.twins import gpt

    workload = Workload(name="tiny", preset="gpt", kind="train", batch=4, fields=TINY["gpt"])
    monkeypatch.setattr(agree, "TOLERANCE", 0.0)
    agree.check(workload)  # what is left is rounding
    monkeypatch.setattr(gpt, "EPSILON", 1.01 * gpt.EPSILON)
    monkeypatch.setattr(agree, "TOLERANCE", 1e-8)
    with pytest.raises(UserError, match=r"tiny: gpt/gradient differs from PyTorch's by .* in float64"):
        agree.check(workload)


@pytest.mark.parametrize("form", ["grouped", "sliced"])
def test_forms_of_a_twin_compute_the_same(form, monkeypatch):
    from functools import partial

    from benchmarks import agree

    monkeypatch.setitem(agree.TWINS, "stylegan2", partial(agree.TWINS["stylegan2"], **{form: True}))
    found = agree.disagreement("stylegan2", tiny("stylegan2"), shake=SHAKE)
    assert max(found.values()) <= agree.TOLERANCE, found


@pytest.mark.parametrize("preset", ["pix2pix", "cyclegan"])
def test_forms_of_a_twin_learn_the_same(preset):
    """Translations that are made once for both phases, and those that each makes for itself; both forms of the norm."""
    from benchmarks import theirs

    workload = Workload(name="tiny", preset=preset, kind="train", batch=4, fields=TINY[preset])
    state, left = fresh_state(preset), []
    for mode in ("eager", "+".join(["eager", *theirs.forms(workload)])):
        torch.manual_seed(0)
        its = theirs.Training(workload, "cpu", mode, (state.params, state.extra))
        losses = [its.step(next(its.batches)) for _ in range(2)]
        left.append((losses, [module.state_dict() for module in its.twin.modules.values()]))
    torch.testing.assert_close(*left, rtol=1e-3, atol=1e-3)


def test_pictures_are_moved_alike():
    import jax
    import numpy as np

    from benchmarks import draws
    from benchmarks.theirs import tensor_of
    from benchmarks.twins.translators import moved
    from zoo.gan.translators import jittered

    pictures, key = random_batch(tiny("pix2pix"))["input"], jax.random.key(1)
    drawn = {name: torch.tensor(np.array(x)) for name, x in draws.moves(tiny("pix2pix"), key, BATCH).items()}
    found = moved(tensor_of(pictures, torch.device("cpu")), drawn).permute(0, 2, 3, 1)
    assert 0 < int(drawn["flip"].sum()) < BATCH
    np.testing.assert_allclose(found.numpy(), jax.jit(jittered)((pictures,), key)[0], atol=1e-5)


def test_pools_and_memories_hold_what_ours_hold():
    """A pool of 3 that is filled and swapped with, batch after batch of 4; the newest 6."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks import draws
    from benchmarks.twins.translators import Pool, remember
    from zoo.gan.translators import newest, swapped

    rng, pool, count, kept = np.random.default_rng(0), jnp.zeros((3, 2)), jnp.int32(0), jnp.zeros((6, 2))
    its, its_kept = Pool({"count": 0}, torch.zeros(3, 2)), torch.zeros(6, 2)
    for step in range(4):
        fakes, key = rng.normal(size=(4, 2)).astype(np.float32), jax.random.key(step)
        shown, pool, count = jax.jit(swapped)(pool, count, fakes, key)
        drawn = jax.vmap(lambda own: draws.swap(own, 3))(jax.random.split(key, 4))
        its_shown = its.swapped(torch.tensor(fakes), {name: torch.tensor(np.array(x)) for name, x in drawn.items()})
        kept = newest(kept, fakes)
        remember(its_kept, torch.tensor(fakes))
        for mine, other in ((shown, its_shown), (pool, its.samples), (kept, its_kept), (count, its.count)):
            np.testing.assert_array_equal(mine, np.asarray(other))
        assert not np.array_equal(shown, fakes) or step == 0


def test_codebooks_follow_and_are_revived_alike():
    import jax
    import numpy as np

    from benchmarks.twins.vqvae import Codebook
    from zoo.nn.quantize import empty_codebook, quantised

    rng, ours, step = np.random.default_rng(0), empty_codebook(8, 3), jax.jit(quantised, static_argnames=("decay",))
    its = Codebook(ours)
    for turn in range(3):
        z, key = rng.normal(size=(24, 3)).astype(np.float32), jax.random.key(turn)
        drawn = torch.tensor(np.array(jax.random.randint(key, (8,), 0, 24)))
        its.revive(torch.tensor(z), drawn, 0.5)
        chosen = its.nearest(torch.tensor(z))
        vectors = its.codes[chosen]
        its.follow(torch.tensor(z), chosen, 0.7)
        found, expected, ours = step(ours, z, key, decay=0.7, revival=0.5)
        np.testing.assert_array_equal(chosen.numpy(), found)
        np.testing.assert_allclose(vectors.numpy(), expected, rtol=1e-5)
        for name, leaf in its.named_buffers():
            np.testing.assert_allclose(leaf.numpy(), ours[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["pix2pix", "cyclegan", "vqvae"])
def test_a_step_leaves_what_ours_leaves(preset):
    """Samples that are kept, pictures that are remembered, codebooks: all that no gradient moves."""
    import jax

    from benchmarks import theirs
    from benchmarks.draws import draws_of

    model, state = tiny(preset), fresh_state(preset)
    workload = Workload(name="tiny", preset=preset, kind="train", batch=BATCH, fields=TINY[preset])
    its = theirs.Training(workload, "cpu", "eager", (state.params, state.extra))
    for step in range(2):
        batch, key = random_batch(model, seed=step), jax.random.fold_in(state.key, step)
        drawn = {name: draws_of(preset, model, name, key, BATCH) for name in its.phases}
        drawn = jax.tree.map(lambda leaf: theirs.tensor_of(leaf, its.device), drawn)
        state, _ = compiled_step(preset)(state, batch)
        its.step(theirs.batch_of(batch, slice(None), its.device), drawn.get)
    ours = theirs.twin_of(workload, "cpu", [], (state.params, state.extra))
    for player, module in ours.modules.items():
        left, expected = (dict(one.named_buffers()) for one in (its.twin.modules[player], module))
        torch.testing.assert_close(left, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_noise_falls_on_the_same_layers(rate):
    """All of it or none: what lies between is drawn by either side for itself, when it only samples too."""
    import jax
    import numpy as np

    from benchmarks.agree import shaken
    from benchmarks.theirs import TWINS, tensor_of

    model = tiny("pix2pix", dropout=rate)
    params = shaken(jax.device_get(fresh_state("pix2pix").params), SHAKE)
    twin = TWINS["pix2pix"](model, params, jax.device_get(fresh_state("pix2pix").extra))
    source = random_batch(model)["input"]
    with torch.inference_mode():
        found = twin.modules["generator"].eval()(tensor_of(source, torch.device("cpu")))
    expected = jax.jit(model.translate)(params, {"generator": {}}, source, jax.random.key(0))
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("preset", ["wgan-gp", "stylegan2"])
def test_a_turn_is_a_cycle_of_the_phases(preset):
    from benchmarks import ours, theirs

    workload = Workload(name="tiny", preset=preset, kind="train", batch=4, fields=TINY[preset])
    its, expected = theirs.Training(workload, "cpu", "eager"), ours.Training(workload, "cpu", 1)
    for step in range(workload.cycle):
        due = {phase.name or phase.player for phase in expected.engine.config.model.phases if step % phase.every == 0}
        assert set(its.step(next(its.batches))) == due
    assert its.units == expected.units == 4 * workload.cycle > 4
    its.turn()
    its.wait()
    assert its.at == 2 * workload.cycle


def test_another_model_is_noticed(monkeypatch):
    from benchmarks.agree import TOLERANCE, disagreement
    from benchmarks.twins import gpt

    monkeypatch.setattr(gpt, "EPSILON", 1e-2)
    assert max(disagreement("gpt", tiny("gpt")).values()) > TOLERANCE


@pytest.mark.parametrize(
    "preset", ["dcgan", "wgan-gp", "stylegan2", "pix2pix", "vae", "gpt", "music-transformer", "lstm"]
)
def test_twins_draw_samples(preset):
    from benchmarks.theirs import TWINS

    model, state = tiny(preset), fresh_state(preset)
    twin = TWINS[preset](model, state.params, state.extra)
    with torch.inference_mode():
        if hasattr(twin, "decode"):
            tokens = twin.decode(3, 7, torch.device("cpu"))
            assert tokens.shape == (3, 7) and int(tokens.max()) < model.vocabulary
        else:
            images = twin.sample(3, torch.device("cpu"))
            assert images.shape[:2] == (3, model.channels) and float(images.abs().max()) <= 1


@pytest.mark.parametrize("preset", ["gpt", "music-transformer"])
def test_a_twin_decodes_what_it_computes_in_parallel(preset):
    import jax

    from benchmarks.agree import shaken
    from benchmarks.theirs import TWINS

    model = tiny(preset)
    params, extra = jax.device_get(model.init(jax.random.key(0)))
    network = TWINS[preset](model, shaken(params, SHAKE), extra).modules[model.player].eval()
    tokens = torch.randint(0, model.vocabulary, (2, 6))
    with torch.inference_mode():
        want = network(tokens)[:, -1]
        for form in (int, lambda at: torch.tensor([at])):
            caches = torch.zeros(model.layers, 2, 2, model.heads, 8, model.width // model.heads)
            for at in range(6):
                logits = network.decode(tokens[:, at], caches, form(at))
            torch.testing.assert_close(logits, want)


def test_every_workload_has_a_twin():
    from benchmarks.theirs import TWINS

    assert {one.preset for one in WORKLOADS} <= set(TWINS)
