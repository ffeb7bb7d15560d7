"""What is SeqGAN's own: texts that go on, what they are worth, and the gradient of that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, random_batch, random_like, tiny

from zoo import create
from zoo.errors import UserError
from zoo.losses import logistic_critic

KEY = jax.random.key(0)


def started(**fields):
    model, state = tiny("seqgan", **fields), fresh_state("seqgan")
    return model, random_like(state.params, scale=0.5), random_batch(model)["tokens"]


def test_what_is_kept_stays_and_the_rest_is_drawn():
    model, params, text = started()
    text, kept = jnp.asarray(text), jnp.arange(1, 9)
    made = np.asarray(jax.jit(model._continued)(params, text, kept, KEY))
    for row, count in enumerate(kept):
        np.testing.assert_array_equal(made[row, :count], text[row, :count])
    assert (made != text).mean() > 0.4
    other = np.asarray(jax.jit(model._continued)(params, text, kept, jax.random.key(1)))
    assert (made != other).any()


def test_draws_are_those_of_the_model():
    """Many continuations of one prefix: the first new token is distributed as the logits say."""
    model, params, text = started()
    row = jnp.asarray(text[:1, :])
    many = jnp.broadcast_to(row, (4000, row.shape[1]))
    made = np.asarray(jax.jit(model._continued)(params, many, jnp.full(4000, 5), KEY))[:, 5]
    chances = jax.nn.softmax(model.logits(params, row[:, :5])[0, -1])
    share = np.bincount(made, minlength=model.vocabulary) / 4000
    np.testing.assert_allclose(share, chances, atol=0.03)


def test_rewards_are_what_the_critic_thinks_of_rollouts():
    """Where the generator has no choice, a rollout is the text itself, and so is every reward."""
    model, params, text = started(every=3)
    text, certain = jnp.asarray(text), jax.tree.map(lambda leaf: leaf, params)
    real = jax.nn.sigmoid(model.critic.apply({"params": params["critic"]}, text))
    rewards = np.asarray(jax.jit(model.rewards)(params, text, KEY))
    assert rewards.shape == (8, 16)
    last = rewards[:, -1]  # behind the last rollout the text is whole
    np.testing.assert_allclose(last, real, atol=1e-6)
    blocks = rewards[:, :15].reshape(8, 5, 3)
    assert (blocks == blocks[..., :1]).all() and len(np.unique(blocks[0, :, 0])) > 2
    head = jax.tree.map(jnp.zeros_like, certain["generator"]["head"])
    head["bias"] = head["bias"].at[4].set(50.0)
    certain["generator"] = {**certain["generator"], "head": head}
    same = jnp.full_like(text, 4)
    want = jax.nn.sigmoid(model.critic.apply({"params": params["critic"]}, same))
    np.testing.assert_allclose(model.rewards(certain, same, KEY), np.broadcast_to(want[:, None], (8, 16)), atol=1e-6)


def test_first_likelihood_then_rewards():
    model, params, text = started(first=3)
    batch = {"tokens": text, "length": np.full(8, 17, np.int32)}
    slope = jax.jit(jax.value_and_grad(model.generator_loss, has_aux=True))
    (loss, (_, metrics)), early = slope(params, {}, batch, KEY, jnp.int32(2))
    total, count = model.evaluate(params, {}, batch, KEY)["nll"]
    assert float(loss) == pytest.approx(float(total / count), rel=1e-5) and metrics["reward"] == 0
    (_, (_, metrics)), late = slope(params, {}, batch, KEY, jnp.int32(3))
    assert 0 < float(metrics["reward"]) < 1
    assert all(np.any(leaf) for leaf in jax.tree.leaves((early["generator"], late["generator"])))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(late["critic"]))


def test_what_is_rewarded_becomes_more_probable():
    """A critic that likes token 4: after some steps of the policy it is written more often."""
    model, params, text = started(first=0, rollouts=2)

    def liking(tokens):
        return 4.0 * jnp.mean(tokens == 4, axis=1) - 2.0

    class Fond(type(model.critic)):
        def __call__(self, text):
            return liking(text)

    class Partial(type(model)):
        critic = property(lambda self: Fond(self.vocabulary, 4, 0.0, self.dtype))

    fond = Partial(**{name: getattr(model, name) for name in model.__dataclass_fields__})
    batch = {"tokens": text, "length": np.full(8, 17, np.int32)}
    share = lambda params: float(jnp.mean(fond.written(params, jnp.zeros((200, 1), jnp.int32), KEY)[:, 1:] == 4))

    @jax.jit
    def steps(generator):
        def one(generator, key):
            loss = lambda mine: fond.generator_loss({**params, "generator": mine}, {}, batch, key, jnp.int32(0))[0]
            return jax.tree.map(lambda p, g: p - 3.0 * g, generator, jax.grad(loss)(generator)), None

        return jax.lax.scan(one, generator, jax.random.split(KEY, 60))[0]

    before, after = share(params), share({**params, "generator": steps(params["generator"])})
    assert after > 2 * before


def test_the_critic_tells_the_data_from_what_is_written():
    model, params, text = started(critic_dropout=0.0)
    batch = {"tokens": text, "length": np.full(8, 17, np.int32)}
    loss, (_, metrics) = jax.jit(model.critic_loss)(params, {}, batch, KEY, jnp.int32(0))
    fakes = model.written(params, jnp.asarray(text[:, :1]), jax.random.fold_in(KEY, 40))
    real, fake = (model.critic.apply({"params": params["critic"]}, x) for x in (jnp.asarray(text), fakes))
    assert float(loss) == pytest.approx(float(logistic_critic(real, fake)), rel=1e-5)
    assert float(metrics["real"]) == pytest.approx(float(real.mean()), rel=1e-5)


@pytest.mark.parametrize("fields", [{"rollouts": 0}, {"every": 0}, {"context": 3}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        create("seqgan", **fields)
    assert "\n" not in str(error.value)
