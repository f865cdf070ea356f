"""Annotation of a clip: session, painting, page."""
