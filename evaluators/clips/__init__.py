"""Segmentation of one clip into a folder of masks, overlay and report."""
