"""Training clips with text prompts (ReferFormer)."""
