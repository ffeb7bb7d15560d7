"""The zoo's models in PyTorch, weight for weight, as a strong PyTorch user would write them: what ours is timed
against. They import torch and numpy; none of the zoo's code runs in them."""
