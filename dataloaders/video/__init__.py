"""Frames of videos, image folders, cameras and streams."""
