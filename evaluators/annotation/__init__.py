"""Annotation of clips: session, server and page."""
