"""Archives for benchmark servers."""
