"""Command-line words become a config, or one line."""

import pytest

from train.cli import parse
from train.optim import PlayerOptim
from zoo.errors import UserError


def test_options_reach_the_model_the_optimizer_and_one_player():
    config, given = parse(
        ["dcgan", "--model.image-size", "64", "--optim.learning-rate", "8e-4", "--optim.critic.learning-rate=1e-4"]
    )
    assert config.model.image_size == 64 and config.optim.learning_rate == 8e-4
    assert config.players == {"critic": PlayerOptim(learning_rate=1e-4)}
    assert "model.image_size" in given and config.sweep == {}


def test_lists_train_side_by_side():
    config, _ = parse(["vae", "--model.beta", "0.5,1,4", "--population", "2", "--seed", "7"])
    assert config.members == 6 and config.seeds == [7, 8, 7, 8, 7, 8]
    assert config.varied() == {"model.beta": [0.5, 0.5, 1.0, 1.0, 4.0, 4.0]}


def test_precision_and_averages():
    config, _ = parse(["dcgan", "--precision", "bf16", "--ema", "0"])
    assert config.model.dtype == "bfloat16" and config.ema == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bogus", "1"], "--bogus"),
        (["--steps", "-1"], "--steps -1"),
        (["--model.layers", "2,3"], "only numbers with a decimal default"),
        (["--model.width", "10"], "--model.width 10 does not divide by --model.heads 4"),
        (["--parallel", "both"], "both"),
    ],
)
def test_a_mistake_is_one_line(words, says):
    with pytest.raises(UserError, match=says) as error:
        parse(["gpt", *words])
    assert "\n" not in str(error.value)
