"""Training data with text prompts (ReferFormer)."""
