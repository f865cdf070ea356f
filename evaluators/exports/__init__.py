"""Export formats: results of a clip for other tools."""
