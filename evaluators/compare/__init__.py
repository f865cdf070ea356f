"""Comparison of models, checkpoints, memory policies and options over datasets."""
