"""Generative adversarial networks: one file a model."""
