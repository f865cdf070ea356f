"""Annotation of clips: session, server, page."""
