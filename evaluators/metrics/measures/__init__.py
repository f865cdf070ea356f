"""Metrics of masks and tracks: J and F, HOTA, STQ, VPQ, track AP."""
