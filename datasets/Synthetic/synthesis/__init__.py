"""Generators of annotated video: rendered scenes, and cut-outs that move and deform."""
