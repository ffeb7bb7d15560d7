"""``python -m benchmarks forms``: what each fast form of `zoo.nn` and `zoo.losses` gains over the plain one, and what
the compiler's options gain.

A row is a form at a shape of a catalogue model. The two sides are compared first; then they take turns in one process,
each inside a loop, as training steps run (`benchmarks.contest`). On a GPU convolutions, norms and recurrences compute
in bfloat16, as training does there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import plain
from benchmarks.contest import Contest, What, arrays, check, path_length, penalised, race, whole_step, with_tokens
from benchmarks.machine import Busy, facts
from benchmarks.peers import Method, Session
from benchmarks.ratios import ratio
from benchmarks.results import save
from benchmarks.speed import wait_until_quiet
from train.flags import compiler_options
from zoo.errors import UserError
from zoo.losses import forward_over_reverse, token_nll, twice_reverse, wide
from zoo.nn.attention import causal_attention
from zoo.nn.batch_norm import batch_norm
from zoo.nn.cells import gru_step
from zoo.nn.columns import add_bias
from zoo.nn.conv import conv2d, conv2d_transpose
from zoo.nn.dense import by_parts, rows_by_matrix
from zoo.nn.embed import lookup
from zoo.nn.filters import downsample, smooth, upsample
from zoo.nn.gelu import anew
from zoo.nn.grouped import grouped_conv2d
from zoo.nn.modulated import TAPS, modulated_conv2d
from zoo.nn.norm import layer_norm
from zoo.nn.recurrence import lstm_scan, scan_cells

Array = jax.Array
Squares = Callable[[Callable[[Array], Array], Array], Array]
Size = tuple[tuple[int, ...], ...] | Mapping[str, Any]
"""The shapes of a form's arrays; or a preset, a batch size, and fields of the model."""
FULL, QUICK = Method(windows=7, seconds=0.3), Method(windows=3, seconds=0.14)
BILINEAR = 1.0, 2.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Form:
    """A fast form and the plain one, and where they are compared."""

    name: str
    fast: str
    plain: str
    contest: Callable[[Any, str], Contest]
    """(size, dtype) -> the two sides and what they are given."""
    cpu: Mapping[str, Size] = field(default_factory=dict)
    """Whose shape it is -> what it is, on CPUs; empty where the fast form is none there."""
    gpu: Mapping[str, Size] = field(default_factory=dict)
    what: What = "forward + backward"
    half: bool = False
    """Whether the fast form exists in half precision only, and is compared in it."""
    bare: bool = False
    """Whether the two sides are one program, and the plain one is compiled without the compiler's options."""

    def sizes(self, platform: str) -> Mapping[str, Size]:
        return {"cpu": self.cpu, "gpu": self.gpu}.get(platform, {})


# -- fast and plain forms whose arguments the table needs otherwise ----------------------------------------------------


def groups_of(x: Array, kernel: Array) -> int:
    return x.shape[-1] // kernel.shape[2]


def normalised(norm: Callable[..., Array]) -> Callable[..., Array]:
    """A layer norm and the product behind it, into which XLA:CPU fuses it."""
    return lambda x, scale, bias, kernel: rows_by_matrix(norm(x, scale, bias), kernel)


def wide_inside(norm: Callable[..., Array]) -> Callable[..., Array]:
    """A norm whose statistics are in float32, whatever it is given."""
    return lambda x, *scales: norm(*map(wide, (x, *scales))).astype(x.dtype)


def head(nll: Callable[[Array, Array], Array], logits: Any) -> Callable[[Array, Array, Array], Array]:
    """Features [N, D] and the embeddings [V, D] -> nats [N], by logits of the dtype ``logits``."""
    dims = (((1,), (1,)), ((), ()))
    return lambda x, embeddings, tokens: nll(
        lax.dot_general(x, embeddings, dims, preferred_element_type=logits), tokens
    )


def attended(parts: Callable[..., list[Array]]) -> Callable[..., Array]:
    """Attention of heads of 64 over what ``parts(x, kernel, bias, 3)`` gives."""

    def attend(x: Array, kernel: Array, bias: Array) -> Array:
        return causal_attention(*(part.reshape(*x.shape[:2], -1, 64) for part in parts(x, kernel, bias, 3)))

    return attend


def on_data(squares: Squares) -> Callable[..., Array]:
    """R1 by |grad_x D(x)|^2."""
    return lambda critic, real, fake: jnp.mean(squares(critic, real)) / 2


def between(squares: Squares) -> Callable[..., Array]:
    """WGAN-GP's penalty by it, half way between data and samples."""

    def penalty(critic: Callable[[Array], Array], real: Array, fake: Array) -> Array:
        return jnp.mean(jnp.square(jnp.sqrt(jnp.maximum(squares(critic, (real + fake) / 2), 1e-12)) - 1))

    return penalty


def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    start = plain.zero_state(x, recurrent.shape[0])
    return lstm_scan(add_bias(rows_by_matrix(x, kernel), bias), recurrent, start)[0]


def gru(x: Array, kernel: Array, recurrent: Array, bias: Array, inside: Array) -> Array:
    start = plain.zero_state(x, recurrent.shape[0])[0]
    return scan_cells(gru_step, add_bias(rows_by_matrix(x, kernel), bias), recurrent, inside, start)[0]


def penalty_forms() -> Iterator[Form]:
    """Gradients of penalties: which form is the fast one depends on the platform, see `squared_gradient_norm`."""
    reverse, forward = ("reverse over reverse", twice_reverse), ("forward over reverse", forward_over_reverse)
    contests = {
        "r1": lambda fast, plain: penalised(on_data(fast), on_data(plain)),
        "gradient-penalty": lambda fast, plain: penalised(between(fast), between(plain)),
        "path-length": path_length,
    }
    for platform, ((fast, quick), (slow, other)) in {"cpu": (reverse, forward), "gpu": (forward, reverse)}.items():
        for name, contest in contests.items():
            sizes: Any = {platform: PENALISED[platform][name]}
            yield Form(
                name=name, fast=fast, plain=slow, what="gradient of the penalty", contest=contest(quick, other), **sizes
            )  # fmt: skip


# -- the table ---------------------------------------------------------------------------------------------------------

STYLEGAN2 = {"preset": "stylegan2", "image_size": 64}
SMALL = {**STYLEGAN2, "base": 2048, "widest": 256}
UP_CPU = {"dcgan": ((64, 8, 8, 128), (4, 4, 128, 64)), "dcgan-picture": ((64, 16, 16, 64), (4, 4, 64, 3))}
UP_GPU = {"dcgan": ((128, 16, 16, 128), (4, 4, 128, 64)), "dcgan-picture": ((128, 32, 32, 64), (4, 4, 64, 3))}
LSTM = {
    "lstm-2x512": ((100, 64, 512), (512, 2048), (512, 2048), (2048,)),
    "lstm-small": ((64, 32, 128), (128, 512), (128, 512), (512,)),
}
GRU = {"gru": ((256, 32, 256), (256, 768), (256, 768), (768,), (768,))}
PENALISED: Mapping[str, Mapping[str, Mapping[str, Size]]] = {
    "cpu": {
        "r1": {"stylegan2": {**SMALL, "batch": 8}, "dcgan": {"preset": "dcgan", "critic_norm": "none", "batch": 64}},
        "gradient-penalty": {"wgan-gp": {"preset": "wgan-gp", "width": 16, "batch": 16}},
        "path-length": {"stylegan2": {**SMALL, "batch": 4}},
    },
    "gpu": {
        "r1": {"stylegan2": {**STYLEGAN2, "batch": 32}},
        "gradient-penalty": {"wgan-gp": {"preset": "wgan-gp", "batch": 64}},
        "path-length": {"stylegan2": {**STYLEGAN2, "batch": 16}},
    },
}

FORMS = (
    Form(
        name="up", fast="transposed convolution, packed", plain="dilated convolution",
        contest=arrays(partial(conv2d_transpose, stride=2), partial(conv2d_transpose, stride=2, form="lax")),
        cpu=UP_CPU, gpu=UP_GPU,
    ),
    Form(
        name="up-forward", fast="transposed convolution, packed", plain="dilated convolution", what="forward",
        contest=arrays(partial(conv2d_transpose, stride=2), partial(conv2d_transpose, stride=2, form="lax")),
        cpu=UP_CPU, gpu=UP_GPU,
    ),
    Form(
        name="down", fast="strided convolution, packed", plain="strided convolution",
        contest=arrays(partial(conv2d, stride=2, form="packed"), partial(conv2d, stride=2, form="lax")),
        cpu={
            "dcgan": ((64, 16, 16, 64), (4, 4, 64, 128)), "dcgan-picture": ((64, 32, 32, 3), (4, 4, 3, 64)),
            "vae-conv": ((64, 32, 32, 32), (4, 4, 32, 64)),
        },
        gpu={"dcgan": ((128, 32, 32, 64), (4, 4, 64, 128))},
    ),
    Form(
        name="conv", fast="convolution with gradients in the library's layout", plain="convolution",
        contest=arrays(conv2d, plain.conv),
        cpu={
            "stylegan2": ((8, 32, 32, 64), (3, 3, 64, 64)), "wgan-gp": ((16, 8, 8, 128), (3, 3, 128, 128)),
            "r3gan": ((8, 8, 8, 768), (1, 1, 768, 1536)),
        },
    ),
    Form(
        name="grouped", fast="grouped convolution as a product over patches, or slices", plain="grouped convolution",
        contest=arrays(
            lambda x, kernel: grouped_conv2d(x, kernel, groups=groups_of(x, kernel)),
            lambda x, kernel: plain.grouped_conv(x, kernel, groups=groups_of(x, kernel)),
        ),
        cpu={"r3gan": ((8, 8, 8, 1536), (3, 3, 16, 1536)), "animegan": ((4, 16, 16, 256), (3, 3, 1, 256))},
    ),
    Form(
        name="modulated", fast="modulation of inputs and outputs", plain="a group for each picture",
        contest=arrays(modulated_conv2d, plain.modulated_conv),
        cpu={"stylegan2": ((8, 32, 32, 64), (3, 3, 64, 64), (8, 64))},
        gpu={"stylegan2": ((16, 64, 64, 256), (3, 3, 256, 256), (16, 256))},
    ),
    Form(
        name="modulated-up", fast="the same, to twice the size", plain="a group for each picture, dilated",
        contest=arrays(partial(modulated_conv2d, up=True), partial(plain.modulated_conv, up=True)),
        cpu={"stylegan2": ((8, 16, 16, 128), (3, 3, 128, 64), (8, 128))},
        gpu={"stylegan2": ((16, 64, 64, 256), (3, 3, 256, 128), (16, 256))},
    ),
    Form(
        name="smooth", fast="filter as shifted slices", plain="depthwise convolution",
        contest=arrays(partial(smooth, taps=TAPS, pads=(2, 2)), partial(plain.smooth, taps=TAPS, pads=(2, 2))),
        cpu={"stylegan2": ((8, 64, 64, 32),)}, gpu={"stylegan2": ((16, 256, 256, 64),)},
    ),
    Form(
        name="downsample", fast="filter as shifted slices", plain="depthwise convolution, strided",
        contest=arrays(partial(downsample, taps=TAPS), partial(plain.downsample, taps=TAPS)),
        cpu={"stylegan2": ((8, 64, 64, 32),)}, gpu={"stylegan2": ((16, 256, 256, 64),)},
    ),
    Form(
        name="upsample", fast="filter as shifted slices", plain="depthwise convolution, dilated",
        contest=arrays(partial(upsample, taps=BILINEAR), partial(plain.upsample, taps=BILINEAR)),
        cpu={"r3gan": ((8, 16, 16, 768),)}, gpu={"r3gan": ((64, 16, 16, 768),)},
    ),
    Form(
        name="bias", fast="bias whose gradient sums the rows of a matrix", plain="bias",
        contest=arrays(add_bias, plain.add_bias),
        cpu={
            "dcgan": ((64, 16, 16, 64), (64,)), "gpt": ((12, 256, 384), (384,)),
            "lstm-2x512": ((100, 64, 2048), (2048,)),
        },
    ),
    Form(
        name="dense", fast="product of two matrices", plain="product over the last of three axes",
        contest=arrays(rows_by_matrix, plain.dense),
        cpu={"gpt": ((12, 256, 384), (384, 1536))},
    ),
    Form(
        name="batch-norm", fast="batch norm, gradient written out", plain="batch norm",
        contest=arrays(wide_inside(lambda *arrays: batch_norm(1e-5, *arrays)[0]), wide_inside(plain.batch_norm)),
        cpu={"dcgan": ((64, 16, 16, 64), (64,), (64,))}, gpu={"dcgan": ((128, 32, 32, 64), (64,), (64,))},
    ),
    Form(
        name="layer-norm", fast="layer norm, gradient written out, and a product", plain="layer norm and a product",
        contest=arrays(normalised(layer_norm), normalised(plain.layer_norm)),
        cpu={"gpt": ((12, 256, 384), (384,), (384,), (384, 1152))},
    ),
    Form(
        name="attention", fast="causal attention as two products", plain="dot_product_attention",
        contest=arrays(causal_attention, plain.causal_attention),
        cpu={"gpt": ((12, 256, 6, 64),) * 3},
    ),
    Form(
        name="gelu", fast="the tanh anew on the way back", plain="the tanh kept",
        contest=arrays(anew, jax.nn.gelu),
        cpu={"gpt": ((2048, 1536),)}, gpu={"gpt": ((16384, 1536),), "gpt2": ((32768, 3072),)},
    ),
    Form(
        name="parts", fast="queries, keys and values by a product each", plain="one product, split", half=True,
        contest=arrays(attended(by_parts), attended(plain.by_parts)),
        gpu={"gpt2": ((32, 1024, 768), (768, 2304), (2304,))},
    ),
    Form(
        name="embed", fast="gradient of the embeddings by a product", plain="by additions",
        contest=with_tokens(lambda x, table, tokens: x + lookup(table, tokens), plain.add_rows),
        gpu={"gpt": ((16384, 384), (65, 384))},
    ),
    Form(
        name="cudnn-attention", fast="causal attention by cuDNN", plain="dot_product_attention by XLA", half=True,
        contest=arrays(causal_attention, plain.causal_attention),
        gpu={"gpt": ((64, 256, 6, 64),) * 3, "gpt2": ((16, 1024, 12, 64),) * 3},
    ),
    Form(
        name="token-nll", fast="log-sum-exp, gradient written out", plain="log_softmax and a gather",
        contest=with_tokens(token_nll, plain.token_nll),
        cpu={"gpt": ((12, 256, 65),), "gpt2": ((1, 512, 50257),)}, gpu={"gpt": ((64, 256, 65),)},
    ),
    Form(
        name="bf16-logits", fast="logits in bfloat16, log-sum-exp in float32", plain="logits in float32", half=True,
        contest=with_tokens(head(token_nll, None), head(plain.token_nll, jnp.float32)),
        gpu={"gpt2": ((16384, 768), (50304, 768))},
    ),
    *penalty_forms(),
    Form(
        name="lstm", fast="one product a step, all others at once", plain="eight products a step, four gates apart",
        contest=arrays(lstm, plain.lstm_by_gates), cpu=LSTM, gpu=LSTM,
    ),
    Form(
        name="lstm-fused", fast="one product a step, all others at once", plain="two products a step",
        contest=arrays(lstm, plain.lstm_in_loop), cpu=LSTM, gpu=LSTM,
    ),
    Form(
        name="lstm-gradient", fast="recurrent kernel's gradient at once", plain="a share of it at every step",
        contest=arrays(lstm, plain.lstm_hoisted), cpu=LSTM, gpu=LSTM,
    ),
    Form(
        name="gru-gradient", fast="recurrent kernel's gradient at once", plain="a share of it at every step",
        contest=arrays(gru, plain.gru_hoisted),
        cpu=GRU, gpu=GRU,
    ),
    Form(
        name="flags", fast="the compiler's options", plain="none", what="whole step", bare=True, contest=whole_step,
        cpu={
            "dcgan-32": {"preset": "dcgan", "batch": 64},
            "dcgan-64": {"preset": "dcgan", "image_size": 64, "batch": 32},
            "vae-conv-64": {"preset": "vae-conv", "image_size": 64, "flow": 0, "batch": 64},
        },
    ),
)  # fmt: skip


# -- measuring ---------------------------------------------------------------------------------------------------------


def measure(form: Form, at: str, size: Size, session: Session) -> dict[str, Any]:
    """A row's line in the results. UserError where the two forms disagree, Busy where the machine is."""
    told = compiler_options(jax.default_backend())
    options = told, {} if form.bare else told
    dtype = "float32" if session.suite == "cpu" else "bfloat16"
    compared = dtype if form.half else "float32"
    apart = check(partial(form.contest, size), form.what, compared, options)
    pressure = wait_until_quiet(session.suite)
    fast, slow = race(form.contest(size, dtype), form.what, options, session)
    milliseconds = lambda speeds: 1e3 / float(np.median(speeds))
    return {
        "row": f"{form.name}-{at}", "kind": "form", "dispatch": 1, "form": form.fast, "plain": form.plain,
        "shape": size, "dtype": dtype, "what": form.what, "ratio": ratio([fast], [slow]),
        "ms": {"fast": milliseconds(fast), "plain": milliseconds(slow)}, "disagreement": apart, **facts(),
        "options": told, "windows": {"fast": fast, "plain": slow}, "pressure": pressure,
        "date": date.today().isoformat(),
    }  # fmt: skip


def run(names: Sequence[str] | None, method: Method, out: Path) -> None:
    """Measures the rows, writes each as soon as it is known, and prints what came out. A row that fails is told, and
    the others are measured; then it is a UserError, Busy where only other work was in the way."""
    suite = "cpu" if jax.default_backend() == "cpu" else "gpu"
    session = Session(suite, method, None, out)
    found, failed, todo = [], [], rows(jax.default_backend(), names)
    for name, (form, at, size) in todo.items():
        try:
            line = measure(form, at, size, session)
        except (UserError, jax.errors.JaxRuntimeError) as error:
            print(f"{name}: {str(error).splitlines()[0]}", flush=True)
            failed.append(error)
            continue
        save(line, out, name="forms")
        print(describe(line), flush=True)
        found.append(line)
    slower = [line["row"] for line in found if line["ratio"]["high"] < 1]
    if slower:
        print(f"SLOWER than the plain form: {', '.join(slower)}")
    if failed:
        kind = Busy if all(isinstance(error, Busy) for error in failed) else UserError
        raise kind(f"{len(failed)} of {len(todo)} rows failed; they are named above")


def rows(platform: str, names: Sequence[str] | None = None) -> dict[str, tuple[Form, str, Size]]:
    """{row: form, whose shape, the shape} of what was asked for. UserError for a name that no row has here."""
    mine = {f"{form.name}-{at}": (form, at, size) for form in FORMS for at, size in form.sizes(platform).items()}
    for name in names or ():
        if name not in mine:
            raise UserError(f"--rows {name}: the rows on a {platform} are {', '.join(mine) or 'none'}")
    if names:
        return {name: mine[name] for name in mine if name in names}
    elsewhere = [form.name for form in FORMS if not form.sizes(platform)]
    print(f"nothing to compare on a {platform}: {', '.join(elsewhere)}", flush=True)
    return mine


def describe(line: Mapping[str, Any]) -> str:
    """A line for people."""
    multiple = "{median:.2f}x [{low:.2f}, {high:.2f}]".format(**line["ratio"])
    fast, slow = (line["ms"][side] for side in ("fast", "plain"))
    return f"{line['row']} ({line['what']}): {fast:.3g} ms, plain {slow:.3g} ms: {multiple}"
