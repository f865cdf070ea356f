"""Export formats: results of a clip as other tools read them."""
