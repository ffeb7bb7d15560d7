"""What the options say of how tokens are chosen: the sampler, and the rules before it."""

from typing import Any

from sample.options import Options, flag
from zoo.codecs.chords import FIRST_CHORD, ChordWords
from zoo.codecs.performance import Performance
from zoo.codecs.remi import Remi
from zoo.codecs.voices import VoiceGrid
from zoo.decoding import Greedy, Sampler, Sampling
from zoo.errors import UserError
from zoo.grammar import grammar
from zoo.rules import RepetitionPenalty, Rule, in_key

TOKENS_ONLY = ("top_p", "min_p", "typical", "beam", "repetition_penalty")


def sampler_of(options: Options, *, rolls: bool) -> Sampler:
    """The sampler that the options describe. UserError for what means nothing to the keys of a roll."""
    for option in TOKENS_ONLY if rolls else ():
        if getattr(options, option) is not None:
            raise UserError(f"{flag(option)} is for tokens; the keys of a roll are drawn one by one")
    if options.greedy:
        return Greedy()
    return Sampling(
        temperature=options.temperature, top_p=options.top_p, top_k=options.top_k, min_p=options.min_p,
        typical=options.typical,
    )  # fmt: skip


def rules_of(options: Options, codec: Any) -> tuple[Rule, ...]:
    """Penalties, a key; and of performance events, REMI and four voices their grammar, so that whatever a model has
    learnt its streams are valid."""
    rules: list[Rule] = []
    if options.repetition_penalty is not None:
        rules.append(RepetitionPenalty(theta=options.repetition_penalty, form=options.penalty, exempt=structure(codec)))
    if isinstance(codec, Performance | Remi | VoiceGrid):
        rules.append(grammar(codec, options.key))
    elif options.key is not None:
        rules.append(in_key(codec, options.key))
    return tuple(rules)


def structure(codec: Any) -> tuple[int, ...]:
    """Tokens that say when and not what, which no penalty should wear out: all but onsets; of text the newline."""
    if isinstance(codec, ChordWords):
        return tuple(range(128, FIRST_CHORD))
    if codec.media == "music":
        return tuple(range(128, codec.vocabulary))  # an onset's token is its pitch
    return () if codec.start is None else (codec.start,)
