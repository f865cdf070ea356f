"""Thin command lines: they parse, call and print."""
