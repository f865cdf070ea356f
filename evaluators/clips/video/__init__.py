"""Videos: formats, audio, writers of complete and of growing files."""
