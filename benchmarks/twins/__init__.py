"""The zoo's models in PyTorch, weight for weight, as a strong PyTorch user would write them: what ours is timed
against. They import torch and numpy; none of the zoo's code runs in them.

A twin is made of (model, params, extra). It has ``modules``, one a player; ``draws(phase, batch, device)``, the random
numbers of a phase by name; ``PHASE_loss(batch, draws)`` for every phase of the model, which leaves in the modules what
ours leaves in ``extra``; ``sample`` or ``decode`` where a row draws; ``compiles``, the methods that torch.compile is
given (it cannot differentiate twice); and, where it has some, ``lasting``, those of which one phase makes what the next
one reads.
"""
