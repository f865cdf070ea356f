"""Decoders: from propagated features to logits."""
