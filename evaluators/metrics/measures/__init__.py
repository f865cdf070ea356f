"""Measures: J and F, HOTA, STQ, VPQ, track AP."""
