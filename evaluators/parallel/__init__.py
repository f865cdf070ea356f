"""Parallel processes that share work on one or many machines."""
