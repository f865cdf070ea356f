"""Frames of videos, folders of images, cameras and streams."""
