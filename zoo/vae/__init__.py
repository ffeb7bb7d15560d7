"""Variational autoencoders: one file a model."""
