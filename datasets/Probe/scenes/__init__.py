"""Scenes of the Probe set."""
